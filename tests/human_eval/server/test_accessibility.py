"""Every screen by axe-core, on a desktop, at 200% zoom and on a phone: of the static page, and the server's own pages.

And what a closed page leaves behind.
"""

import json
import pathlib
import shutil
import subprocess
import threading

import pytest
from werkzeug import serving

from human_eval import study
from human_eval.folder import layout, rater_ids

pytestmark = [pytest.mark.slow, pytest.mark.alone]
AXE = "axe-core@4.10.3"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
# Width, height and scale in CSS pixels. At 200% zoom a desktop's page has half as many, each twice as large.
DESKTOP, ZOOMED, PHONE = (1200, 844, 1), (600, 422, 2), (390, 844, 2)
NAME = "Zoë Œ 你好"


@pytest.fixture(scope="session")
def axe(tmp_path_factory) -> str:
    """The program of axe-core, from npm."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run(["npm", "install", "--silent", AXE], cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm does not give {AXE}: {done.stderr[:200]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def page(new_study, tmp_path) -> str:
    folder = new_study(tmp_path / "study", images=3, samples=1, block=3, practice=1)
    assert study.main(["export", f"--study={folder}"]) == 0
    return (folder / "public" / "index.html").as_uri()


def violations(browser, axe: str, screen: str) -> list[str]:
    browser.execute_script(axe)
    script = "axe.run(document, arguments[0]).then(arguments[1])"
    found = browser.execute_async_script(script, RULES)
    return [
        f"{screen}: {one['id']}: {node['html'][:120]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def resize(browser, width: int, height: int, scale: int) -> None:
    about = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", about)


def too_wide(browser, screen: str, width: int) -> list[str]:
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    return [f"{screen} is {wide} pixels wide"] if wide > width else []


def press(browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_screen_has_a_violation_and_the_keyboard_is_enough(size, page, axe, new_browser, browser_rater, tmp_path):
    from selenium.webdriver.common.keys import Keys

    width = size[0]
    browser = new_browser()
    resize(browser, *size)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 500})
    rater = browser_rater(browser)
    found: list[str] = []
    pictures = pathlib.Path(tmp_path / "pictures")
    pictures.mkdir()

    def look(screen: str, width: int = width) -> None:
        found.extend(violations(browser, axe, screen) + too_wide(browser, screen, width))
        browser.save_screenshot(str(pictures / f"{screen}-{width}.png"))

    browser.get(page)
    rater.until(lambda: rater.find("#agree").is_displayed())
    look("consent")
    press(browser, Keys.TAB, Keys.ENTER)
    rater.until(lambda: rater.find("input[value=normal]").is_displayed())
    look("welcome")
    rater.find("input[value=normal]").send_keys(Keys.SPACE)
    rater.find("#rater").send_keys(NAME)
    rater.until(rater.find("#start").is_enabled)
    look("ready")
    rater.find("#start").send_keys(Keys.ENTER)
    rater.until(lambda: "shown" in rater.find("#answers").get_attribute("class"))
    look("question")
    if size == DESKTOP:
        resize(browser, *ZOOMED)
        look("zoomed question", ZOOMED[0])
        assert rater.find("button[data-place='1']").is_displayed()
        resize(browser, *size)
    assert rater.find("kbd").is_displayed() is (width > 500)
    press(browser, "f")
    rater.until(lambda: rater.find("#onward").is_displayed())
    look("feedback")
    press(browser, Keys.ENTER)
    rater.until(lambda: rater.find("#begin").is_displayed())
    look("pause")
    press(browser, Keys.ENTER)
    for _ in range(3):
        rater.until(lambda: "shown" in rater.find("#answers").get_attribute("class"))
        press(browser, "j")
        rater.until(lambda: "shown" not in rater.find("#answers").get_attribute("class"))
    rater.until(lambda: rater.find("#words").is_displayed())
    assert rater.find("#words").get_property("value") == ""
    look("comment")
    press(browser, Keys.TAB, Keys.ENTER)
    rater.until(lambda: rater.find("#save").is_displayed())
    look("end")
    assert found == []
    print(f"pictures in {pictures}")


@pytest.fixture
def own_server(new_rig):
    """(a server of two forms of one sitting each, its address)."""
    rig = new_rig("--access=open", images=8, block=4, samples=1, raters=1)
    server = serving.make_server("127.0.0.1", 0, rig.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield rig, f"http://127.0.0.1:{server.port}"
    server.shutdown()
    server.server_close()


def test_no_page_of_the_server_has_a_violation(own_server, axe, new_browser, browser_rater, tmp_path):
    rig, address = own_server
    browser = new_browser()
    rater = browser_rater(browser)
    found: list[str] = []

    def look(screen: str, query: str, title: str) -> None:
        browser.get(address + query)
        assert browser.find_element("css selector", "h1").text == title
        for size in (DESKTOP, ZOOMED, PHONE):
            resize(browser, *size)
            name = f"{screen}-{size[0]}"
            found.extend(violations(browser, axe, name) + too_wide(browser, name, size[0]))
            browser.save_screenshot(str(tmp_path / f"{name}.png"))

    look("joining", "/?rater=eve", rig.design.title)
    assert rater.find("#agree").is_displayed()
    rig.enter("ann").do_all(comment="A comment without an end" + "!" * 90)
    look("finished", "/?rater=ann", "Thank you!")
    assert "do another set" in browser.page_source
    bob = rig.enter("bob")
    bob.answer(0)
    look("taken", "/?rater=eve", "Everything is taken right now")
    bob.do_all()
    look("full", "/?rater=eve", "The study is complete")
    look("refused", "/organizer?token=wrong", "Not for you")
    look("organizer", f"/organizer?token={rig.token}", f"Progress: {rig.design.title}")
    assert "A comment without an end" in browser.page_source
    assert found == []


def test_a_closed_page_goes_on_where_it_was_and_keeps_no_name(page, new_browser, browser_rater, tmp_path):
    browser = new_browser()
    browser.get(page + "?rater=" + NAME)
    rater = browser_rater(browser)
    rater.start()
    rater.practice(1)
    rater.rate(1)
    rater.until(lambda: "Pair 2 of 3" in rater.find("#count").text)
    browser.get("about:blank")
    browser.get(page + "?rater=" + NAME.upper())  # the same person
    rater.start()
    rater.until(lambda: "Pair 2 of 3" in rater.find("#count").text)
    assert browser.execute_script("return typeof window.onbeforeunload") == "function"
    rater.rate(2)
    rater.send()
    rater.until(lambda: rater.find("#save").is_displayed())
    result = browser.execute_script("return window.studyResult")
    assert [len(result["trials"]), len({trial["trial"] for trial in result["trials"]})] == [4, 4]
    code = rater_ids.page_code(layout.load_design(tmp_path / "study").study, NAME)
    assert (result["rater"], result["flip"]) == (code, code)
    assert rater.find("#save").get_attribute("download") == f"answers-form1-{code}.json"
    stored = browser.execute_script("return JSON.stringify({...localStorage})")
    assert code in stored
    assert not any(word in json.dumps(result) + stored for word in ("Zo", "你"))
    rater.find("#save").click()
    assert browser.execute_script("return [localStorage.length, window.onbeforeunload]") == [0, None]

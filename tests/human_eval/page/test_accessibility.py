"""Every screen of the static page by axe-core, on a desktop and on a phone; and what a closed page leaves behind."""

import json
import pathlib
import shutil
import subprocess

import pytest

from human_eval import study
from human_eval.folder import layout, rater_ids

pytestmark = [pytest.mark.slow, pytest.mark.alone]
AXE = "axe-core@4.10.3"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
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


def press(browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


@pytest.mark.parametrize("width", [1200, 390])
def test_no_screen_has_a_violation_and_the_keyboard_is_enough(width, page, axe, new_browser, browser_rater, tmp_path):
    from selenium.webdriver.common.keys import Keys

    mobile = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": width < 500}
    browser = new_browser()
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", mobile)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 500})
    rater = browser_rater(browser)
    found: list[str] = []
    pictures = pathlib.Path(tmp_path / "pictures")
    pictures.mkdir()

    def look(screen: str) -> None:
        found.extend(violations(browser, axe, screen))
        browser.save_screenshot(str(pictures / f"{screen}-{width}.png"))
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, f"{screen} is {wide} pixels wide"

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

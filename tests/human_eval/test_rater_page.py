"""The rater page in a real browser, opened from disk: a simulated rater works through a form."""

import json
import shutil

import pytest

from human_eval import ingest, ratings, study

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=900,900 --disable-dev-shm-usage"
)


@pytest.fixture(scope="module")
def exported(truth_folder, colorized_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "study"
    arguments = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", f"--out={out}", "--seed=1"]
    assert study.main(["export", *arguments, "--images=5", "--block=5", "--name=Fake & <real>"]) == 0
    return out


@pytest.fixture
def browser(tmp_path):
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def take_part(browser, page, form: int, rater: str) -> dict:
    """A rater who always says "the second"; returns the answers that the page would save."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def until(condition, seconds=30):
        return WebDriverWait(browser, seconds, poll_frequency=0.05).until(condition)

    browser.get(page.as_uri() + f"?form={form}&rater={rater}")
    start = browser.find_element(By.ID, "start")
    until(lambda _: start.is_enabled())
    browser.save_screenshot(str(page.parent.parent / "welcome.png"))
    start.click()
    second = browser.find_element(By.CSS_SELECTOR, "button[data-place='1']")
    for trial in range(5):
        until(lambda _: second.is_displayed())
        if trial == 0:
            browser.save_screenshot(str(page.parent.parent / "answer.png"))
        second.click()
    until(lambda _: browser.find_element(By.ID, "end").is_displayed())
    href = browser.find_element(By.ID, "save").get_attribute("href")
    return json.loads(browser.execute_async_script("fetch(arguments[0]).then(r => r.text()).then(arguments[1])", href))


def test_a_whole_form_from_disk(browser, exported):
    import csv

    roles = {row["file"]: row for row in csv.DictReader((exported / "private" / "key.csv").open())}
    page = exported / "public" / "index.html"
    answers = take_part(browser, page, form=2, rater="r1")
    assert browser.title == "Fake & <real>"
    assert (answers["form"], answers["rater"]) == (1, "r1")
    assert len(answers["trials"]) == 5
    exposures = []
    for trial in answers["trials"]:
        assert {roles[name]["role"] for name in trial["shown"]} == {"truth", "colorized"}
        assert {roles[name]["trial"] for name in trial["shown"]} == {str(trial["trial"])}
        assert trial["fake"] == trial["shown"][1]
        assert trial["response_ms"] > 0
        exposures += [exposure["actual_ms"] for exposure in trial["exposures"]]
    exposures.sort()
    assert abs(exposures[len(exposures) // 2] - 1000) <= 50
    (exported / "answers.json").write_text(json.dumps(answers))
    out = exported / "private" / "ratings.csv"
    summary = ingest.ingest(str(exported), [str(exported / "answers.json")], out)
    assert (summary["count"], summary["problems"]) == (5, {})  # the order logged is the page's flip of the listed one
    for rating, trial in zip(ratings.read(out), sorted(answers["trials"], key=lambda t: t["trial"]), strict=True):
        assert (rating.trial, rating.chosen) == (trial["trial"], "second")
        assert rating.fooled is (roles[trial["fake"]]["role"] == "truth")
    requests = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith("file://") for name in requests)

"""Small study folders as `design` writes them, with colors for images."""

import pathlib
import shutil

import numpy as np
import pytest

from coltran.records.folder import COMPLETED
from human_eval.design import forms
from human_eval.folder import layout, opaque_files
from human_eval.folder.forms import Variant

SECRET = b"secret of the tests"


def make_study(
    folder: pathlib.Path, *, images=12, samples=3, block=12, raters=5, practice=0, catch=0.0, secret=SECRET
) -> pathlib.Path:
    """A study folder; 2 x 2 images, red for truths and blue for colorizations."""
    keys = [f"train/n01440764/photo_{number}" for number in range(images)]
    variants = [Variant(model="colorized", sample=sample) for sample in range(samples)]
    pool = forms.Pool(
        test=keys,
        catch=[f"train/n01443537/other_{number}" for number in range(images)],
        practice=[(f"train/n01484850/first_{number}", variants[0]) for number in range(practice)],
    )
    planned = forms.plan(pool, variants, block=block, catch=catch, raters=raters, seed=3)
    made_from = {"seed": 3, "samples": samples, "raters": raters, "block": block, "catch": catch, "image": "hi"}
    made_from |= {"truth": "t", "models": {"colorized": "c"}, "secret": secret.hex()[:4]}
    design = layout.StudyDesign(
        study=layout.study_id(made_from),
        title="Which photo has fake colors?",
        side=2,
        made_from=made_from,
        sources={"truth": "truth", "models": {"colorized": "colorized"}, "images": ""},
        planned=len(planned),
        forms=tuple(planned),
        consent=dict.fromkeys(("researcher", "contact", "ethics", "withdrawal"), "of the tests"),
    )
    (folder / "public" / "images").mkdir(parents=True)
    layout.private_file(folder / layout.SECRET, secret)
    names_key = layout.names_key(design, secret)
    layout.private_file(folder / layout.KEY, layout.key_csv(names_key, planned))
    layout.private_file(folder / layout.DESIGN, design.to_json())
    colors = [np.full((2, 2, 3), color, np.uint8) for color in ((255, 0, 0), (0, 0, 255))]
    files: dict[str, np.ndarray] = {}
    for form in design.forms:
        for trial in form.trials:
            files |= zip(opaque_files.names_of(names_key, trial.id), colors, strict=True)
    for name, color in sorted(files.items(), key=lambda file: file[0]):  # In any other order the inodes would tell.
        (folder / "public" / "images" / name).write_bytes(opaque_files.encode_public(color, names_key, name))
    (folder / COMPLETED).touch()
    return folder


@pytest.fixture(scope="session")
def _study_template(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("template") / "study")


@pytest.fixture
def study_path(_study_template, tmp_path):
    """A study folder of the test's own: 12 images, 3 samples, 3 forms."""
    return pathlib.Path(shutil.copytree(_study_template, tmp_path / "study"))


@pytest.fixture
def new_study():
    """`new_study(folder, ...)`: see `make_study`."""
    return make_study


CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# Only this machine is resolved, so that a request to anywhere else fails; hosts that a test imitates are added.
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=900,900 --disable-dev-shm-usage"
)


@pytest.fixture
def new_browser(tmp_path):
    """`new_browser(hosts, *flags)`: headless Chromium that reaches 127.0.0.1 and hosts that are mapped to it."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver

    opened = []

    def open_browser(hosts: dict[str, str] | None = None, *flags: str):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        rules = [f"MAP {host} {place}" for host, place in (hosts or {}).items()]
        rules.append("MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
        for flag in (*FLAGS.split(), f"--host-resolver-rules={', '.join(rules)}", *flags):
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={tmp_path / f'profile{len(opened)}'}")
        opened.append(webdriver.Chrome(options, webdriver.ChromeService(DRIVER)))
        return opened[-1]

    yield open_browser
    for browser in opened:
        browser.quit()


class BrowserRater:
    """A rater who says "the second" by mouse and by key in turn, and leaves a rude comment."""

    comment = '=HYPERLINK("http://x") <b>nice</b>'

    def __init__(self, browser) -> None:
        self.browser = browser

    def until(self, condition, seconds=30):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, seconds, poll_frequency=0.05).until(lambda _: condition())

    def find(self, selector: str):
        return self.browser.find_element("css selector", selector)

    def start(self) -> None:
        """Consents, says that color vision is normal, and starts once the photos are loaded."""
        self.until(lambda: self.find("#agree").is_displayed())
        self.find("#agree").click()
        self.until(lambda: self.find("input[value=normal]").is_displayed())
        assert not self.find("#start").is_enabled()
        self.find("input[value=normal]").click()
        self.until(self.find("#start").is_enabled)
        self.find("#start").click()

    def practice(self, pairs: int, picture: str = "") -> None:
        for _ in range(pairs):
            self.answer("f")
            self.until(lambda: self.find("#onward").is_displayed())
            assert self.find("#both .fake figcaption").text.endswith("fake")
            if picture:
                self.browser.save_screenshot(picture)
            self.find("#onward").click()
        self.until(lambda: self.find("#begin").is_displayed())
        self.find("#begin").click()

    def rate(self, pairs: int, picture: str = "") -> None:
        for pair in range(pairs):
            self.answer("j" if pair % 2 else "", picture)

    def answer(self, key: str, picture: str = "") -> None:
        self.until(lambda: "shown" in self.find("#answers").get_attribute("class"))
        if picture:
            self.browser.save_screenshot(picture)
        if key:
            self.find("body").send_keys(key)
        else:
            self.find("button[data-place='1']").click()

    def send(self) -> None:
        self.until(lambda: self.find("#words").is_displayed())
        self.find("#words").send_keys(self.comment)
        self.find("#send").click()

    def requests(self) -> list[str]:
        return self.browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")


@pytest.fixture
def browser_rater():
    """`browser_rater(browser)`: see BrowserRater."""
    return BrowserRater


def median_exposure(result: dict) -> float:
    """Median of a form's measured exposures, in milliseconds."""
    times = sorted(e["actual_ms"] for trial in result["trials"] for e in trial["exposures"])
    return times[len(times) // 2]


@pytest.fixture
def exposure_of():
    """`exposure_of(result)`: see median_exposure."""
    return median_exposure

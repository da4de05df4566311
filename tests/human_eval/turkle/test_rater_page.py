"""The page on a real Turkle server: published, answered by a rater in a browser, fetched and ingested."""

import csv
import functools
import http.server
import io
import json
import threading

import pytest

from human_eval import study
from human_eval.answers import ratings
from human_eval.commands import ingest
from human_eval.turkle import state

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture
def images_server(tmp_path):
    """Address of a web server that has the study's public images."""
    folder = tmp_path / "study" / "public" / "images"
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()


def test_a_whole_form_on_a_turkle_server(
    turkle, token, images_server, new_browser, browser_rater, exposure_of, truth_folder, colorized_folder, tmp_path
):
    folder = tmp_path / "study"
    sizes = ["--images=4", "--block=4", "--practice=1", "--catch=0.25", "--raters=2"]
    sizes += [f"--{name}=of the tests" for name in ("researcher", "contact", "ethics", "withdrawal")]
    sources = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", "--seed=1"]
    assert study.main(["design", *sources, f"--out={folder}", *sizes]) == 0
    assert study.main(["export", f"--study={folder}", "--format=turkle", f"--image_url={images_server}"]) == 0
    assert study.main(["publish", f"--study={folder}", f"--turkle={turkle.address}"]) == 0
    project = json.loads((folder / state.PATH).read_text())["study"]["project"]
    [batch] = turkle.call(f"projects/{project}/")["batches"]
    browser = new_browser()
    browser.get(f"{turkle.address}/login/")
    rater = browser_rater(browser)
    rater.comment = "schön \N{GRINNING FACE}"
    rater.find("[name=username]").send_keys("ann")
    rater.find("[name=password]").send_keys("ann\n")
    rater.until(lambda: "login" not in browser.current_url)
    browser.get(f"{turkle.address}/batch/{batch}/accept_next_task/")
    browser.switch_to.frame("task_assignment_iframe")
    assert not browser.find_elements("id", "submitButton")  # Turkle's own would hand in nothing
    rater.start()
    rater.practice(1)
    rater.rate(5, str(folder / "answer.png"))
    requested = rater.requests()
    rater.send()
    browser.switch_to.default_content()
    rater.until(lambda: "/task/" not in browser.current_url)
    assert requested
    assert all(name.startswith((turkle.address, images_server)) for name in requested)

    assert study.main(["fetch", f"--study={folder}", f"--turkle={turkle.address}"]) == 0
    file = folder / "private" / f"turkle_answers_batch_{batch}.csv"
    results = file.read_bytes()
    assert results.isascii()  # though the comment is not
    [row] = csv.DictReader(io.StringIO(results.decode()))
    assert row["Turkle.Username"] == "ann"
    answers = json.loads(row["Answer.result"])
    assert answers["comment"] == rater.comment
    assert abs(exposure_of(answers) - 1000) <= 50
    out = folder / "private" / "ratings.csv"
    summary = ingest.ingest(str(folder), [str(file)], out)
    assert (summary["rows"], summary["count"], summary["problems"]) == (6, 4, {})
    table = ratings.read(out)
    assert {rating.source for rating in table} == {"turkle-csv"}
    assert {rating.form for rating in table} == {int(row["Input.form"])} == {answers["form"]}
    assert {rating.chosen for rating in table if rating.kind == "test"} == {"second"}

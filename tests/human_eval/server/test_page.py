"""The rater page on the real server in a real browser: a reload and a kill -9 in the middle, then the code."""

import re
import signal
import socket
import subprocess
import sys

import pytest

from human_eval import study
from human_eval.answers import ratings
from human_eval.commands import ingest

pytestmark = [pytest.mark.slow, pytest.mark.alone]
CONSENT = [f"--{name}=of the tests" for name in ("researcher", "contact", "ethics", "withdrawal")]


@pytest.fixture
def served(truth_folder, colorized_folder, tmp_path):
    """(study folder, address, function that kills the server and starts it again)."""
    folder = tmp_path / "study"
    sources = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", "--seed=1"]
    sizes = ["--images=4", "--block=4", "--practice=1", "--catch=0.25"]
    assert study.main(["design", *sources, f"--out={folder}", *sizes, *CONSENT]) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "human_eval.study", "serve", f"--study={folder}", f"--port={port}"]
    processes = []

    def start():
        if processes:
            processes[-1].send_signal(signal.SIGKILL)
            processes[-1].wait()
        process = subprocess.Popen([*command, "--access=prolific"], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        for line in process.stdout:
            if "database" in line:
                return

    start()
    yield folder, f"http://127.0.0.1:{port}", start
    processes[-1].kill()
    for process in processes:
        process.wait()
        process.stdout.close()


def test_a_whole_form_with_a_reload_and_a_kill(served, new_browser, browser_rater):
    folder, address, kill_and_start = served
    browser = new_browser()
    visit = f"{address}/?PROLIFIC_PID=60d9aadeb86739de712faee0&STUDY_ID=S&SESSION_ID=T"
    browser.get(visit)
    rater = browser_rater(browser)
    rater.start()
    rater.practice(1)
    rater.rate(2, str(folder / "answer.png"))
    rater.until(lambda: "Pair 3 of 5" in rater.find("#count").text)
    browser.get(visit)  # as after a crash of the browser: goes on after what was saved
    rater.start()
    rater.until(lambda: "Pair 3 of 5" in rater.find("#count").text)
    rater.rate(1)
    rater.until(lambda: "Pair 4 of 5" in rater.find("#count").text)
    kill_and_start()
    rater.rate(2)
    requested = rater.requests()
    rater.send()
    rater.until(lambda: rater.find("#codetext").is_displayed())
    code = rater.find("#codetext").text
    assert re.fullmatch(r"[A-Z0-9]{6,}", code)
    browser.get(visit)  # later once more: the code is still there
    assert code in browser.page_source
    assert all(name.startswith(address) for name in requested)
    errors = [line for line in browser.get_log("browser") if "Content Security Policy" in line["message"]]
    assert errors == []

    database = folder / "private" / "server.sqlite"
    out = folder / "private" / "ratings.csv"
    summary = ingest.ingest(str(folder), [str(database)], out)
    assert (summary["rows"], summary["count"], summary["problems"]) == (6, 4, {})
    table = [rating for rating in ratings.read(out) if rating.kind != "practice"]
    assert {rating.chosen for rating in table} == {"second"}
    times = sorted(ms for rating in table for ms in (rating.first_ms, rating.second_ms))
    assert abs(times[len(times) // 2] - 1000) <= 50
    token = (folder / "private" / "organizer_token").read_text().strip()
    browser.get(f"{address}/organizer?token={token}")
    browser.save_screenshot(str(folder / "organizer.png"))
    assert "60d9aadeb86739de712faee0" not in browser.page_source

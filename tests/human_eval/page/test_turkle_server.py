"""A real Turkle server: the exported CSV and template go in, a rater works in a browser, the results are ingested."""

import base64
import csv
import functools
import http.server
import importlib.util
import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from human_eval import study
from human_eval.answers import ratings
from human_eval.commands import ingest

pytestmark = [pytest.mark.slow, pytest.mark.alone]
HERE = pathlib.Path(__file__).parent


@pytest.fixture
def turkle(tmp_path):
    """Address of a Turkle server on loopback with the users `organizer` and `ann`, whose passwords are their names."""
    if importlib.util.find_spec("turkle") is None:
        pytest.skip("Turkle is not installed (make install)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {
        "PYTHONPATH": str(HERE),
        "DJANGO_SETTINGS_MODULE": "turkle_site",
        "TURKLE_DATABASE": str(tmp_path / "turkle.sqlite"),
    }
    django = [sys.executable, "-W", "ignore", "-m", "django"]
    users = (
        "from django.contrib.auth.models import User as U; "
        "U.objects.create_superuser('organizer', password='organizer'); U.objects.create_user('ann', password='ann')"
    )
    for command in (["migrate", "--verbosity=0"], ["shell", f"--command={users}"]):
        subprocess.run([*django, *command], env=environment, check=True, cwd=tmp_path)
    log = open(tmp_path / "turkle.log", "wb")  # noqa: SIM115 (the server writes to it until the test's end)
    server = subprocess.Popen(
        [*django, "runserver", "--noreload", address], env=environment, cwd=tmp_path, stderr=log, stdout=log
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/", timeout=5)
            break
        except OSError:
            assert time.monotonic() < deadline, (tmp_path / "turkle.log").read_text()
            time.sleep(0.1)
    yield f"http://{address}"
    server.terminate()
    server.wait()
    log.close()


def call(address: str, body: dict | None = None) -> bytes:
    """Turkle's REST API, as the organizer."""
    password = base64.b64encode(b"organizer:organizer").decode()
    headers = {"Authorization": f"Basic {password}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data, headers)) as reply:
            return reply.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()[:2000]) from None


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
    turkle, images_server, new_browser, browser_rater, exposure_of, truth_folder, colorized_folder, tmp_path
):
    folder = tmp_path / "study"
    sizes = ["--images=4", "--block=4", "--practice=1", "--catch=0.25", "--raters=2"]
    sources = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", "--seed=1"]
    assert study.main(["design", *sources, f"--out={folder}", *sizes]) == 0
    assert study.main(["export", f"--study={folder}", "--format=turkle", f"--image_url={images_server}"]) == 0
    template = (folder / "turkle" / "template.html").read_text()
    project = json.loads(
        call(f"{turkle}/api/projects/", {"name": "Colors", "html_template": template, "filename": "template.html"})
    )
    batch = json.loads(
        call(
            f"{turkle}/api/batches/",
            {
                "name": "First",
                "project": project["id"],
                "filename": "batch.csv",
                "csv_text": (folder / "turkle" / "batch.csv").read_text(),
                "assignments_per_task": 2,
                "published": True,
            },
        )
    )
    browser = new_browser()
    browser.get(f"{turkle}/login/")
    rater = browser_rater(browser)
    rater.find("[name=username]").send_keys("ann")
    rater.find("[name=password]").send_keys("ann\n")
    rater.until(lambda: "login" not in browser.current_url)
    browser.get(f"{turkle}/batch/{batch['id']}/accept_next_task/")
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
    assert all(name.startswith((turkle, images_server)) for name in requested)

    results = call(f"{turkle}/api/batches/{batch['id']}/results/")
    (folder / "results.csv").write_bytes(results)
    [row] = csv.DictReader(io.StringIO(results.decode()))
    assert row["Turkle.Username"] == "ann"
    answers = json.loads(row["Answer.result"])
    assert answers["comment"] == rater.comment
    assert abs(exposure_of(answers) - 1000) <= 50
    out = folder / "private" / "ratings.csv"
    summary = ingest.ingest(str(folder), [str(folder / "results.csv")], out)
    assert (summary["rows"], summary["count"], summary["problems"]) == (6, 4, {})
    table = ratings.read(out)
    assert {rating.source for rating in table} == {"turkle-csv"}
    assert {rating.form for rating in table} == {int(row["Input.form"])} == {answers["form"]}
    assert {rating.chosen for rating in table if rating.kind == "test"} == {"second"}

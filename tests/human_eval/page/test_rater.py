"""The rater page in a real browser: opened from disk, and in a frame that imitates Mechanical Turk's."""

import csv
import datetime
import http.server
import ipaddress
import json
import shutil
import ssl
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree

import pytest

from human_eval import study
from human_eval.answers import ratings
from human_eval.commands import ingest
from human_eval.folder import layout, rater_ids

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # a form takes as long as it takes
CONSENT = [f"--{name}=of the tests" for name in ("researcher", "contact", "ethics", "withdrawal")]


@pytest.fixture(scope="module")
def designed(truth_folder, colorized_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "study"
    arguments = [f"--truth={truth_folder}", f"--colorized={colorized_folder}", f"--out={out}", "--seed=1"]
    sizes = ["--images=4", "--block=4", "--practice=2", "--catch=0.25", "--title=Fake & <real>"]
    assert study.main(["design", *arguments, *sizes, *CONSENT]) == 0
    return out


@pytest.fixture
def exported(designed, tmp_path):
    """`exported(*arguments)`: a copy of the study with a page."""

    def export(*arguments):
        folder = tmp_path / "study"
        shutil.copytree(designed, folder, copy_function=shutil.copy2)
        assert study.main(["export", f"--study={folder}", *arguments]) == 0
        return folder

    return export


def check_answers(folder, answers: dict, form: int) -> None:
    """All trials are the form's, the second was always called fake in the rated ones, and all of it can be ingested."""
    roles = {row["file"]: row for row in csv.DictReader((folder / "private" / "key.csv").open())}
    assert answers["form"] == form
    assert [roles[t["shown"][0]]["kind"] for t in answers["trials"]][:2] == ["practice"] * 2
    assert len(answers["trials"]) == 7
    for number, trial in enumerate(answers["trials"]):
        assert {roles[name]["role"] for name in trial["shown"]} == {"truth", "colorized"}
        assert {roles[name]["trial"] for name in trial["shown"]} == {str(trial["trial"])}
        assert trial["fake"] == trial["shown"][number >= 2]
        assert trial["response_ms"] > 0
        assert (trial["restarts"], trial["interrupted"]) == (0, False)
        assert all(exposure["dropped"] >= 0 for exposure in trial["exposures"])
    assert (answers["color_vision"], answers["pilot"]) == ("normal", False)


def test_a_whole_form_from_disk(new_browser, browser_rater, exposure_of, exported):
    folder = exported()
    browser = new_browser()
    browser.get((folder / "public" / "index.html").as_uri() + "?form=2&rater=r1")
    assert browser.title == "Fake & <real>"
    rater = browser_rater(browser)
    browser.save_screenshot(str(folder / "consent.png"))
    rater.start()
    rater.practice(2, str(folder / "feedback.png"))
    rater.rate(5, str(folder / "answer.png"))
    rater.send()
    rater.until(lambda: rater.find("#save").is_displayed())
    href = rater.find("#save").get_attribute("href")
    script = "fetch(arguments[0]).then(r => r.text()).then(arguments[1])"
    answers = json.loads(browser.execute_async_script(script, href))
    check_answers(folder, answers, form=1)
    code = rater_ids.page_code(layout.load_design(folder).study, "r1")
    assert (answers["rater"], answers["flip"], answers["comment"]) == (code, code, rater.comment)
    assert abs(exposure_of(answers) - 1000) <= 50
    assert all(name.startswith("file://") for name in rater.requests())
    (folder / "answers.json").write_text(json.dumps(answers))
    out = folder / "private" / "ratings.csv"
    summary = ingest.ingest(str(folder), [str(folder / "answers.json")], out)
    assert (summary["count"], summary["problems"]) == (4, {})  # the order logged is the page's flip of the listed one
    assert summary["kinds"] == {"test": 4, "catch": 1, "practice": 2}
    assert {rating.chosen for rating in ratings.read(out) if rating.kind == "test"} == {"second"}


def test_who_does_not_see_colors_is_sent_home(new_browser, browser_rater, exported):
    folder = exported()
    browser = new_browser()
    browser.get((folder / "public" / "index.html").as_uri() + "?rater=r1")
    rater = browser_rater(browser)
    rater.find("#agree").click()
    rater.find("input[value=deficient]").click()
    rater.until(lambda: "Start" in rater.find("#start").text)
    assert not rater.find("#start").is_enabled()
    assert "needs raters with normal color vision" in rater.find("#problem").text


def test_links_that_are_wrong_or_hostile(new_browser, browser_rater, exported):
    """A form that is not there is said; answers go nowhere but to Mechanical Turk, whatever the link says."""
    page = (exported() / "public" / "index.html").as_uri()
    browser = new_browser()
    rater = browser_rater(browser)
    browser.get(page + "?form=99")
    assert "This page has no form 99" in rater.find("#problem").text
    for address in ("javascript:document.title='run'//", "https://evil.example.org", "http://www.mturk.com"):
        query = urllib.parse.urlencode({"assignmentId": "A1", "turkSubmitTo": address})
        browser.get(f"{page}?{query}")
        rater.find("#agree").click()
        assert rater.find("#rater").is_displayed()  # as without the parameter: the rater saves a file
    query = urllib.parse.urlencode({"assignmentId": "A1", "turkSubmitTo": "https://www.mturk.com"})
    browser.get(f"{page}?{query}")
    rater.find("#agree").click()
    assert not rater.find("#rater").is_displayed()


def test_a_pair_that_was_hidden_is_shown_once_more(new_browser, browser_rater, exported):
    folder = exported()
    browser = new_browser()
    browser.get((folder / "public" / "index.html").as_uri() + "?form=1&rater=r1")
    rater = browser_rater(browser)
    rater.start()
    rater.until(lambda: "shown" in (rater.find("#stage canvas.shown, #fixation").get_attribute("class") or ""))
    browser.execute_script("window.dispatchEvent(new Event('blur'))")
    rater.practice(2)
    rater.rate(5)
    rater.send()
    rater.until(lambda: rater.find("#save").is_displayed())
    trials = browser.execute_script("return window.studyResult.trials")
    assert [trial["restarts"] for trial in trials] == [1, 0, 0, 0, 0, 0, 0]
    assert not any(trial["interrupted"] for trial in trials)


class Service(http.server.BaseHTTPRequestHandler):
    """Mechanical Turk's frame: the worker's page, the question inside it, the study's images, and externalSubmit."""

    pages: dict[str, bytes]
    submitted: list[tuple[str, dict]]

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        found = self.pages.get(path)
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "image/png" if path.endswith(".png") else "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(found or b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = {name: values[0] for name, values in urllib.parse.parse_qs(body).items()}
        self.submitted.append((f"https://{self.headers['Host']}{self.path}", fields))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<p id=thanks>submitted</p>")

    def log_message(self, *_):
        pass


@pytest.fixture
def service(tmp_path):
    """A TLS server on loopback for all hosts of the frame; (port, handler)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now.replace(year=now.year + 1)
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem = tmp_path / "loopback.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    handler = type("Frame", (Service,), {"pages": {}, "submitted": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], handler
    server.shutdown()
    thread.join()


@pytest.mark.parametrize(
    ("kind", "submit_to"),
    [
        ("question", "https://workersandbox.mturk.com"),
        ("external", "https://www.mturk.com/"),
    ],  # with a slash, and without
)
def test_a_whole_form_in_mechanical_turk_s_frame(
    kind, submit_to, service, new_browser, browser_rater, exposure_of, exported
):
    port, handler = service
    folder = exported("--format=mturk", "--image_url=https://images.example.org/s/")
    if kind == "external":
        assert study.main(["export", f"--study={folder}", "--image_url=https://images.example.org/s/"]) == 0
        page, form = (folder / "public" / "index.html").read_bytes(), "&form=2"
    else:
        question = ElementTree.parse(folder / "mturk" / "questions" / "form-0002.xml").getroot()
        page, form = question[0].text.encode(), ""
    query = f"assignmentId=A1&hitId=H1&workerId=W1&turkSubmitTo={urllib.parse.quote(submit_to, safe='')}{form}"
    sandbox = "allow-scripts allow-forms allow-same-origin allow-popups allow-downloads"
    frame = f'<h1>A task</h1><iframe id=f sandbox="{sandbox}" width=850 height=800 src="https://s3.example.org/q?{{}}">'
    handler.pages |= {"/q": page, "/work": frame.format(query).encode()}
    handler.pages["/look"] = frame.format(query.replace("A1", "ASSIGNMENT_ID_NOT_AVAILABLE")).encode()
    for image in (folder / "public" / "images").iterdir():
        handler.pages[f"/s/{image.name}"] = image.read_bytes()
    hosts = ("worker.example.org", "s3.example.org", "images.example.org", "www.mturk.com", "workersandbox.mturk.com")
    browser = new_browser(dict.fromkeys(hosts, f"127.0.0.1:{port}"), "--ignore-certificate-errors")
    rater = browser_rater(browser)
    browser.get("https://worker.example.org/look")  # a preview
    browser.switch_to.frame("f")
    rater.find("#agree").click()
    rater.find("input[value=normal]").click()
    rater.until(lambda: "Start" in rater.find("#start").text)
    assert not rater.find("#start").is_enabled()
    assert "Accept the task" in rater.find("#problem").text
    browser.get("https://worker.example.org/work")
    browser.switch_to.frame("f")
    rater.start()
    rater.practice(2)
    rater.rate(5)
    assert all(urllib.parse.urlsplit(name).hostname in hosts for name in rater.requests())
    rater.send()
    rater.until(lambda: handler.submitted)
    [(address, fields)] = handler.submitted
    assert address == submit_to.rstrip("/") + "/mturk/externalSubmit"
    assert (set(fields), fields["assignmentId"]) == ({"assignmentId", "result"}, "A1")
    answers = json.loads(fields["result"])
    check_answers(folder, answers, form=1)
    assert (answers["assignment"], answers["flip"]) == ("A1", "A1")
    assert abs(exposure_of(answers) - 1000) <= 50
    # As the requester would download it.
    times = {"AcceptTime": "Mon Oct 30 19:40:32 PDT 2017", "SubmitTime": "Mon Oct 30 19:42:32 PDT 2017"}
    row = {"HITId": "H1", "AssignmentId": "A1", "WorkerId": "W1", **times, "Answer.result": fields["result"]}
    with open(folder / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, [*row, "Approve", "Reject"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerow(row)
    summary = ingest.ingest(str(folder), [str(folder / "results.csv")], folder / "private" / "ratings.csv")
    assert (summary["count"], summary["problems"], summary["kinds"]["catch"]) == (4, {}, 1)

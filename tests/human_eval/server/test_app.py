"""The server's addresses: what the page gets, and every refusal."""

import json
import logging
import re

import pytest

from human_eval.commands import serve
from human_eval.server import app, log as server_log, pages as server_pages


def test_a_form_from_the_door_to_the_code(rig, listed):
    page = rig.enter("ann")
    assert page.about["mode"] == "server"
    assert (page.about["study"], page.about["answered"], page.about["pilot"]) == (rig.design.study, [], False)
    assert [t.id for t in rig.design.forms[page.form].trials] == [t["trial"] for t in page.trials]
    for place in range(len(page.trials)):
        assert page.answer(place).get_json() == {"saved": place + 1}
    done = page.finish(comment="nice")
    assert done.status_code == 200
    assert done.get_json()["redirect"] is None
    assert re.fullmatch("[A-Z2-7]{8}", done.get_json()["code"])
    assert page.finish(comment="again").get_json() == done.get_json()
    saved = {trial: json.loads(text) for trial, text in rig.rows("SELECT trial, answer FROM answers")}
    pairs = listed(rig.design)
    assert all(set(answer["shown"]) == set(pairs[trial]) for trial, answer in saved.items())
    assert len(saved) == len(page.trials)


def test_headers(rig):
    page = rig.visit("ann")
    image = rig.client.get("/images/" + rig.enter("ann").trials[0]["images"][0])
    for response in (page, image, rig.client.get("/nothing"), rig.client.post("/api/answer")):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert not {"Set-Cookie", "ETag", "Last-Modified", "Server"} & set(response.headers.keys())
    policy = page.headers["Content-Security-Policy"]
    assert "img-src 'self'; connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 2  # one style and one program; the JSON beside them is no program
    assert "connect-src" not in rig.client.get("/nothing").headers["Content-Security-Policy"]


def test_the_policy_names_the_hash_of_what_is_inside():
    # echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64
    policy = server_pages.security_policy(b"<script>alert(1)</script>", ours=True)
    assert "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='" in policy


def test_images_have_equal_headers_and_nothing_else_is_served(rig):
    page = rig.enter("ann")
    for trial in page.trials:
        pair = [rig.client.get(f"/images/{name}") for name in trial["images"]]
        assert pair[0].status_code == 200
        assert pair[0].data.startswith(b"\x89PNG")
        assert dict(pair[0].headers) == dict(pair[1].headers)
    outside = ("", "..", "../../private/key.csv", "..%2f..%2fprivate%2fkey.csv", "%2e%2e/x", "0" * 24 + ".png", "a\0b")
    for name in outside:
        assert rig.client.get(f"/images/{name}").status_code == 404
    (rig.folder / "public" / "images" / "other.png").write_bytes(b"x")
    assert rig.client.get("/images/other.png").status_code == 404
    for path in ("/private/key.csv", "/static/x", "/images", "/index.html"):
        assert rig.client.get(path).status_code == 404


def test_a_reload_goes_on_and_the_older_page_ends(rig):
    first = rig.enter("ann")
    assert first.answer(0).status_code == 200
    second = rig.enter("ann")
    assert (second.form, second.about["answered"]) == (first.form, [first.trials[0]["trial"]])
    late = first.answer(1)
    assert late.status_code == 410
    assert "opened again" in late.get_json()["error"]
    assert second.answer(1).get_json() == {"saved": 2}
    assert len(rig.rows("SELECT * FROM sittings")) == 1


def test_the_same_answer_twice_and_another_one(rig):
    page = rig.enter("ann")
    assert [page.answer(0).get_json() for _ in range(2)] == [{"saved": 1}] * 2
    assert page.answer(0, call=1).status_code == 409
    assert page.answer(0, response_ms=1).status_code == 409
    [(text,)] = rig.rows("SELECT answer FROM answers")
    assert json.loads(text)["fake"] == page.trials[0]["images"][0]
    assert page.do_all().status_code == 200
    assert page.answer(0).get_json() == {"saved": len(page.trials)}  # a lost reply, asked for again
    assert page.answer(0, call=1).status_code == 409


WRONG = {
    "a trial of another form": lambda page, other: (
        {"trial": other[-1]["trial"], "shown": other[-1]["images"]} | {"fake": other[-1]["images"][0]}
    ),
    "no such trial": lambda page, other: {"trial": 10**6},
    "a trial below 0": lambda page, other: {"trial": -1},
    "a trial that is no number": lambda page, other: {"trial": "1"},
    "a bool for a trial": lambda page, other: {"trial": True},
    "the other order": lambda page, other: {"shown": page.trials[0]["images"][::-1]},
    "files of another trial": lambda page, other: (
        {"shown": page.trials[1]["images"]} | {"fake": page.trials[1]["images"][0]}
    ),
    "one file": lambda page, other: {"shown": page.trials[0]["images"][:1]},
    "a path": lambda page, other: {"shown": ["../key.csv", "b"], "fake": "b"},
    "no list": lambda page, other: {"shown": "ab"},
    "fake is neither": lambda page, other: {"fake": page.trials[1]["images"][0]},
    "no fake": lambda page, other: {"fake": None},
    "a text for a time": lambda page, other: {"response_ms": "fast"},
    "a negative time": lambda page, other: {"response_ms": -1},
    "a huge time": lambda page, other: {"response_ms": 1e300},
    "restarts of half": lambda page, other: {"restarts": 0.5},
    "interrupted of one": lambda page, other: {"interrupted": 1},
    "three exposures": lambda page, other: {"exposures": [{}] * 3},
    "exposures of numbers": lambda page, other: {"exposures": [1000, 1000]},
    "an exposure of text": lambda page, other: {"exposures": [{"actual_ms": "1000"}]},
}


@pytest.mark.parametrize("name", WRONG)
def test_forged_answers_are_refused_and_nothing_is_saved(rig, name):
    page, other = rig.enter("ann"), rig.enter("bob")
    response = page.answer(0, **WRONG[name](page, other.trials))
    assert response.status_code == 400
    assert response.get_json()["error"]
    assert rig.rows("SELECT * FROM answers") == []


@pytest.mark.parametrize("path", ["/api/answer", "/api/finish"])
@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"{}", "application/json", 403),
        (b'{"session": 5}', "application/json", 403),
        (b'{"session": "' + b"0" * 16 + b"-1-" + b"0" * 32 + b'"}', "application/json", 403),
        (b" " * (app.MAX_BODY + 1), "application/json", 413),
    ],
)
def test_broken_bodies(rig, path, data, kind, status):
    response = rig.client.post(path, data=data, content_type=kind)
    assert response.status_code == status
    assert response.get_json()["error"]


def test_another_session_or_turn_cannot_be_made_up(rig):
    session = rig.enter("ann").about["session"]
    sitting, turn, mac = session.split("-")
    page = rig.enter("bob")
    for forged in (
        f"{sitting}-{int(turn) + 1}-{mac}",
        f"{'0' * 16}-{turn}-{mac}",
        session.upper() + "A",
        session + "\n",
    ):
        assert page.answer(0, session=forged).status_code == 403
        assert page.finish(session=forged).status_code == 403
    assert page.answer(0, session="ä").status_code == 403
    assert page.answer(0, session=session).status_code == 400  # ann's own, with bob's pair


@pytest.mark.parametrize(
    ("method", "path"), [("post", "/"), ("get", "/api/answer"), ("put", "/api/finish"), ("delete", "/images/a.png")]
)
def test_wrong_methods(rig, method, path):
    assert getattr(rig.client, method)(path).status_code == 405


def test_a_look_at_the_link_takes_no_place(rig):
    assert rig.client.head("/?rater=ann").status_code == 204
    assert rig.client.get("/?rater=ann", headers={"Sec-Purpose": "prefetch"}).status_code == 204
    assert rig.rows("SELECT * FROM sittings") == []


def test_the_end_needs_all_answers_and_a_consent(rig):
    page = rig.enter("ann")
    assert page.answer(0).status_code == 200
    missing = page.finish()
    assert missing.status_code == 409
    assert missing.get_json()["error"] == f"{len(page.trials) - 1} pairs are not answered yet"
    assert page.do_all(consent="").status_code == 400
    assert page.finish(comment="\ud800" + "x" * 9999, screen="none", device_pixel_ratio="1").status_code == 200
    [(text,)] = rig.rows("SELECT page FROM sittings")
    kept = json.loads(text)
    assert len(kept["comment"]) == 4000
    assert (kept["screen"], kept["device_pixel_ratio"], kept["color_vision"]) == (None, None, "normal")


def test_completion_codes_and_redirects(new_rig):
    url = "https://app.prolific.com/submissions/complete?cc=C1A2"
    for options, code, redirect in (
        (("--access=prolific", "--completion_code=C1A2"), "C1A2", url),
        (
            ("--access=prolific", "--completion_code=C1", "--completion_url=https://x/?c={code}&d"),
            "C1",
            "https://x/?c=C1&d",
        ),
        (("--access=prolific",), None, None),
    ):
        rig = new_rig(*options)
        params = {"PROLIFIC_PID": "5f0a", "STUDY_ID": "s", "SESSION_ID": "t"}
        page = rig.enter("", **params)
        found = page.do_all().get_json()
        assert found["redirect"] == redirect
        assert code in (found["code"], None)
        again = rig.client.get("/", query_string=params).text
        assert found["code"] in again
        assert "do another set" not in again  # one form for each of Prolific's people
        rig.restart()
        page.client = rig.client
        assert page.finish().get_json() == found


def test_who_may_come_in(new_rig):
    prolific, invited = new_rig("--access=prolific"), new_rig("--access=invitation")
    for query in ("", "?PROLIFIC_PID=", "?PROLIFIC_PID=a b", "?rater=ann", "?PROLIFIC_PID=" + "a" * 65):
        assert prolific.client.get("/" + query).status_code == 403
    for query in ("", "?invitation=", "?invitation=guess", "?rater=ann", "?invitation=%ff"):
        assert invited.client.get("/" + query).status_code == 403
    assert prolific.rows("SELECT * FROM sittings") + invited.rows("SELECT * FROM sittings") == []
    opened = new_rig("--access=open")
    for query in ("", "?rater=", "?rater=%20", "?rater=a%00b", "?rater=" + "a" * 65):
        assert opened.client.get("/" + query).status_code == 403
    assert opened.enter("  Ann   Ä. ").trials
    assert opened.rows("SELECT rater FROM sittings") == opened.hashes("ann ä.")


def test_nothing_is_drawn_while_raters_come(rig):
    """Threads that draw a secret at the same moment would draw several."""
    files = set((rig.folder / "private").iterdir())
    rig.enter("ann").do_all()
    rig.client.get("/organizer", query_string={"token": rig.token})
    assert set((rig.folder / "private").iterdir()) == files


def test_requests_are_limited_by_address_and_by_session(new_rig):
    rig = new_rig("--access=open", "--address_limit=30", "--session_limit=3")
    page = rig.enter("ann")
    codes = [page.answer(0).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    rig.time += 20  # a third of a minute: one more
    assert [page.answer(1).status_code for _ in range(2)] == [200, 429]
    refused = [rig.client.get("/nothing") for _ in range(40)][-1]
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "2"
    assert rig.client.get("/nothing", environ_base={"REMOTE_ADDR": "10.0.0.1"}).status_code == 404
    rig.time += 2
    assert rig.client.get("/nothing").status_code == 404
    answered = page.client.post("/api/answer", json={})
    assert (answered.status_code, bool(answered.get_json()["error"])) == (429, True)


def test_forwarded_addresses_count_only_behind_a_proxy(new_rig):
    for options, status in ((("--trust_proxy",), 404), ((), 429)):
        rig = new_rig("--access=open", "--address_limit=1", *options)
        found = [rig.client.get("/x", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(2)]
        assert found == [404, status]


def test_a_full_disk_is_said_and_nothing_is_half_saved(rig):
    page = rig.enter("ann")
    for place in range(len(page.trials)):
        assert page.answer(place).status_code == 200
    [(pages,)] = rig.rows("PRAGMA page_count")
    rig.rows(f"PRAGMA max_page_count = {pages}")
    response = page.finish(comment="x" * 4000)
    assert response.status_code == 503
    assert "nothing was saved" in response.get_json()["error"]
    assert rig.rows("SELECT state, code FROM sittings") == [("running", None)]
    rig.rows("PRAGMA max_page_count = 1000000")
    assert page.finish(comment="x" * 4000).status_code == 200


def test_progress_page(rig):
    page = rig.enter("Ann Secret")
    page.do_all(comment="<script>alert(1)</script> =1+1")
    rig.enter("bob").answer(0, fake="x.png")
    assert rig.client.get("/organizer").status_code == 403
    assert rig.client.get("/organizer?token=x").status_code == 403
    response = rig.client.get("/organizer", query_string={"token": rig.token})
    assert response.status_code == 200
    text = response.text
    rows = re.findall(r"<tr><td>(.*?)</td><td>.*?</td><td>(.*?)</td>", text)
    assert [int(number) for number, _ in rows] == list(range(1, 7))
    assert [int(number) for number, done in rows if done == "1"] == [page.form + 1]
    assert "* counted from 1, as in file names and ?form=" in text
    assert "1 of 12 sittings are finished, 1 are running, 0 have expired" in text
    assert "each pair has 0 to 1 ratings" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; =1+1" in text
    assert "refused with 400: fake: expected one of the two files shown" in text
    assert "Secret" not in text
    assert not re.search(r"(src|href)=(?!\"organizer/)", text)
    for word in ("colorized", "catch", "wrong_colors", "n01440764", "coltran_model"):
        assert word not in text
    rig.time += 60 * 31
    again = rig.client.get("/organizer", query_string={"token": rig.token}).text
    assert "0 are running, 1 have expired" in again
    assert (rig.folder / "private" / "organizer_token").stat().st_mode & 0o777 == 0o600


def test_the_log_names_nobody(rig):
    page = rig.enter("Ann Secret")
    page.do_all(comment="my mail is ann@example.org")
    rig.visit("")
    log = (rig.folder / "private" / "server.log").read_text()
    assert f"form {page.form + 1} handed out" in log
    assert f"form {page.form + 1} finished" in log
    for word in ("Ann", "Secret", "example.org", "127.0.0.1", rig.token):
        assert word not in log
    assert (rig.folder / "private" / "server.log").stat().st_mode & 0o777 == 0o600


def test_the_log_does_not_grow_without_end(rig):
    [handler] = [found for found in logging.getLogger(server_log.NAME).handlers if hasattr(found, "maxBytes")]
    handler.maxBytes = 2000
    for _ in range(100):
        rig.client.post("/api/answer", json={})
    files = sorted((rig.folder / "private").glob("server.log*"))
    assert len(files) == 3
    assert all(file.stat().st_size <= 2000 and file.stat().st_mode & 0o777 == 0o600 for file in files)
    [line] = rig.problems
    assert line.endswith("refused with 403: the request names no session (100 times)")
    for number in range(60):
        rig.client.get(f"/organizer?token=guess{number}")
    assert [line[21:] for line in rig.problems][1:] == ["progress page: wrong token (60 times)"]


def test_the_organizer_downloads_codes_and_progress_without_names(rig):
    token = serve.organizer_token(rig.folder)
    done = rig.enter("ann").do_all()
    rig.enter("bob").answer(0)
    page = rig.client.get(f"/organizer?token={token}").text
    for name in ("codes", "progress"):
        assert f'href="organizer/{name}.csv?token={token}"' in page
        assert rig.client.get(f"/organizer/{name}.csv").status_code == 403
    codes = rig.client.get(f"/organizer/codes.csv?token={token}").text.splitlines()
    assert codes[0] == "code,form,started,finished"
    assert codes[1].startswith(done.json["code"] + ",")
    assert len(codes) == 2
    progress = rig.client.get(f"/organizer/progress.csv?token={token}").text.splitlines()
    assert progress[0].startswith("form,needed,finished")
    assert len(progress) == 7
    assert "ann" not in page + "".join(codes)

"""Serves the study's addresses: the rater page, its images, answers, the end, and the organizer's progress page.

No response of the server says which image is real. Practice pairs are the exception, because their page gives feedback.
Image names are opaque, and all images are sent with the same headers.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import hmac
import logging
import pathlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import flask
from werkzeug.exceptions import HTTPException

from coltran import storage
from human_eval.folder.layout import IMAGES, StudyDesign, image_pairs, public_form
from human_eval.page.render import Texts, render
from human_eval.server import bodies, log as server_log, pages, progress, tokens
from human_eval.server.access import Access, StrangerError
from human_eval.server.database import Database
from human_eval.server.limits import Limit
from human_eval.server.sitting import RefusedError, Sitting
from human_eval.server.sittings import Sittings, trials_of

MAX_BODY = 64 << 10
_LOG = logging.getLogger(server_log.NAME)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """Everything that the addresses work with.

    Attributes:
      study: the study folder.
      design, secret: the study's design and secret.
      texts: the texts of the rater page.
      database, sittings, access: these know who does what.
      lease: seconds, the same as in `sittings`.
      organizer_token: the word that opens the progress page.
      code: the same completion code for everybody, or empty to give each sitting its own code.
      completion_url: where raters go at the end, with {code} in it, or empty.
      pilot: whether this is a pilot, whose answers never count.
      by_address, by_session: limits of requests for each address and for each session.
      new_by_address: limit of new raters for each address.
      problems: the newest warnings and errors, for the progress page.
      steady: the clock that never goes back.
    """

    study: pathlib.Path
    design: StudyDesign
    secret: bytes
    texts: Texts
    database: Database
    sittings: Sittings
    access: Access
    lease: float
    organizer_token: str
    code: str
    completion_url: str
    pilot: bool
    by_address: Limit
    by_session: Limit
    new_by_address: Limit
    problems: collections.deque[str]
    steady: Callable[[], float]


def make_app(server: Server) -> flask.Flask:
    """Makes the WSGI application of a server."""
    app = flask.Flask(__name__, static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    _add_guards(app, server)
    _add_pages(app, server)
    _add_organizer(app, server)
    _add_answers(app, server)
    _add_errors(app)
    return app


def _add_guards(app: flask.Flask, server: Server) -> None:
    """Adds the steps before and after every request."""

    @app.before_request
    def limit_address() -> flask.Response | None:
        wait = server.by_address.take(flask.request.remote_addr or "")
        return _too_often(wait) if wait else None

    @app.after_request
    def headers(response: flask.Response) -> flask.Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers.setdefault("Content-Security-Policy", pages.security_policy(b"", ours=False))
        return response


def _add_pages(app: flask.Flask, server: Server) -> None:
    """Adds the addresses that a rater's browser opens: the page with its images."""
    folder = str(server.design.sources.get("images") or server.study / IMAGES)
    images = frozenset(name for _, pair in image_pairs(server.secret, server.design.forms) for name in pair)

    def limit_new_raters() -> None:
        wait = server.new_by_address.take(flask.request.remote_addr or "")
        if wait:
            flask.abort(_too_often(wait, "Many people have just come from your network; please reload this page in"))

    @app.get("/")
    def rater_page() -> flask.Response:
        purpose = flask.request.headers.get("Sec-Purpose", "")
        if flask.request.method == "HEAD" or "prefetch" in purpose:
            return flask.Response(status=204)  # A preview of the link is not a visit, so it must not take a place.
        query = flask.request.args.to_dict()
        rater = server.access.rater(query)
        visit = server.sittings.enter(rater, another=query.get("another", ""), begin=limit_new_raters)
        if visit.sitting is None:
            return _html(pages.visit(visit, query))
        _LOG.info("sitting %s: form %d handed out", visit.sitting.id, visit.sitting.form + 1)
        return _html(_page(server, visit.sitting), ours=True)

    @app.get("/images/<name>")
    def image(name: str) -> flask.Response:
        if name not in images:
            flask.abort(404)
        return flask.Response(storage.read_bytes(storage.join(folder, name)), mimetype="image/png")

    @app.get("/favicon.ico")
    def icon() -> flask.Response:
        return flask.Response(status=204)  # Browsers ask for it by themselves.


def _add_organizer(app: flask.Flask, server: Server) -> None:
    """Adds the pages for the organizer. Only the token that the server printed opens them."""

    def refused() -> flask.Response | None:
        given = flask.request.args.get("token", "").encode("utf-8", "replace")
        if hmac.compare_digest(given, server.organizer_token.encode()):
            return None
        _LOG.warning("progress page: wrong token")
        return _html(pages.message("Not for you", "The token is wrong; the server printed it."), status=403)

    def measured() -> progress.Progress:
        return progress.measure(server.database, server.design.forms, lease=server.lease, now=server.steady())

    @app.get("/organizer")
    def organizer() -> flask.Response:
        problems = list(server.problems)[::-1]
        token = quote(flask.request.args.get("token", ""), safe="")
        return refused() or _html(
            progress.render(server.design.title, measured(), problems, pilot=server.pilot, token=token)
        )

    @app.get("/organizer/<name>.csv")
    def download(name: str) -> flask.Response:
        if (refusal := refused()) is not None:
            return refusal
        made = {
            "progress": lambda: progress.forms_csv(measured()),
            "codes": lambda: progress.codes_csv(server.database),
        }
        if name not in made:
            flask.abort(404)
        response = flask.Response(made[name](), mimetype="text/csv")
        response.headers["Content-Disposition"] = f"attachment; filename={name}.csv"
        return response


def _add_answers(app: flask.Flask, server: Server) -> None:
    """Adds the addresses that the rater page sends answers and the end of a sitting to."""
    forms = {form.number: form for form in server.design.forms}

    @functools.lru_cache(maxsize=256)
    def handed_out(form: int, flipped: bool) -> dict[int, list[str]]:
        shown = public_form(server.secret, forms[form], flipped=flipped)
        return {trial["trial"]: trial["images"] for trial in shown["trials"]}

    @app.post("/api/answer")
    def answer() -> dict[str, int]:
        body = _body()
        sitting, turn = _session(server, body)
        found = bodies.read_answer(body)

        def check(known: Sitting) -> str:
            mine = {trial.id for trial in trials_of(forms[known.form], known)}
            pairs = handed_out(known.form, known.flipped)
            return bodies.check_pair(found, {trial: pairs[trial] for trial in mine})

        return {"saved": server.sittings.save(sitting, turn, found.trial, check)}

    @app.post("/api/finish")
    def finish() -> dict[str, str | None]:
        body = _body()
        sitting, turn = _session(server, body)
        code = server.code or tokens.completion_code(server.secret, sitting)
        redirect = server.completion_url.replace("{code}", quote(code, safe="")) or None
        done = server.sittings.finish(sitting, turn, bodies.read_end(body), code, redirect)
        _LOG.info("sitting %s: form %d finished", done.id, done.form + 1)
        return {"code": done.code, "redirect": done.redirect}


def _add_errors(app: flask.Flask) -> None:
    """Adds the responses to requests that went wrong."""

    @app.errorhandler(StrangerError)
    def stranger(error: StrangerError) -> flask.Response:
        return _html(pages.message("Sorry", str(error)), status=403)

    @app.errorhandler(RefusedError)
    def refused(error: RefusedError) -> tuple[dict[str, object], int]:
        _LOG.warning("%s: refused with %d: %s", flask.request.url_rule, error.status, error)
        return {"error": str(error), "reload": error.reload}, error.status

    @app.errorhandler(HTTPException)
    def wrong(error: HTTPException) -> flask.Response:
        return _failed(error.code or 500, error.name)

    @app.errorhandler(Exception)
    def mistake(error: Exception) -> flask.Response:
        # A full disk ends here too. Nothing was saved, and the page may ask again.
        _LOG.error("%s: failed", flask.request.url_rule, exc_info=error)
        return _failed(503, "This did not work and nothing was saved. Please try again.")


def _page(server: Server, sitting: Sitting) -> bytes:
    form = next(form for form in server.design.forms if form.number == sitting.form)
    shown = public_form(server.secret, form, flipped=sitting.flipped)
    kept = {trial.id for trial in trials_of(form, sitting)}
    shown["trials"] = [trial for trial in shown["trials"] if trial["trial"] in kept]
    return render(
        server.texts,
        mode="server",
        study=server.design.study,
        side=server.design.side,
        forms=[shown],
        images="images/",
        pilot=server.pilot,
        session=tokens.session_token(server.secret, sitting.id, sitting.turn),
        answered=list(sitting.answered),
    )


def _session(server: Server, body: dict[str, Any]) -> tuple[str, int]:
    """Returns (sitting, turn) of a request, if its session may still send requests."""
    sitting, turn = tokens.read_session(server.secret, bodies.session_of(body))
    wait = server.by_session.take(sitting)
    if wait:
        flask.abort(_too_often(wait))
    return sitting, turn


def _body() -> dict[str, Any]:
    if flask.request.mimetype != "application/json":
        raise RefusedError(415, "expected the content type application/json")
    return bodies.read_object(flask.request.get_data())


def _html(data: bytes, *, status: int = 200, ours: bool = False) -> flask.Response:
    response = flask.Response(data, status=status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = pages.security_policy(data, ours=ours)
    return response


def _too_often(seconds: int, text: str = "Too many requests; please wait") -> flask.Response:
    response = _failed(429, f"{text} {seconds} seconds.")
    response.headers["Retry-After"] = str(seconds)
    return response


def _failed(status: int, text: str) -> flask.Response:
    if flask.request.path.startswith("/api/"):
        response = flask.jsonify(error=text)
        response.status_code = status
        return response
    return _html(pages.message(f"{status}", text), status=status)

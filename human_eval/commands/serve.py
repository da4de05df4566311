"""Run a study on a server of your own: hands out forms, saves every answer at once, shows its progress.

    coltran-study serve --study study --access open
    coltran-study serve --study study --invitations 60 --url https://study.example.org
    coltran-study serve --study study --access prolific --completion_code C1A2B3C4

The first lets anybody in who opens http://127.0.0.1:8080/?rater=NAME. The second writes links to
private/invitations.csv, one for each person, and ends; serve them with --access invitation. The third takes the people
that Prolific sends. Stop it with Ctrl-C, or kill it at any moment: what a rater's page was told is saved, is saved.
Then `coltran-study ingest --study study study/private/server.sqlite`. docs/study-server.md has the rest, with HTTPS.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import errno
import pathlib
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coltran import cli
from coltran.errors import UserError
from coltran.options import option
from human_eval.commands.export import texts_of
from human_eval.folder import layout, rater_ids
from human_eval.page.arguments import TextFlags
from human_eval.server import access as server_access, clock, log
from human_eval.server.database import PILOT_DATABASE, STUDY_DATABASE, Database

if TYPE_CHECKING:
    import flask

ORGANIZER_TOKEN = pathlib.PurePath("private", "organizer_token")
_PROLIFIC_URL = "https://app.prolific.com/submissions/complete?cc={code}"
_MANY_FORMS = 10**9
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::")  # No other machine can open these addresses.


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got '{text}'")
    return int(text)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected minutes above 0, got '{text}'")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TextFlags):
    """The command's options."""

    study: str = option(metavar="FOLDER", help="study folder of coltran-study design")
    access: str = option(server_access.INVITATION, choices=server_access.KINDS, help="who may take part")
    invitations: int | None = option(None, parse=cli.positive, metavar="N", help="write N more invitations, and end")
    url: str | None = option(
        None, metavar="URL", shown="http://HOST:PORT", help="the server's address as raters see it"
    )
    host: str = option("127.0.0.1", help="address to listen on; 127.0.0.1 is this machine alone")
    port: int = option(8080, parse=_port, help="port to listen on")
    lease: float = option(30.0, parse=_minutes, metavar="MINUTES", help="how long the place of a silent rater is kept")
    forms_per_rater: int | None = option(
        None, parse=cli.positive, metavar="N", shown="all; with prolific 1", help="forms that a rater may do"
    )
    pilot: bool = option(False, help="a trial run: a database of its own, whose answers never count")
    completion_code: str = option("", metavar="CODE", shown="one for each sitting", help="one code for everybody")
    completion_url: str = option(
        "", metavar="URL", shown="", help="where raters go at the end; {code} stands for their code"
    )
    trust_proxy: bool = option(False, help="take raters' addresses from X-Forwarded-For, behind one proxy")
    proxy: str = option("127.0.0.1", metavar="ADDRESS", help="that proxy's address; nobody else's header is believed")
    new_rater_limit: int = option(60, parse=cli.positive, metavar="N", help="new raters a minute of an address")
    address_limit: int = option(6000, parse=cli.positive, metavar="N", help="requests a minute of an address")
    session_limit: int = option(240, parse=cli.positive, metavar="N", help="answers a minute of a rater")


def run(options: Options) -> None:
    """Runs the study server until it is stopped, or writes invitations and ends."""
    study = pathlib.Path(options.study)
    design = layout.load_design(study)
    url = (options.url or f"http://{_in_url(options.host)}:{options.port}").rstrip("/")
    if not re.match(r"https?://[^/\s]", url):
        raise UserError(f"--url {url}: expected an address that begins with https:// or http://")
    if options.invitations:
        path = server_access.invite(study, options.invitations, url)
        print(f"{options.invitations} invitations added to {path}; now run it with --access invitation")
        if not options.url and options.host in _THIS_MACHINE:
            print("warning: their links point to this machine only; give --url with the address that raters see")
        return
    if options.access == server_access.INVITATION and not server_access.has_invitations(study):
        raise UserError("no invitations yet: run with --invitations N, or --access open")
    database = open_database(study, design, pilot=options.pilot)
    try:
        problems = log.start(study / log.SERVER_LOG)
        token = organizer_token(study)
        app = make(options, design, database, token, problems)
        listener = _listen(app, options.host, options.port, options.proxy if options.trust_proxy else None)
        rows = [
            ("rater page", f"{url}/{_query(options.access)}"),
            ("progress", f"{url}/organizer?token={token}"),
            ("database", study / (PILOT_DATABASE if options.pilot else STUDY_DATABASE)),
        ]
        print(f"{'pilot of study' if options.pilot else 'study'} {design.study} is open; Ctrl-C stops it")
        print(cli.table(rows), flush=True)
        try:
            listener.run()  # Ctrl-C ends this call.
        finally:
            listener.close()
    finally:
        database.close()


def open_database(study: pathlib.Path, design: layout.StudyDesign, *, pilot: bool) -> Database:
    """Opens the database of the study or of its pilot."""
    about = {"study": design.study, "pilot": str(int(pilot))}
    return Database(study / (PILOT_DATABASE if pilot else STUDY_DATABASE), about, salt=rater_ids.salt(study))


def make(
    options: Options,
    design: layout.StudyDesign,
    database: Database,
    token: str,
    problems: collections.deque[str],
    now: Callable[[], float] = time.time,
) -> flask.Flask:
    """Makes the WSGI application that the options ask for.

    Args:
      options: the command's options.
      design, database: the study's design and database.
      token: the word that opens the progress page.
      problems: the problems from the log that the progress page shows.
      now: the clock.
    """
    from human_eval.server import app as server_app
    from human_eval.server.limits import Limit
    from human_eval.server.sittings import Sittings

    prolific = options.access == server_access.PROLIFIC
    study, lease = pathlib.Path(options.study), 60 * options.lease
    steady = clock.steady(now, database.newest_time())
    most = options.forms_per_rater or (1 if prolific else _MANY_FORMS)
    server = server_app.Server(
        study=study,
        design=design,
        secret=layout.load_names_key(study, design),
        texts=texts_of(options, design, mode="server", pilot=options.pilot),
        database=database,
        sittings=Sittings(database, design.forms, lease=lease, most=most, now=now, steady=steady),
        access=server_access.Access(study=study, kind=options.access, pilot=options.pilot),
        lease=lease,
        organizer_token=token,
        code=_code(options.completion_code),
        completion_url=_completion_url(options.completion_url, prolific and bool(options.completion_code)),
        pilot=options.pilot,
        by_address=Limit(options.address_limit, steady),
        by_session=Limit(options.session_limit, steady),
        new_by_address=Limit(options.new_rater_limit, steady),
        problems=problems,
        steady=steady,
    )
    app = server_app.make_app(server)
    return _behind_proxy(app, options.proxy) if options.trust_proxy else app


def _behind_proxy(app: flask.Flask, proxy: str) -> flask.Flask:
    """Takes raters' addresses from X-Forwarded-For if this proxy sends it. Anybody can send this header."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    plain = app.wsgi_app
    fixed = ProxyFix(plain, x_for=1)

    def wsgi_app(environ: Any, start_response: Any) -> Any:
        believed = environ.get("REMOTE_ADDR") == proxy
        return (fixed if believed else plain)(environ, start_response)

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # as Flask documents it
    return app


def organizer_token(study: pathlib.Path) -> str:
    """Returns the word that opens the progress page. It is drawn once and kept in a file of mode 0600."""
    path = study / ORGANIZER_TOKEN
    if not path.exists():
        layout.private_file(path, secrets.token_urlsafe(24).encode() + b"\n")
    return path.read_text().strip()


def _listen(app: flask.Flask, host: str, port: int, proxy: str | None) -> Any:
    from human_eval.server import connections
    from human_eval.server.app import MAX_BODY

    try:
        return connections.listen(app, host, port, proxy=proxy, max_body=MAX_BODY)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise UserError(f"--port {port}: is in use; stop what listens there, or give another") from None
        raise UserError(f"--host {host} --port {port}: cannot listen there ({error})") from None


def _query(access: str) -> str:
    return {server_access.OPEN: "?rater=NAME", server_access.INVITATION: "?invitation=TOKEN"}.get(
        access,
        "?PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}",
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _code(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise UserError(f"--completion_code {text}: expected letters, digits, - and _, at most 64")
    return text


def _completion_url(text: str, prolific: bool) -> str:
    text = text or (_PROLIFIC_URL if prolific else "")
    if text and not re.match(r"https?://[^/\s]", text):
        raise UserError(f"--completion_url {text}: expected an address that begins with https:// or http://")
    return text

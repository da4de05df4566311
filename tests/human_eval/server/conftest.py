"""A small designed study, and the server's application for it with a clock that only tests turn."""

import argparse
import collections
import json
import pathlib
import re
import types

import numpy as np
import pytest

from coltran.options import add_flags, from_arguments
from human_eval.commands import serve
from human_eval.design import forms
from human_eval.folder import layout, opaque_files, rater_ids
from human_eval.folder.forms import Variant
from human_eval.server import log
from tests.human_eval.server.processes import Process

SECRET = b"secret of the tests"
WNID = "n01440764"
MODEL = "coltran_model"
_COLORS = [np.full((2, 2, 3), color, np.uint8) for color in ((255, 0, 0), (0, 0, 255))]


def make_design(*, images=8, block=4, samples=3, raters=2, seed=5) -> layout.StudyDesign:
    """Blocks of `block` images with `samples` forms each; in every form 2 practice and 1 catch trial."""
    keys = [f"train/{WNID}/photo_{number}" for number in range(images + 12)]
    variants = [Variant(model=MODEL, sample=sample) for sample in range(samples)]
    pool = forms.Pool(
        test=keys[:images],
        catch=keys[images : images + 10],
        practice=[(key, variants[0]) for key in keys[images + 10 :]],
    )
    made_from = {"images": images, "raters": raters, "seed": seed}
    return layout.StudyDesign(
        study=layout.study_id(made_from),
        title="Which photo has fake colors?",
        side=2,
        made_from=made_from,
        sources={},
        planned=0,
        forms=tuple(forms.plan(pool, variants, block=block, catch=0.1, raters=raters, seed=seed)),
        consent=dict.fromkeys(("researcher", "contact", "ethics", "withdrawal"), "of the tests"),
    )


def write_study(folder: pathlib.Path, design: layout.StudyDesign) -> pathlib.Path:
    """A finished study folder; 2 x 2 images, red for truths and blue for colorizations."""
    layout.private_file(folder / layout.DESIGN, design.to_json())
    names_key = layout.names_key(design, SECRET)
    layout.private_file(folder / layout.KEY, layout.key_csv(names_key, design.forms))
    layout.private_file(folder / layout.SECRET, SECRET)
    (folder / layout.IMAGES).mkdir(parents=True)
    files: dict[str, np.ndarray] = {}
    for form in design.forms:
        for trial in form.trials:
            files |= zip(opaque_files.names_of(names_key, trial.id), _COLORS, strict=True)
    for name, color in sorted(files.items(), key=lambda file: file[0]):  # In any other order the inodes would tell.
        (folder / layout.IMAGES / name).write_bytes(opaque_files.encode_public(color, names_key, name))
    (folder / layout.COMPLETED).touch()
    return folder


class Rig:
    """The application and its client; `time` is what its clock says."""

    def __init__(self, folder: pathlib.Path, design: layout.StudyDesign, *options: str) -> None:
        self.folder, self.design, self.time = folder, design, 1_700_000_000.0
        parser = argparse.ArgumentParser()
        add_flags(parser, serve.Options)
        self.options = from_arguments(serve.Options, parser.parse_args([f"--study={folder}", *options]))
        self.problems = log.start(folder / log.SERVER_LOG)
        self.token = serve.organizer_token(folder)
        self.open()

    def open(self) -> None:
        self.database = serve.open_database(self.folder, self.design, pilot=self.options.pilot)
        self.app = serve.make(
            self.options, self.design, self.database, self.token, self.problems, now=lambda: self.time
        )
        self.client = self.app.test_client()

    def restart(self) -> None:
        self.database.close()
        self.open()

    def hashes(self, *names: str) -> list[tuple[str]]:
        """What the database holds in place of these names, as sorted rows."""
        return sorted((rater_ids.rater(rater_ids.salt(self.folder), name),) for name in names)

    def rows(self, query: str, *values) -> list[tuple]:
        with self.database.transaction() as connection:
            return [tuple(row) for row in connection.execute(query, values)]

    def visit(self, rater: str, **more):
        return self.client.get("/", query_string={"rater": rater, **more})

    def enter(self, rater: str, **more) -> "Page":
        response = self.visit(rater, **more)
        assert response.status_code == 200, response.text
        return Page(self.client, response.text)


class Page:
    """What the rater page would do with what it was given."""

    def __init__(self, client, text: str) -> None:
        found = re.search(r'<script type="application/json" id="study">(.*?)</script>', text, re.DOTALL)
        assert found, f"no rater page: {text}"
        self.client = client
        self.about = json.loads(found[1])
        [form] = self.about["forms"]
        self.form, self.trials = form["form"], form["trials"]

    def body(self, place: int, *, call: int = 0, **changes) -> dict:
        trial = self.trials[place]
        exposure = {"planned_ms": 1000, "actual_ms": 1000.2, "frame_ms": 16.7, "dropped": 0}
        body = {
            "session": self.about["session"],
            "trial": trial["trial"],
            "shown": list(trial["images"]),
            "fake": trial["images"][call],
            "response_ms": 700.5,
            "restarts": 0,
            "interrupted": False,
            "exposures": [exposure, exposure],
        }
        return body | changes

    def end(self, **changes) -> dict:
        about = {"consent": "2026-06-01T10:00:00Z", "color_vision": "normal", "comment": "", "user_agent": "test"}
        screen = {"device_pixel_ratio": 1, "screen": [1920, 1080], "finished": "2026-06-01T10:09:00Z"}
        return {"session": self.about["session"], **about, **screen, **changes}

    def answer(self, place: int, **changes):
        return self.client.post("/api/answer", json=self.body(place, **changes))

    def finish(self, **changes):
        return self.client.post("/api/finish", json=self.end(**changes))

    def do_all(self, **changes):
        """Answers all that is left and finishes."""
        for place, trial in enumerate(self.trials):
            if trial["trial"] not in self.about["answered"]:
                assert self.answer(place).status_code == 200
        return self.finish(**changes)


@pytest.fixture
def kit():
    """The tools above, for tests that need another study or process."""
    return types.SimpleNamespace(
        make_design=make_design, write_study=write_study, Rig=Rig, Page=Page, SECRET=SECRET, WNID=WNID, MODEL=MODEL
    )


@pytest.fixture
def new_rig(tmp_path):
    """`new_rig(*options, **design)`: a server with a study of its own; `--access open` where no options are given."""
    rigs = []

    def make(*options: str, **design) -> Rig:
        made = make_design(**design)
        folder = tmp_path / f"study{len(rigs)}"
        rigs.append(Rig(write_study(folder, made), made, *(options or ("--access=open",))))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.database.close()


@pytest.fixture
def rig(new_rig) -> Rig:
    """Open access, 6 forms of 4 test trials, 1 catch and 2 practice trials, 2 sittings a form."""
    return new_rig()


@pytest.fixture
def listed():
    """By trial, (truth's file, colorization's file), from the design and the secret."""

    def files(design: layout.StudyDesign) -> dict[int, list[str]]:
        pairs: dict[int, list[str]] = collections.defaultdict(list)
        for form in design.forms:
            for trial in form.trials:
                pairs[trial.id] = list(opaque_files.names_of(layout.names_key(design, SECRET), trial.id))
        return pairs

    return files


@pytest.fixture
def new_process():
    processes = []

    def make(folder, *options: str) -> Process:
        processes.append(Process(folder, *options))
        return processes[-1]

    yield make
    for made in processes:
        if made.process and made.process.poll() is None:
            made.kill()

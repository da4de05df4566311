"""publish, status and fetch against botocore's Stubber: no request leaves the machine."""

import datetime
import json
import pathlib
import subprocess
import sys

import boto3
import pytest
from botocore import exceptions
from botocore.stub import ANY, Stubber

from human_eval import mturk_hits, mturk_service, publish, study
from human_eval.answers import files as answer_files
from human_eval.design import forms
from human_eval.folder import layout
from human_eval.page import mturk_questions

KIND = "T1"
REPEATED = {"Message": "exists", "TurkErrorCode": "AWS.MechanicalTurk.HitAlreadyExists"}


@pytest.fixture
def folder(tmp_path):
    """A designed study of 3 forms and 2 raters, with one question for each form."""
    keys = [f"photo_{number}" for number in range(9)]
    variants = [forms.Variant(model="m", sample=sample) for sample in range(3)]
    pool = forms.Pool(test=keys[:4], catch=keys[4:6], practice=[(keys[6], variants[0])])
    made_from = {"raters": 2, "seed": 1}
    design = layout.StudyDesign(
        study=layout.study_id(made_from),
        title="t",
        side=2,
        made_from=made_from,
        sources={"images": ""},
        planned=0,
        forms=tuple(forms.plan(pool, variants, block=4, catch=0.1, raters=2, seed=1)),
    )
    layout.private_file(tmp_path / layout.DESIGN, design.to_json())
    layout.private_file(tmp_path / layout.SECRET, b"secret of the tests")
    (tmp_path / layout.COMPLETED).touch()
    (tmp_path / "mturk" / "questions").mkdir(parents=True)
    for form in design.forms:
        write_question(tmp_path, form.form)
    return tmp_path


def write_question(folder: pathlib.Path, form: int, *, pilot: bool = False) -> None:
    about = json.dumps({"pilot": pilot})
    html = f'<html>form {form}<script type="application/json" id="study">{about}</script></html>'
    path = folder / "mturk" / "questions" / f"form-{form + 1:04d}.xml"
    path.write_bytes(mturk_questions.html_question(html))


@pytest.fixture
def stub(monkeypatch):
    """The service's stub; every expected call must come, in this order, and no other."""
    client = boto3.client("mturk", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    asked = []
    monkeypatch.setattr(mturk_service, "client", lambda live: asked.append(live) or client)
    with Stubber(client) as stubber:
        stubber.asked = asked
        yield stubber
        stubber.assert_no_pending_responses()


def run(command: str, folder: pathlib.Path, *options: str) -> int:
    paid = ["--reward=1.25", "--budget=9.00"] if command == "publish" else []
    return study.main([command, f"--study={folder}", *paid, *options])


def expect_hit(stub, folder, form: int, *, raters: int = 2, more: str = "") -> None:
    name = f"coltran-study-{layout.load_design(folder).study}-form-{form + 1:04d}{more}"
    stub.add_response(
        "create_hit_with_hit_type", {"HIT": {"HITId": f"H{form}"}}, hit_parameters(folder, form, name, raters)
    )


def hit_parameters(folder, form: int, name, raters: int = 2) -> dict:
    return {
        "HITTypeId": KIND,
        "MaxAssignments": raters,
        "LifetimeInSeconds": 7 * 24 * 3600,
        "Question": (folder / "mturk" / "questions" / f"form-{form + 1:04d}.xml").read_text(),
        "RequesterAnnotation": name,
        "UniqueRequestToken": name,
    }


def expect_type(stub, **more) -> None:
    stub.add_response(
        "create_hit_type",
        {"HITTypeId": KIND},
        {
            "Title": "Which photo has fake colors?",
            "Description": ANY,
            "Keywords": ANY,
            "Reward": "1.25",
            "AssignmentDurationInSeconds": 3600,
            "AutoApprovalDelayInSeconds": 3 * 24 * 3600,
            **more,
        },
    )


def state(folder) -> dict:
    return json.loads((folder / "private" / "mturk_hits.json").read_text())


def test_without_yes_nothing_is_asked_of_the_service(folder, stub, capsys):
    assert run("publish", folder) == 0
    assert run("publish", folder, "--dry_run", "--live") == 0
    out = capsys.readouterr().out
    assert "3 forms to publish in the sandbox (0 are there), 6 assignments at 1.25 USD: 9.00 USD with fees" in out
    assert out.count("nothing was published") == 2
    assert stub.asked == []
    assert run("publish", folder, "--dry_run", "--yes") == 2


def test_each_form_becomes_one_hit_and_a_second_run_adds_nothing(folder, stub, capsys):
    expect_type(stub)
    for form in range(3):
        expect_hit(stub, folder, form)
    assert run("publish", folder, "--yes") == 0
    assert stub.asked == [False]  # the sandbox
    assert state(folder) == {"sandbox": {"hit_type": KIND, "hits": {"0": "H0", "1": "H1", "2": "H2"}}}
    assert (folder / "private" / "mturk_hits.json").stat().st_mode & 0o777 == 0o600
    assert run("publish", folder, "--yes") == 0
    assert "0 forms to publish in the sandbox (3 are there)" in capsys.readouterr().out
    expect_type(stub)
    expect_hit(stub, folder, 0)
    stub.add_client_error("create_hit_with_hit_type", "ServiceFault", "try later")
    assert run("publish", folder, "--yes", "--live") == 2  # the live world has HITs of its own
    assert state(folder)["live"]["hits"] == {"0": "H0"}
    assert len(state(folder)["sandbox"]["hits"]) == 3


def test_a_pilot_neither_stands_for_the_study_nor_mixes_with_it(folder, stub, capsys):
    for pilot, more in ((True, "-pilot"), (False, "")):
        for form in range(3):
            write_question(folder, form, pilot=pilot)
        expect_type(stub)
        for form in range(3):
            expect_hit(stub, folder, form, more=more)
        assert run("publish", folder, "--yes") == 0
        out = capsys.readouterr().out
        assert out.startswith("pilot: 3 forms" if pilot else "3 forms to publish")
        assert (f"status --study {folder} --pilot" in out) is pilot
        assert run("publish", folder, "--yes") == 0
        assert "0 forms to publish" in capsys.readouterr().out
    assert set(state(folder)) == {"sandbox", "sandbox-pilot"}
    for form in range(3):
        stub.add_response("list_assignments_for_hit", page(f"H{form}", [1]))
    assert run("fetch", folder, "--pilot") == 0
    assert (folder / "private" / "mturk_answers_sandbox-pilot.json").exists()
    assert run("status", folder, "--pilot", "--live") == 2
    assert "nothing of a pilot is published in the live yet" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--pilot"]])
def test_an_export_says_itself_whether_it_is_of_a_pilot(study_path, options, capsys):
    address = "https://images.example.org/study/"
    command = ["export", f"--study={study_path}", *options]
    assert study.main([*command, "--format=mturk", f"--image_url={address}", f"--page_url={address}x.html"]) == 0
    assert study.main(command) == 0
    for external in (False, True):
        assert publish.exported_as_pilot(study_path, external=external) is bool(options)
    capsys.readouterr()
    assert run("publish", study_path, "--budget=99", "--external") == 0
    assert capsys.readouterr().out.startswith("pilot: 3 forms" if options else "3 forms")


def test_pages_that_disagree_about_a_pilot_are_not_published(folder, stub, capsys):
    (folder / "public").mkdir(exist_ok=True)
    page = '<script type="application/json" id="study">{"pilot":true}</script>'
    (folder / "public" / "index.html").write_text(page)
    assert run("publish", folder, "--external") == 2
    assert "index.html is of a pilot" in capsys.readouterr().err
    write_question(folder, 1, pilot=True)
    assert run("publish", folder) == 2
    assert "form-0002.xml is of a pilot" in capsys.readouterr().err
    (folder / "mturk" / "questions" / "form-0002.xml").write_text("<html></html>")
    assert run("publish", folder) == 2
    assert "form-0002.xml: is no page of `coltran-study export`" in capsys.readouterr().err


def test_a_budget_is_kept_before_the_first_call(folder, stub, capsys):
    assert study.main(["publish", f"--study={folder}", "--reward=1.25", "--budget=8.99", "--yes"]) == 2
    assert "--budget 8.99: less than the 9.00 USD that this may cost" in capsys.readouterr().err
    assert stub.asked == []
    assert not (folder / "private" / "mturk_hits.json").exists()


@pytest.mark.parametrize(
    ("raters", "reward", "cost"), [(5, "1.00", "6.00"), (10, "1.00", "14.00"), (5, "0.01", "0.10")]
)
def test_fees(raters, reward, cost):
    form = forms.Form(form=0, raters=raters, trials=())
    plan = publish.Plan(forms=[(form, "")], reward=publish._money(reward))
    assert str(plan.cost) == cost  # 20%, 40% from 10 assignments on, at least a cent each


def test_a_hit_that_a_killed_run_made_is_found_again(folder, stub):
    name = publish.note(layout.load_design(folder).study, 0)
    expect_type(stub)
    stub.add_client_error(
        "create_hit_with_hit_type",
        "RequestError",
        "This HIT exists",
        modeled_fields=REPEATED,
        expected_params=hit_parameters(folder, 0, name),
    )
    other = {"HITId": "X", "RequesterAnnotation": "something else"}
    stub.add_response("list_hits", {"HITs": [other, {"HITId": "Y"}], "NextToken": "more"}, {})
    stub.add_response("list_hits", {"HITs": [{"HITId": "H0", "RequesterAnnotation": name}]}, {"NextToken": "more"})
    expect_hit(stub, folder, 1)
    expect_hit(stub, folder, 2)
    assert run("publish", folder, "--yes") == 0
    assert state(folder)["sandbox"]["hits"] == {"0": "H0", "1": "H1", "2": "H2"}


def test_a_hit_that_exists_but_is_not_listed(folder, stub, capsys):
    expect_type(stub)
    stub.add_client_error("create_hit_with_hit_type", "RequestError", "exists", modeled_fields=REPEATED)
    stub.add_response("list_hits", {"HITs": []}, {})
    assert run("publish", folder, "--yes") == 2
    assert "does not list it" in capsys.readouterr().err


def test_qualifications_and_wrong_options(folder, stub, tmp_path, capsys):
    file = tmp_path / "q.json"
    wanted = [{"QualificationTypeId": "000000000000000000L0", "Comparator": "GreaterThan", "IntegerValues": [95]}]
    file.write_text(json.dumps(wanted))
    expect_type(stub, QualificationRequirements=wanted)
    for form in range(3):
        expect_hit(stub, folder, form)
    assert run("publish", folder, "--yes", f"--qualifications={file}") == 0
    file.write_text("{}")
    assert run("publish", folder, "--yes", f"--qualifications={file}") == 2
    assert run("publish", folder, "--reward=1.255") == 2
    assert run("publish", folder, "--reward=0") == 2
    (folder / "mturk" / "questions" / "form-0002.xml").unlink()
    (folder / "private" / "mturk_hits.json").unlink()
    capsys.readouterr()
    assert run("publish", folder) == 2
    assert "form-0002.xml: no such question; `coltran-study export --format mturk` writes" in capsys.readouterr().err


@pytest.mark.parametrize("code", ["RequestError", "AccessDeniedException", "UnrecognizedClientException"])
def test_a_refusal_says_that_the_service_is_closed(folder, stub, code, capsys):
    stub.add_client_error("create_hit_type", code, "No longer\navailable")
    assert run("publish", folder, "--yes") == 2
    error = capsys.readouterr().err
    assert (
        f"Mechanical Turk refused ({code}: No longer available). Amazon closed Mechanical Turk on 30 September" in error
    )
    assert "coltran-study serve" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            exceptions.UnknownServiceError(service_name="mturk", known_service_names="s3"),
            "knows no Mechanical Turk any more",
        ),
        (exceptions.EndpointConnectionError(endpoint_url="https://x"), "cannot be reached"),
        (exceptions.ConnectTimeoutError(endpoint_url="https://x"), "cannot be reached"),
        (exceptions.NoCredentialsError(), "finds no AWS credentials"),
    ],
)
def test_no_service_no_way_and_no_credentials(folder, error, message, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(boto3, "client", fail)
    assert run("publish", folder, "--yes") == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Amazon closed Mechanical Turk on 30 September 2026" in said
    assert "serve" in said
    assert said.count("\n") == 1


def test_without_boto3_one_line(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert run("publish", folder) == 0  # a dry run needs none
    assert run("publish", folder, "--yes") == 2
    assert "pip install 'coltran-pipelines[mturk]'" in capsys.readouterr().err


def test_boto3_is_not_imported_before_it_is_needed(folder):
    code = (
        "import sys\nfrom human_eval import study\n"
        f"study.main(['publish', '--study={folder}', '--reward=1', '--budget=99'])\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "3 forms to publish" in done.stdout
    assert not {"boto3", "botocore", "apache_beam", "jax", "tensorflow"} & set(done.stdout.split())


def publish_all(folder) -> None:
    hits = mturk_hits.load(folder, live=False)
    for form in range(3):
        hits.add(form, f"H{form}", KIND)


def test_status_counts_assignments(folder, stub, capsys):
    assert run("status", folder) == 2
    assert "nothing is published in the sandbox yet" in capsys.readouterr().err
    publish_all(folder)
    for form, (pending, available) in enumerate([(0, 0), (1, 0), (1, 1)]):
        about = {"HITStatus": "Assignable", "MaxAssignments": 2, "NumberOfAssignmentsCompleted": 0}
        about |= {"NumberOfAssignmentsPending": pending, "NumberOfAssignmentsAvailable": available}
        stub.add_response("get_hit", {"HIT": about}, {"HITId": f"H{form}"})
    assert run("status", folder) == 0
    out = capsys.readouterr().out
    assert "form 2  1 handed in, 1 being done, 0 free (Assignable)" in out
    assert out.splitlines()[-1] == "3 handed in, 2 being done, 1 free"


def page(hit: str, numbers: list[int], more: str = "") -> dict:
    when = datetime.datetime(2026, 6, 1, 10, tzinfo=datetime.UTC)
    answer = (
        '<?xml version="1.0"?><QuestionFormAnswers><Answer><QuestionIdentifier>result</QuestionIdentifier>'
        f'<FreeText>{{"form": {hit[1:]}, "trials": []}}</FreeText></Answer></QuestionFormAnswers>'
    )
    found = [
        {"AssignmentId": f"A{hit}{n}", "WorkerId": f"W{n}", "HITId": hit, "SubmitTime": when, "Answer": answer}
        | {"AssignmentStatus": "Submitted"}
        for n in numbers
    ]
    return {"Assignments": found, **({"NextToken": more} if more else {})}


def test_fetch_reads_every_page_and_ingest_reads_the_file(folder, stub, capsys):
    publish_all(folder)
    every = {"AssignmentStatuses": ["Submitted", "Approved", "Rejected"], "MaxResults": 100}
    stub.add_response("list_assignments_for_hit", page("H0", [1], "next"), {"HITId": "H0", **every})
    stub.add_response("list_assignments_for_hit", page("H0", [2]), {"HITId": "H0", "NextToken": "next", **every})
    stub.add_response("list_assignments_for_hit", page("H1", []), {"HITId": "H1", **every})
    stub.add_response("list_assignments_for_hit", page("H2", [3]), {"HITId": "H2", **every})
    assert run("fetch", folder) == 0
    out = folder / "private" / "mturk_answers_sandbox.json"
    assert "3 assignments of 3 HITs" in capsys.readouterr().out
    assert out.stat().st_mode & 0o777 == 0o600
    found = list(answer_files.read_submissions(str(out)))
    assert [(s.assignment, s.rater, s.form, s.submitted) for s in found] == [
        ("AH01", "W1", 0, "2026-06-01T10:00:00Z"),
        ("AH02", "W2", 0, "2026-06-01T10:00:00Z"),
        ("AH23", "W3", 2, "2026-06-01T10:00:00Z"),
    ]
    before = out.read_bytes()
    stub.add_response("list_assignments_for_hit", page("H0", [1]), {"HITId": "H0", **every})
    stub.add_client_error("list_assignments_for_hit", "RequestError", "gone")
    assert run("fetch", folder) == 2
    assert out.read_bytes() == before


def test_fetch_of_nothing_writes_nothing(folder, stub, capsys):
    publish_all(folder)
    for _ in range(3):
        stub.add_response("list_assignments_for_hit", {"Assignments": []})
    assert run("fetch", folder) == 0
    assert "no assignment of 3 HITs was handed in yet" in capsys.readouterr().out
    assert not list((folder / "private").glob("mturk_answers*"))


def test_a_damaged_state_is_no_empty_state(folder, stub, capsys):
    publish_all(folder)
    path = folder / "private" / "mturk_hits.json"
    for text in ("", "[]", '{"sandbox": {"hits": {"x": "H"}}}', '{"sandbox": 1}'):
        path.write_text(text)
        assert run("publish", folder, "--yes") == 2
        assert "is damaged" in capsys.readouterr().err

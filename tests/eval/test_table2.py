"""`coltran-fid --protocol table2`: all rows that the given networks allow, in one command that goes on."""

import shlex

import pytest

from coltran.errors import UserError
from eval import fid, sample, table2
from eval.scoring import arguments
from tests.eval.conftest import STAGES

NETWORKS = {name: f"runs/{name}" for name in arguments.NETWORKS}


def options(holdout, **changes):
    return arguments.Options(real=(str(holdout),), out="out", protocol="table2", **changes)


def test_every_row_of_the_table_by_the_flags_of_coltran_sample(holdout):
    planned = table2.samplings(options(holdout, **NETWORKS))
    assert list(planned) == ["ColTran", "ColTran-B", "ColTran-S", "true coarse", "one upsampler"]
    for name, seeds in planned.items():
        read = [sample.parse(flags)[0] for flags in seeds]
        assert [one.seed for one in read] == [1, 2, 3]
        assert {(one.part, one.num, one.records) for one in read} == {("condition", None, str(holdout))}
        assert len({one.out for one in read}) == 3
        assert (read[0].coarse == "truth") == (name in ("true coarse", "one upsampler"))
    colorizers = {name: sample.parse(seeds[0])[0].colorizer for name, seeds in planned.items()}
    assert list(colorizers.values()) == ["runs/colorizer", "runs/colorizer_b", "runs/colorizer_s", None, None]
    single = sample.parse(planned["one upsampler"][0])[0]
    assert (single.color_upsampler, single.spatial_upsampler) == (None, "runs/single_upsampler")


def test_what_is_missing_is_named(holdout):
    few = options(holdout, color_upsampler="c", spatial_upsampler="s", num=4, seed=(7,))
    assert list(table2.samplings(few)) == ["true coarse"]
    assert "--num 4" in " ".join(table2.samplings(few)["true coarse"][0])
    assert next(table2.missing(few)) == "row ColTran is left out: give --colorizer"
    with pytest.raises(UserError, match="nothing to sample with; row ColTran is left out: give --colorizer and"):
        table2.samplings(options(holdout))


def test_mistakes(holdout):
    with pytest.raises(UserError, match="--colorizer goes with --protocol table2"):
        arguments.Options(real=("r",), out="o", fake=("f",), colorizer="c")
    with pytest.raises(UserError, match="--protocol makes its own rows"):
        options(holdout, fake=("f",))
    with pytest.raises(UserError, match="has to be one folder of truth records"):
        table2.samplings(arguments.Options(real=("a", "b"), out="o", protocol="table2", **NETWORKS))


@pytest.mark.slow
def test_from_records_and_checkpoints_to_the_report_and_again(truth_folder, checkpoints, tmp_path, capsys):
    networks = [f"--{stage}={checkpoints / stage}" for stage in STAGES]
    command = ["--protocol=table2", f"--real={truth_folder}", *networks, "--num=5", "--seed", "1", "2"]
    command += ["--extractor=random", "--batch_size=4", f"--out={tmp_path / 'table'}"]
    assert fid.main(command) == 0
    printed = capsys.readouterr().out
    ran = [shlex.split(line.removeprefix("$ ")) for line in printed.splitlines() if line.startswith("$ ")]
    assert [line[0] for line in ran] == ["coltran-sample"] * 4 + ["coltran-fid"]
    assert "row one upsampler is left out: give --single_upsampler" in printed
    page = (tmp_path / "table" / "report.html").read_text()
    for row in ("ColTran", "true coarse", "truth", "grayscale"):
        assert f"<td>{row}</td>" in page
    # The printed commands are the same as the one.
    assert fid.main(ran[-1][1:]) == 0
    assert "already finished, nothing to do" in capsys.readouterr().out
    assert fid.main(command) == 0
    assert "already finished, nothing to do" in capsys.readouterr().out

"""What a job counts is asked of the engine by the names that docs/running-at-scale.md gives."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import apache_beam as beam
import pytest

from pipelines import preprocess
from pipelines.beam import counters
from pipelines.beam.options import beam_options

ROOT = pathlib.Path(__file__).parents[3]
SHARDS = [
    ({"read": 5, "written": 3, "rejected": 2}, ["too_small", "not_an_image"], 0.25),
    ({"read": 4, "written": 3, "rejected": 1}, ["too_small"], 1.5),
    ({"read": 2, "written": 2, "rejected": 0}, [], 0.0004),
]


class Count(beam.DoFn):
    def process(self, shard):
        counts, reasons, seconds = shard
        counters.count(counts)
        counters.count({"written": 10 * counts["written"]}, of=counters.SAMPLES)
        for reason in reasons:
            counters.rejected(reason)
        counters.shard_seconds(seconds)


def counted(result) -> dict:
    """What the engine's metrics query gives: {namespace/name: number or distribution}."""
    metrics = result.metrics().query()
    rows = [*metrics["counters"], *metrics["distributions"]]
    return {f"{row.key.metric.namespace}/{row.key.metric.name}": row.committed for row in rows}


def documented() -> set[str]:
    page = (ROOT / "docs" / "running-at-scale.md").read_text()
    return set(re.findall(r"`(\w+/\w+)`", page))


@pytest.fixture(scope="module")
def found():
    pipeline = beam.Pipeline(options=beam_options([]))
    _ = pipeline | beam.Create(SHARDS) | beam.Reshuffle() | beam.ParDo(Count())
    result = pipeline.run()
    result.wait_until_finish()
    return counted(result)


def test_counts_add_up_over_shards(found):
    numbers = {name: value for name, value in found.items() if isinstance(value, int)}
    assert numbers == {
        "images/read": 11,
        "images/written": 8,
        "images/rejected": 3,
        "rejected/too_small": 2,
        "rejected/not_an_image": 1,
        "samples/written": 80,
        "shards/written": 3,
    }


def test_the_time_of_a_shard_is_a_distribution(found):
    times = found["shards/milliseconds"]
    assert (times.count, times.sum, times.min, times.max) == (3, 1750, 0, 1500)


def test_a_job_counts_what_its_folder_says_by_documented_names(tmp_path, photo_folder, monkeypatch):
    source = shutil.copytree(photo_folder, tmp_path / "photos")
    (source / "bad.jpg").write_bytes(b"this is no image")
    results, run = [], beam.Pipeline.run

    def remembered(pipeline, **options):
        results.append(run(pipeline, **options))
        return results[0]

    monkeypatch.setattr(beam.Pipeline, "run", remembered)
    out = tmp_path / "records"
    made = preprocess.main(
        [f"--source={source}", f"--out={out}", "--hi=32", "--lo=16", "--num_shards=3", "--max_reject_fraction=0.5"]
    )
    assert made == 0
    manifest, numbers = json.loads((out / "manifest.json").read_text()), counted(results[0])
    assert {name: numbers.get(f"images/{name}", 0) for name in manifest["counts"]} == manifest["counts"]
    assert manifest["counts"]["rejected"] == 1
    reasons = {name.partition("/")[2]: number for name, number in numbers.items() if name.startswith("rejected/")}
    assert reasons == manifest["rejected_by_reason"]
    assert numbers["shards/written"] == numbers["shards/milliseconds"].count == 3
    names = {re.sub("^rejected/.*", "rejected/REASON", name) for name in numbers}
    assert names <= documented()


def test_the_page_documents_every_name(found):
    assert {re.sub("^rejected/.*", "rejected/REASON", name) for name in found} <= documented()


def test_no_job_has_names_elsewhere():
    elsewhere = {
        str(path.relative_to(ROOT))
        for package in ("coltran", "pipelines", "eval", "human_eval")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"Metrics\.(counter|distribution|gauge)\(|apache_beam\.metrics import", path.read_text())
    }
    assert not elsewhere


def test_outside_beam_counting_does_nothing_and_loads_nothing():
    code = (
        "import sys\nfrom pipelines.beam import counters\n"
        "counters.count({'read': 1})\ncounters.rejected('too_small')\ncounters.shard_seconds(1.5)\n"
        "assert 'apache_beam' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_in_beams_process_but_in_no_step_counting_does_nothing():
    counters.count({"read": 1})
    counters.shard_seconds(1.5)

"""The fingerprint of a record folder is made of what decides on its bytes, and stays that of earlier versions."""

import pytest

from pipelines import preprocess
from pipelines.sources.image_ref import ImageRef
from pipelines.truth import arguments
from pipelines.truth.selection import Selection

IMAGES = tuple(
    ImageRef(key=f"train/n01440764/{index}", label=index, name=f"n01440764/{index}.jpg", path="-", size=100 + index)
    for index in range(3)
)
CHOSEN = Selection(images=IMAGES, duplicates=IMAGES[:1], held_out=0, passed_over={})
DEFAULTS = "a9a24571643e56641d43f43aeaa7bd528bb3091eff3e64a0bb514d5fe481d090"


def fingerprint(*flags: str) -> str:
    options, _ = arguments.parse(["--source=photos", "--out=records", *flags])
    return preprocess.plan_job(options, CHOSEN).fingerprint


@pytest.mark.parametrize(
    ("flags", "pinned"),
    [
        ([], DEFAULTS),
        (
            ["--hi=none", "--lo=32", "--stages=color_upsampler,colorizer", "--crop=random", "--crops=2", "--seed=7"],
            "346c6fcf8d5b737e4da6b66167c10585d02bd4ee0630fcb62a02ddb77faf15e8",
        ),
        (
            ["--split=validation", "--num_shards=2", "--encoding=png", "--icc=ignore", "--min_side=9"],
            "678061db7ff480ba7baee9400901df09a1680d18185260478976e5b0f35f15c6",
        ),
    ],
)
def test_a_folder_of_an_earlier_version_is_still_known(flags, pinned):
    assert fingerprint(*flags) == pinned


@pytest.mark.parametrize(
    "flag",
    ["--labels=other", "--source_kind=images", "--max_reject_fraction=0.5", "--holdout=0", "--limit=9", "--dry_run"],
)
def test_what_only_chooses_the_images_is_told_by_their_listing(flag):
    assert fingerprint(flag) == DEFAULTS


@pytest.mark.parametrize("flag", ["--seed=1", "--lo=32", "--max_pixels=99", "--icc=ignore", "--stages=colorizer"])
def test_what_changes_bytes_changes_the_fingerprint(flag):
    assert fingerprint(flag) != DEFAULTS

"""What the fingerprints of coltran-sample and coltran-fid hold: the options that decide, as they always stood in it."""

import dataclasses

from coltran.options import deciding, flags_of
from eval.sampling.arguments import Options as SampleOptions, fingerprinted
from eval.scoring.arguments import Options as FidOptions


def test_a_sampling_is_told_by_what_changes_a_record():
    options = SampleOptions(records="r", out="o", seed=3, colorizer="c", gallery=0, png_folder="p")
    assert fingerprinted(deciding(options)) == {
        "seed": 3,
        "colorizer": "c",
        "color_upsampler": None,
        "spatial_upsampler": None,
        "samples": 1,
        "num": None,
        "part": None,
        "mode": "sample",
        "temperature": 1.0,
        "top_k": None,
        "pooling": "image",
        "coarse": "model",
        "weights": "ema",
        "batch_size": 16,
    }
    coarse = dataclasses.replace(options, compute_dtype="bfloat16")
    assert fingerprinted(deciding(coarse))["compute_dtype"] == "bfloat16"
    by_forecasts = dataclasses.replace(options, window=8)
    assert fingerprinted(deciding(by_forecasts)) == fingerprinted(deciding(options)) | {"window": 8}


def test_a_distance_is_told_by_its_sets_and_extractor_and_three_options():
    options = FidOptions(real=("r",), fake=("f",), out="o", bits=(("row", 2.5),))
    assert list(deciding(options).items()) == [("bits", (("row", 2.5),)), ("image", "hi"), ("batch_size", 32)]


def test_every_option_is_a_flag():
    for options in (SampleOptions, FidOptions):
        assert len(flags_of(options)) == len(dataclasses.fields(options))

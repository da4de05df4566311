"""The parts of benchmarks/reproduction.py: each takes the parsed options and returns what its file shall hold."""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import reproduction_claims
import reproduction_counts

from coltran.images import colors
from coltran.photos import batches, recolor
from coltran.photos.arguments import TEMPERATURE, TOP_K
from coltran.records import folder as record_folder, partition, schema
from coltran.sampling.choices import POOLINGS, SamplerOptions
from coltran.sampling.pipeline import ColorizationPipeline
from coltran.weights import built_in as model
from eval.images.color_figures import colorfulness, diversity

TOP_KS = (1, 4, 8, 32, 512)
SAMPLES = 3
_BATCH = 64
_SEED = 1


def built_in(stage: str) -> str:
    """Returns the folder of a network that ships with the package."""
    return str(model.folder(stage))


def baselines(options: argparse.Namespace) -> dict:
    """Measures bits per pixel of the colorizer and of count models on the whole validation folder."""
    train_records, records = options.small or (options.train, options.validation)
    train, test = reproduction_counts.read(train_records), reproduction_counts.read(records)
    rows = {name: reproduction_counts.bits(name, train, test) for name in reproduction_counts.MODELS}
    kept = options.out / "bits.json"
    command = ["coltran-train", "--stage=colorizer", f"--data={records}", "--evaluate", f"--json={kept}"]
    _run([*command, f"--checkpoint={options.colorizer}"])
    return {
        "images": len(test.gray),
        "counted_images": len(train.gray),
        "side": test.gray.shape[1],
        "counts": rows,
        "colorizer": json.loads(kept.read_text())["mean"],
    }


def quality(options: argparse.Namespace) -> dict:
    """Measures colors and differences of samples of coltran-colorize, for several ways to choose colors."""
    folder = record_folder.open_folder(options.validation, schema=schema.TRUTH)
    keys, gray, truth = _chosen(folder, options.quality_num)
    by_level = _mean_by_gray(options.train)
    photos = np.repeat(gray[..., None], 3, axis=-1)
    gray_error = chroma_error(photos, truth)
    rows = {}
    for name, choice in {
        "temperature 1": SamplerOptions(),
        "temperature 0.9": SamplerOptions(temperature=0.9),
        "temperature 0.8": SamplerOptions(temperature=0.8),
        reproduction_claims.OF_PHOTOS: SamplerOptions(temperature=TEMPERATURE, top_k=TOP_K),
        "top-K 8": SamplerOptions(top_k=8),
        "argmax": SamplerOptions(mode="argmax"),
        "parallel head": SamplerOptions(mode="parallel"),
    }.items():
        pipeline = ColorizationPipeline.load(
            colorizer=options.colorizer, color_upsampler=options.color_upsampler, batch_size=_BATCH, options=choice
        )
        samples = SAMPLES if choice.mode == "sample" else 1
        made = np.stack([_recolored(pipeline, photos, keys, index) for index in range(samples)])
        errors = np.stack([chroma_error(sample, truth) for sample in made])
        distances = [diversity(list(made[:, index])) or 0.0 for index in range(len(keys))]
        rows[name] = {
            "samples": samples,
            "colorfulness": float(np.mean([colorfulness(image) for image in made.reshape(-1, *made.shape[2:])])),
            "images_whose_samples_differ": float(np.mean(np.array(distances) > 0)),
            "difference_of_samples": float(np.mean(distances)),
            "chroma_error": float(errors.mean()),
            "chroma_error_of_the_best": float(errors.min(axis=0).mean()),
        }
        print(name, rows[name], flush=True)
    return {
        "images": len(keys),
        "truth_colorfulness": float(np.mean([colorfulness(image) for image in truth])),
        "grayscale_chroma_error": float(gray_error.mean()),
        "mean_by_gray_chroma_error": float(chroma_error(by_level[gray], truth).mean()),
        "rows": rows,
    }


def _recolored(pipeline: ColorizationPipeline, photos: np.ndarray, keys: list[str], sample: int) -> np.ndarray:
    """Colors gray images uint8 [N,H,W,3] as coltran-colorize colors photos of their size."""
    indices = [sample] * len(keys)
    low = pipeline.colorize(photos[..., 0], None, keys=keys, sample_indices=indices, seed=_SEED).rgb_lo
    pairs = zip(photos, low, strict=True)
    return np.stack([recolor.recolor(photo, batches.in_own_pixels(image, pipeline)) for photo, image in pairs])


def chroma_error(made: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Computes each image's root mean square error of color minus luma, in levels: uint8 [N,H,W,3] twice -> [N]."""
    return np.sqrt(np.mean((colors.chroma(made) - colors.chroma(truth)) ** 2, axis=(1, 2, 3)))


def figure4(options: argparse.Namespace) -> dict | None:
    """Scores coarse samples of colorizers that were trained with different weights of the parallel head."""
    if not options.lambdas:
        return None
    folders = dict(entry.split("=", 1) for entry in options.lambdas)
    rows = [
        f"{name}={_sampled(options, f'lambda_{name}', options.num, ['--colorizer', folder])}"
        for name, folder in folders.items()
    ]
    return _fid(options, "figure4", rows, options.num, "coarse")


def figure6(options: argparse.Namespace) -> dict:
    """Scores images of the package's colorizer for several K of top-K sampling."""
    rows = []
    for top_k in TOP_KS:
        more = ["--mode", "argmax"] if top_k == 1 else ["--top_k", str(top_k)]
        rows.append(f"K {top_k}={_sampled(options, f'top_k_{top_k}', options.num, [*_networks(options), *more])}")
    return _fid(options, "figure6", rows, options.num, "lo")


def pooling(options: argparse.Namespace) -> dict | None:
    """Scores the exact sampler and the public release's, which pools a row at a time, on figure 4's last network."""
    if not options.lambdas:
        return None
    colorizer = options.lambdas[-1].split("=", 1)[1]
    rows = []
    for name in POOLINGS:
        networks = ["--colorizer", colorizer, "--pooling", name]
        rows.append(f"{name}={_sampled(options, f'pooling_{name}', options.num, networks)}")
    return _fid(options, "pooling", rows, options.num, "coarse")


def table2(options: argparse.Namespace) -> dict:
    """Scores table 2's rows that exist at this size, with three samplings where there are samples."""
    seeds = (1, 2, 3)
    model = [_sampled(options, f"model_{seed}", options.table2_num, _networks(options), seed) for seed in seeds]
    upsampled = ["--coarse", "truth", "--color_upsampler", options.color_upsampler]
    rows = [
        f"ColTran, this size={model[0]},{model[1]},{model[2]}",
        f"true coarse colors={_sampled(options, 'true_coarse', options.table2_num, upsampled)}",
        "truth",
        "grayscale",
    ]
    return _fid(options, "table2", rows, options.table2_num, "lo")


def _networks(options: argparse.Namespace) -> list[str]:
    return ["--colorizer", str(options.colorizer), "--color_upsampler", str(options.color_upsampler)]


def _sampled(
    options: argparse.Namespace, name: str, num: int, networks: Sequence[str], seed: int = _SEED
) -> pathlib.Path:
    """Samples one image of each of `num` grays of the half `condition` and returns the folder."""
    out = options.out / "samples" / f"{name}_{num}"
    command = ["coltran-sample", "--records", options.validation, "--out", str(out), "--part", "condition"]
    _run([*command, "--num", str(num), "--seed", str(seed), "--batch_size", str(_BATCH), "--gallery", "0", *networks])
    return out


def _fid(options: argparse.Namespace, name: str, rows: Sequence[str], num: int, image: str) -> dict:
    """Scores rows against the other half and returns what the page needs of fid.json."""
    out = options.out / name
    command = ["coltran-fid", "--real", options.validation, "--rows", *rows, "--image", image, "--extractor", "random"]
    _run([*command, "--num", str(num), "--features", str(options.out / "features"), "--out", str(out)])
    found = json.loads((out / "fid.json").read_text())
    fields = ("standard_error", "kid", "kid_standard_error", "floor")
    return {
        "images": num,
        "extractor": found["extractor"]["name"],
        "rows": {
            row["name"]: {
                "fid": row["fid"],
                "fid_std": row["fid_std"],
                **{field: row["scores"][0][field] for field in fields},
                "colorfulness": row["scores"][0]["fake"]["colorfulness"],
            }
            for row in found["rows"]
        },
    }


def _chosen(folder: record_folder.RecordFolder, num: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns keys, grays uint8 [N,H,W] and true colors uint8 [N,H,W,3] of `num` images, chosen by hash."""
    fields = [schema.KEY, schema.GRAY_LO, schema.RGB_LO]
    records = {
        record[schema.KEY]: record for shard in folder.manifest.shards for record in folder.read_shard(shard, fields)
    }
    keys = sorted(partition.choose(list(records), seed=_SEED, part=None, num=num))
    return keys, *(np.stack([records[key][field] for key in keys]) for field in fields[1:])


def _mean_by_gray(train: str) -> np.ndarray:
    """Computes the mean color of the training pixels of each gray level, uint8 [256, 3]."""
    folder = record_folder.open_folder(train, schema=schema.TRUTH)
    total, count = np.zeros((256, 3)), np.zeros(256)
    for shard in folder.manifest.shards:
        for record in folder.read_shard(shard, [schema.GRAY_LO, schema.RGB_LO]):
            levels, pixels = record[schema.GRAY_LO].ravel(), record[schema.RGB_LO].reshape(-1, 3)
            count += np.bincount(levels, minlength=256)
            for channel in range(3):
                total[:, channel] += np.bincount(levels, pixels[:, channel], minlength=256)
    return np.rint(total / np.maximum(count, 1)[:, None]).astype(np.uint8)


def _run(command: Sequence[str]) -> None:
    """Runs one of this project's commands, found beside this Python, and prints it first."""
    print("$", *command, flush=True)
    program = pathlib.Path(sys.executable).parent / command[0]
    subprocess.run([program, *map(str, command[1:])], check=True)


PARTS: dict[str, Callable[[argparse.Namespace], dict | None]] = {
    "baselines": baselines,
    "quality": quality,
    "figure4": figure4,
    "figure6": figure6,
    "pooling": pooling,
    "table2": table2,
}

"""Writes docs/reproduction.md and its picture from the results of benchmarks/reproduction.py."""

from __future__ import annotations

import io
import pathlib
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import reproduction_claims as claims

PICTURE = "reproduction.png"
_FULL = "coltran"
Results = Mapping[str, Any]
Section = Callable[[Results, Results], Iterator[str]]

_HEAD = """\
# The paper's experiments at a small size

`python benchmarks/reproduction.py` writes this page. It repeats the experiments of the paper (Kumar et al., ICLR 2021)
with networks of {parameters:.2f} million parameters on 60,000 ImageNet images of 32x32, where the paper has 46 million
parameters and 1.27 million images of 64x64 coarse pixels. So the numbers cannot be compared with the paper's. What can
be compared is the order of variants, and even that may change with size and length of training. Each section ends with
the paper's claim and whether these numbers agree. FID is of `random` features (Inception's network with weights by
rule), because the public weights are not in this repository: it compares the rows of one table and nothing else.
"""


def page(results: Results, variants: Results, docs: pathlib.Path) -> str:
    """Writes the picture into `docs` and returns the page."""
    (docs / PICTURE).write_bytes(_picture(results, variants))
    parts = [_head(variants), f"![bits of variants, FID by lambda and by top-K, table 2]({PICTURE})\n"]
    for title, part, section in _SECTIONS:
        found = {} if part is None else results.get(part)
        lines = ["Not run."] if found is None else section(found, variants)
        parts.append("\n".join([f"## {title}", *lines]) + "\n")
    parts.append("\n".join(_not_run(results, variants)) + "\n")
    return "\n".join(parts)


def _head(variants: Results) -> str:
    return _HEAD.format(parameters=variants["runs"][f"{_FULL}, seed 1"]["parameters"] / 1e6)


def _baselines(found: Results, _: Results) -> Iterator[str]:
    yield _text(
        f"Bits per pixel of coarse colors on all {found['images']:,} validation images of",
        f"{found['side']}x{found['side']};",
        f"the count models counted {found['counted_images']:,} training images (`benchmarks/reproduction_counts.py`).",
        "The command is `python benchmarks/reproduction.py --parts baselines ...`.",
    )
    yield ""
    yield "| a pixel's coarse color | bits |"
    yield "|---|---|"
    rows = {f"counts, {name}": value for name, value in found["counts"].items()}
    rows["parallel head of the model in the box"] = found["colorizer"]["parallel_bits_per_pixel"]
    rows["**the model in the box** (`coltran/model`)"] = found["colorizer"]["decoder_bits_per_pixel"]
    for name, value in sorted(rows.items(), key=lambda row: -row[1]):
        yield f"| {name} | {value:.4f} |"


def _figure3(_: Results, variants: Results) -> Iterator[str]:
    options, config = variants["options"], variants["config"]
    layers = " + ".join(str(config[f"num_{part}_layers"]) for part in ("encoder", "outer", "inner"))
    yield _text(
        f"Held-out bits per pixel after {options['steps']} steps of {options['batch_size']} images, moving average of",
        f"{options['ema_decay']}, hidden size {config['hidden_size']}, {layers} layers, in bfloat16 on an",
        f"{variants['device'].split()[1]}, about 11 seconds a run.",
    )
    yield ""
    yield "| variant | parameters | seed 0 | seed 1 |"
    yield "|---|---|---|---|"
    table = claims.bits(variants)
    for name in sorted(table, key=lambda name: np.mean(list(table[name].values()))):
        if name.startswith("lambda"):
            continue
        count = next(run["parameters"] for key, run in variants["runs"].items() if key.startswith(f"{name},"))
        cells = [f"{table[name][seed]:.4f}" if seed in table[name] else "not run" for seed in (0, 1)]
        yield f"| `{name}` | {count / 1e6:.2f} M | {cells[0]} | {cells[1]} |"
    yield ""
    yield "| the paper says | here |"
    yield "|---|---|"
    for text, verdict in claims.figure3(table):
        yield f"| {text} | {verdict} |"


def _figure4(found: Results, variants: Results) -> Iterator[str]:
    yield _text(
        f"FID of coarse samples over {found['images']:,} images.",
        "The network of 0.01 has seed 1, the others have seed 0.",
    )
    yield ""
    yield "| lambda | FID | KID | decoder bits |"
    yield "|---|---|---|---|"
    table = claims.bits(variants)
    for name, row in found["rows"].items():
        held_out = table[_FULL if name == "0.01" else f"lambda_{name}"]
        yield f"| {name} | {_with_error(row)} | {_kid(row)} | {next(iter(held_out.values())):.4f} |"
    yield ""
    yield _text("The paper says that 0.01 is best.", claims.best("lambda", found["rows"], "0.01"))


def _averages(_: Results, variants: Results) -> Iterator[str]:
    gaps = np.array(
        [
            run["raw_bits"]["decoder_bits_per_pixel"] - run["bits"]["decoder_bits_per_pixel"]
            for run in variants["runs"].values()
        ]
    )
    yield _text(
        f"Over the {gaps.size} runs above, the raw weights' bits minus the moving average's are {gaps.mean():+.4f} on",
        f"average; the raw weights are better in {(gaps < 0).sum()} of {gaps.size}. The paper calls the",
        "average extremely crucial, for FID after hundreds of thousands of steps at a fixed learning rate.",
        "After 800 steps with a cosine that ends at zero, the average lags behind weights that still improve,",
        "so this size does not show it.",
    )


def _figure6(found: Results, _: Results) -> Iterator[str]:
    yield _text(
        f"FID over {found['images']:,} images of the model in the box;",
        "K = 1 is argmax, K = 512 the whole distribution.",
    )
    yield from _table(found, "K", lambda name: name.removeprefix("K "))
    yield ""
    rows = {name.removeprefix("K "): row for name, row in found["rows"].items()}
    yield _text("The paper says that K = 4 and 8 beat 512.", claims.below(rows, ("4", "8"), "512"))


def _table2(found: Results, _: Results) -> Iterator[str]:
    yield _text(
        f"{found['images']:,} images against {found['images']:,} other true images of 32x32; the model in the box was",
        "sampled with three seeds. `truth` is the distance of two disjoint sets of photos.",
    )
    yield from _table(found, "row", str)
    yield ""
    order = sorted(found["rows"], key=lambda name: found["rows"][name]["fid"])
    yield (
        "The paper's order is truth, upsamplers on true coarse colors, ColTran, grayscale. Here it is "
        + ", ".join(order)
        + "."
    )


def _pooling(found: Results, _: Results) -> Iterator[str]:
    yield _text(
        "The public release's sampler computes conditional layer norm over one row instead of the",
        "whole image, so it draws",
        "from another distribution than the one that was trained (docs/sampling.md). FID of coarse samples over",
        f"{found['images']:,} images:",
    )
    yield from _table(found, "pooled over", str)
    yield ""
    yield _text(claims.least(found["rows"]))


def _quality(found: Results, _: Results) -> Iterator[str]:
    yield _text(
        f"{found['images']:,} validation images of 32x32, three samples each, as `coltran-colorize` colors",
        "photos. Colorfulness is",
        "Hasler and Suesstrunk's M3; the error is the root mean square of color minus luma, in levels.",
    )
    yield ""
    yield "| colors | colorfulness | samples differ | difference | error | error of the best of 3 |"
    yield "|---|---|---|---|---|---|"
    for name, row in found["rows"].items():
        several = row["samples"] > 1
        differ = (
            f"{row['images_whose_samples_differ']:.1%} | {row['difference_of_samples']:.1f}" if several else "- | -"
        )
        best = f"{row['chroma_error_of_the_best']:.2f}" if several else "-"
        yield f"| {name} | {row['colorfulness']:.1f} | {differ} | {row['chroma_error']:.2f} | {best} |"
    yield f"| truth | {found['truth_colorfulness']:.1f} | | | 0 | |"
    yield f"| mean color of the gray level | | | | {found['mean_by_gray_chroma_error']:.2f} | |"
    yield f"| grayscale | 0 | | | {found['grayscale_chroma_error']:.2f} | |"
    yield ""
    yield _text(claims.colorful(found))


def _not_run(results: Results, variants: Results) -> Iterator[str]:
    yield "## Not run"
    have = claims.bits(variants)
    lacking = [
        f"`{name}` with seed {seed}"
        for name in have
        for seed in (0, 1)
        if seed not in have[name] and not name.startswith("lambda")
    ]
    yield _text(f"- {', '.join(lacking)}; a second seed of figure 4's networks (the GPU's time ended).")
    yield _text(
        "- ColTran-B, ColTran-S and the single upsampler in table 2, and other methods: no such",
        "networks were trained at",
        "this size. Gated and global conditioning (figure 7).",
    )
    yield "- Inception's public features: with them the same commands give FID that compares with other work at 32x32."
    hours = sum(result["seconds"] for result in results.values()) / 3600
    machines = ", ".join(sorted({result["processor"] for result in results.values()}))
    yield f"\nThe parts on a CPU took {hours:.1f} hours beside other work on 2 cores ({machines})."


def _text(*pieces: str) -> str:
    """Joins pieces of prose and breaks the lines."""
    indent = "  " if pieces[0].startswith("- ") else ""
    return textwrap.fill(
        " ".join(pieces), 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _table(found: Results, title: str, label: Any) -> Iterator[str]:
    yield ""
    yield f"| {title} | FID | KID | colorfulness |"
    yield "|---|---|---|---|"
    for name, row in found["rows"].items():
        yield f"| {label(name)} | {_with_error(row)} | {_kid(row)} | {row['colorfulness']:.1f} |"


def _with_error(row: Results) -> str:
    spread = f" +- {row['fid_std']:.2f} over samplings" if row["fid_std"] is not None else ""
    return f"{row['fid']:.2f}{spread} (standard error {row['standard_error']:.2f})"


def _kid(row: Results) -> str:
    return f"{row['kid']:.4f} +- {row['kid_standard_error']:.4f}"


def _picture(results: Results, variants: Results) -> bytes:
    """Draws four panels: bits of variants, FID by lambda, FID by K, table 2."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    table = {name: row for name, row in claims.bits(variants).items() if not name.startswith("lambda")}
    names = sorted(table, key=lambda name: -np.mean(list(table[name].values())))
    for place, name in enumerate(names):
        for seed, value in table[name].items():
            first.plot(value, place, "o" if seed else "s", color="C1" if name == _FULL else "C0")
    first.set(
        yticks=range(len(names)),
        yticklabels=names,
        xlabel="held-out bits per pixel (squares: seed 0)",
        title="figure 3: variants",
    )
    for axes, part, title in (
        (second, "figure4", "figure 4: lambda"),
        (third, "figure6", "figure 6: top-K"),
        (fourth, "table2", "table 2"),
    ):
        rows = results.get(part, {}).get("rows", {})
        axes.set_visible(bool(rows))
        labels = [name.removeprefix("K ") for name in rows]
        errors = [row["standard_error"] for row in rows.values()]
        axes.barh(labels[::-1], [row["fid"] for row in rows.values()][::-1], xerr=errors[::-1], color="C0", alpha=0.8)
        axes.set(xlabel="FID, random features", title=title)
    for axes in (first, second, third, fourth):
        axes.grid(alpha=0.3, axis="x")
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, metadata={"Software": None})
    return buffer.getvalue()


# (title, part whose result the section shows, or None for the variants', section)
_SECTIONS: tuple[tuple[str, str | None, Section], ...] = (
    ("What a colorizer must beat", "baselines", _baselines),
    ("Conditional layers (figure 3)", None, _figure3),
    ("Weight of the parallel head (figure 4)", "figure4", _figure4),
    ("Moving average of the weights (figure 6, left)", None, _averages),
    ("Top-K sampling (figure 6, right)", "figure6", _figure6),
    ("Table 2", "table2", _table2),
    ("Exact sampler and the release's", "pooling", _pooling),
    ("Colors of the model in the box", "quality", _quality),
)

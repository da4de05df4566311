"""coltran-colorize colors photos of any size. `coltran-colorize --help` says how to use it.

It reads, colorizes and writes photos batch by batch. So it never needs more memory than for one batch, however many
photos there are.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coltran import cli, folder_lock, storage
from coltran.images import colors, encoding
from coltran.images.contact_sheet import contact_sheet, thumbnail
from coltran.images.decoding import ImageRejected
from coltran.images.formats import heic_hint
from coltran.photos import batches, inputs, outputs, recolor
from coltran.photos.arguments import BATCH_SIZE, IMAGENET, PROG, Options, parse
from coltran.photos.batches import Photo
from coltran.photos.inputs import FoundPhotos, PhotoFile
from coltran.sampling import certainty as certainties
from coltran.walking import describe_passed_over
from coltran.weights import built_in
from coltran.weights.kinds import WEIGHTS

if TYPE_CHECKING:
    from coltran.sampling.pipeline import ColorizationPipeline

REJECTED_STATUS = 1
_SHEET_SIDE = 256
_SHEET_SAMPLES = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What happened to the files; found = colorized + len(rejects) + the sum of passed_over.

    Attributes:
      read, colorized: numbers of photos.
      rejects: `source`, `reason` and `message` of each photo that was not colorized.
      passed_over: the number of other files in the given folders, by reason.
      sheet: path of the contact sheet, or None.
      shown: how many photos it shows.
    """

    read: int
    colorized: int
    rejects: list[dict[str, str]]
    passed_over: Mapping[str, int]
    sheet: str | None
    shown: int


def run(options: Options) -> Summary:
    """Colorizes all photos. Raises UserError for what the user can correct. Bad files are no error."""
    storage.check_access(options.out)
    found = inputs.find_photos(options.inputs, options.out, skip_unreadable=options.skip_unreadable)
    model = _load_model(options)
    with folder_lock.held(storage.join(options.out, folder_lock.LOCK)):
        # It is better to know before the work whether we can write there.
        outputs.claim(options.out, outputs.names_of_all([file.name for file in found.photos], options))
        _write(options, outputs.REJECTS, b"")
        return _colorize_all(options, found, model)


def _colorize_all(options: Options, found: FoundPhotos, model: ColorizationPipeline) -> Summary:
    files = found.photos
    rejects: list[dict[str, str]] = []
    rows: list[list[np.ndarray]] = []
    captions: list[str] = []
    colorized = 0
    with cli.progress_bar(len(files), "colorize", "photos") as bar:

        def reject(file: PhotoFile, error: ImageRejected) -> None:
            rejects.append({"source": file.path, "reason": error.reason, "message": str(error)})
            bar.write(f"{PROG}: {_printable(file.path)}: {error.reason}, {error}", file=sys.stderr)
            bar.update()

        for batch in batches.batches(files, lambda file: batches.load(file, options, model), model.batch_size, reject):
            for photo, (colored, certainty) in zip(batch, batches.colorize(batch, options, model), strict=True):
                if photo.note:
                    bar.write(f"{PROG}: {_printable(photo.file.path)}: {photo.note}", file=sys.stderr)
                cells = _write_photo(options, photo, colored, certainty)
                if len(rows) < options.sheet:
                    rows.append(cells)
                    captions.append(_printable(photo.file.name))
                colorized += 1
                bar.update()
    if colorized + len(rejects) != len(files):
        raise RuntimeError(f"{len(files)} photos, but {colorized} colorized and {len(rejects)} rejected")
    _write_rejects(options, rejects)
    if rows and len(rows) < colorized:
        captions[-1] += f"  ({_share(len(rows), colorized)})"
    sheet = _write_sheet(options, rows, captions)
    return Summary(
        read=len(files),
        colorized=colorized,
        rejects=rejects,
        passed_over=found.passed_over,
        sheet=sheet,
        shown=len(rows),
    )


def _share(shown: int, colorized: int) -> str:
    return f"{shown} of {colorized} photos"


def _load_model(options: Options) -> ColorizationPipeline:
    from coltran.weights import maturity

    networks: dict[str, str | Path | None] = {
        "colorizer": options.colorizer,
        "color_upsampler": options.color_upsampler,
        "spatial_upsampler": options.spatial_upsampler,
    }
    if options.weights == IMAGENET:
        from coltran.release import public

        networks = dict(public.fetch())
    elif options.colorizer is None:
        networks = dict.fromkeys(("colorizer", "color_upsampler"), built_in.NAME)
    for line in maturity.doubts(networks):
        print(f"{PROG}: {line}", file=sys.stderr)
    # These import JAX, which takes seconds. A folder without a network is refused before.
    from coltran.sampling.pipeline import ColorizationPipeline
    from coltran.sampling.programs import images_at_once
    from coltran.sampling.sampler import SamplerOptions

    return ColorizationPipeline.load(
        **networks,
        batch_size=options.batch_size or images_at_once(BATCH_SIZE),
        weights=WEIGHTS[0] if options.weights == IMAGENET else options.weights,
        compute_dtype=options.compute_dtype,
        options=SamplerOptions(
            mode=options.mode, temperature=options.temperature, top_k=options.top_k, window=options.window
        ),
    )


def _write_photo(options: Options, photo: Photo, colored: np.ndarray, certainty: np.ndarray) -> list[np.ndarray]:
    """Writes a photo's results. Returns its row of the contact sheet: gray, samples, with --uncertainty also certainty.

    Only one full-size image is in memory at a time.
    """
    shape = photo.rgb.shape[:2]
    gray = np.rint(colors.luma(thumbnail(photo.rgb, _SHEET_SIDE)))
    cells = [np.repeat(gray[..., None].astype(np.uint8), 3, axis=-1)]
    for sample, color in enumerate(colored):
        rgb = recolor.recolor(photo.rgb, color)
        names = outputs.names_of_sample(photo.file.name, sample, options)
        _write(options, names["photo"], encoding.encode(rgb, options.format))
        if sample < _SHEET_SAMPLES:
            cells.append(thumbnail(rgb, _SHEET_SIDE))
        if options.uncertainty:
            picture = certainties.certainty_map(certainty[sample], aspect=shape[1] / shape[0])
            _write(options, names["map"], picture)
            _write(options, names["numbers"], certainties.certainty_array(certainty[sample]))
    if options.uncertainty:
        cells.append(thumbnail(certainties.certainty_colors(certainty[0]), _SHEET_SIDE, shape))
    return cells


def _write_sheet(options: Options, rows: list[list[np.ndarray]], captions: list[str]) -> str | None:
    """Writes the contact sheet and returns its path, or None if there is nothing to show."""
    if not rows:
        return None
    certainty = ["certainty 0"] if options.uncertainty else []
    samples = [f"sample {index}" for index in range(len(rows[0]) - 1 - len(certainty))]
    return _write(
        options, outputs.CONTACT_SHEET, contact_sheet(rows, ["gray", *samples, *certainty], captions=captions)
    )


def _write_rejects(options: Options, rejects: list[dict[str, str]]) -> None:
    """Writes rejects.jsonl as coltran-preprocess does. Removes it if there are no rejects."""
    lines = [json.dumps(line, sort_keys=True) + "\n" for line in sorted(rejects, key=lambda line: line["source"])]
    if lines:
        _write(options, outputs.REJECTS, "".join(lines).encode())
    else:
        storage.remove(storage.join(options.out, outputs.REJECTS))


def _write(options: Options, name: str, data: bytes) -> str:
    path = storage.join(options.out, *name.split("/"))
    storage.write_bytes(path, data)
    return path


def _printable(text: str) -> str:
    """Makes a file's name printable on one line of a terminal, whatever is in it."""
    return text if text.isprintable() else ascii(text)


def report(summary: Summary, options: Options) -> Iterator[str]:
    """Yields the lines that the command prints at its end."""
    colorized = f"{summary.colorized} colorized x {options.samples} sample{'s' if options.samples > 1 else ''}"
    photos_read = f"{summary.read} photo{'s' if summary.read > 1 else ''}"
    yield f"{photos_read}: {colorized}, {len(summary.rejects)} rejected"
    passed_over = describe_passed_over(summary.passed_over)
    if passed_over:
        yield passed_over + heic_hint(summary.passed_over)
    rows = [("folder", options.out)]
    if options.weights == IMAGENET:
        rows.append(("model", "the public release's, trained on ImageNet (gs://gresearch/coltran)"))
    elif options.colorizer in (None, built_in.NAME):
        rows.append(("model", built_in.DESCRIPTION))
    if summary.sheet:
        share = f" ({_share(summary.shown, summary.colorized)})" if summary.shown < summary.colorized else ""
        rows.append(("contact sheet", summary.sheet + share))
    if summary.rejects:
        rows.append(("rejected", storage.join(options.out, outputs.REJECTS)))
    yield cli.table(rows)


def _command(argv: Sequence[str] | None) -> int:
    options = parse(argv)
    summary = run(options)
    for line in report(summary, options):
        print(line)
    return REJECTED_STATUS if summary.rejects else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs coltran-colorize and returns the exit status."""
    return cli.run_command(PROG, lambda: _command(argv), rerun="to start over: photos that are done are made again")


if __name__ == "__main__":
    raise SystemExit(main())

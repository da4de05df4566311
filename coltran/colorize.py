"""coltran-colorize colors photos of any size. `coltran-colorize --help` says how to use it.

It reads, colorizes and writes photos batch by batch. So it never needs more memory than for one batch, however many
photos there are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from coltran import cli, folder_lock, storage
from coltran.errors import UserError
from coltran.images import colors, decoding, encoding
from coltran.images.contact_sheet import contact_sheet, thumbnail
from coltran.images.decoding import ImageRejected
from coltran.images.formats import heic_hint
from coltran.photos import inputs, outputs, recolor
from coltran.photos.arguments import BATCH_SIZE, IMAGENET, PROG, Options, parse
from coltran.photos.inputs import FoundPhotos, PhotoFile
from coltran.photos.recolor import GrayInputs
from coltran.sampling import certainty as certainties
from coltran.walking import describe_passed_over
from coltran.weights import built_in
from coltran.weights.kinds import WEIGHTS

if TYPE_CHECKING:
    from coltran.sampling.pipeline import ColorizationPipeline

REJECTED_STATUS = 1
_BATCH_PIXELS = 50_000_000  # of photos in memory at once; a larger photo is a batch of its own
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Photo:
    """A decoded photo with its file, uint8 [H, W, 3] pixels, record key, what the networks see of it, and a note."""

    file: PhotoFile
    rgb: np.ndarray
    key: str
    gray: GrayInputs
    note: str


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

        for batch in _batches(files, lambda file: _load(file, options, model), model.batch_size, reject):
            for photo, (colored, certainty) in zip(batch, _colorize(batch, options, model), strict=True):
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
    from coltran.sampling.pipeline import ColorizationPipeline
    from coltran.sampling.programs import images_at_once
    from coltran.sampling.sampler import SamplerOptions
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
    return ColorizationPipeline.load(
        **networks,
        batch_size=options.batch_size or images_at_once(BATCH_SIZE),
        weights=WEIGHTS[0] if options.weights == IMAGENET else options.weights,
        compute_dtype=options.compute_dtype,
        options=SamplerOptions(
            mode=options.mode, temperature=options.temperature, top_k=options.top_k, window=options.window
        ),
    )


def _batches(
    files: Sequence[PhotoFile],
    load: Callable[[PhotoFile], _Photo],
    batch_size: int,
    reject: Callable[[PhotoFile, ImageRejected], None],
) -> Iterator[list[_Photo]]:
    """Yields loaded photos, at most `batch_size` at a time and, if more than one, at most _BATCH_PIXELS."""
    batch: list[_Photo] = []
    for file in files:
        try:
            photo = load(file)
        except ImageRejected as error:
            reject(file, error)
            continue
        pixels = sum(other.rgb.size for other in [*batch, photo]) // 3
        if len(batch) == batch_size or (batch and pixels > _BATCH_PIXELS):
            yield batch
            batch = []
        batch.append(photo)
    if batch:
        yield batch


def _load(file: PhotoFile, options: Options, model: ColorizationPipeline) -> _Photo:
    """Reads and decodes a photo. Raises ImageRejected if it cannot be used."""
    try:
        data = storage.read_bytes(file.path)
    except (UserError, OSError) as error:
        raise ImageRejected("unreadable", str(error).removeprefix(f"{file.path}: ")) from error
    decoded = decoding.decode(data, max_pixels=options.max_pixels, min_side=1)
    rgb = decoded.rgb
    if options.format == "jpeg" and max(rgb.shape[:2]) > encoding.MAX_JPEG_SIDE:
        height, width = rgb.shape[:2]
        raise ImageRejected("too_large", f"{width}x{height} pixels, more than a JPEG file can hold; use --format png")
    assert model.size is not None  # every pipeline with a colorizer has a size
    gray = recolor.gray_inputs(rgb, model.size, model.size_hi, options.fit)
    return _Photo(file=file, rgb=rgb, key=hashlib.sha256(data).hexdigest(), gray=gray, note=decoded.note)


def _colorize(
    batch: list[_Photo], options: Options, model: ColorizationPipeline
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each photo's colors uint8 [K, h, w, 3] and certainty float32 [K, h, w], cut to the photo's part."""
    # The samples of a photo follow each other, so that the photo is encoded only once.
    rows = [photo.gray for photo in batch for _ in range(options.samples)]
    high = [gray.hi for gray in rows if gray.hi is not None]
    result = model.colorize(
        np.stack([gray.lo for gray in rows]),
        np.stack(high) if high else None,
        keys=[photo.key for photo in batch for _ in range(options.samples)],
        sample_indices=list(range(options.samples)) * len(batch),
        seed=options.seed,
    )
    colored, certainty = result.rgb_lo if result.rgb_hi is None else result.rgb_hi, result.max_probability
    assert certainty is not None  # because a colorizer ran
    for first, photo in zip(range(0, len(rows), options.samples), batch, strict=True):
        samples = slice(first, first + options.samples)
        yield (
            np.stack([photo.gray.crop(image) for image in colored[samples]]),
            np.stack([photo.gray.crop(image) for image in certainty[samples]]),
        )


def _write_photo(options: Options, photo: _Photo, colored: np.ndarray, certainty: np.ndarray) -> list[np.ndarray]:
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

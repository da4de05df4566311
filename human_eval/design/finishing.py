"""Finishes a study folder: public images in the order of their names, the leak audit, the answer key, COMPLETED.

This is the last step of the pipeline. It may run twice, and it needs no driver: `prepare` leaves the design and its key
in private/next, and `complete` puts them in their places once all images are there. A worker without the driver's disk
finishes the images (on gs://), and the driver the rest.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

from coltran import storage
from coltran.errors import UserError
from coltran.records.folder import COMPLETED
from human_eval.design import leak_audit
from human_eval.folder import layout, opaque_files
from human_eval.folder.forms import Form
from human_eval.folder.layout import StudyDesign

_STAGING = pathlib.PurePath("private", "images")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study and its images are.

    Attributes:
      study: the study folder.
      staging: folder of images that are on their way, local or gs://.
      images: folder of the public images, local or gs://.
      expected: number of images that are written this time.
    """

    study: str
    staging: str
    images: str
    expected: int


def prepare(out: pathlib.Path, design: StudyDesign, *, expected: int) -> Place:
    """Writes design and answer key where they wait for the images, and returns where everything is."""
    key = layout.load_names_key(out, design)
    layout.private_file(out / layout.NEXT / layout.KEY.name, layout.key_csv(key, design.forms))
    layout.private_file(out / layout.NEXT / layout.DESIGN.name, design.to_json())
    images = design.sources["images"]
    staging = images.rstrip("/") + "-staging" if images else os.path.abspath(out / _STAGING)
    images = images or os.path.abspath(out / layout.IMAGES)
    return Place(study=os.path.abspath(out), staging=staging, images=images, expected=expected)


def has_images(place: Place, forms: Sequence[Form], key: bytes) -> bool:
    """Returns whether an earlier run has written all public images, as on gs:// after its driver died."""
    if not storage.is_gcs(place.images) or storage.is_folder(place.staging) or not storage.is_folder(place.images):
        return False
    there = {name for name, _ in storage.list_files(place.images)}
    return all(name in there for _, pair in layout.image_pairs(key, forms) for name in pair)


def finish(_: int, place: Place, key: bytes) -> None:
    """Makes the public images from the staged ones, and completes the study folder if this machine sees it."""
    if storage.is_folder(place.staging):
        _publish(place, key)
    if (pathlib.Path(place.study) / layout.SECRET).is_file():
        complete(pathlib.Path(place.study))


def _publish(place: Place, key: bytes) -> None:
    staged = sorted(name for name, _ in storage.list_files(place.staging) if name.endswith(".png"))
    if len(staged) < place.expected:
        raise UserError(f"{place.staging}: holds {len(staged)} images, expected {place.expected}; run it again")
    # Inodes, times and generation numbers follow the order of writing, so this must be the order of the names.
    for name in staged:
        pixels = opaque_files.decode(storage.read_bytes(storage.join(place.staging, name)))
        data = opaque_files.encode_public(pixels, key, name)
        storage.write_bytes(storage.join(place.images, name), data, durable=False)
    storage.remove_folder(place.staging)


def complete(out: pathlib.Path) -> None:
    """Audits the study in private/next, and makes it the folder's study. Without such a study it does nothing.

    Raises:
      UserError: the leak audit found a leak.
    """
    waiting = out / layout.NEXT / layout.DESIGN.name
    if waiting.is_file():
        design = layout.read_design(waiting)
        leak_audit.remove_strangers(out, design)
        layout.level_times(out / "public")
        leak_audit.refuse_leaks(out, design)
        for path in _in_order(out):
            path.replace(out / "private" / path.name)
    shutil.rmtree(out / layout.NEXT, ignore_errors=True)
    (out / COMPLETED).touch()


def _in_order(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields the waiting files. The key comes first, so that no design is ever without its key."""
    for name in (layout.KEY.name, layout.DESIGN.name):
        if (path := out / layout.NEXT / name).is_file():
            yield path

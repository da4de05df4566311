"""What the tests of coltran-study design share: a small study, and how to read its files."""

import csv
import io

SIZE = ("--images=6", "--block=3", "--practice=2", "--catch=0.3")


CONSENT = [f"--{name}=of the tests" for name in ("researcher", "contact", "ethics", "withdrawal")]


def read_key(folder) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "private" / "key.csv").read_text())))


def public_files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "public").rglob("*.*")}

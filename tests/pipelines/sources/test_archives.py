"""Archives as people's tools write them: every entry is written, rejected or passed over, by its own name."""

import io
import json
import stat
import tarfile
import zipfile

import pytest

from coltran.errors import UserError
from coltran.records import folder as record_folder, schema
from pipelines import preprocess
from pipelines.sources import index as source_index
from tests.conftest import encoded, smooth_photo

PHOTOS = {
    f"{wnid}/{wnid}_{number}.JPEG": encoded(smooth_photo(number, 40, 50))
    for number, wnid in enumerate(["n01440764", "n01443537"] * 3)
}
KEYS = sorted(f"train/{name.removesuffix('.JPEG')}" for name in PHOTOS)
MAC = b"\0\5\x16\7" + bytes(80)  # what macOS keeps in `._` files


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar_of(members, kind: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def photos(prefix: str = "") -> list:
    return [member(prefix + name, data) for name, data in PHOTOS.items()]


def class_tars(prefix: str = "") -> list:
    wnids = sorted({name[:9] for name in PHOTOS})
    inner = {
        wnid: [member(name[10:], data) for name, data in PHOTOS.items() if name.startswith(wnid)] for wnid in wnids
    }
    return [member(f"{prefix}{wnid}.tar", tar_of(inner[wnid])) for wnid in wnids]


def folder_entry(name: str):
    return member(name, kind=tarfile.DIRTYPE)


LONG = "x" * 120 + "/" + "y" * 90 + "/"
WHOLE = {  # name: (members or bytes, what is passed over); all hold the six photos under their usual keys
    "a folder first": ([folder_entry("train"), *photos("train/")], {}),
    "a folder of class tars": ([folder_entry("all"), *class_tars("all/")], {}),
    "a text before class tars": ([member("README.txt", b"read me"), *class_tars()], {".txt": 1}),
    "class tars and a sum": ([*class_tars(), member("MD5SUMS", b"0")], {"without suffix": 1}),
    "macOS": ([e for m in photos() for e in (member(m[0].name.replace("/", "/._"), MAC), m)], {"hidden": 6}),
    "macOS around class tars": ([e for m in class_tars() for e in (member("._" + m[0].name, MAC), m)], {"hidden": 2}),
    "dots": (photos("./"), {}),
    "dots and split": (photos("./train/"), {}),
    "backslashes": ([member("train\\" + name.replace("/", "\\"), data) for name, data in PHOTOS.items()], {}),
    "other entries": (
        [*photos(), member("pipe.JPEG", kind=tarfile.FIFOTYPE), member("disk.JPEG", kind=tarfile.BLKTYPE)],
        {"device or other special file": 2},
    ),
    "a symbolic link to a photo": (
        [*photos(), member("n01440764/again.JPEG", kind=tarfile.SYMTYPE, linkname="n01440764_0.JPEG")],
        {"link to what is listed already": 1},
    ),
    "a symbolic link to a folder": (
        [*photos(), member("again", kind=tarfile.SYMTYPE, linkname="n01440764")],
        {"link to what is listed already": 1},
    ),
    "joined tars": (tar_of(photos()[:3]) + tar_of(photos()[3:]), {}),
    "no end mark": (tar_of(photos()).rstrip(b"\0") + bytes(512), {}),
    "something after the end": (tar_of(photos()) + b"signature" * 100, {"bytes after a tar's end": 1}),
    "an inner tar in capitals": ([member(m.name.replace(".tar", ".TAR"), data) for m, data in class_tars()], {}),
    "tars in tars in a tar": ([member("all.tar", tar_of(class_tars()))], {}),
}


def write_source(folder, made) -> str:
    path = folder / "my_train.tar"
    path.write_bytes(made if isinstance(made, bytes) else tar_of(made))
    return str(path)


@pytest.mark.parametrize("name", WHOLE)
def test_tars_that_hold_six_photos(name, tmp_path):
    made, passed_over = WHOLE[name]
    index = source_index.index_images(write_source(tmp_path, made), "train")
    found = {ref.key.replace("/all/", "/").replace("/x.tar", ""): ref for ref in index.images}
    assert sorted(found) == KEYS
    assert index.passed_over == passed_over
    assert {ref.label for ref in index.images} == {0, 1}
    for key, ref in found.items():
        with open(ref.path, "rb") as file:
            file.seek(ref.place[1])
            assert file.read(ref.size) == PHOTOS[key.removeprefix("train/") + ".JPEG"]


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_by_either_standard(kind, tmp_path):
    (tmp_path / "a.tar").write_bytes(tar_of(photos(LONG), kind))
    index = source_index.index_images(str(tmp_path / "a.tar"), "train")
    assert sorted(ref.key for ref in index.images) == sorted(
        f"train/{LONG}{key.removeprefix('train/')}" for key in KEYS
    )


def run(tmp_path, source, *more) -> tuple[int, dict[str, str], list[str], dict[str, int]]:
    """(status, reasons by the end of the source's name, keys, passed over) of a job that allows any rejects."""
    out = tmp_path / "out"
    arguments = ["--source", str(source), "--out", str(out), "--hi=32", "--lo=16", "--max_reject_fraction=0.9", *more]
    status = preprocess.main(arguments)
    lines = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    opened = record_folder.open_folder(str(out))
    counts = opened.manifest.counts
    assert counts["read"] == counts["written"] + counts["rejected"]
    names = [line["source"].rpartition("/")[2].rpartition(":")[2] for line in lines]
    reasons = {name: f"{line['reason']}, {line['message']}" for name, line in zip(names, lines, strict=True)}
    return status, reasons, [v[schema.KEY] for v in opened.read([schema.KEY])], opened.manifest.passed_over


def test_what_cannot_be_taken_from_a_tar_is_rejected_by_name(tmp_path):
    sparse = member("sparse.JPEG", bytes(512), tarfile.GNUTYPE_SPARSE)
    made = [
        *photos(),
        member("../outside.JPEG", PHOTOS["n01440764/n01440764_0.JPEG"]),
        member("/absolute.JPEG", PHOTOS["n01440764/n01440764_0.JPEG"]),
        member("C:\\drive.JPEG", PHOTOS["n01440764/n01440764_0.JPEG"]),
        member("n01440764/nothing.JPEG", kind=tarfile.SYMTYPE, linkname="../elsewhere.JPEG"),
        member("n01440764/round.JPEG", kind=tarfile.SYMTYPE, linkname="round.JPEG"),
        member("n01440764/second_name.JPEG", kind=tarfile.LNKTYPE, linkname="n01440764/n01440764_0.JPEG"),
        member("blob", PHOTOS["n01443537/n01443537_1.JPEG"]),
        member("by_link.JPEG", kind=tarfile.SYMTYPE, linkname="blob"),
        sparse,
    ]
    status, reasons, keys, passed_over = run(tmp_path, write_source(tmp_path, made))
    assert status == 0
    assert {name: reason.partition(",")[0] for name, reason in reasons.items()} == {
        "outside.JPEG": "unsafe_name",
        "absolute.JPEG": "unsafe_name",
        "drive.JPEG": "unsafe_name",
        "nothing.JPEG": "unsupported_entry",
        "round.JPEG": "unsupported_entry",
        "sparse.JPEG": "unsupported_entry",
    }
    assert "sparse file" in reasons["sparse.JPEG"]
    assert "'../elsewhere.JPEG', which is not in the tar" in reasons["nothing.JPEG"]
    assert sorted(keys) == sorted([*KEYS, "train/n01440764/second_name", "train/by_link"])
    assert passed_over == {"without suffix": 1}


def _headers(data: bytes) -> list[int]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [info.offset for info in archive.getmembers()]


@pytest.mark.parametrize("which", [0, 1, 3, 5])
def test_a_damaged_header_loses_nothing_silently(which, tmp_path):
    """Python's reader ends a tar at a damaged header as if nothing followed."""
    data = bytearray(tar_of(photos()))
    data[_headers(bytes(data))[which] + 3] ^= 0x55
    with pytest.raises(UserError, match=r"the tar is damaged .*get it again|is none of them, or damaged"):
        source_index.index_images(write_source(tmp_path, bytes(data)), "train")


def test_a_damaged_inner_tar_is_named(tmp_path):
    made = class_tars()
    made[1] = member(made[1][0].name, b"no tar" * 200)
    with pytest.raises(UserError, match=r"n01443537.tar in it: the tar is damaged"):
        source_index.index_images(write_source(tmp_path, made), "train")
    import gzip

    made[1] = member(made[1][0].name, gzip.compress(class_tars()[1][1]))
    with pytest.raises(UserError, match=r"n01443537.tar in it: is compressed \(gzip\)"):
        source_index.index_images(write_source(tmp_path, made), "train")


def zip_of(path, entries, *, packing=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def test_a_zip_of_windows_keeps_its_splits(tmp_path):
    """Backslashes; without them the validation images would be training images of no class."""
    source = tmp_path / "all.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for name, data in PHOTOS.items():
            info = zipfile.ZipInfo("train/" + name)
            info.filename, info.create_system = "train\\" + name.replace("/", "\\"), 0
            archive.writestr(info, data)
        for name in ("val\\ILSVRC2012_val_00000001.JPEG", "val\\"):
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system = name, 0
            archive.writestr(info, encoded(smooth_photo(9, 40, 50)) if name.endswith("G") else b"")
    index = source_index.index_images(str(source), "train")
    assert sorted(ref.key for ref in index.images) == KEYS
    assert index.passed_over == {"of split validation": 1}
    assert [ref.key for ref in source_index.index_images(str(source), "validation").images] == [
        "validation/ILSVRC2012_val_00000001"
    ]


def damaged(data: bytes, name: bytes, by: int) -> bytes:
    """One byte of a member's content changed, `by` behind its name."""
    place = data.index(name) + len(name) + by
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_members_crc_is_checked(packing, tmp_path):
    noise = encoded(smooth_photo(3, 60, 60), "BMP")  # a changed pixel is a picture still
    path = zip_of(tmp_path / "a.zip", [("a.bmp", noise), ("b.bmp", noise), ("c.JPEG", PHOTOS[next(iter(PHOTOS))])])
    whole = path.read_bytes()
    if packing == zipfile.ZIP_STORED:
        path.write_bytes(damaged(whole, b"b.bmp", 3000))
    else:  # the sizes and CRC of another file
        with zipfile.ZipFile(path, "w", packing) as archive:
            archive.writestr("a.bmp", noise)
            archive.writestr("b.bmp", noise)
            archive.infolist()[1].CRC ^= 1
            archive.writestr("c.JPEG", PHOTOS[next(iter(PHOTOS))])
    status, reasons, keys, _ = run(tmp_path, path)
    assert (status, sorted(keys)) == (0, ["train/a", "train/c"])
    assert list(reasons) == ["b.bmp"]
    assert "CRC-32" in reasons["b.bmp"]


def test_what_cannot_be_taken_from_a_zip_is_rejected_by_name(tmp_path):
    path = tmp_path / "a.zip"
    photo = PHOTOS["n01440764/n01440764_0.JPEG"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.JPEG", photo)
        archive.writestr("squeezed.JPEG", photo, zipfile.ZIP_LZMA)
        archive.writestr("squeezed.txt", "a text", zipfile.ZIP_LZMA)
        archive.writestr("a/../../b/outside.JPEG", photo)
        archive.writestr("larger.JPEG", photo, zipfile.ZIP_DEFLATED)
        archive.infolist()[-1].file_size -= 1
        archive.writestr("bomb.JPEG", bytes(50_000_000), zipfile.ZIP_DEFLATED)
        archive.infolist()[-1].file_size = 1000
        link = zipfile.ZipInfo("link.JPEG")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "good.JPEG")
        archive.writestr("__MACOSX/._good.JPEG", MAC)
        archive.writestr("secret.JPEG", photo)
        archive.infolist()[-1].flag_bits |= 1
    status, reasons, keys, passed_over = run(tmp_path, path)
    assert (status, keys) == (0, ["train/good"])
    assert "packed by LZMA" in reasons["squeezed.JPEG"]
    assert "encrypted" in reasons["secret.JPEG"]
    assert "leads out" in reasons["outside.JPEG"]
    assert "unpacked it has" in reasons["larger.JPEG"]
    assert "unpacked it has 1001 bytes" in reasons["bomb.JPEG"]
    assert len(reasons) == 5
    assert passed_over == {".txt": 1, "symbolic link": 1, "system file": 1}


def test_a_refused_entry_takes_no_photos_key(tmp_path):
    photo = PHOTOS["n01440764/n01440764_0.JPEG"]
    path = zip_of(tmp_path / "a.zip", [("../a.JPEG", photo), ("a.JPEG", photo)])
    status, reasons, keys, _ = run(tmp_path, path)
    assert (status, keys, list(reasons)) == (0, ["train/a"], ["a.JPEG"])

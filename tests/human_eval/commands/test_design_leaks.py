"""The audit of coltran-study design finds what tells a rater more than the pixels do."""

import shutil

import pytest
from PIL import Image

from human_eval import study
from human_eval.answers import key as answer_key
from human_eval.design import leak_audit
from human_eval.folder import layout
from tests.human_eval.commands.designs import CONSENT, read_key


def test_the_audit_finds_leaks_that_are_put_in(designed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(designed, copy, copy_function=shutil.copy2)
    design = layout.load_design(copy)
    assert list(leak_audit.find_leaks(copy, design)) == []
    rows = read_key(copy)
    images = copy / "public" / "images"
    (copy / "public" / "note.html").write_text(f"<!-- {rows[0]['key']} wrong_colors -->")
    longer, tagged = (images / row["file"] for row in rows[:2])
    longer.write_bytes(longer.read_bytes() + b"longer")
    Image.open(tagged).save(tagged, dpi=(72, 72))
    (images / "stranger.png").write_bytes(b"")
    leaks = "\n".join(leak_audit.find_leaks(copy, design))
    assert f"holds the source name {rows[0]['key']}" in leaks
    assert "holds the class n0" in leaks
    assert "holds the model wrong_colors" in leaks
    assert f"trial {rows[0]['trial']}: its two files differ in length" in leaks
    assert f"trial {rows[1]['trial']}" in leaks
    assert "stranger.png: belongs to no trial" in leaks
    assert "different time stamps" in leaks


def test_the_audit_finds_metadata_even_where_lengths_agree(designed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(designed, copy, copy_function=shutil.copy2)
    path = next((copy / "public" / "images").iterdir())
    path.write_bytes(path.read_bytes().replace(b"IHDR", b"tEXt"))
    leaks = "\n".join(leak_audit.find_leaks(copy, layout.load_design(copy)))
    assert f"{path.name}: holds metadata (tEXt)" in leaks


@pytest.mark.parametrize("name", ["{:04d}", "image{}", "=1+{}"])
def test_short_keys_words_and_formulas_are_no_leaks(name, new_folders, tmp_path):
    truth, fakes = new_folders(20)
    for folder in (truth, fakes):
        for path in sorted(folder.iterdir()):
            path.rename(path.with_name(name.format(int(path.stem)) + path.suffix))
    out = tmp_path / "study"
    sizes = ["--images=12", "--block=6", "--practice=2", "--catch=0.2"]
    assert (
        study.main(["design", f"--truth={truth}", f"--colorized={fakes}", "--seed=1", *sizes, *CONSENT, f"--out={out}"])
        == 0
    )
    for kind in ("static", "mturk", "turkle"):
        assert study.main(["export", f"--study={out}", f"--format={kind}", "--image_url=https://x.example.org/"]) == 0
    cells = {row["key"] for row in read_key(out)}
    assert not any(cell.startswith("=") for cell in cells)
    assert {pair.key for pair in answer_key.load(out).pairs.values()} <= {name.format(n) for n in range(20)}
    (out / "public" / "index.html").write_text(
        f"<p>{sorted(pair.key for pair in answer_key.load(out).pairs.values())[0]}</p>"
    )
    if name != "image{}":
        assert any("source name" in leak for leak in leak_audit.find_leaks(out, layout.load_design(out)))

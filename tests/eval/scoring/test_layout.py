"""A run of coltran-fid replaces nobody's file."""

import pytest

from coltran.errors import UserError
from eval.scoring.layout import Layout


@pytest.mark.parametrize(
    ("present", "refused"),
    [
        ([], False),
        (["report.html"], True),
        (["photo.png", "rows.csv"], True),
        (["fid.json", "report.html"], False),
        (["features/a.npz"], False),
        (["_work/plan.json", "photo.png"], False),
    ],
)
def test_a_folder_of_other_files_is_refused(present, refused, tmp_path):
    for name in present:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    layout = Layout(out=str(tmp_path), features=str(tmp_path / "features"))
    if refused:
        with pytest.raises(UserError, match="is not empty and was not made by coltran-fid"):
            layout.refuse_other_files()
    else:
        layout.refuse_other_files()

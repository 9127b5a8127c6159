"""What is found below a folder, and under which spelling."""

import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ushydra_lab.data.io import files
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

CLUTTER = (
    *("._a.png", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "__MACOSX/a.png", "__MACOSX/deep/a.png"),
    *(".git/annex/objects/a.png", "@eaDir/a.png", "$RECYCLE.BIN/a.png", "~$a.xlsx", "sub/._b.png", ".hidden/a.png"),
)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def names(root: Path, *suffixes: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files.files(root, *suffixes)]


def test_what_systems_leave_beside_data_is_no_data(tmp_path: Path) -> None:
    touch(tmp_path, *CLUTTER, "a.png", "sub/b.PNG", "sub/c.txt")
    assert names(tmp_path) == ["a.png", "sub/b.PNG", "sub/c.txt"]
    assert names(tmp_path, ".png") == ["a.png", "sub/b.PNG"]


def test_links_inside_the_folder_are_followed_once_and_others_not(tmp_path: Path) -> None:
    root, outside = tmp_path / "data", tmp_path / "outside"
    touch(root, "real/a.png", ".git/annex/objects/x")
    touch(outside, "secret.png")
    (root / "b.png").symlink_to(".git/annex/objects/x")
    (root / "gone.png").symlink_to(".git/annex/objects/not_fetched")
    (root / "again").symlink_to("real")
    (root / "real" / "loop").symlink_to("..")
    (root / "elsewhere").symlink_to(outside)
    assert names(root) == ["b.png", "gone.png", "real/a.png"]
    (root / "store").mkdir()
    touch(root, "store/c.png")
    (root / "store").rename(root / ".store")
    (root / "linked").symlink_to(".store")
    assert names(root) == ["b.png", "gone.png", "linked/c.png", "real/a.png"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
        files.files(tmp_path)


@given(st.lists(st.sampled_from(("Zürich", "a", "éèñ", "Å", "가")), min_size=1, max_size=3), st.booleans())
def test_a_path_is_found_whether_its_letters_are_composed_or_not(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], composed: bool
) -> None:
    root = tmp_path_factory.mktemp("spelt")
    on_disk, asked = ("NFC", "NFD") if composed else ("NFD", "NFC")
    path = root.joinpath(*(unicodedata.normalize(on_disk, part) for part in parts))
    path.mkdir(parents=True)
    assert files.spelt(root.joinpath(*(unicodedata.normalize(asked, part) for part in parts))) == path


def test_a_path_that_is_there_as_written_stays_so_and_one_that_is_not_too(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "ü.png") for form in ("NFC", "NFD"))
    touch(tmp_path, composed)
    assert files.spelt(tmp_path / decomposed) == tmp_path / composed
    touch(tmp_path, decomposed)
    assert files.spelt(tmp_path / decomposed) == tmp_path / decomposed
    assert files.spelt(tmp_path / "ö.png") == tmp_path / "ö.png"


def test_images_of_a_manifest_are_found_by_name_and_through_the_annex_of_the_repository(tmp_path: Path) -> None:
    root = tmp_path / "repository" / "hospital"
    touch(root, "../.git/annex/objects/x", "../../secret.png")
    for place in (
        root / "../.git/annex/objects/x",
        root / unicodedata.normalize("NFD", "ü.png"),
        tmp_path / "secret.png",
    ):
        Image.new("L", (20, 10), len(place.name)).save(place, format="png")
    (root / "a.png").symlink_to("../.git/annex/objects/x")
    table = pd.DataFrame(
        {"image": ["a.png", unicodedata.normalize("NFC", "ü.png")], "site": "A", "subject": ["1", "2"]}
    )
    assert len(check_manifest(Source(table, "t", root)).table) == 2
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UserError, match="leads out of"):
        check_manifest(Source(table.assign(image=["out.png", "a.png"]), "t", root))

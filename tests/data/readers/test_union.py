"""Sources with words, colours and subjects of their own, as one data set."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.data.io.mask_codes import JoinedCodes
from ushydra_lab.data.manifest import Manifest, check_manifest
from ushydra_lab.data.readers import dicom, hc18, manifest_csv, union, video
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

from . import layouts
from .test_echonet import write_video

Reader = Callable[[], Source]
SIZE = (30, 40)


def clinic(
    folder: Path, structures: Mapping[str, int], sites: tuple[str, ...] = ("east", "west"), **cells: Any
) -> Reader:
    """Two subjects a site, 1 and 2, two images each, with a mask that shows every structure in a row of its own."""
    folder.mkdir()
    rows = []
    for site in sites:
        for subject in (1, 2):
            for k in range(2):
                name = f"{site}_{subject}_{k}.png"
                rng = np.random.default_rng([*folder.name.encode(), *name.encode()])
                Image.fromarray(rng.integers(0, 256, SIZE, dtype=np.uint8)).save(folder / name)
                mask = np.zeros(SIZE, np.uint8)
                for row, value in enumerate(structures.values()):
                    mask[row, 3:9] = value
                Image.fromarray(mask).save(folder / f"mask_{name}")
                rows.append({"image": name, "site": site, "subject": subject, "mask": f"mask_{name}"} | cells)
    pd.DataFrame(rows).to_csv(folder / "m.csv", index=False)
    return partial(manifest_csv.read, folder / "m.csv", structures)


@pytest.fixture
def readers(tmp_path: Path) -> dict[str, Reader]:
    """One structure is 1 here and 2 there, where 1 is something else, under another name."""
    return {
        "one": clinic(tmp_path / "one", {"lv": 1}, quality="high"),
        "two": clinic(tmp_path / "two", {"atrium": 1, "endo": 2}, ("north",), plane="brain"),
    }


def joined(readers: dict[str, Reader], **harmonise: Mapping[str, Any]) -> Manifest:
    return check_manifest(union.read(readers, harmonise))


def mask_labels(manifest: Manifest, row: int) -> list[int]:
    assert isinstance(manifest.masks, JoinedCodes)
    path = Path(manifest.table["mask"].iloc[row])
    return manifest.masks.at(path).decode(path.read_bytes())[:3, 5].tolist()


def test_each_mask_is_read_by_the_colours_of_its_source_and_labelled_alike(readers: dict[str, Reader]) -> None:
    manifest = joined(readers, two={"structure": {"endo": "lv"}})
    last = len(manifest.table) - 1
    assert manifest.table["shows"].iloc[[0, last]].tolist() == ["lv", "lv+atrium"]
    assert (mask_labels(manifest, 0), mask_labels(manifest, last)) == ([1, 0, 0], [2, 1, 0])
    chosen = manifest.with_structures(["lv"])
    assert (mask_labels(chosen, 0), mask_labels(chosen, last)) == ([1, 0, 0], [0, 1, 0])


def test_a_structure_that_a_source_does_not_show_is_no_background_there(readers: dict[str, Reader]) -> None:
    manifest = joined(readers)
    with pytest.raises(UserError, match=r"(?s)data.sources.one: .*not 'atrium'.*leave the source out|one: .*not 'atri"):
        manifest.with_structures(["atrium"])


def test_structures_of_one_name_are_joined(readers: dict[str, Reader]) -> None:
    manifest = joined(readers, two={"structure": {"endo": "lv", "atrium": "lv"}})
    assert manifest.with_structures(["lv"]).masks is not None
    assert mask_labels(manifest, len(manifest.table) - 1) == [1, 1, 0]


def test_words_become_common_ones_and_rows_are_chosen(readers: dict[str, Reader]) -> None:
    table = joined(
        readers,
        one={"site": {"east": "Europe"}, "quality": {"high": "medium"}, "crop": [1, 2, 30, 20], "pixel_mm": 0.2},
        two={"site": "Asia", "quality": "low", "part": "train", "only": {"subject": [2]}},
    ).table
    assert table.groupby(["data_set", "site", "quality"]).size().to_dict() == {
        ("one", "Europe", "medium"): 4,
        ("one", "west", "medium"): 4,
        ("two", "Asia", "low"): 2,
    }
    one = table["data_set"] == "one"
    assert table.loc[one, ["crop_x1", "crop_y2", "pixel_mm"]].drop_duplicates().to_numpy().tolist() == [[1, 20, 0.2]]
    assert table.loc[~one, ["crop_x1", "pixel_mm"]].isna().all(axis=None)
    assert table["part"].tolist() == [""] * 8 + ["train"] * 2


def test_subjects_of_two_sources_or_of_merged_sites_are_never_one(readers: dict[str, Reader]) -> None:
    apart = joined(readers).table
    assert sorted(apart["subject"].unique()) == ["1", "2"]
    merged = joined(readers, one={"site": "all"}, two={"site": "all"}).table
    assert merged["subject"].nunique() == 6
    assert set(merged["site"]) == {"all"}


def test_a_site_of_two_sources_has_to_be_meant(readers: dict[str, Reader]) -> None:
    with pytest.raises(UserError, match=r"site 'north' is in one and two; name it by data.sources.two.site"):
        joined(readers, one={"site": "north"})


def test_all_problems_of_all_sources_are_told_at_once_with_key_and_remedy(
    readers: dict[str, Reader], tmp_path: Path
) -> None:
    (tmp_path / "bare.csv").write_text("image,site\na.png,b\n")
    bad = readers | {
        "three": partial(manifest_csv.read, path=tmp_path / "none.csv"),
        "four": partial(manifest_csv.read, path=tmp_path / "bare.csv"),
        "five": partial(hc18.read),
    }
    settings: dict[str, Mapping[str, Any]] = {
        "one": {"quality": "hihg", "site": {"eats": "x"}, "crop": [1, 2]},
        "two": {"structure": {"edno": "lv"}, "only": {"plan": "brain"}, "part": {"": "tset"}},
    }
    with pytest.raises(UserError) as caught:
        union.read(bad, settings)
    text = str(caught.value)
    for told in (
        "data.sources.one: ",
        "quality=hihg: not one of low, medium, high (did you mean 'high'?)",
        "site: no row has 'eats' (did you mean 'east'?)",
        "crop=[1, 2]: four edges",
        "data.sources.two: ",
        "not 'edno' (did you mean 'endo'?)",
        "only: no column 'plan' (did you mean 'plane'?)",
        "part=tset: not one of",
        "data.sources.three: ",
        "(data.sources.three.path=...)",
        "data.sources.four: ",
        "column 'subject' is missing",
        "data.sources.five: missing a required argument: 'root'",
    ):
        assert told in text


def test_rows_are_named_by_line_and_source_and_alike_ones_stand_apart(
    readers: dict[str, Reader], tmp_path: Path
) -> None:
    for name in ("one/east_1_0.png", "two/north_2_1.png"):
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match=r"(?s)line 2 of one \(east_1_0.png\).*line 5 of two \(north_2_1.png\)"):
        joined(readers)


def test_a_path_may_not_lead_out_of_its_own_source(readers: dict[str, Reader], tmp_path: Path) -> None:
    sheet = tmp_path / "two" / "m.csv"
    sheet.write_text(sheet.read_text().replace("north_1_0.png,north", "../one/east_1_0.png,north", 1))
    with pytest.raises(UserError, match=r"data.sources.two: (?s:.*)image leads out of"):
        joined(readers)


def test_one_image_in_two_sources_is_refused(readers: dict[str, Reader], tmp_path: Path) -> None:
    (tmp_path / "two" / "north_1_0.png").write_bytes((tmp_path / "one" / "east_1_0.png").read_bytes())
    with pytest.raises(UserError, match=r"of two .*same content as line 2 of one .*another subject"):
        joined(readers)


def test_what_one_source_may_lack_another_may_not(readers: dict[str, Reader], tmp_path: Path) -> None:
    home = tmp_path / "hc18"
    (home / "training_set").mkdir(parents=True)
    header = "filename,pixel size(mm),head circumference (mm)\n"
    (home / hc18.TRAIN).write_text(header + "001_HC.png,0.1,200\n002_HC.png,0.1,200\n")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)).save(
        home / "training_set" / "001_HC.png"
    )
    outline = np.zeros((200, 200), np.uint8)
    down, across = np.indices(outline.shape)
    radius = np.hypot((across - 99.5) / 60, (down - 99.5) / 40)
    outline[np.abs(radius - 1) < 0.03] = 255
    Image.fromarray(outline).save(home / "training_set" / "001_HC_Annotation.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)).save(
        home / "training_set" / "001_HC.png"
    )
    sources = readers | {"heads": partial(hc18.read, home)}
    manifest = joined(sources)
    assert (manifest.table["data_set"] == "heads").sum() == 1
    row = int(np.flatnonzero(manifest.table["data_set"] == "heads")[0])
    label = list(manifest.masks.structures).index("head") + 1 if manifest.masks else 0
    path = Path(manifest.table["mask"].iloc[row])
    assert manifest.masks is not None
    assert set(np.unique(manifest.masks.at(path).decode(path.read_bytes()))) == {0, label}
    (tmp_path / "one" / "east_1_0.png").unlink()
    with pytest.raises(UserError, match=r"line 2 of one"):
        joined(sources)


def test_one_source_is_no_union(readers: dict[str, Reader]) -> None:
    with pytest.raises(UserError, match="two sources at least"):
        union.read({"one": readers["one"]})


def test_dicom_files_and_videos_are_sources_with_annotations_from_their_tables(
    readers: dict[str, Reader], tmp_path: Path
) -> None:
    layouts.write(tmp_path / "scans" / "a.dcm", layouts.study(PatientID="1"))
    layouts.write(tmp_path / "scans" / "b.dcm", layouts.study(layouts.scene(9), PatientID="2"))
    (tmp_path / "scans.csv").write_text("image,site,quality,nt_x1,nt_y1,nt_x2,nt_y2\na.dcm,south,low,12,10,30,30\n")
    (tmp_path / "films").mkdir()
    write_video(tmp_path / "films" / "1.avi")
    (tmp_path / "films.csv").write_text("image,frame,subject,quality\n1.avi,3,1,good\n1.avi,9,1,bad\n")
    cache, key = tmp_path / "cache", tmp_path / "key"
    sources = readers | {
        "scans": partial(dicom.read, tmp_path / "scans", cache, "clinic", key, annotations=tmp_path / "scans.csv"),
        "films": partial(video.read, tmp_path / "films", cache, tmp_path / "films.csv", "lab"),
    }
    manifest = joined(sources, films={"quality": {"good": "high", "bad": "low"}})
    added = manifest.table[manifest.table["data_set"].isin(["scans", "films"])]
    assert added["site"].tolist() == ["south", "lab", "lab"]
    assert added["quality"].tolist() == ["low", "high", "low"]
    assert added["nt_x1"].iloc[0] == 12 - layouts.BOX[0]
    assert added.groupby(["site", "subject"]).ngroups == 2
    (tmp_path / "films.csv").write_text("image,frame\n1.avi,x\n")
    with pytest.raises(UserError, match=r"data.sources.films: .*films.csv: rows that fit no image\s+- line 2: frame"):
        joined(sources)

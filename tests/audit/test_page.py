import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.audit import page, report
from ushydra_lab.audit.flags import Finding
from ushydra_lab.audit.report import Report
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

Write = Callable[..., pd.DataFrame]


@pytest.fixture
def found(write_images: Write, tmp_path: Path) -> Report:
    """Three images, the first again as a near-duplicate under a name that is a script."""
    table = write_images({"a": 3}, size=(60, 80)).assign(pixel_mm=0.2)
    name = "a/<script>alert(1)<!-- & \"'.png"
    Image.fromarray(np.clip(np.array(Image.open(tmp_path / "a/0.png")) * 0.9 + 9, 0, 255).astype("u1")).save(
        tmp_path / name
    )
    table = pd.concat([table, table.iloc[:1].assign(image=name, subject="<script>x</script>")], ignore_index=True)
    return report.audit(Source(table, "<b>set</b>", tmp_path))


def near_duplicates(found: Report) -> Finding:
    return next(finding for finding in found.findings if finding.kind == "near_duplicates")


def test_names_with_markup_are_inert(found: Report) -> None:
    html = page.render(found)
    assert len(near_duplicates(found).flags) == 1
    assert "<script" not in html
    assert "<b>set" not in html
    assert "&lt;script&gt;alert(1)&lt;!-- &amp; &#34;&#39;.png" in html


def test_the_page_needs_nothing_else_and_begins_with_the_verdict(found: Report) -> None:
    html = page.render(found)
    assert all(
        link.startswith(("#", "data:image/jpeg;base64,")) for link in re.findall(r'(?:src|href)="([^"]*)"', html)
    )
    assert "url(" not in html
    assert html.count("data:image/jpeg;base64,") == 3 + 2
    assert html.index("Usable, 2 rows to look at") < html.index("local use") < html.index("<h2")


def test_some_images_of_every_site_are_always_shown(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 7, "b": 1, "c": 2}).assign(operator="x")
    (tmp_path / "c/0.png").unlink()
    html = page.render(report.audit(Source(table, "m", tmp_path, partial=True)))
    samples = html[html.index("Samples</h2>") : html.index("<section>")]
    shown = re.findall(r"<figcaption>(.*?)</figcaption>", samples)
    names = ["a/0", "a/3", "a/6", "b/0", "c/1"]
    assert [re.search(r"\((.*)\.png\)", text)[1] for text in shown] == names  # type: ignore[index]
    assert samples.count("data:image/jpeg;base64,") == len(names)
    assert "have no meaning here: operator." in html


def test_rows_that_are_left_out_are_counted_with_their_reason(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 9})
    for k in range(7):
        (tmp_path / f"a/{k}.png").write_text("no image")
    html = page.render(report.audit(Source(table, "m", tmp_path, partial=True)))
    assert "Left out: 7</h2>" in html
    assert "row 0 (a/0.png): " in html
    assert "and 6 alike: row 1 (a/1.png)" in html


def test_contact_sheets_and_lists_are_cut_and_say_so(found: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_IMAGES", 2)
    monkeypatch.setattr(page, "MOST_LINES", 1)
    finding = near_duplicates(found)
    finding.flags.extend(finding.flags * 2)
    html = page.render(found)
    assert html.count("data:image/jpeg;base64,") == 3 + 2
    assert "3 flagged, the first 1 here" in html
    assert "pictures of 2 rows" in html


def test_a_second_page_replaces_the_first_but_nothing_of_others(found: Report, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "set"
    page.write(found, folder)
    (folder / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"holds what the check did not make \(notes.txt\)"):
        page.write(found, folder)
    (folder / "notes.txt").unlink()
    (folder / "index.html").write_text("stale")
    assert page.write(found, folder) == folder / "index.html"
    assert sorted(p.name for p in folder.iterdir()) == [page.MARK, "flags.csv", "index.html"]
    assert [p.name for p in folder.parent.iterdir()] == ["set"]
    assert list(pd.read_csv(folder / "flags.csv")["kind"]) == ["near_duplicates", "near_duplicates"]


def test_a_folder_that_the_check_did_not_make_is_left_alone(found: Report, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match=r"mine: holds what the check did not make; choose another folder with --out"):
        page.write(found, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_thumbnails_show_annotations_where_they_are(found: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    from ushydra_lab.audit import overlay

    drawn = overlay.thumbnail(found.examined, None, 0)
    plain = overlay.thumbnail(
        report.checks.Examined(found.examined.table.drop(columns=["nt_x1"]), [], [], [], found.examined.paths, [], []),
        None,
        0,
    )
    import base64
    import io

    one, other = (np.array(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))), int) for uri in (drawn, plain))
    changed = np.argwhere(np.abs(one - other).sum(axis=2) > 150)
    assert changed.min(axis=0) == pytest.approx([5, 4], abs=1)
    assert changed.max(axis=0) == pytest.approx([53, 74], abs=1)

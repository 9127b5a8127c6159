import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.audit import density, page, report
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import ANNOTATIONS

LANDMARKS = ANNOTATIONS["landmarks"]
FRACTIONS = np.array([[0.2, 0.5], [0.8, 0.5], [0.5, 0.1], [0.5, 0.9]])


@pytest.fixture
def table() -> pd.DataFrame:
    """Ten images of 800 x 400 px at site a, five of 200 x 300 px at site b, with the same places in the frame."""
    frames = [("a", 10, 800.0, 400.0), ("b", 5, 200.0, 300.0)]
    rows = [
        [site, width, height, *(FRACTIONS * [width, height]).ravel()]
        for site, count, width, height in frames
        for _ in range(count)
    ]
    named = pd.DataFrame(rows, columns=["site", "width", "height", *LANDMARKS.columns])
    return named.assign(image=[f"secret{k}.png" for k in range(15)], subject="secret")


def test_sites_of_different_image_sizes_are_compared_in_the_same_frame(table: pd.DataFrame) -> None:
    found = density.panels(table, LANDMARKS)
    assert {site: panel.places.shape for site, panel in found.items()} == {"a": (10, 4, 2), "b": (5, 4, 2)}
    for panel in found.values():
        np.testing.assert_allclose(panel.places, np.broadcast_to(FRACTIONS, panel.places.shape))
    assert [panel.aspect for panel in found.values()] == [0.5, 1.5]


def colour_at(table: pd.DataFrame, site: str, x: float, y: float) -> str:
    """Hexadecimal colour of the dot nearest to this place of the drawn panel."""
    figure = density.draw(density.panels(table, LANDMARKS), ["OFD_1", "OFD_2", "BPD_1", "BPD_2"])
    axis = next(axis for axis in figure.axes if axis.get_title().startswith(f"{site}: "))
    (dots,) = axis.collections
    nearest = np.linalg.norm(np.asarray(dots.get_offsets()) - [x, y], axis=1).argmin()
    return "#" + bytes((255 * dots.get_facecolor()[nearest, :3]).round().astype("u1")).hex()


def test_a_site_that_swaps_ends_or_columns_swaps_colours_and_the_other_does_not(table: pd.DataFrame) -> None:
    blue, vermilion, green, _ = list(density.colours_of(range(4)).values())
    assert colour_at(table, "b", 0.2, 0.5) == blue
    rows, (first, second, third, fourth) = table["site"] == "b", np.split(np.array(LANDMARKS.columns), 4)
    ends, columns = table.copy(), table.copy()
    ends.loc[rows, [*first, *second]] = table.loc[rows, [*second, *first]].to_numpy()
    columns.loc[rows, list(LANDMARKS.columns)] = table.loc[rows, [*third, *fourth, *first, *second]].to_numpy()
    assert colour_at(ends, "b", 0.2, 0.5) == vermilion
    assert colour_at(columns, "b", 0.2, 0.5) == green
    assert colour_at(ends, "a", 0.2, 0.5) == colour_at(columns, "a", 0.2, 0.5) == blue


def test_missing_landmarks_and_images_are_left_out_and_the_others_counted(table: pd.DataFrame) -> None:
    table.loc[0, list(LANDMARKS.columns)] = np.nan
    table.loc[1, ["ofd_1_x", "ofd_1_y"]] = np.nan
    table.loc[2, ["width", "height"]] = np.nan
    table.loc[10:, list(LANDMARKS.columns)] = np.nan
    (axis,) = density.draw(density.panels(table, LANDMARKS), ["OFD_1", "OFD_2", "BPD_1", "BPD_2"]).axes
    assert axis.get_title() == "a: 8 images"
    assert len(axis.collections[0].get_offsets()) == 4 * 8 - 1


def test_landmarks_outside_their_image_are_drawn_at_its_edge(table: pd.DataFrame) -> None:
    table.loc[3, ["ofd_1_x", "ofd_1_y"]] = [9999, -5]
    axis = density.draw(density.panels(table, LANDMARKS), ["OFD_1", "OFD_2", "BPD_1", "BPD_2"]).axes[0]
    assert [1, 0] in np.asarray(axis.collections[0].get_offsets()).tolist()


def test_a_data_set_without_landmarks_has_no_figure(table: pd.DataFrame) -> None:
    assert density.pictures(table.drop(columns=list(LANDMARKS.columns))) == {}
    assert density.pictures(table.assign(**dict.fromkeys(LANDMARKS.columns, np.nan))) == {}


def test_the_same_data_make_the_same_bytes_whatever_the_files_and_subjects_are_called(table: pd.DataFrame) -> None:
    once = density.pictures(table)
    assert once == density.pictures(table.assign(image="other.png", subject="other"))
    assert Image.open(io.BytesIO(base64.b64decode(once["landmarks"].split(",")[1]))).width > 500


@pytest.mark.parametrize("sites", [1, 5, 9])
def test_any_number_of_sites_has_a_panel_each(table: pd.DataFrame, sites: int) -> None:
    many = pd.concat([table.assign(site=f"$hospital_{k}$") for k in range(sites)])
    assert len(density.draw(density.panels(many, LANDMARKS), ["OFD_1", "OFD_2", "BPD_1", "BPD_2"]).axes) == sites
    assert set(density.pictures(many)) == {"landmarks"}


def test_the_page_has_the_figure_of_its_landmarks(head_rows: pd.DataFrame, tmp_path: Path) -> None:
    rows = head_rows.drop(columns="mask").iloc[[0, 1, 30, 31]]
    html = page.render(report.audit(Source(rows, "heads", tmp_path)))
    (uri,) = re.findall(r'<img class="density" src="([^"]*)"', html)
    assert uri.startswith("data:image/png;base64,")
    bare = rows.drop(columns=list(LANDMARKS.columns))
    assert 'class="density"' not in page.render(report.audit(Source(bare, "heads", tmp_path)))

"""Where images were routed, and what that cost, is counted over the images themselves."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.report.document import Table
from ushydra_lab.report.sections.routing import confusion, decoders_table, draw, qualities_in, routers_table, section


@pytest.fixture
def images() -> pd.DataFrame:
    """Of the qualities low and high, and of none that has a decoder (-1); a router that errs once in four images."""
    tables = []
    for method, wrong in (("routed", 4), ("oracle", 0)):
        for seed in (1, 2):
            domain = np.tile([0, 1, -1, 1], 10)
            route = np.where(domain < 0, 1, domain)
            if wrong:
                route[::wrong] = 1 - route[::wrong]
            scores = np.column_stack([0.9 - 0.1 * domain, 0.5 + 0.3 * domain])
            score = scores[np.arange(40), route]
            known = domain >= 0
            own = np.where(known, scores[np.arange(40), domain], np.nan)
            table = pd.DataFrame({"domain": domain, "route": route, "score": score, "regret": own - score})
            tables.append(
                table.assign(
                    score_low=scores[:, 0], score_high=scores[:, 1], regret_best=scores.max(1) - score,
                    router_hit=np.where(known, route == domain, np.nan), site=np.where(domain == 0, "a", "b"),
                    seed=seed, method=method, stage="route",
                )
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def test_the_routers_table_tells_hits_of_each_quality_and_what_missing_them_cost(images: pd.DataFrame) -> None:
    first, second = routers_table(images, qualities_in(images)).to_dict("records")
    assert first["routed as labelled"] == "0.667 ± 0.000"  # all 10 of low are wrong, all 20 of high right
    assert (first["... of low"], first["... of high"]) == ("0.000 ± 0.000", "1.000 ± 0.000")
    assert first["regret"] == f"{(0.9 - 0.5) / 3:.3f} ± 0.000"
    assert (second["routed as labelled"], second["regret"]) == ("1.000 ± 0.000", "0.000 ± 0.000")


def test_every_image_is_counted_once_by_its_quality_and_its_decoder(images: pd.DataFrame) -> None:
    routed = images[images["method"] == "routed"]
    assert confusion(routed, ["low", "high"]).tolist() == [[0, 20], [0, 40], [0, 20]]
    first, second = draw(images, ["low", "high"]).axes
    assert (first.get_title(), second.get_title()) == ("routed", "oracle")
    assert [text.get_text() for text in first.texts] == ["0", "20", "0", "40", "0", "20"]


def test_decoders_stand_side_by_side_on_the_images_of_every_site(images: pd.DataFrame) -> None:
    table = decoders_table(images, ["low", "high"])
    row = table[(table["method"] == "routed") & (table["images of"] == "a")].iloc[0]
    assert (row["by low"], row["by high"]) == ("0.900 ± 0.000", "0.500 ± 0.000")
    assert set(table["method"]) == {"routed"}  # the oracle has the same decoders


def test_runs_without_decoders_have_no_section(images: pd.DataFrame, tmp_path: Path) -> None:
    assert section(images.drop(columns=["score_low", "score_high"]), tmp_path / "a") == []
    assert section(images.assign(score_low=np.nan), tmp_path / "a") == []
    tables = [block for block in section(images, tmp_path / "a") if isinstance(block, Table)]
    assert len(tables) == 2
    assert {path.name for path in tmp_path.iterdir()} == {
        "a_decoders.csv", "a_routers.csv", "a_routes.pdf", "a_routes.png",
    }  # fmt: skip

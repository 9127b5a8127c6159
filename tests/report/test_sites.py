"""Over all held-out sites: every site counts alike, and the worst one is named in the metric's own direction."""

from pathlib import Path

import pandas as pd
import pytest

from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections.sites import section
from ushydra_lab.results.collect import collect

from .. import fake_runs

VALUES = {"clinic": (30.0, 0.03), "lab": (20.0, 0.01), "mobile": (28.0, 0.02)}
"""PSNR (dB) and ROI-MAE."""


def write_run(root: Path, held_out: str, images: int, seed: int = 1) -> Path:
    """A run on some images of the held-out site, all alike but for the first, which is 1 dB better and as bad."""
    psnr, mae = VALUES[held_out]
    table = pd.DataFrame({"part": "test", "record": range(images), "site": held_out})
    table = table.assign(psnr_content=psnr + seed + (table["record"] == 0), roi_mae=mae)
    others = pd.DataFrame({"record": range(900, 903), "site": list(VALUES), "part": "train"})
    split = pd.concat([table[["record", "site", "part"]], others]).assign(subject="s")
    run = root / "exp" / held_out / f"seed{seed}" / "v"
    return fake_runs.write(run, {"train": f"{held_out}{seed}"}, table, split)


def test_sites_count_alike_however_many_images_they_have_and_the_worst_is_named(tmp_path: Path) -> None:
    for held_out, images in (("clinic", 1), ("lab", 100), ("mobile", 1)):
        for seed in (1, 3):
            write_run(tmp_path, held_out, images, seed)
    folder = tmp_path / "exp" / "report"
    folder.mkdir()
    text = markdown.render(section(collect(tmp_path / "exp"), folder))
    rows = pd.read_csv(folder / "sites.csv", dtype=str).set_index("metric")
    of_sites = pd.Series([33.0, 22.01, 31.0])
    assert rows.loc["PSNR (dB) ↑", "mean over sites"] == f"{of_sites.mean():.2f} ± {of_sites.std():.2f}"
    assert rows.loc["PSNR (dB) ↑", ["worst site", "there"]].tolist() == ["lab", "22.01"]
    assert rows.loc["ROI-MAE ↓", ["worst site", "there"]].tolist() == ["clinic", "0.03000"]
    assert rows["sites"].tolist() == ["3", "3"]
    assert "Over 3 held-out sites" in text


@pytest.mark.parametrize("held_out", [["clinic"], []])
def test_one_site_is_no_table(tmp_path: Path, held_out: list[str]) -> None:
    for site in held_out:
        write_run(tmp_path, site, 2)
    folds = write_run(tmp_path, "lab", 2)
    folds.parents[1].rename(tmp_path / "exp" / "random")
    assert section(collect(tmp_path / "exp"), tmp_path) == []

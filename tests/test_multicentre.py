"""The multicentre benchmark on generated look-alikes: every site and machine held out in turn, in one report."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.report.build import report
from ushydra_lab.runs.run import Run

from .small_systems import train

SITES = ("Aloka", "HC18", "Voluson_E6")
SUBJECTS = 10
WIDTH, HEIGHT = 96, 64
TINY = [
    "+experiment=biometry_multicentre", "scale=laptop", "canvas=[32,48]", "network.widths=[2,4,8]", "panel_images=1",
    "logger.mode=disabled", "stages.pretrain.max_epochs=1", "stages.train.max_epochs=1", "data.fp_by_machine=true",
    "stages.pretrain.instead.data.images_per_site=4", "stages.pretrain.instead.data.sites=2",
]  # fmt: skip
HEAD = "image_name,scale,center_w,center_h,ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y"
WRONG = 3
"""Subject of FP whose BPD is a third of the OFD."""


def write(root: Path) -> Path:
    """An image of a bright ellipse for every subject, its ends in CSVs of the published layout; two machines of FP."""
    rng = np.random.default_rng(0)
    machines = ["Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train "]
    for site, folder, name in (("HC18", "multicentre_HC18", "{:03}_HC"), ("FP", "FP", "Patient{:05}_Plane3_1_of_1")):
        lines = [f"{HEAD},SubjectID,px_to_mm_rate,Algo,Split"]
        for k in range(SUBJECTS):
            a = rng.uniform(15, 22)
            b = a * rng.uniform(0.7, 0.85)
            x, y = rng.uniform(25, 70), rng.uniform(20, 44)
            yy, xx = np.mgrid[:HEIGHT, :WIDTH] + 0.5
            inside = ((xx - x) / a) ** 2 + ((yy - y) / b) ** 2 < 1
            grey = rng.normal(60 + 120 * inside, 20).clip(0, 255).astype(np.uint8)
            (root / "images" / site).mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey).save(root / "images" / site / f"{name.format(k)}.png")
            b = a / 3 if (site, k) == ("FP", WRONG) else b
            ends = (x - a, y, x + a, y, x, y - b, x, y + b)
            cells = ",".join(f"{px - 0.5:.2f}" for px in ends)
            part = "Test" if k == 0 else "Train"
            lines.append(f"{name.format(k)}.png,1,{WIDTH / 2},{HEIGHT / 2},{cells},{k},0.2,,{part}")
            if site == "FP":
                machines.append(f"{name.format(k)};{k};;;;{('Aloka', 'Voluson E6')[k % 2]};1")
        (root / folder).mkdir()
        (root / folder / "Head.csv").write_text("\n".join(lines) + "\n")
    (root / "FETAL_PLANES_DB_data.csv").write_text("\n".join(machines) + "\n")
    return root


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Held-out site -> its run of the arm `phantom_scale`."""
    root = tmp_path_factory.mktemp("multicentre")
    data = write(root / "data")
    places = [f"data.root='{data}'", "data.images={HC18: images/HC18, FP: images/FP}", f"run_root='{root / 'runs'}'"]
    return {site: train([*TINY, *places, f"held_out={site}"]) for site in SITES}


def test_every_site_and_machine_has_its_row_in_one_report(runs: dict[str, Path]) -> None:
    experiment = next(iter(runs.values())).parents[2]
    report(experiment)
    table = pd.read_csv(experiment / "report" / "multicentre.csv")
    ours = table[(table["method"] != "not run") & (table["images"] == "all here")].set_index("tested on")
    assert ours["trained on"].to_dict() == {site: ", ".join(sorted({*SITES} - {site})) for site in SITES}
    images = Run(runs["HC18"]).images.query("stage == 'train' and part == 'test'")
    assert ours.loc["HC18", "BPD"] == f"{images['bpd_nme'].mean():.3f}"
    page = (experiment / "report" / "tables.md").read_text()
    assert "UCL is no site of these runs." in page
    assert "BPD/OFD is 0.33" in page


def test_a_run_knows_the_published_part_and_the_flagged_labels_of_all_images(runs: dict[str, Path]) -> None:
    split = Run(runs["HC18"]).split
    assert split.groupby("published_part").size().to_dict() == {"test": 2, "train": 2 * SUBJECTS - 2}
    flagged = split[split["label_flag"] != ""]
    assert flagged[["site", "subject"]].values.tolist() == [["Voluson_E6", str(WRONG)]]
    assert "BPD/OFD is 0.33" in flagged["label_flag"].iloc[0]


def test_what_is_pre_trained_on_has_no_image_of_the_data(runs: dict[str, Path]) -> None:
    keys = {site: Run(run).summary.stages["pretrain"].key for site, run in runs.items()}
    assert len(set(keys.values())) == 1  # trained once, whichever site is held out
    assert Run(runs["HC18"]).config["stages"]["train"]["init"] == "pretrain"

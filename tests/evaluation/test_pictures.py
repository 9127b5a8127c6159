"""A run's own pictures show what they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.evaluation import pictures
from ushydra_lab.tasks.base import Task
from ushydra_lab.training.stage_tasks import build_task

EXTREMES = pictures.EXTREMES


def prepared(manifest: Path, root: Path) -> tuple[Experiment, dict[str, Task], UltrasoundData]:
    register_resolvers()
    chosen = ["+experiment=biometry_multihead", "scale=laptop", "data=manifest", f"data.path='{manifest}'"]
    chosen += ["data.structures={parenchyma: 1, csp: 2, lv: 3}", "held_out=hospital_c", "split.val_fraction=0.2"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        settings = check(compose("config", overrides=[*chosen, "canvas=[168,176]", f"run_root='{root}'"]))
    return settings, {name: build_task(settings, name) for name in settings.stages}, experiment.prepare(settings)[0]


def test_the_ten_hardest_images_are_drawn_worst_first_with_their_record_and_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = phantom.write(
        tmp_path / "heads", "head", 0, dict.fromkeys(phantom.SCENES["head"].machines, 4) | {"hospital_c": 24}
    )
    settings, tasks, data = prepared(file, tmp_path)
    drawn: dict[str, tuple[list[int], list[str]]] = {}
    monkeypatch.setattr(pictures, "EXTREMES", EXTREMES)
    monkeypatch.setattr(
        pictures, "_draw", lambda c, t, batch, f, captions: drawn.update({f.stem: (batch["record"].tolist(), captions)})
    )
    records = [int(row) for row in np.flatnonzero(data.part == "test")]
    table = pd.DataFrame({"stage": "train", "part": "test", "record": records})
    table["nme"] = np.random.default_rng(0).permutation(len(table)) / 1000
    pictures.draw_extremes(settings, tasks, tmp_path / "run", data, table)
    worst = table.sort_values("nme", ascending=False)
    for name, ordered in (("hardest", worst[:10]), ("easiest", worst[::-1][:4])):
        assert drawn[name][0] == ordered["record"].tolist()
        assert drawn[name][1] == [
            f"record {record}: NME {nme:.4f}" for record, nme in zip(ordered["record"], ordered["nme"], strict=True)
        ]


def test_flagged_shows_the_training_images_whose_end_points_are_wrong_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = phantom.write(tmp_path / "heads", "head", 0, dict.fromkeys(phantom.SCENES["head"].machines, 10))
    table = pd.read_csv(file)
    wrong = {site: int(rows[-1]) for site, rows in table.groupby("site").indices.items()}
    for row in wrong.values():  # the second diameter lies upon the first
        for column in ("1_x", "1_y", "2_x", "2_y"):
            table.loc[row, f"bpd_{column}"] = table.loc[row, f"ofd_{column}"]
    table.to_csv(file, index=False)
    settings, tasks, data = prepared(file, tmp_path)
    drawn: dict[str, Any] = {}
    known = pictures._draw_known
    monkeypatch.setattr(
        pictures, "_draw_known", lambda c, t, rows, f: (drawn.update({f.name: rows}), known(c, t, rows, f))
    )
    pictures.draw_landmarks(settings, tasks, tmp_path / "run", data)
    assert (tmp_path / "run" / "figures" / "flagged.png").stat().st_size
    found = {int(one["record"]): caption for row in drawn["flagged.png"] for caption, one in row}
    trained = {row for row in wrong.values() if data.part[row] == "train"}
    assert trained
    assert trained <= found.keys()
    assert wrong["hospital_c"] not in found
    assert all("OFD and BPD meet at 0°" in found[row] for row in trained)
    assert not any(str(tmp_path) in caption or "subject" in caption for caption in found.values())

"""Runs with chosen numbers, as version 0.2.0 left them: without checksums, so that tests may edit their files."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ushydra_lab.data.vocabulary import LABEL_FLAG, PUBLISHED, groups
from ushydra_lab.files import read_table


def write(
    run: Path,
    stages: dict[str, Any],
    images: pd.DataFrame | None = None,
    split: pd.DataFrame | None = None,
    config: dict[str, Any] | None = None,
    **summary: Any,
) -> Path:
    """A run in the directory <experiment>/<held out>/seed<seed>/<variant>; returns that.

    stages: name -> the key of its weights, or what run.json says of it. images: per_image.csv; without a column
    `stage`, that of each stage. None: the run has not come so far. split: of all images; by default of these, each of a
    subject of its own. config, summary: what config.yaml and run.json have besides.
    """
    run.mkdir(parents=True)
    of_stages = {name: stage if isinstance(stage, dict) else {"key": stage} for name, stage in stages.items()}
    content = {"status": "finished", "seed": int(run.parent.name.removeprefix("seed")), "variant": run.name}
    content |= {"settings": run.name, "started": f"{len(list(run.parents[2].rglob('run.json'))):03d}"}
    (run / "run.json").write_text(json.dumps(content | {"stages": of_stages} | summary))
    if images is None:
        return run
    table = images if "stage" in images else pd.concat([images.assign(stage=name) for name in stages])
    table.to_csv(run / "per_image.csv", index=False)
    if split is None:
        split = table[["record", "site", "part"]].drop_duplicates("record")
        split = split.assign(subject=split["record"].map("{:03d}".format))
    split = split if "image" in split else split.assign(image=split["record"].map("{}.png".format))
    besides = [*(column for column in (PUBLISHED, LABEL_FLAG) if column in split), *groups(split)]
    split[["record", "image", "site", "subject", "part", *besides]].to_csv(run / "split.csv", index=False)
    own = {"name": run.parents[2].name, "data": {"_target_": "here.read"}, "network": {}, "scale": "laptop"}
    own |= {"stages": {name: {"task": {}, "max_epochs": 3} for name in stages}}
    (run / "config.yaml").write_text(yaml.safe_dump(own | (config or {}), sort_keys=False))
    return run


def read_texts(file: Path) -> pd.DataFrame:
    """A table that the report wrote, its cells as they were shown, empty ones as NaN."""
    columns = set(pd.read_csv(file, nrows=0).columns)
    return read_table(file, columns, "").replace("", float("nan"))

"""What the competent script makes of its networks: a table per image, and the figures of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ushydra_lab.figures.panels import sample_panel, stage_panel
from ushydra_lab.metrics.caliper import nt_thickness
from ushydra_lab.metrics.reconstruction import reconstruction_metrics
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder

PARTS = ("val", "test")
EXTREMES = {"hardest": 10, "easiest": 4}
OF_SITE = 3
Batch = dict[str, Tensor]
Weights = Mapping[str, Mapping[str, Tensor]]
"""Stage -> the state of the network."""


class Images(Protocol):
    """Images in memory, each with its part, site and record."""

    parts: Any
    sites: Any
    records: Any

    def batch(self, rows: Sequence[int] | np.ndarray) -> Batch: ...

    def rows(self, part: str) -> np.ndarray: ...


@torch.inference_mode()
def evaluate(network: ConvAutoencoder, stages: Weights, images: Images, batch_size: int) -> pd.DataFrame:
    """A row per stage and image of validation and test: the five metrics, and the NT's thickness before and after."""
    tables = []
    for stage, weights in stages.items():
        network.load_state_dict(weights)
        network.eval()
        for part in PARTS:
            rows = images.rows(part)
            for start in range(0, len(rows), batch_size):
                chosen = rows[start : start + batch_size]
                measured = _measure(network, images.batch(chosen))
                values = pd.DataFrame({name: scores.cpu().numpy() for name, scores in measured.items()})
                known = {"record": images.records[chosen], "site": images.sites[chosen]}
                tables.append(values.assign(stage=stage, part=part, **known))
    return pd.concat(tables, ignore_index=True)


def _measure(network: ConvAutoencoder, batch: Batch) -> dict[str, Tensor]:
    image, box, mm = batch["image"], batch["nt_box"], batch["pixel_mm"]
    x_hat = network.with_thumbnail(image)[0]
    before, after = (nt_thickness(x, box) for x in (image, x_hat))
    drift = after - before
    found = reconstruction_metrics(x_hat, image, box, batch["content"])
    return found | {"nt_px": before, "nt_drift_px": drift, "nt_mm": before * mm, "nt_abs_drift_mm": drift.abs() * mm}


def draw(
    network: ConvAutoencoder, stages: Weights, images: Images, table: pd.DataFrame, folder: Path, panels: int
) -> None:
    """Some images of each part and site, and those with the worst and best reconstructions."""
    for part in PARTS:
        _panel(network, stages, images, images.rows(part)[:panels]).savefig(folder / f"{part}.png", dpi=110)
    last = table[(table["stage"] == list(stages)[-1]) & (table["part"] == "test")]
    ordered = last.sort_values("roi_edge_mae")["record"].to_numpy()
    place = {record: row for row, record in enumerate(images.records)}
    for name, records in (("hardest", ordered[::-1]), ("easiest", ordered)):
        rows = [place[record] for record in records[: min(EXTREMES[name], len(records) // 2)]]
        _panel(network, stages, images, rows).savefig(folder / f"{name}.png", dpi=110)
    samples = [_samples(images, site) for site in sorted(set(images.sites))]
    sample_panel(samples).savefig(folder / "sites.png", dpi=110)


@torch.inference_mode()
def _panel(network: ConvAutoencoder, stages: Weights, images: Images, rows: Sequence[int] | np.ndarray) -> Figure:
    batch, pictures = images.batch(rows), dict[str, Any]()
    for stage, weights in stages.items():
        network.load_state_dict(weights)
        x_hat, thumbnail = network.with_thumbnail(batch["image"])
        small = torch.nn.functional.interpolate(thumbnail, x_hat.shape[-2:])
        error = (x_hat - batch["image"]).abs().mul(4).clamp(max=1)
        shown = {"reconstruction": x_hat, "error x 4": error, "from z": small}
        pictures |= {f"{stage}: {name}": values[:, 0].cpu().numpy() for name, values in shown.items()}
    captions = [f"record {images.records[row]}" for row in rows]
    boxes = batch["nt_box"].cpu().numpy()
    return stage_panel(batch["image"][:, 0].cpu().numpy(), boxes, pictures, captions=captions)


def _samples(images: Images, site: str) -> list[tuple[str, Any, Any, dict[str, Any]]]:
    batch = images.batch(np.flatnonzero(images.sites == site)[:OF_SITE])
    shown = batch["image"][:, 0].cpu().numpy(), batch["nt_box"].cpu().numpy()
    return [("" if k else site, image, box[None], {}) for k, (image, box) in enumerate(zip(*shown, strict=True))]

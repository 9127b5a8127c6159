"""The script that a competent user would write instead of an experiment: `python -m ushydra_lab.benchmark.script PLAN`.

It trains the NT autoencoder in two phases for all seeds and variants of a plan, evaluates and draws, with the lab's
network, losses, metrics and figures and nothing of its machinery: no Hydra, no Lightning, no checks, no identity,
nothing that goes on where it was stopped. The images are decoded once and kept in memory.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ushydra_lab.benchmark.plain import batch_as_channels, plain_ms_ssim
from ushydra_lab.benchmark.script_results import draw, evaluate
from ushydra_lab.data.augment import FlipShift
from ushydra_lab.data.io.image import decode
from ushydra_lab.geometry.boxes import box_mask
from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.losses.reconstruction import thumbnail_error
from ushydra_lab.losses.roi import roi_edge, roi_l1
from ushydra_lab.losses.weighting import calibrated_weights, gradient_norms
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.training.memory import keep_freed

Batch = dict[str, Tensor]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CALIBRATED_ON = 8
"""Batches."""


@dataclass(frozen=True)
class Plan:
    """What is to be done. files, parts, sites, records, boxes, mm: of each image, boxes and mm a px native.

    network: settings of `ConvAutoencoder`. variants: name -> terms of Phase 2's loss. epochs: seed -> of "phase1" and
    of each variant. shares: all variants of a seed continue one Phase 1, and images are decoded once; else every job
    begins anew. last: Phase 2's last weights are evaluated, too.
    """

    files: list[str]
    parts: list[str]
    sites: list[str]
    records: list[int]
    boxes: list[list[float]]
    mm: list[float]
    network: dict[str, object]
    canvas: tuple[int, int]
    batch_size: int
    flip: float
    shift: int
    lr: dict[str, float]
    variants: dict[str, list[str]]
    epochs: dict[str, dict[str, int]]
    panels: int
    out: str
    shares: bool = True
    last: bool = False


class Images:
    """All images of a plan as bytes, with what is known of them on the canvas."""

    def __init__(self, plan: Plan) -> None:
        self.parts, self.records = np.array(plan.parts), np.array(plan.records)
        self.sites = np.array(plan.sites)
        with ThreadPoolExecutor() as pool:
            shown = list(pool.map(partial(_on_canvas, plan), range(len(plan.files))))
        self.pixels = torch.from_numpy(np.stack([canvas for canvas, *_ in shown]))[:, None].to(DEVICE)
        names = ("nt_box", "content", "pixel_mm")
        values = zip(*(known for _, *known in shown), strict=True)
        self.known = {
            name: torch.tensor(np.array(of), dtype=torch.float32).to(DEVICE)
            for name, of in zip(names, values, strict=True)
        }

    def batch(self, rows: Sequence[int] | np.ndarray) -> Batch:
        """The images of some rows, (B,1,H,W) in [0, 1], boxes (B,4) in px and mm a px (B,)."""
        index = torch.as_tensor(rows, device=DEVICE)
        return {"image": self.pixels[index].float().div_(255)} | {key: of[index] for key, of in self.known.items()}

    def rows(self, part: str) -> np.ndarray:
        return np.flatnonzero(self.parts == part)


def _on_canvas(plan: Plan, row: int) -> tuple[np.ndarray, np.ndarray, tuple[float, ...], np.ndarray]:
    grey = decode(Path(plan.files[row]).read_bytes()).grey
    fit = Letterbox.fit((grey.shape[0], grey.shape[1]), plan.canvas)
    return fit.apply_image(grey), fit.apply_box(plan.boxes[row]), fit.content, fit.pixel_mm(plan.mm[row])


def losses(network: ConvAutoencoder, batch: Batch, terms: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
    """The terms of the objective, and the auxiliary decoder's loss."""
    image, box = batch["image"], batch["nt_box"]
    x_hat, thumbnail = network.with_thumbnail(image)
    of = {
        "global": lambda: 1 - batch_as_channels(plain_ms_ssim())(x_hat, image),
        "roi_l1": lambda: roi_l1(x_hat, image, box),
        "roi_edge": lambda: roi_edge(x_hat, image, box),
    }
    shown = box_mask(batch["content"], (image.shape[-2], image.shape[-1]))
    return {term: of[term]().mean() for term in terms}, thumbnail_error(thumbnail, image, shown).mean()


class Training:
    """Adam on the terms, weighed by their gradients if there are several; keeps the best and the last weights."""

    def __init__(self, plan: Plan, images: Images, seed: int, terms: Sequence[str], lr: float) -> None:
        self.plan, self.images, self.terms, self.lr = plan, images, terms, lr
        self.rng, self.augment = np.random.default_rng(seed), FlipShift(plan.flip, plan.shift)
        self.curves: list[dict[str, float]] = []
        self.best = (np.inf, dict[str, Tensor]())

    def batches(self) -> Iterator[Batch]:
        """The training images in a new order, augmented."""
        rows = self.rng.permutation(self.images.rows("train"))
        for start in range(0, len(rows), self.plan.batch_size):
            yield self.augment(self.images.batch(rows[start : start + self.plan.batch_size]), self.rng)

    def weights(self, network: ConvAutoencoder) -> Tensor:
        """Of the terms, inverse to their mean gradient norms."""
        if len(self.terms) == 1:
            return torch.ones(1, device=DEVICE)
        parameters = list(network.parameters())
        measured = zip(range(CALIBRATED_ON), self.batches(), strict=False)
        norms = [gradient_norms(losses(network, batch, self.terms)[0], parameters) for _, batch in measured]
        mean = {term: float(np.mean([one[term] for one in norms])) for term in self.terms}
        return calibrated_weights(mean).to(DEVICE)

    def fit(self, network: ConvAutoencoder, epochs: int) -> None:
        """Train the network for so many epochs, and look at the validation images after each."""
        weights = self.weights(network)
        optimizer = torch.optim.Adam(network.parameters(), self.lr, fused=True)
        for _ in range(epochs):
            network.train()
            trained = [self._step(network, optimizer, weights, batch) for batch in self.batches()]
            score = self._validate(network, weights)
            self.curves.append({"train": float(torch.stack(trained).mean()), "val": score})
            if score < self.best[0]:
                self.best = score, copy.deepcopy(network.state_dict())

    def _step(self, network: ConvAutoencoder, optimizer: torch.optim.Adam, weights: Tensor, batch: Batch) -> Tensor:
        optimizer.zero_grad()
        found, auxiliary = losses(network, batch, self.terms)
        total = (weights * torch.stack(list(found.values()))).sum()
        (total + auxiliary).backward()
        optimizer.step()
        return total.detach()

    @torch.inference_mode()
    def _validate(self, network: ConvAutoencoder, weights: Tensor) -> float:
        network.eval()
        rows, total = self.images.rows("val"), 0.0
        for start in range(0, len(rows), self.plan.batch_size):
            batch = self.images.batch(rows[start : start + self.plan.batch_size])
            values = torch.stack(list(losses(network, batch, self.terms)[0].values()))
            total += float((weights * values).sum()) * len(batch["image"])
        return total / len(rows)

    def save(self, folder: Path, name: str) -> None:
        torch.save(self.best[1], folder / f"{name}.pt")
        pd.DataFrame(self.curves).to_csv(folder / f"{name}_curves.csv", index=False)


def new_network(plan: Plan) -> ConvAutoencoder:
    network = ConvAutoencoder(**plan.network)  # type: ignore[arg-type]
    return network.to(DEVICE, memory_format=torch.channels_last)  # type: ignore[call-overload]


def run(plan: Plan) -> None:
    """All jobs of a plan, each in a folder of its own."""
    images, first = Images(plan), dict[str, Training]()
    for seed, epochs in plan.epochs.items():
        for variant, terms in plan.variants.items():
            folder = Path(plan.out) / f"seed{seed}" / variant
            folder.mkdir(parents=True)
            if not plan.shares:
                images, first = Images(plan), {}
            torch.manual_seed(int(seed))
            network = new_network(plan)
            if seed not in first:
                first[seed] = Training(plan, images, int(seed), ["global"], plan.lr["phase1"])
                first[seed].fit(network, epochs["phase1"])
            phase1, phase2 = first[seed], Training(plan, images, int(seed), terms, plan.lr["phase2"])
            network.load_state_dict(phase1.best[1])
            phase2.fit(network, epochs[variant])
            stages = {"phase1": phase1.best[1], "phase2": phase2.best[1]}
            if plan.last:
                stages["phase2_last"] = copy.deepcopy(network.state_dict())
            phase1.save(folder, "phase1")
            phase2.save(folder, "phase2")
            table = evaluate(network, stages, images, plan.batch_size)
            table.to_csv(folder / "per_image.csv", index=False)
            draw(network, stages, images, table, folder, plan.panels)


def main() -> None:
    """Carry out the plan in the JSON file that is named."""
    keep_freed()
    content = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    run(Plan(**content | {"canvas": tuple(content["canvas"])}))


if __name__ == "__main__":
    main()

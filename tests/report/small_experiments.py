"""Small finished runs of every family of experiments, with every column its task emits and the same numbers each time.

Numbers come from `RandomState`, whose streams numpy promises never to change.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import fake_runs

Table = pd.DataFrame
Make = Callable[[np.random.RandomState, Table], Table]
VAL, TEST = 6, 9
"""Images of each seen site that validate, and of the unseen one."""


def write(
    root: Path,
    held_out: str,
    seed: int,
    variant: str,
    stages: dict[str, Make],
    sites: tuple[str, ...] = ("anna", "berta", "clara"),
    tasks: dict[str, dict[str, Any]] | None = None,
    **config: Any,
) -> Path:
    """A run whose stages have the numbers that `stages` make; a stage whose name begins with 'phase1' is shared."""
    unseen = held_out if held_out in sites else ""
    rows = [
        {"site": site, "part": "test" if site == unseen else part, "subject": f"{site}{subject}"}
        for site in sites
        for part, count in ((("test", TEST),) if site == unseen else (("train", 4), ("val", VAL)))
        for number in range(count)
        for subject in [max(number - 1, 0) if part == "val" else number // 2]  # ten validate: as many as bound 90 %
    ]
    split = pd.DataFrame(rows)
    split["record"] = split.index
    known = split[split["part"] != "train"].drop(columns="subject").reset_index(drop=True)
    tables, keys = [], {}
    for name, numbers in stages.items():
        keys[name] = f"{name}-{held_out}-{seed}" + ("" if name in ("phase1", "specialise") else f"-{variant}")
        rng = np.random.RandomState([seed, *keys[name].encode()])
        tables.append(pd.concat([known.assign(stage=name), numbers(rng, known)], axis=1))
    of_stages = {name: {"task": (tasks or {}).get(name, {}), "max_epochs": 3} for name in stages}
    data = {"_target_": "ushydra_lab.data.readers.phantom.read"}
    whole = {"name": root.name, "variant": variant, "seed": seed, "scale": "laptop", "data": data, "network": {}}
    whole |= {"stages": of_stages} | config
    run = root / held_out / f"seed{seed}" / variant
    summary = {name: {"key": key, "selected_by": "val/loss"} for name, key in keys.items()}
    return fake_runs.write(run, summary, pd.concat(tables), split, whole, versions={"torch": "2.13.0"})


def unfinished(root: Path, held_out: str, seed: int, variant: str, error: str) -> None:
    run = root / held_out / f"seed{seed}" / variant
    fake_runs.write(run, {"train": f"{variant}{seed}"}, status="failed", error=error)


def reconstructions(gain: float) -> Make:
    """Images rebuilt with errors that are less by a share `gain`."""

    def make(rng: np.random.RandomState, images: Table) -> Table:
        count = len(images)
        ease = np.random.RandomState(count).uniform(0.8, 1.2, (4, count))  # of the images, whoever rebuilds them
        psnr, mae = 30 + 3 * ease[0] + 2 * gain + rng.normal(0, 0.2, count), 0.02 * (1 - gain) * ease[1]
        thickness = 1.0 + ease[2]
        drift = 0.05 * (1 - gain) * rng.normal(0, 1, count)
        drift[0] = np.nan
        table = {
            "psnr": psnr, "psnr_content": psnr - 0.5, "ms_ssim": 0.95 + 0.02 * ease[0],
            "ms_ssim_content": 0.9 * ease[3],
            "roi_mae": mae * rng.uniform(0.95, 1.05, count), "roi_ms_ssim": 0.9 + 0.05 * gain + 0.02 * ease[3],
            "roi_edge_mae": 0.1 * (1 - gain) * rng.uniform(0.9, 1.1, count), "nt_px": 10 * thickness,
            "nt_drift_px": 10 * drift, "nt_abs_drift_px": 10 * np.abs(drift), "nt_lost": np.isnan(drift).astype(float),
            "nt_mm": thickness, "nt_drift_mm": drift, "nt_abs_drift_mm": np.abs(drift),
            "nt_true_mm": thickness + 0.1 * rng.normal(0, 1, count),
        }  # fmt: skip
        return pd.DataFrame(table)

    return make


def diameters(skill: float, heatmaps: bool = True) -> Make:
    """End points off by some px, the more the less the skill."""

    def make(rng: np.random.RandomState, images: Table) -> Table:
        count = len(images)
        table: dict[str, Any] = {}
        true = {"ofd": 90 + 5 * rng.normal(0, 1, count), "bpd": 70 + 4 * rng.normal(0, 1, count)}
        true["hc"] = np.pi / 2 * (true["ofd"] + true["bpd"])
        spread = rng.uniform(0.5, 2, count)
        for name, length in true.items():
            error = (3 - 2 * skill) * spread * rng.normal(0, 1, count)
            for unit, scale in (("px", 4.0), ("mm", 1.0)):
                table |= {f"{name}_{unit}": scale * (length + error), f"{name}_true_{unit}": scale * length}
                table |= {f"{name}_error_{unit}": scale * error, f"{name}_abs_error_{unit}": scale * np.abs(error)}
            table |= {f"{name}_percent_error": 100 * error / length}
            table |= {f"{name}_abs_percent_error": 100 * np.abs(error) / length}
        for name in ("ofd_1", "ofd_2", "bpd_1", "bpd_2"):
            distance = spread * rng.uniform(0.5, 1.5, count)
            table |= {f"distance_{name}_px": 4 * distance, f"distance_{name}_mm": distance}
        table |= {"distance_px": 4 * spread, "distance_mm": spread, "nme": spread / true["ofd"]}
        table |= {"nme_own": spread / true["bpd"], "ofd_nme": spread / true["ofd"], "bpd_nme": spread / true["bpd"]}
        if heatmaps:
            table["entropy"] = np.log(spread) + 0.2 * rng.normal(0, 1, count)
            table |= {f"{n}_spread_{u}": s * spread for n in ("ofd", "bpd") for u, s in (("px", 4), ("mm", 1))}
        return pd.DataFrame(table)

    return make


def masks(structures: tuple[str, ...], skill: float) -> Make:
    """What is counted of small random label maps; most images lack all structures but the first."""

    def make(rng: np.random.RandomState, images: Table) -> Table:
        count, classes = len(images), len(structures) + 1
        true = rng.randint(0, classes, (count, 10, 10))
        true[::3][true[::3] > 1] = 0
        pred = np.where(rng.uniform(size=true.shape) < skill, true, rng.randint(0, classes, true.shape))
        pred[1][pred[1] > 1] = 0
        table: dict[str, Any] = {}
        for label, name in enumerate(("background", *structures)):
            hits, real, found = (
                x.sum((1, 2)).astype(float) for x in ((true == label) & (pred == label), true == label, pred == label)
            )
            table |= {f"hits_{name}": hits, f"true_px_{name}": real}
            if label:
                there, both = np.where(real > 0, 1.0, np.nan), np.where((real > 0) & (found > 0), 1.0, np.nan)
                with np.errstate(invalid="ignore", divide="ignore"):
                    dice, iou = 2 * hits / (real + found), hits / (real + found - hits)
                    table |= {f"found_px_{name}": found, f"true_mm2_{name}": real / 4, f"found_mm2_{name}": found / 4}
                    table |= {f"dice_{name}": dice * there, f"dice_empty_{name}": np.nan_to_num(dice, nan=1.0)}
                    table |= {f"iou_{name}": iou * there, f"recall_{name}": hits / real}
                    table |= {f"precision_{name}": hits / found * there}
                surface = 5 * (1 - skill) * rng.uniform(0.5, 1.5, count) * both
                table |= {f"assd_px_{name}": 2 * surface, f"assd_mm_{name}": surface, f"hd95_mm_{name}": 3 * surface}
                table |= {f"nsd_mm_{name}": np.where(real > 0, np.nan_to_num(skill * both), np.nan)}
                features = {
                    k: rng.uniform(0, 1, count) * both for k in ("eccentricity", "shape", "x_mm", "y_mm", "x_px")
                }
                table |= {f"{k}_{name}": values for k, values in features.items()}
        return pd.DataFrame(table)

    return make


PLANES = ("abdomen", "brain", "femur")
DOMAINS = ("low", "medium", "high")
QUALITY = {"site_a": "medium", "site_b": "low", "site_c": "high"}


def planes(skill: float) -> Make:
    def make(rng: np.random.RandomState, images: Table) -> Table:
        true = np.arange(len(images)) % 3
        chances = rng.uniform(0, 1, (len(images), 3)) + skill * np.eye(3)[true]
        chances /= chances.sum(1, keepdims=True)
        table = pd.DataFrame({f"prob_{plane}": chances[:, k] for k, plane in enumerate(PLANES)})
        return table.assign(true=true, predicted=chances.argmax(1), correct=(chances.argmax(1) == true).astype(float))

    return make


def routed(answers: Make, domains: tuple[str, ...], several: bool = True) -> Make:
    """As a router with a decoder a domain answers; one image in five goes to another decoder than its own."""

    def make(rng: np.random.RandomState, images: Table) -> Table:
        own = images["site"].map(lambda site: domains.index(QUALITY[site]) if QUALITY.get(site) in domains else -1)
        table = answers(rng, images).assign(domain=own, route=own.clip(lower=0) if several else 0)
        if not several:
            return table
        table.loc[::5, "route"] = len(domains) - 1
        scores = rng.uniform(0.5, 1, (len(images), len(domains)))
        table = table.assign(**{f"score_{name}": scores[:, k] for k, name in enumerate(domains)})
        score = scores[np.arange(len(images)), table["route"]]
        oracle = np.where(own >= 0, scores[np.arange(len(images)), own.clip(lower=0)], np.nan)
        hit = np.where(own >= 0, (table["route"] == own).astype(float), np.nan)
        return table.assign(score=score, router_hit=hit, regret=oracle - score, regret_best=scores.max(1) - score)

    return make


def probed(run: Path, stages: tuple[str, ...], triage: bool = False) -> None:
    """Beside a run what the probes leave there."""
    summary = json.loads((run / "run.json").read_text())
    split = pd.read_csv(run / "split.csv")
    rng = np.random.RandomState([len(stages), *run.name.encode(), int(run.parent.name.removeprefix("seed"))])
    names = ["site_accuracy", "site_auroc", "max_softmax", "entropy", "mahalanobis_auroc", "mahalanobis_l2_auroc"]
    names += ["knn_auroc", "quality_r2", "quality_rho", *(["triage_lost_auroc"] if triage else [])]
    scores = {stage: {"z": {name: float(rng.uniform(0.5, 1)) for name in names}} for stage in stages}
    codes = [
        split[["part", "record", "site"]].assign(
            stage=stage, feature="z", pca_1=rng.normal(0, 1, len(split)), pca_2=rng.normal(0, 1, len(split)),
            max_softmax=np.where(split["part"] == "train", np.nan, rng.uniform(0, 1, len(split))),
            knn=np.where(split["part"] == "train", np.nan, rng.uniform(0, 1, len(split))),
        )
        for stage in stages
    ]  # fmt: skip
    pd.concat(codes).to_csv(run / "probes.csv", index=False)
    keys = {stage: summary["stages"][stage]["key"] for stage in stages}
    counts = {part: int((split["part"] == part).sum()) for part in ("train", "val", "test")}
    content = {"made_from": {"stages": keys}, "images": counts, "stages": scores}
    (run / "probes.json").write_text(json.dumps(content))


def nt_phase2(root: Path) -> None:
    """clara with two seeds of both variants, probed; berta with one seed of the final objective; anna never."""
    for held_out, seed, variant, gain in (
        ("clara", 1, "global", 0.05), ("clara", 1, "roi", 0.2), ("clara", 2, "global", 0.05), ("clara", 2, "roi", 0.2),
        ("berta", 1, "roi", 0.1),
    ):  # fmt: skip
        run = write(root, held_out, seed, variant, {"phase1": reconstructions(0), "phase2": reconstructions(gain)})
        if held_out == "clara":
            probed(run, ("phase1", "phase2"), triage=True)
    unfinished(root, "berta", 2, "roi", "out of memory at /home/me")


def nt_ablation(root: Path) -> None:
    gains = {"global": 0.0, "l1": 0.1, "sobel": 0.15, "roi": 0.2}
    for seed in (1, 2):
        for variant, gain in gains.items():
            if (seed, variant) != (2, "l1"):
                stages = {"phase1": reconstructions(0), "phase2": reconstructions(gain)}
                write(root, "clara", seed, variant, stages | {"phase2_last": reconstructions(0.9 * gain)})
        unfinished(
            root, "clara", seed, "dino", "the weights of the frozen DINO network cannot be loaded\n/home/me/dino"
        )
    probed(root / "clara" / "seed1" / "roi", ("phase1", "phase2"))


def biometry_stage1(root: Path) -> None:
    for seed in (1, 2, 3):
        write(root, "clara", seed, "heatmap_unet", {"train": diameters(0.9)})
        write(root, "clara", seed, "coordinates", {"train": diameters(0.5, heatmaps=False)})


def brain_attention_unet(root: Path) -> None:
    for held_out, seeds in (("clara", (1, 2)), ("anna", (1,))):
        for seed in seeds:
            run = write(root, held_out, seed, "hybrid", {"train": masks(("parenchyma", "csp", "lv"), 0.8)})
    probed(run, ("train",))


def brain_csp_only(root: Path) -> None:
    for seed in (1, 2):
        write(root, "clara", seed, "csp", {"train": masks(("csp",), 0.6)})
        if seed == 1:
            write(root, "clara", seed, "parenchyma+csp+lv", {"train": masks(("parenchyma", "csp", "lv"), 0.8)})


SEEN_AND_UNSEEN = (*QUALITY, "site_u")


def hydra(root: Path, answers: Callable[[float], Make], domains: tuple[str, ...], sites: tuple[str, ...]) -> None:
    """Two seeds of three arms of the experiment itself; the baselines have a stage of their own."""
    tasks = {name: {"domains": list(domains)} for name in ("specialise", "route")}
    for seed in (1, 2):
        for variant, skill in (("weight_10", 0.9), ("random", 0.7)):
            stages = {"specialise": routed(answers(0.5), domains), "route": routed(answers(skill), domains)}
            write(root, "site_u", seed, variant, stages, sites, tasks)
    stages = {"specialise": routed(answers(0.5), domains, False), "route": routed(answers(0.8), domains, False)}
    write(root, "site_u", 1, "single", stages, sites, tasks)
    unfinished(root, "site_u", 2, "single", "interrupted")
    for seed, variant in ((1, "vit"), (1, "resnet18"), (1, "unet"), (2, "unet"), (1, "segnet")):
        if (variant in ("unet", "segnet")) == (root.name == "hydra_unet"):
            write(root, "site_u", seed, variant, {"train": answers(0.6)}, sites)


def hydra_vit(root: Path) -> None:
    hydra(root, planes, DOMAINS, SEEN_AND_UNSEEN)


def hydra_unet(root: Path) -> None:
    hydra(root, lambda skill: masks(("lv",), skill), ("low", "high"), ("site_b", "site_c", "site_u"))


EXPERIMENTS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (nt_phase2, nt_ablation, biometry_stage1, brain_attention_unet, brain_csp_only, hydra_vit, hydra_unet)
}

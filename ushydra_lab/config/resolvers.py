"""The resolvers that configuration files use, and where a job's results go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ushydra_lab.config.instantiate import make
from ushydra_lab.config.schema import SCALES
from ushydra_lab.errors import UserError


def detect_scale() -> str:
    """`paper` where torch sees a GPU, else `laptop`."""
    import torch

    return "paper" if torch.cuda.is_available() else "laptop"


def by_scale(paper: Any, laptop: Any, *, _root_: DictConfig) -> Any:
    """`${by_scale:PAPER,LAPTOP}`: the value for the configured scale."""
    if _root_.scale not in SCALES:
        raise UserError(f"scale={_root_.scale}: choose one of {', '.join(SCALES)}")
    return paper if _root_.scale == "paper" else laptop


def count(planes: Sequence[str]) -> int:
    """`${count:${planes}}`: classes of a classification."""
    return len(planes)


def classes(structures: Sequence[str]) -> int:
    """`${classes:${structures}}`: labels of a segmentation, background included."""
    return len(structures) + 1


def among(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """`${among:${structures},[csp,lv]}`: those wanted that there are, all if there are none of them."""
    there = [name.partition("=")[0] for name in names]
    return [name for name in wanted if name in there] or there


def when(value: Any, expected: Any, result: Any, otherwise: Any = None) -> Any:
    """`${when:${variant},pretrained,pretrain}`: the third where the first two are the same, else a fourth."""
    return result if value == expected else otherwise


def joined(names: Sequence[str]) -> str:
    """`${joined:${structures}}`: the names in one word, for a variant."""
    return "+".join(names) or "none"


def run_label(*, _root_: DictConfig) -> str:
    """`<held out>/seed<seed>/<variant>`: the run directory below `<run_root>/<experiment>`."""
    return f"{make(_root_.split).name}/seed{int(_root_.seed)}/{_root_.variant}"


def register_resolvers() -> None:
    """Make the resolvers known to OmegaConf; may be called again."""
    OmegaConf.register_new_resolver("detect_scale", detect_scale, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("by_scale", by_scale, replace=True)
    OmegaConf.register_new_resolver("classes", classes, replace=True)
    OmegaConf.register_new_resolver("count", count, replace=True)
    OmegaConf.register_new_resolver("among", among, replace=True)
    OmegaConf.register_new_resolver("when", when, replace=True)
    OmegaConf.register_new_resolver("joined", joined, replace=True)
    OmegaConf.register_new_resolver("run_label", run_label, replace=True)


def run_path(cfg: DictConfig) -> Path:
    """The directory of one job's results."""
    return Path(cfg.run_root) / cfg.name / run_label(_root_=cfg)

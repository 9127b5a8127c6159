"""The resolvers that configuration files use, and where a job's results go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ushydra_lab.config.instantiate import instantiate
from ushydra_lab.config.paths import CONF


def length_with_background(structures: Sequence[str]) -> int:
    """Number of labels of a segmentation: one per structure, and the background."""
    return len(structures) + 1


def present_or_all(wanted: Sequence[str], structures: Sequence[str]) -> ListConfig:
    """The wanted ones that are among the structures, all structures if none is; `csp=a+b` is known as csp."""
    there = [name.partition("=")[0] for name in structures]
    return ListConfig([name for name in wanted if name in there] or there)


def if_equal(one: Any, other: Any, then: Any, otherwise: Any) -> Any:
    """The third where the first two are the same, else the fourth."""
    chosen = then if one == other else otherwise
    return ListConfig(chosen) if isinstance(chosen, list) else chosen  # OmegaConf.resolve takes no plain list


def join(names: Sequence[str]) -> str:
    """The names in one word, for a variant."""
    return "+".join(names) or "none"


def precision_at(scale: str) -> str:
    """The trainer's precision: `bf16-mixed` at the papers' sizes where there is a GPU that computes in it."""
    if scale != "paper":
        return "32-true"
    import torch  # here alone, since whatever composes a configuration would load it

    gpu = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if gpu else "32-true"


def run_label(*, _root_: DictConfig) -> str:
    """`<held out>/seed<seed>/<variant>`: the run directory below `<run_root>/<experiment>`."""
    seed = str(_root_.seed)
    number = int(seed) if seed.isdecimal() else seed  # what is no number is refused by the check of the configuration
    return f"{instantiate(_root_.split).name}/seed{number}/{_root_.variant}"


def options_by_group() -> str:
    """A line for each configuration group, with its options; folders of a file's laptop sizes are none."""
    options: dict[str, list[str]] = {}
    for path in sorted(CONF.glob("*/**/*.yaml")):
        options.setdefault(path.parent.relative_to(CONF).as_posix(), []).append(path.stem)
    return "\n".join(f"{group}: {', '.join(names)}" for group, names in options.items() if names != ["laptop"])


def register_resolvers() -> None:
    """Make known to OmegaConf what configuration files call as `${name:arguments}`; may be called again."""
    named = present_or_all, if_equal, join, length_with_background, precision_at, run_label, options_by_group
    for name, resolver in {"length": len, **{one.__name__: one for one in named}}.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def run_path(cfg: DictConfig) -> Path:
    """The directory of one job's results."""
    return Path(cfg.run_root) / cfg.name / run_label(_root_=cfg)

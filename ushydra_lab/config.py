"""What a composed configuration contains, the resolvers its files use, and what is made of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ushydra_lab.errors import UserError

PACKAGE = Path(__file__).parent
CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent / "conf") if folder.is_dir())
"""The configuration files: inside the installed package, or beside it in a checkout."""

SCALES = ("paper", "laptop")
LOGGER_MODES = ("offline", "online", "disabled")
NOT_DETERMINING = (
    "logger",
    "run_root",
    "cache_dir",
    "cache_gb",
    "panel_images",
    "deidentified",
    "fail_fast",
    "variant",
    "data.root",
    "data.path",
    "data.cache",
    "data.images",
    "data.csv",
    "data.subject_key",
)
"""Keys that leave every number unchanged, so that a run may be continued with others. Those of `data` are paths."""
PRIVATE = (*(key for key in NOT_DETERMINING if key.startswith("data.")), "run_root", "cache_dir", "logger")
"""What nobody else should see: paths."""
_ROOTS = "home|Users|mnt|media|root|srv|scratch|tmp|var|opt|Volumes"
PATH = re.compile(rf"(^|[^\w./\\}}])(~[\w.-]*[\\/]|\.{{0,2}}[\\/]|[A-Za-z]:[\\/]|\$\w+[\\/]|({_ROOTS})[\\/])")
"""What begins as a path does, anywhere in a text: `/x`, `~user/x`, `../x`, `C:/x`, `$HOME/x`, `home/user/x`."""
WITHHELD = "(a path, not shown)"


@dataclass
class Stage:
    """One fit: a task from the weights of `init` (an earlier stage), early stopping on the validation loss.

    instead: settings of the experiment (data, split, structures, oversample) that differ in this stage, to pre-train
    on other images; it is evaluated on the experiment's own.
    """

    task: dict[str, Any]
    max_epochs: int
    init: str | None = None
    patience: int | None = None
    min_delta: float = 0.0
    callbacks: dict[str, Any] = field(default_factory=dict)
    instead: dict[str, Any] = field(default_factory=dict)


@dataclass
class Experiment:
    """A data set, a held-out site, a seed and an ordered list of stages."""

    name: str
    variant: str
    seed: int
    scale: str
    held_out: str | None
    deidentified: bool
    panel_images: int
    run_root: str
    cache_dir: str
    cache_gb: float
    canvas: list[int]
    batch_size: int
    augment: dict[str, Any] | None
    data: dict[str, Any]
    split: dict[str, Any]
    network: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any]
    stages: dict[str, Any]
    loss: dict[str, Any] = field(default_factory=dict)
    weighting: dict[str, Any] = field(default_factory=dict)
    fail_fast: bool = False
    roi: str | None = None
    structures: list[str] | None = None
    planes: list[str] | None = None
    oversample: dict[str, Any] | None = None
    label_audit: dict[str, Any] | None = None


def make(node: dict[str, Any] | DictConfig, **settings: Any) -> Any:
    """Instantiate a node with a `_target_`, in plain Python types.

    Raises:
        UserError: the component refuses its settings; in its own words if it raised one itself.
    """
    try:
        return instantiate(node, _convert_="all", **settings)
    except InstantiationException as error:
        cause = error.__cause__
        while cause is not None and not isinstance(cause, UserError) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{node['_target_']} refuses its settings: {cause or error}") from error


def length_with_background(structures: Sequence[str]) -> int:
    """How many labels a segmentation has: one a structure, and the background."""
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


def run_label(*, _root_: DictConfig) -> str:
    """`<held out>/seed<seed>/<variant>`: the run directory below `<run_root>/<experiment>`."""
    return f"{make(_root_.split).name}/seed{_root_.seed}/{_root_.variant}"


def options_by_group() -> str:
    """A line for each configuration group, with its options; folders of a file's laptop sizes are none."""
    options: dict[str, list[str]] = {}
    for path in sorted(CONF.glob("*/**/*.yaml")):
        options.setdefault(path.parent.relative_to(CONF).as_posix(), []).append(path.stem)
    return "\n".join(f"{group}: {', '.join(names)}" for group, names in options.items() if names != ["laptop"])


def register_resolvers() -> None:
    """Make known to OmegaConf what configuration files call as `${name:arguments}`; may be called again."""
    resolvers = (present_or_all, if_equal, join, length_with_background, run_label, options_by_group)
    for name, resolver in {"length": len, **{one.__name__: one for one in resolvers}}.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def run_path(cfg: DictConfig) -> Path:
    """The directory of one job's results."""
    return Path(cfg.run_root) / cfg.name / run_label(_root_=cfg)


def digest(content: Any) -> str:
    """SHA-256 of plain content, independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolved, in plain Python types.

    Raises:
        UserError: a value is missing (`???`) or refers to something that does not exist.
    """
    try:
        content = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(omegaconf_message(error)) from error
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def determining(content: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that can change a number; a key that is null is as none at all."""
    kept = {key: value for key, value in json.loads(json.dumps(content, default=str)).items() if value is not None}
    for dotted in NOT_DETERMINING:
        node, _, leaf = dotted.rpartition(".")
        (kept.get(node, {}) if node else kept).pop(leaf, None)
    for stage in kept.get("stages", {}).values():
        stage["instead"] = determining(stage.get("instead", {}))
    return kept


def flatten(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(`a.b.c`, value) of every leaf."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from flatten(value, f"{prefix}{key}.")
    else:
        yield prefix.rstrip("."), content


def shareable(content: dict[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of a configuration, without keys that hold paths; a path under another key is withheld."""
    return {
        key: WITHHELD if PATH.search(str(value)) else value
        for key, value in flatten(content)
        if not any(f".{part}." in f".{key}." for part in PRIVATE)
    }


def omegaconf_message(error: OmegaConfBaseException) -> str:
    """The first line of the message, with the full key where OmegaConf knows it."""
    line = str(error).splitlines()[0]
    key = getattr(error, "full_key", None)
    return f"{key}: {line}" if key and key not in line else line


def to_yaml(content: dict[str, Any]) -> str:
    """Plain content as YAML, in the order given."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

"""What a composed configuration may contain, and the resolvers its files use.

Hydra does not validate plain YAML: `+model.lrx=1` merges silently. After composition every node with a `_target_` is
checked against the callable's signature, every other key against the dataclasses below.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

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
    "panel_images",
    "deidentified",
    "variant",
    "data.root",
    "data.path",
)
"""Keys that leave every number unchanged: a run may be continued with other values of them."""


@dataclass
class Stage:
    """One fit: a task from the weights of `init` (an earlier stage), early stopping on the validation loss."""

    task: dict[str, Any]
    max_epochs: int
    init: str | None = None
    patience: int | None = None
    min_delta: float = 0.0
    callbacks: dict[str, Any] = field(default_factory=dict)


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
    canvas: list[int]
    batch_size: int
    augment: dict[str, Any]
    data: dict[str, Any]
    split: dict[str, Any]
    network: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any]
    stages: dict[str, Any]
    loss: dict[str, Any] = field(default_factory=dict)
    weighting: dict[str, Any] = field(default_factory=dict)


def detect_scale() -> str:
    """`paper` where torch sees a GPU, else `laptop`."""
    import torch

    return "paper" if torch.cuda.is_available() else "laptop"


def by_scale(paper: Any, laptop: Any, *, _root_: DictConfig) -> Any:
    """`${by_scale:PAPER,LAPTOP}`: the value for the configured scale."""
    if _root_.scale not in SCALES:
        raise UserError(f"scale={_root_.scale}: choose one of {', '.join(SCALES)}")
    return paper if _root_.scale == "paper" else laptop


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


def run_label(*, _root_: DictConfig) -> str:
    """`<held out>/seed<seed>/<variant>`: the run directory below `<run_root>/<experiment>`."""
    return f"{make(_root_.split).name}/seed{_root_.seed}/{_root_.variant}"


def register_resolvers() -> None:
    """Make the resolvers known to OmegaConf; may be called again."""
    OmegaConf.register_new_resolver("detect_scale", detect_scale, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("by_scale", by_scale, replace=True)
    OmegaConf.register_new_resolver("run_label", run_label, replace=True)


def run_path(cfg: DictConfig) -> Path:
    """The directory of one job's results."""
    return Path(cfg.run_root) / cfg.name / run_label(_root_=cfg)


def check_data(node: dict[str, Any]) -> None:
    """
    Raises:
        UserError: the data set's reader does not know a key.
    """
    if problems := list(_walk(node, "data.")):
        raise UserError.listing("The data cannot be used:", problems)


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
        raise UserError(_omegaconf_message(error)) from error
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def determining(content: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that can change a number."""
    kept = json.loads(json.dumps(content, default=str))
    for dotted in NOT_DETERMINING:
        node, _, leaf = dotted.rpartition(".")
        (kept.get(node, {}) if node else kept).pop(leaf, None)
    return kept


def flatten(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(`a.b.c`, value) of every leaf."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from flatten(value, f"{prefix}{key}.")
    else:
        yield prefix.rstrip("."), content


def check(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration of one job.

    Raises:
        UserError: listing every unknown key (with its file and the nearest known key), missing value and wrong type.
    """
    if OmegaConf.is_missing(cfg, "name"):
        names = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
        raise UserError(f"No experiment chosen. Add +experiment=NAME, one of: {', '.join(names)}")
    content = plain(cfg)
    if not isinstance(content.get("stages"), dict) or not content["stages"]:
        raise UserError("stages: an experiment needs at least one, as in conf/experiment/nt_phase2.yaml")
    problems = list(_unknown_keys(content)) or list(_wrong_values(content))
    if problems:
        raise UserError.listing("The configuration cannot be used:", problems)
    content["stages"] = {name: vars(Stage(**stage)) for name, stage in content["stages"].items()}
    return content


def explain(error: HydraException) -> str:
    """Hydra's message, with the nearest known key where one is unknown."""
    cause = error.__cause__
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.parent_node is not None:
        known = list(map(str, cause.parent_node))
        near = difflib.get_close_matches(str(cause.key), known, n=1, cutoff=0.0)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"unknown key '{cause.full_key}' on the command line{hint} Known there: {', '.join(known)}"
    return str(error)


def _unknown_keys(content: dict[str, Any]) -> Iterator[str]:
    yield from _check_keys(content, {f.name for f in fields(Experiment)}, "")
    for key, node in content.items():
        if key == "stages":
            for name, stage in node.items():
                if not isinstance(stage, dict):
                    yield f"stages.{name}={stage}: a stage has a task and max_epochs"
                    continue
                yield from _check_keys(stage, {f.name for f in fields(Stage)}, f"stages.{name}.")
                yield from _walk(stage, f"stages.{name}.")
        elif key == "logger" and node.get("mode") not in LOGGER_MODES:
            yield f"logger.mode={node.get('mode')}: choose one of {', '.join(LOGGER_MODES)}"
        elif key == "loss":
            yield from _check_keys(node, {"name", "terms"}, "loss.")
            plain_terms = [
                name for name, term in node["terms"].items() if not isinstance(term, dict) or "_target_" not in term
            ]
            yield from (f"loss.terms.{name} needs a _target_, as in conf/loss/roi.yaml" for name in plain_terms)
            yield from _walk(node, "loss.")
        elif key == "weighting":
            yield from _check_keys(node, {"module", "callbacks"}, "weighting.")
            yield from _walk(node, "weighting.")
        else:
            yield from _walk({key: node}, "")


def _walk(node: Any, prefix: str) -> Iterator[str]:
    """Problems of every `_target_` node at or below `node`."""
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        yield from _check_target(node, prefix)
    for key, child in node.items():
        yield from _walk(child, f"{prefix}{key}.")


def _check_target(node: dict[str, Any], prefix: str) -> Iterator[str]:
    try:
        target = get_object(node["_target_"])
    except Exception as error:
        yield f"{prefix}_target_={node['_target_']}: {error}"
        return
    parameters = inspect.signature(target).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = set(parameters) | {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
    yield from _check_keys(node, known, prefix, of=f" of {node['_target_']}")


def _check_keys(node: dict[str, Any], known: set[str], prefix: str, of: str = "") -> Iterator[str]:
    for key in node:
        if key not in known:
            public = sorted(name for name in known if not name.startswith("_"))
            near = difflib.get_close_matches(str(key), public, n=1)
            hint = f"; did you mean '{prefix}{near[0]}'?" if near else f"; known are {', '.join(public)}"
            yield f"unknown key '{prefix}{key}'{of} ({_origin(str(key))}){hint}"


def _origin(key: str) -> str:
    """Which configuration file has the key, else the command line."""
    pattern = re.compile(rf"^\s*{re.escape(key)}\s*:", re.MULTILINE)
    files = [path.relative_to(CONF) for path in sorted(CONF.rglob("*.yaml")) if pattern.search(path.read_text())]
    return f"in {', '.join(map(str, files))}" if files else "from the command line or your own configuration file"


def _wrong_values(content: dict[str, Any]) -> Iterator[str]:
    for key, least in (("batch_size", 1), ("panel_images", 1), ("seed", 0)):
        if isinstance(content.get(key), int) and content[key] < least:
            yield f"{key}={content[key]}: must be at least {least}"
    if not re.fullmatch(r"\w[\w.+-]*", str(content.get("variant"))):
        yield f"variant={content.get('variant')}: it names a folder; letters, digits and _ . + - only"
    if len(content.get("canvas", [])) != 2:
        yield f"canvas={content.get('canvas')}: two numbers, [rows,columns]"
    yield from _check_types(Experiment, content, "")
    for name, stage in content["stages"].items():
        yield from _check_types(Stage, stage, f"stages.{name}.")
        for key in ("max_epochs", "patience"):
            if isinstance(stage.get(key), int) and stage[key] < 1:
                yield f"stages.{name}.{key}={stage[key]}: must be at least 1 (patience=null: no early stopping)"
        earlier = list(content["stages"])[: list(content["stages"]).index(name)]
        if stage.get("init") not in (None, *earlier):
            yield f"stages.{name}.init={stage['init']}: not an earlier stage ({', '.join(earlier) or 'there is none'})"


def _check_types(schema: type, node: dict[str, Any], prefix: str) -> Iterator[str]:
    missing = [
        name for name, f in inspect.signature(schema).parameters.items() if f.default is f.empty and name not in node
    ]
    yield from (f"'{prefix}{name}' is missing" for name in missing)
    for key, value in node.items():
        try:
            OmegaConf.merge(OmegaConf.structured(schema), {key: value})
        except OmegaConfBaseException as error:
            yield f"{prefix}{key}={value}: {_omegaconf_message(error)}"


def _omegaconf_message(error: OmegaConfBaseException) -> str:
    """The first line of the message, with the full key where OmegaConf knows it."""
    line = str(error).splitlines()[0]
    key = getattr(error, "full_key", None)
    return f"{key}: {line}" if key and key not in line else line


def to_yaml(content: dict[str, Any]) -> str:
    """Plain content as YAML, in the order given."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

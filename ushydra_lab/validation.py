"""Refusing a configuration before anything is done with it.

Hydra does not validate plain YAML: `+model.lrx=1` merges silently. After composition every node with a `_target_` is
checked against the callable's signature, every other key against the dataclasses of `config`.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from ushydra_lab.components import find
from ushydra_lab.config import (
    CONF,
    LOGGER_MODES,
    SCALES,
    Experiment,
    Stage,
    omegaconf_message,
    plain,
)
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError
from ushydra_lab.typed import remedy

MOST_SEED = 2**32 - 1
INSTEAD = {"data", "split", "structures", "oversample"}
"""What a stage may have of its own in `instead`."""


def check(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration of one job, without `trust`: whom to trust is never read from a file of a run.

    Raises:
        UserError: listing every unknown key (with its file and the nearest known key), missing value and wrong type.
    """
    if OmegaConf.is_missing(cfg, "name"):
        names = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
        raise UserError(f"No experiment chosen. Add +experiment=NAME, one of: {', '.join(names)}")
    content = plain(cfg)
    trusted = content.pop("trust")
    if not isinstance(trusted, list) or not all(isinstance(module, str) for module in trusted):
        raise UserError(f"trust={trusted}: names of your own modules, trust=[my_package]")
    return checked(content, trusted, "The configuration cannot be used:")


def checked(content: dict[str, Any], trusted: Sequence[str], headline: str) -> dict[str, Any]:
    """Plain content as a configuration. Raises UserError listing its problems below the headline."""
    if not isinstance(content.get("stages"), dict) or not content["stages"]:
        raise UserError("stages: an experiment needs at least one, as in conf/experiment/nt_phase2.yaml")
    content = _converted(Experiment, content)
    content["stages"] = {
        name: _converted(Stage, stage) if isinstance(stage, dict) else stage
        for name, stage in content["stages"].items()
    }
    problems = list(_unknown_keys(content, trusted)) or list(_wrong_values(content))
    if problems:
        raise UserError.listing(headline, problems)
    content["stages"] = {name: vars(Stage(**stage)) for name, stage in ordered(content["stages"])}
    return vars(Experiment(**content))


def _converted(schema: type, node: dict[str, Any]) -> dict[str, Any]:
    """A copy in which texts that stand for numbers or truth values are these, and numbers that stand for texts texts.

    What cannot be converted stays, for `_check_types` to name.
    """
    known = {f.name for f in fields(schema)}
    return {key: _typed(schema, key, value) if key in known else value for key, value in node.items()}


def _typed(schema: type, key: str, value: Any) -> Any:
    if isinstance(value, dict) or value is None:
        return value
    try:
        typed = OmegaConf.select(OmegaConf.merge(OmegaConf.structured(schema), {key: value}), key)
    except OmegaConfBaseException:
        return value
    typed = list(typed) if isinstance(value, list) else typed
    return value if typed == value and not isinstance(value, str) else typed


def explain(error: HydraException) -> str:
    """Hydra's message; of what is misspelt or wants quotes in the lab's own words, with the nearest known name."""
    cause = error.__cause__
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not understood. {remedy(error.override)}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: there is none{nearest(name, error.options)}; choose one of {', '.join(error.options)}"
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.parent_node is not None:
        known = list(map(str, cause.parent_node))
        near = difflib.get_close_matches(str(cause.key), known, n=1, cutoff=0.0)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"unknown key '{cause.full_key}' on the command line{hint} Known there: {', '.join(known)}"
    return str(error)


def _unknown_keys(content: dict[str, Any], trusted: Sequence[str]) -> Iterator[str]:
    yield from _check_keys(content, {f.name for f in fields(Experiment)}, "")
    for key, node in content.items():
        if key == "stages":
            for name, stage in node.items():
                if not isinstance(stage, dict):
                    yield f"stages.{name}={stage}: a stage has a task and max_epochs"
                    continue
                yield from _check_keys(stage, {f.name for f in fields(Stage)}, f"stages.{name}.")
                yield from _check_keys(stage.get("instead") or {}, INSTEAD, f"stages.{name}.instead.")
                yield from target_problems(stage, f"stages.{name}.", trusted)
        elif key in ("logger", "loss", "weighting") and not isinstance(node, dict):
            yield f"{key}={node}: it has keys of its own"
        elif key == "logger" and node.get("mode") not in LOGGER_MODES:
            yield f"logger.mode={node.get('mode')}: choose one of {', '.join(LOGGER_MODES)}"
        elif key == "loss":
            yield from _check_keys(node, {"name", "terms", "geometry", "shares", "class_weighted"}, "loss.")
            terms = node.get("terms", {})  # a stored configuration of a task without such a loss has none
            if not isinstance(terms, dict):
                yield f"loss.terms={terms}: it has keys of its own"
                continue
            plain_terms = [name for name, term in terms.items() if not isinstance(term, dict) or "_target_" not in term]
            yield from (f"loss.terms.{name} needs a _target_, as in conf/loss/roi.yaml" for name in plain_terms)
            yield from target_problems(node, "loss.", trusted)
        elif key == "weighting":
            yield from _check_keys(node, {"module", "callbacks"}, "weighting.")
            yield from target_problems(node, "weighting.", trusted)
        else:
            yield from target_problems({key: node}, "", trusted)


def target_problems(node: Any, prefix: str, trusted: Sequence[str]) -> Iterator[str]:
    """Problems of every `_target_` node at or below `node`."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        yield from _check_target(node, prefix, trusted)
    for key, child in node.items():
        yield from target_problems(child, f"{prefix}{key}.", trusted)


def _check_target(node: dict[str, Any], prefix: str, trusted: Sequence[str]) -> Iterator[str]:
    try:
        target = find(node["_target_"], trusted)
    except ValueError as error:
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
    files = [path.relative_to(CONF) for path in sorted(CONF.rglob("*.yaml")) if pattern.search(path.read_text("utf-8"))]
    return f"in {', '.join(map(str, files))}" if files else "from the command line or your own configuration file"


def _wrong_values(content: dict[str, Any]) -> Iterator[str]:
    if isinstance(seed := content.get("seed"), int) and seed > MOST_SEED:
        yield f"seed={seed}: at most 2^32 - 1, {MOST_SEED}, which is what all generators take"
    for key, least in (("batch_size", 1), ("panel_images", 1), ("seed", 0)):
        if isinstance(content.get(key), int) and content[key] < least:
            yield f"{key}={content[key]}: must be at least {least}"
    if not isinstance(content.get("deidentified"), bool):  # a word would be true
        yield f"deidentified={content.get('deidentified')}: true or false"
    for key in ("name", "variant"):
        if not re.fullmatch(r"\w[\w.+-]*", str(content.get(key))):
            yield f"{key}={content.get(key)}: it names a folder; letters, digits and _ . + - only"
    if content.get("scale") not in SCALES:
        yield f"scale={content.get('scale')}: choose one of {', '.join(SCALES)}"
    if not isinstance(canvas := content.get("canvas"), list) or len(canvas) != 2:
        yield f"canvas={content.get('canvas')}: two numbers, [rows,columns]"
    yield from _check_types(Experiment, content, "")
    for name, stage in content["stages"].items():
        yield from _check_types(Stage, stage, f"stages.{name}.")
        for key in ("max_epochs", "patience"):
            if isinstance(stage.get(key), int) and stage[key] < 1:
                yield f"stages.{name}.{key}={stage[key]}: must be at least 1 (patience=null: no early stopping)"
    yield from _lost_stages(content["stages"])


def _lost_stages(stages: dict[str, Any]) -> Iterator[str]:
    """Stages that begin from none that there is, or from each other."""
    for name in stages.keys() - {name for name, _ in ordered(stages)}:
        others = ", ".join(stages.keys() - {name}) or "there is none"
        yield f"stages.{name}.init={stages[name]['init']}: no stage that comes before it ({others})"


def ordered(stages: dict[str, Any]) -> list[tuple[str, Any]]:
    """Stages as written, but for those that begin from another, which come after it."""
    done: dict[str, Any] = {}
    while ready := next((n for n, s in stages.items() if n not in done and s.get("init") in (None, *done)), None):
        done[ready] = stages[ready]
    return list(done.items())


def _check_types(schema: type, node: dict[str, Any], prefix: str) -> Iterator[str]:
    missing = [
        name for name, f in inspect.signature(schema).parameters.items() if f.default is f.empty and name not in node
    ]
    yield from (f"'{prefix}{name}' is missing" for name in missing)
    with contextlib.suppress(OmegaConfBaseException):  # all at once; one by one, to name them, only if that fails
        OmegaConf.merge(OmegaConf.structured(schema), node)
        return
    for key, value in node.items():
        try:
            OmegaConf.merge(OmegaConf.structured(schema), {key: value})
        except OmegaConfBaseException as error:
            yield f"{prefix}{key}={value}: {omegaconf_message(error)}"

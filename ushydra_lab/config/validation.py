"""Validation of a configuration before anything is done with it.

Hydra does not validate plain YAML: `+model.lrx=1` merges silently. After composition every node with a `_target_` is
checked against the callable's signature, every other key against the dataclasses of `schema`.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

from ushydra_lab.config.components import find
from ushydra_lab.config.conversion import convert
from ushydra_lab.config.instantiate import to_plain
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.regions import regions
from ushydra_lab.config.schema import LOGGER_MODES, SCALES, Claim, Epoch, Experiment, OwnSettings, Stage
from ushydra_lab.config.sources import with_readers
from ushydra_lab.data.readers.harmonised import SETTINGS
from ushydra_lab.errors import UserError

RESERVED_TRAINER_KEYS = {
    "callbacks", "plugins", "logger", "default_root_dir", "profiler", "enable_progress_bar", "enable_checkpointing",
    "max_epochs", "fast_dev_run", "overfit_batches", "limit_predict_batches", "limit_test_batches",
}  # fmt: skip
"""Settings of the Trainer that are refused: the lab sets them, or they write files elsewhere or skip images."""
READERS, DATA = "ushydra_lab.data.readers.", re.compile(r"(stages\..+\.instead\.)?data\.(sources\.[^.]+\.)?")
"""Modules of readers, and the only places where a configuration names one."""
MOST_SEED = 2**32 - 1


def check(cfg: DictConfig) -> Experiment:
    """The experiment of one job, without `trust`: whom to trust is never read from a file of a run.

    Raises:
        UserError: listing every unknown key (with its file and the nearest known key), missing value and wrong type.
    """
    if OmegaConf.is_missing(cfg, "name"):
        names = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
        raise UserError(f"No experiment chosen. Add +experiment=NAME, one of: {', '.join(names)}")
    trusted = to_plain(OmegaConf.create({"trust": cfg.trust}))["trust"]
    if not isinstance(trusted, list) or not all(isinstance(module, str) for module in trusted):
        raise UserError(f"trust={trusted}: names of your own modules, trust=[my_package]")
    cfg = with_readers(cfg, trusted)
    content = to_plain(cfg)
    del content["trust"], content["at_end"]
    known = {key: value for key, value in content.items() if key in _names(Experiment)}
    converted = convert(Experiment, known, "", [])  # what cannot be is told below
    if changed := {key: value for key, value in converted.items() if value != content[key]}:
        return check(cast(DictConfig, OmegaConf.merge(cfg, changed)))  # so that components that refer to them follow
    return check_content(content, trusted, "The configuration cannot be used:")


def check_content(content: dict[str, Any], trusted: Sequence[str], headline: str) -> Experiment:
    """Convert and check plain content, and build the experiment. Raises UserError that lists all problems."""
    if not isinstance(content.get("stages"), dict) or not content["stages"]:
        raise UserError("stages: an experiment needs at least one, as in conf/experiment/nt_phase2.yaml")
    if problems := list(_unknown_keys(content, trusted)):
        raise UserError.listing(headline, problems)
    values = convert(Experiment, content, "", problems)
    stages, own = {}, {}
    for name, stage in content["stages"].items():
        stages[name] = convert(Stage, stage, f"stages.{name}.", problems)
        own[name] = convert(Experiment, stage.get("instead") or {}, f"stages.{name}.instead.", problems)
    claimed = (content.get("claim") or {}).get("endpoint") is not None
    claim = convert(Claim, content["claim"], "claim.", problems) if claimed else None
    problems += _wrong_claim(claim or {})
    problems += _missing(content)
    if not isinstance(content.get("deidentified"), bool):  # a word, which might be meant to be false, is not converted
        problems.append(f"deidentified={content.get('deidentified')}: true or false")
    problems += _wrong_values(content | values)
    problems += _wrong_stages(stages)
    if problems:
        raise UserError.listing(headline, problems)
    typed = {name: Stage(**stage, instead=OwnSettings(**own[name])) for name, stage in order_stages(stages)}
    return Experiment(**values, stages=typed, claim=Claim(**claim) if claim else None)


def _unknown_keys(content: dict[str, Any], trusted: Sequence[str]) -> Iterator[str]:
    yield from _check_keys(content, _names(Experiment), "")
    for key, node in content.items():
        if key == "stages":
            for name, stage in node.items():
                if not isinstance(stage, dict):
                    yield f"stages.{name}={stage}: a stage has a task and max_epochs"
                    continue
                yield from _check_keys(stage, _names(Stage), f"stages.{name}.")
                yield from _check_keys(stage.get("instead") or {}, _names(OwnSettings), f"stages.{name}.instead.")
                yield from target_problems(stage, f"stages.{name}.", trusted)
        elif key == "claim":
            yield from _check_keys(node or {}, _names(Claim), "claim.")
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
            yield from _check_keys(node, {"name", "module", "callbacks"}, "weighting.")
            yield from target_problems(node, "weighting.", trusted)
        else:
            yield from target_problems({key: node}, "", trusted)


def target_problems(node: Any, prefix: str, trusted: Sequence[str]) -> Iterator[str]:
    """Problems of every `_target_` node at or below `node`."""
    if isinstance(node, list | tuple):
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
    reads = target.__module__.startswith(READERS)  # and writes: phantoms, converted videos
    if reads and not DATA.fullmatch(prefix):
        yield f"{prefix}_target_={node['_target_']}: a reader has its place below data"
    elif DATA.fullmatch(prefix) and target.__module__.startswith("ushydra_lab.") and not reads:
        yield f"{prefix}_target_={node['_target_']}: no reader of data"
    yield from _wrong_kinds(target, node, prefix)
    parameters = inspect.signature(target).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = set(parameters) | {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
    known |= SETTINGS if ".sources." in prefix else set()  # of a source, which are not the reader's any more
    yield from _check_keys(node, known, prefix, of=f" of {node['_target_']}")
    for key, value in node.items():  # a word is no truth value: 'no' would be true
        if key in parameters and parameters[key].annotation in (bool, "bool") and not isinstance(value, bool):
            yield f"{prefix}{key}={value}: true or false"


def _wrong_kinds(target: Any, node: dict[str, Any], prefix: str) -> Iterator[str]:
    """Settings that are words or lists where a component declares a number or a truth value."""
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):  # annotations that only a type checker can read
        return
    numbers = (int, float, bool, NoneType)
    for key, value in node.items():
        hint = hints.get(key)
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]
        if all(kind in numbers for kind in kinds) and not isinstance(value, int | float | None):
            yield f"{prefix}{key}={value!r}: a number or a truth value is needed"


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


def _names(schema: type) -> set[str]:
    return {one.name for one in fields(schema)}


def _missing(content: dict[str, Any]) -> Iterator[str]:
    nodes: dict[str, tuple[type, dict[str, Any]]] = {"": (Experiment, content)}
    nodes |= {f"stages.{name}.": (Stage, stage) for name, stage in content["stages"].items()}
    for prefix, (schema, node) in nodes.items():
        for name, parameter in inspect.signature(schema).parameters.items():
            if parameter.default is parameter.empty and name not in node:
                yield f"'{prefix}{name}' is missing"


def _wrong_values(values: dict[str, Any]) -> Iterator[str]:
    if isinstance(seed := values.get("seed"), int) and seed > MOST_SEED:
        yield f"seed={seed}: at most 2^32 - 1, {MOST_SEED}, which is what all generators take"
    for key, least in (("batch_size", 1), ("panel_images", 1), ("seed", 0), ("split_seed", 0), ("cache_gb", 0)):
        if isinstance(values.get(key), int | float) and values[key] < least:
            yield f"{key}={values[key]}: must be at least {least}"
    for key in ("run_root", "cache_dir"):
        if values.get(key) == "":
            yield f"{key}=: give a folder; '.' is the one you are in"
    for key in ("name", "variant"):
        if not re.fullmatch(r"\w[\w.+-]*", str(values.get(key))):
            yield f"{key}={values.get(key)}: it names a folder; letters, digits and _ . + - only"
    if values.get("roi") is not None:
        try:
            regions(values["roi"])
        except ValueError as error:
            yield str(error)
    if values.get("scale") not in SCALES:
        yield f"scale={values.get('scale')}: choose one of {', '.join(SCALES)}"
    for key in sorted(RESERVED_TRAINER_KEYS & set(values.get("trainer") or ())):
        yield f"trainer.{key}: not to be set; an experiment has max_epochs and callbacks of its own, by stage"
    if not isinstance(canvas := values.get("canvas"), list) or len(canvas) != 2:
        yield f"canvas={values.get('canvas')}: two numbers, [rows,columns]"
    elif any(isinstance(side, int) and side < 1 for side in canvas):
        yield f"canvas={canvas}: rows and columns must be at least 1"


def _wrong_claim(claim: dict[str, Any]) -> Iterator[str]:
    if not 0 <= claim.get("margin", 0) < math.inf:
        yield f"claim.margin={claim['margin']}: the smallest change that matters, 0 or more"
    if claim.get("method") is not None and claim["method"] == claim.get("against"):
        yield f"claim.method={claim['method']}: the variant that it is compared with; name another"


def _wrong_stages(stages: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, stage in stages.items():
        for key in ("max_epochs", "patience"):
            if isinstance(stage.get(key), int) and stage[key] < 1:
                yield f"stages.{name}.{key}={stage[key]}: must be at least 1 (patience=null: no early stopping)"
        if stage.get("epoch") is Epoch.last and stage.get("patience"):
            yield f"stages.{name}.epoch=last: of a fixed number of epochs alone; add stages.{name}.patience=null"
    reachable = {name for name, _ in order_stages(stages)}
    for name in stages.keys() - reachable:  # they begin from a stage that does not exist, or from each other
        others = ", ".join(stages.keys() - {name}) or "there is none"
        yield f"stages.{name}.init={stages[name]['init']}: no stage that comes before it ({others})"


def order_stages(stages: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Order stages as written, except that a stage comes after the one it begins from."""
    done: dict[str, dict[str, Any]] = {}
    while ready := next((n for n, s in stages.items() if n not in done and s.get("init") in (None, *done)), None):
        done[ready] = stages[ready]
    return list(done.items())

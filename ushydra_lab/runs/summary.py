"""run.json and stage.json as objects: the records of a job and of its stages."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ushydra_lab.errors import NOT_LOADED, printable
from ushydra_lab.tasks.column import Acceptable, Column, Metric

STORE = ".stages"
"""The folder below `run_root` that all experiments' stages lie in."""
PLANNED, RUNNING, FINISHED, INTERRUPTED, FAILED = "planned", "running", "finished", "interrupted", "failed"
TIME = "%Y-%m-%dT%H:%M:%S%z"
"""The format of the times in run.json."""
UNVERIFIED = "unverified: made by a version that wrote no checksums"
UNVERIFIED_VERSIONS = ("0.1.0", "0.2.0", None)
"""Versions of the lab that wrote no checksums; None: run.json has no version."""


MOST_COLUMNS = 500
"""Declarations that a run may carry."""


@dataclass(frozen=True)
class StageSummary:
    """The record of a trained stage in run.json and stage.json.

    key: the hash of what determines its weights. loss_weights: of each term at the end. gradient_norms: of each
    unscaled term at the start, where they were measured to calibrate the weights. parameters: of the network;
    trainable: those that this stage trained; None for stages of versions that did not count.
    """

    key: str
    epochs: int | None = None
    selected_by: str = ""
    selected_epoch: int | None = None
    score: float = math.nan
    loss_weights: dict[str, float] = field(default_factory=dict)
    gradient_norms: dict[str, float] = field(default_factory=dict)
    parameters: int | None = None
    trainable: int | None = None


@dataclass(frozen=True)
class Summary:
    """run.json. Of a job that has not finished only `status` is certain to be there.

    settings: hash of the configuration without the seed; identity: of all that determines the run's numbers; data: of
    its manifest; files: path below the run -> SHA-256, None where the version before 0.3.0 wrote none; now: the stage
    that is being trained; error: what ended it, which may name paths; public: what a report may say of that; packed: by
    `runs.pack`, without names of subjects and images; seen_sites: then known here; columns: declarations of those of
    its per-image table that the lab does not know by itself; deidentified: where it was declared after the run had
    finished; pace: hash of a piece of work -> seconds of one image's epoch, and epochs (`runs.pace`).
    """

    status: str
    seed: int = -1
    variant: str = ""
    name: str = ""
    settings: str = ""
    identity: str = ""
    data: str = ""
    planned: str = ""
    started: str = ""
    ended: str = ""
    error: str = ""
    public: str = ""
    sweep: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    stages: dict[str, StageSummary] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    now: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] | None = None
    packed: bool = False
    seen_sites: list[str] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    deidentified: bool | None = None
    pace: dict[str, list[float]] = field(default_factory=dict)


def parse_summary(content: dict[str, Any]) -> Summary:
    """Parse run.json; keys that this version does not know are left out.

    Raises:
        ValueError: a value is missing or of another kind.
    """
    known = typed_values(Summary, {key: value for key, value in content.items() if value is not None})
    if "status" not in known:
        raise ValueError("no status")
    if str(known.get("error", "")).partition("\n")[0] == NOT_LOADED:  # versions before 0.3.0 wrote no `public`
        known.setdefault("public", NOT_LOADED)
    stages = {str(name): parse_stage(stage) for name, stage in known.pop("stages", {}).items()}
    declared = known.pop("columns", [])
    if len(declared) > MOST_COLUMNS:
        raise ValueError(f"{len(declared)} columns are declared, at most {MOST_COLUMNS} can be")
    columns = [_column(column) for column in declared]
    summary = Summary(**known, stages=stages, columns=columns)
    if summary.status not in (PLANNED, RUNNING, FINISHED, INTERRUPTED, FAILED):
        raise ValueError(f"status {summary.status!r} is none")
    if summary.status == FINISHED:
        if summary.seed < 0 or not summary.variant or not stages:
            raise ValueError("seed, variant or stages are missing")
        if strange := [name for name in summary.files or {} if Path(name).is_absolute() or ".." in Path(name).parts]:
            raise ValueError(f"{strange[0]} is outside of the run")
        if summary.files is None and summary.versions.get("ushydra_lab") not in UNVERIFIED_VERSIONS:
            raise ValueError("the sums of its files are missing")
    return summary


def parse_stage(content: Any) -> StageSummary:
    """Parse a stage's record.

    Raises:
        ValueError: a value is missing or of another kind.
    """
    if not isinstance(content, dict) or "key" not in content:
        raise ValueError("a stage without a key")
    return StageSummary(
        **typed_values(StageSummary, {key: value for key, value in content.items() if value is not None})
    )


def column_to_json(column: Column) -> dict[str, Any]:
    """A declaration as run.json holds it; no bound is null there, since infinity is no JSON."""
    content = asdict(column)
    if column.metric and math.isinf(column.metric.most):
        content["metric"]["most"] = None
    return content


def _column(content: Any) -> Column:
    """A declaration that a run carries.

    Raises:
        ValueError: a value is missing or of another kind.
    """
    if not isinstance(content, dict) or not isinstance(content.get("name"), str):
        raise ValueError("a column without a name")
    metric, acceptable = content.get("metric"), content.get("acceptable")
    own = {key: value for key, value in content.items() if key not in ("metric", "acceptable")}
    try:
        limits = None if acceptable is None else Acceptable(**typed_values(Acceptable, acceptable))
        shown = (
            None
            if metric is None
            else Metric(**typed_values(Metric, {k: v for k, v in metric.items() if v is not None}))
        )
        return Column(**typed_values(Column, own), metric=shown, acceptable=limits)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"column {content['name']}: {error}") from error


def typed_values(kind: type, content: dict[str, Any]) -> dict[str, Any]:
    """The keys that a dataclass has, each of its kind; texts without what a terminal would obey."""
    hints, known = get_type_hints(kind), {}
    for name, value in content.items():
        if name not in hints:
            continue
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} is {printable(repr(value))[:40]}")
        known[name] = printable(value) if isinstance(value, str) else value
    return known


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is UnionType:
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(_fits(one, get_args(hint)[1]) for one in value.values())
    if get_origin(hint) is list:
        return isinstance(value, list) and all(_fits(one, get_args(hint)[0]) for one in value)
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return isinstance(value, dict if hint in (StageSummary, Column) else hint)

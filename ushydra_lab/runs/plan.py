"""plan.json of an experiment: its claim, methods, sites and seeds, written before a test image is evaluated.

Every command that plans something new adds an entry, and none is taken away: a claim that was changed after jobs had
finished is seen to have been changed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from ushydra_lab.config.schema import Claim, Experiment, Kind
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError
from ushydra_lab.files import DamagedFile, disk_errors, read_json, write_json
from ushydra_lab.runs.ledger import job_state
from ushydra_lab.runs.run import runs_below
from ushydra_lab.runs.summary import FINISHED, TIME, typed_values
from ushydra_lab.tasks.columns import COLUMNS, split_name

PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """What one command planned; finished: jobs of the experiment that had finished before it was written."""

    written: str
    claim: Claim | None
    variants: list[str]
    held_out: list[str]
    seeds: list[int]
    finished: int

    def covers(self, other: Plan) -> bool:
        """Whether it claims the same, and plans all of the other's methods, sites and seeds."""
        parts = ((self.variants, other.variants), (self.held_out, other.held_out), (self.seeds, other.seeds))
        return self.claim == other.claim and all(set(theirs) <= set(own) for own, theirs in parts)


def write_plans(jobs: Mapping[Path, Experiment]) -> None:
    """Add what a command plans, the experiment of each run's directory, to the plans of those experiments.

    Inner folds, which calibrate intervals and answer no claim, are no part of a plan.

    Raises:
        UserError: it cannot be written, or what is there is damaged.
    """
    jobs = {path: experiment for path, experiment in jobs.items() if experiment.split.get("inner") is None}
    for folder in dict.fromkeys(path.parents[2] for path in jobs):
        own = {path: experiment for path, experiment in jobs.items() if path.parents[2] == folder}
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                plans, new = read_plans(folder), _new(folder, own)
                _refuse_impossible(new.claim, folder, new.variants)
                if not any(plan.covers(new) for plan in plans[-1:]):
                    write_json(folder / PLAN, {"plans": [plan_to_json(plan) for plan in [*plans, new]]})


def read_plans(folder: Path) -> list[Plan]:
    """The plans of an experiment's directory, the first one first; none where a version before 0.4.0 made its runs.

    Raises:
        DamagedFile: plan.json is not as it was written.
    """
    if not (folder / PLAN).exists():
        return []
    remedy = f"Put {folder / PLAN} back from a copy; without it nobody can tell what was planned beforehand."
    content = read_json(folder / PLAN, remedy)
    try:
        plans = [_plan(one) for one in content["plans"]]
        if not plans or not isinstance(content["plans"], list):
            raise ValueError("no list of plans")
        return plans
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile(folder / PLAN, f"is damaged ({error})", remedy) from error


def _new(folder: Path, jobs: Mapping[Path, Experiment]) -> Plan:
    experiments = list(jobs.values())
    return Plan(
        time.strftime(TIME),
        experiments[0].claim,
        list(dict.fromkeys(experiment.variant for experiment in experiments)),
        list(dict.fromkeys(path.parents[1].name for path in jobs)),
        list(dict.fromkeys(experiment.seed for experiment in experiments)),
        sum(job_state(run).state == FINISHED for run in runs_below(folder)),
    )


def _refuse_impossible(claim: Claim | None, folder: Path, planned: Iterable[str]) -> None:
    """Refuse a claim about a column that tables do not show, or one that leaves open which variants it is about.

    A variant that is neither planned nor trained yet is only told: another command may train it.
    """
    if claim is None:
        return
    problems, column = [], split_name(claim.endpoint)
    if not column or not column[0].metric:
        shown = [one.name for one in COLUMNS if one.metric]
        problems.append(f"claim.endpoint={claim.endpoint}: no column of tables{nearest(claim.endpoint, shown)}")
    variants = sorted({*planned, *(run.name.rpartition("/")[2] for run in runs_below(folder))})
    if claim.against is None:
        problems.append("claim.against: give the variant to compare with")
    if claim.method is None and len(others := [one for one in variants if one != claim.against]) > 1:
        problems.append(f"claim.method: name the one that the claim is about ({', '.join(others)})")
    if problems:
        raise UserError.listing("The claim cannot be answered:", problems)
    if absent := [one for one in (claim.against, claim.method) if one is not None and one not in variants]:
        print(f"The claim is about {' and '.join(absent)}, of which no run is planned yet: the report will say so.")


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """A plan as plan.json holds it."""
    return asdict(plan) | {"claim": plan.claim and plan.claim.as_dict()}


def _plan(content: dict[str, Any]) -> Plan:
    claim = content["claim"]
    if claim is not None:
        claim = Claim(**typed_values(Claim, claim | {"kind": Kind(claim["kind"])}))
    values = typed_values(Plan, {one.name: content[one.name] for one in fields(Plan) if one.name != "claim"})
    if datetime.strptime(values["written"], TIME).tzinfo is None:
        raise ValueError("when it was written lacks a time zone")
    return Plan(**values, claim=claim)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One command at a time reads and writes the plan; where the file system has no locks, the last one's stays."""
    lock = FileLock(folder / f".{PLAN}.lock", mode=0o666)
    with contextlib.suppress(OSError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

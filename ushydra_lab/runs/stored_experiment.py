"""Validation of a finished run's configuration by the rules for a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ushydra_lab.config.identity import flatten
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check_content
from ushydra_lab.errors import UserError
from ushydra_lab.runs.run import CONFIG, Run

MOVED = {
    "ushydra_lab.callbacks.": "ushydra_lab.training.callbacks.",
    "ushydra_lab.heatmaps.": "ushydra_lab.geometry.heatmaps.",
    "ushydra_lab.runs.wandb_logger.": "ushydra_lab.training.wandb_logger.",
}
"""Beginnings of the `_target_`s that versions before 0.4.0 stored, and where those components are now."""


def check_stored(run: Run, trusted: Sequence[str] = ()) -> Experiment:
    """The experiment of a finished run, held to the same rules as a new one; its places stay as stored
    until `config.stored.on_this_machine`.

    Raises:
        UserError: the run is not finished, or config.yaml is damaged or holds what a new one may not.
    """
    run.require_finished()
    content = {key: moved_targets(value) for key, value in run.config.items() if key != "trust"}
    headline = f"{run.path / CONFIG} cannot be used. {run.remedy}"
    if unresolved := [key for key, value in flatten(content) if "${" in str(value)]:
        raise UserError.listing(headline, [f"{key}: a stored value refers to no other" for key in unresolved])
    return check_content(content, trusted, headline)


def moved_targets(node: Any) -> Any:
    """A stored configuration, or a part of it, with today's names of components that have moved."""
    if isinstance(node, dict):
        return {key: _today(value) if key == "_target_" else moved_targets(value) for key, value in node.items()}
    return [moved_targets(one) for one in node] if isinstance(node, list) else node


def _today(target: Any) -> Any:
    before = next((one for one in MOVED if isinstance(target, str) and target.startswith(one)), None)
    return target if before is None else MOVED[before] + target.removeprefix(before)

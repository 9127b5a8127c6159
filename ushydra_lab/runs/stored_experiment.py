"""The experiment of a finished run: its configuration, held to the rules of a new one."""

from __future__ import annotations

from collections.abc import Sequence

from ushydra_lab.config.identity import flatten
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import checked
from ushydra_lab.errors import UserError
from ushydra_lab.runs.run import CONFIG, Run


def check_stored(run: Run, trusted: Sequence[str] = ()) -> Experiment:
    """The experiment of a finished run, held to the same rules as a new one; `config.stored.here` places it here.

    Raises:
        UserError: the run is not finished, or config.yaml is damaged or holds what a new one may not.
    """
    run.require_finished()
    content = dict(run.config)
    content.pop("trust", None)
    headline = f"{run.path / CONFIG} cannot be used. {run.remedy}"
    if unresolved := [key for key, value in flatten(content) if "${" in str(value)]:
        raise UserError.listing(headline, [f"{key}: a stored value refers to no other" for key in unresolved])
    return checked(content, trusted, headline)

"""`python -m ushydra_lab +experiment=nt_phase2 seed=1000,1001`: compose, validate, run."""

from __future__ import annotations

import logging
import os
import sys

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from ushydra_lab.config import CONF, register_resolvers, run_path
from ushydra_lab.errors import UserError
from ushydra_lab.validation import check, explain

log = logging.getLogger("ushydra_lab")
OTHER_MODES = {"-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion"}
OTHER_MODES |= {"-r", "--run", "-m", "--multirun"}
"""Hydra's flags that do something else than run; without one, every command is a sweep, be it of one job."""


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One job. A failure is recorded in its directory and printed; the sweep's other jobs go on."""
    from ushydra_lab.experiment import run

    try:
        run(check(cfg), run_path(cfg))
    except UserError as error:
        log.error("FAILED %s\n%s", run_path(cfg), error)
    except Exception:
        log.exception("FAILED %s", run_path(cfg))


def main() -> None:
    """The command line."""
    register_resolvers()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises, so that the message can be ours
    if not any(argument in OTHER_MODES for argument in sys.argv[1:]):
        sys.argv.append("--multirun")
    try:
        job()
    except HydraException as error:
        sys.exit(explain(error))
    except KeyboardInterrupt:
        print("\nInterrupted. The same command continues where this one stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()

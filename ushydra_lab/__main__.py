"""`python -m ushydra_lab +experiment=nt_phase2 seed=1000,1001`: compose, validate, run."""

from __future__ import annotations

import logging
import os
import sys

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.typed import as_meant, torn
from ushydra_lab.config.validation import check, explain
from ushydra_lab.errors import UserError, use_any_display
from ushydra_lab.runs.directory import SWEEP, Busy
from ushydra_lab.runs.ledger import failed_in
from ushydra_lab.sweep.callback import load_libraries

log = logging.getLogger("ushydra_lab")
HELP = {"-h", "--help", "--hydra-help", "--version", "-sc", "--shell-completion"}
OTHER_MODES = HELP | {"-c", "--cfg", "-i", "--info", "-r", "--run", "-m", "--multirun"}
"""Hydra's flags that do something else than run; without one, every command is a sweep, be it of one job."""


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One job. A failure is recorded in its directory and printed; the others go on, unless with `fail_fast`."""
    load_libraries()
    from ushydra_lab.experiment import run
    from ushydra_lab.training.memory import give_back

    path = run_path(cfg)
    try:
        experiment = check(cfg)
        if experiment.fail_fast and (failed := failed_in(os.environ.get(SWEEP, ""), path.parents[2])):
            log.warning("not started: %s, since %s failed (fail_fast=true)", path, failed[0].path)
            return
        run(experiment, path)
    except Busy as busy:
        log.info("left out: %s", busy)
    except UserError as error:
        log.error("FAILED %s\n%s", path, error)
    except Exception:
        log.exception("FAILED %s", path)
    finally:
        give_back()


def detect_scale() -> str:
    """`paper` where torch sees a GPU, else `laptop`."""
    import torch

    return "paper" if torch.cuda.is_available() else "laptop"


def with_scale(arguments: list[str], scale: str) -> list[str]:
    """The command line with a scale, beside the other key=value words, which argparse wants side by side."""
    print(f"scale={scale} (chosen for this machine; scale=... overrides)", file=sys.stderr)
    pairs = (place for place, word in enumerate(arguments) if place and "=" in word and not word.startswith("-"))
    place = next(pairs, len(arguments))
    return [*arguments[:place], f"scale={scale}", *arguments[place:]]


def main() -> None:
    """The command line."""
    use_any_display()
    register_resolvers()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises, so that the message can be ours
    if dashed := [argument for argument in sys.argv[1:] if argument.startswith("--experiment=")]:
        sys.exit(f"{dashed[0]}: it is added without dashes: +{dashed[0].lstrip('-')}")
    if not any(argument in OTHER_MODES for argument in sys.argv[1:]):
        sys.argv.append("--multirun")
    if problems := list(torn(sys.argv[1:])):
        sys.exit("\n".join(problems))
    sys.argv[1:] = map(as_meant, sys.argv[1:])
    if not any(argument in HELP or argument.startswith("scale=") for argument in sys.argv[1:]):
        sys.argv = with_scale(sys.argv, detect_scale())
    try:
        job()
    except HydraException as error:
        sys.exit(explain(error))
    except KeyboardInterrupt:
        print("\nInterrupted. The same command continues where this one stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()

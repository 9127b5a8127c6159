"""Train an experiment: every seed, hospital and variant that the command line sweeps, or what is missing of them."""

from __future__ import annotations

import os
import sys

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from ushydra_lab.config.explain import explain
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.typed import normalise, split_at_spaces
from ushydra_lab.sweep.libraries import import_jobs

HELP = {"-h", "--help", "--hydra-help", "-sc", "--shell-completion"}
OTHER_MODES = HELP | {"-c", "--cfg", "-i", "--info", "-r", "--run", "-m", "--multirun"}
"""Hydra's flags that do something else than run; without one, every command is a sweep, be it of one job."""


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One job of the sweep, as Hydra or a launcher starts it."""
    import_jobs().run_job(cfg)


def main(arguments: list[str]) -> int:
    """Compose, validate and run the jobs; Hydra ends the program itself where one failed."""
    register_resolvers()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises, so that the message can be ours
    if dashed := [argument for argument in arguments if argument.startswith("--experiment=")]:
        sys.exit(f"{dashed[0]}: it is added without dashes: +{dashed[0].lstrip('-')}")
    if not OTHER_MODES.intersection(arguments):
        arguments = [*arguments, "--multirun"]
    if problems := list(split_at_spaces(arguments)):
        sys.exit("\n".join(problems))
    arguments = list(map(normalise, arguments))
    if not any(argument in HELP or argument.startswith("scale=") for argument in arguments):
        arguments = with_scale(arguments, detect_scale())
    sys.argv[1:] = arguments  # where Hydra reads them
    try:
        job()
    except HydraException as error:
        sys.exit(explain(error))
    except KeyboardInterrupt:
        print("\nInterrupted. The same command continues where this one stopped.", file=sys.stderr)
        return 130
    return 0


def detect_scale() -> str:
    """`paper` where torch sees a GPU, else `laptop`."""
    import torch

    return "paper" if torch.cuda.is_available() else "laptop"


def with_scale(arguments: list[str], scale: str) -> list[str]:
    """The command line with a scale, beside the other key=value words, which argparse wants side by side."""
    print(f"scale={scale} (chosen for this machine; scale=... overrides)", file=sys.stderr)
    pairs = (place for place, word in enumerate(arguments) if "=" in word and not word.startswith("-"))
    place = next(pairs, len(arguments))
    return [*arguments[:place], f"scale={scale}", *arguments[place:]]

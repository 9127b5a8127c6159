"""The command line `python -m ushydra_lab VERB ...` (or `ushydra_lab VERB ...`); a verb is a module in `commands`.

Without a verb, and with Hydra's overrides, it trains: `python -m ushydra_lab +experiment=nt_phase2 seed=1000,1001`.
"""

from __future__ import annotations

import difflib
import importlib
import sys

from ushydra_lab import __version__
from ushydra_lab.cores import share_busy_cores
from ushydra_lab.errors import UserError, use_any_display

TRAIN = "train"
VERBS = {
    TRAIN: "train an experiment, or continue what was interrupted",
    "import": "bring an export of LabelMe, COCO, CVAT, 3D Slicer, NIfTI or mask files into a manifest",
    "check": "look at a data set before training: every problem, and a page of pictures",
    "runs": "list jobs: finished, running, interrupted, failed or missing; pack one to pass it on",
    "report": "tables and figures of finished runs as a page, Markdown, LaTeX and CSV",
    "evaluate": "apply a finished run to other labelled images",
    "predict": "measure images, videos and DICOM files without labels with a finished run",
    "probes": "measure what the frozen encoders of finished runs know",
    "robustness": "measure how segmentations bear noise, and how well they repeat",
    "boxes": "measure what wrong boxes do to the NT drift of reconstructions",
    "claims": "find numbers of a results table that contradict each other, and wins that chance explains",
    "dashboard": "make a wandb workspace for an experiment's runs",
    "doctor": "see what this machine has and lacks: versions, device, disk, each with its remedy",
    "benchmark": "measure the lab's speed beside named references",
}
HELP = ("-h", "--help", "help")


def main() -> None:
    """The command line."""
    use_any_display()
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in (*HELP, ""):
        print(overview())
    elif arguments[0] == "--version":
        print(f"ushydra_lab {__version__}")
    elif arguments[0] in VERBS:
        _run(arguments[0], arguments[1:])
    elif is_word(arguments[0]):
        sys.exit(unknown(arguments[0]))
    else:
        _run(TRAIN, arguments)


def is_word(argument: str) -> bool:
    """Whether an argument is a plain word, as a verb is, and not one of Hydra's overrides or flags."""
    return "=" not in argument and argument[:1] not in "+-~"


def unknown(word: str) -> str:
    """The message for an unknown verb."""
    near = difflib.get_close_matches(word, VERBS, n=1, cutoff=0.5)
    hint = f" Did you mean `python -m ushydra_lab {near[0]}`?" if near else ""
    return f"{word}: no such verb.{hint} There are {', '.join(VERBS)}."


def overview() -> str:
    """All verbs, one per line."""
    return "\n".join(
        [
            "usage: python -m ushydra_lab VERB ...      (installed: ushydra_lab VERB ...)",
            "       python -m ushydra_lab +experiment=nt_phase2 seed=1000,1001      (train may be left out)",
            "",
            *(f"  {verb:<11} {what}" for verb, what in VERBS.items()),
            "",
            "python -m ushydra_lab VERB --help says more.",
        ]
    )


def _run(verb: str, arguments: list[str]) -> None:
    """Run a verb's command; the exit status is what its `main` returns, or 1 after a UserError."""
    share_busy_cores()
    try:
        command = importlib.import_module(f"ushydra_lab.commands.{verb}")
        sys.exit(command.main(arguments))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "ushydra_lab":
            raise
        remedy = "`make setup` makes an environment that has all: source .venv/bin/activate"
        sys.exit(f"{sys.executable} has no {error.name}; {remedy}")
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()

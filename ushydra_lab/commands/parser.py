"""The argument parser that all verbs share."""

from __future__ import annotations

import argparse

LOCAL_HELP = "trust=[your_module], cache_dir=FOLDER or data.root=FOLDER where they are others than the run's"
"""For verbs that use a finished run on this machine."""


def new_parser(verb: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of a verb, which shows its module's docstring as it is written."""
    return argparse.ArgumentParser(
        prog=f"python -m ushydra_lab {verb}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

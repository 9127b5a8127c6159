"""The command line, called in this process."""

import sys

from ushydra_lab.__main__ import main


def call(verb: str, *words: str) -> None:
    """Run a verb as if it were typed; raises SystemExit with what it says, or its status, where that is not 0."""
    before, sys.argv = sys.argv, ["ushydra_lab", verb, *words]
    try:
        main()
    except SystemExit as end:
        if end.code not in (0, None):
            raise
    finally:
        sys.argv = before


def status(verb: str, *words: str) -> int:
    """The exit status of a verb; what it says at its end goes to standard error, as in a process of its own."""
    try:
        call(verb, *words)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    return 0

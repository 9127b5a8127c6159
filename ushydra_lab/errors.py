"""The error whose message is written for users."""

import io
import re
import sys

NOT_LOADED = "the weights of the frozen DINO network cannot be loaded"


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with what a terminal would obey or could not show (escapes, changes of direction) written as code."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def use_any_display() -> None:
    """Let what is printed never fail for a character that the terminal, or a file in its place, lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class UserError(Exception):
    """An error that the user can correct: the message names the file, row or key and the remedy.

    Commands print it without a traceback and exit with status 1.

    public: what a report that is passed on may say of it, in words that name neither files nor subjects.
    """

    def __init__(self, message: str, public: str = "") -> None:
        super().__init__(printable(message))
        self.public = public

    @classmethod
    def listing(cls, headline: str, problems: list[str], limit: int = 50) -> "UserError":
        """All problems at once, one a line; beyond `limit` the rest are counted."""
        shown = [f"  - {problem}" for problem in problems[:limit]]
        if len(problems) > limit:
            shown.append(f"  ... and {len(problems) - limit} more")
        return cls("\n".join([headline, *shown]))

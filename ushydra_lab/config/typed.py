"""Typed key=value words: reading them as they are meant, quoting them for Hydra, and suggesting corrections.

Hydra makes a number of `1_000` or `1e5`, a truth value of TRUE, and a text of `01`. Here a site, a name or a folder is
the text that was typed, and everywhere else a number may begin with zeros.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from ushydra_lab.config.identity import NOT_DETERMINING, SOURCE

TEXTS = {"name", "variant", "held_out", "roi", "run_root", "cache_dir", "split.held_out", "split.inner", "data.site"}
TEXTS |= {"network.weights"} | {key for key in NOT_DETERMINING if key.startswith("data.")}
"""Keys whose values are texts, whatever they look like; null is none."""
SPECIAL = re.compile(r"['\"\[\](){}$\\]")
"""What makes more of a value than words between commas."""
PADDED = re.compile(r"([+-]?)0+(?=\d)")


def normalise(word: str) -> str:
    """A typed word rewritten such that Hydra reads what is meant; other words unchanged."""
    key, equals, value = word.partition("=")
    name = key.lstrip("+~").partition("@")[0]
    if not equals or SPECIAL.search(value) or name.startswith("hydra"):
        return word
    change = as_text if SOURCE.sub("data.", name) in TEXTS else _as_number
    return f"{key}={','.join(change(element.strip()) for element in value.split(','))}"


def as_text(element: str) -> str:
    """A text as it is typed: quoted where Hydra would read something else."""
    return element if element in ("", "null") or _read(f"x={element}") == element else quoted(element)


def _as_number(element: str) -> str:
    shorter = PADDED.sub(r"\1", element, count=1) if PADDED.match(element) else element
    try:
        float(shorter)
    except ValueError:
        return element
    return shorter


def quoted(text: str) -> str:
    """A text quoted such that Hydra reads it as a text."""
    return str(QuotedString(text, Quote.single).with_quotes())


def _read(word: str) -> Any:
    """What Hydra reads, None where it reads nothing or several values."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return None
    return None if override.is_sweep_override() else override.value()


def typing_remedy(word: str) -> str:
    """How to type a key=value that Hydra refuses, as it can be copied into a shell."""
    key, _, value = word.partition("=")
    without = re.sub(r"""(['"])([^'"{}]*)\1\s*:""", r"\2:", value)
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    for better in (f"{key}={value.strip().strip(',')}", f"{key}={without}"):
        if better != word and _parses(better):
            return f"Type it so: {shlex.quote(better)}"
    if value.lstrip().startswith(("{", "[")):
        return "Names in it are letters, digits, spaces and _./-, without quotes; others need a file of your own"
    return f"Quote twice what is more than letters, digits and _./-: {_in_shell(f'{key}={quoted(bare)}')}"


def _in_shell(word: str) -> str:
    """In double quotes where that changes nothing, since the word itself has single ones."""
    return shlex.quote(word) if re.search(r'["$`\\!]', word) else f'"{word}"'


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def split_at_spaces(words: Sequence[str]) -> Iterator[str]:
    """Problems of key=value words that the shell split at spaces: `seed=1000, 1001`, `held_out=St Anna`."""
    pieces: list[str] = []
    for word, before in zip([*words, "end="], ["", *words], strict=True):
        if "=" not in word and not word.startswith(("-", "~")) and pieces and not before.startswith("-"):
            pieces.append(word)
            continue
        if len(pieces) > 1:
            yield f"{' '.join(pieces)}: not understood. Type it so: {_joined(pieces)}"
        pieces = [word] if "=" in word and not word.startswith("-") else []


def _joined(pieces: list[str]) -> str:
    close = "".join(pieces)
    if all(left.endswith((",", "=")) or right.startswith(",") for left, right in pairwise(pieces)):
        return shlex.quote(close.rstrip(","))
    key, _, value = " ".join(pieces).partition("=")
    whole = f"{key}={value.rstrip(' ,')}"
    return shlex.quote(whole) if _parses(whole) else _in_shell(f"{key}={quoted(value)}")

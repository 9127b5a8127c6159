"""How far long work has come: a bar on a terminal and in a notebook, else a line now and then, as for a log file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich import get_console
from rich.markup import escape
from rich.progress import track

Item = TypeVar("Item")
EVERY_S = 15.0


def followed(items: Iterable[Item], title: str, total: int) -> Iterator[Item]:
    """The items, of which there are `total`, while it is told how many have been worked on."""
    console = get_console()
    if console.is_terminal or console.is_jupyter:
        yield from track(items, escape(title), total=total, transient=True)
        return
    spoke = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - spoke >= EVERY_S:
            spoke = time.monotonic()
            print(f"{title}: {done} of {total}", flush=True)

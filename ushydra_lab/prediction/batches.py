"""Files -> batches of frames on the canvas, decoded in threads ahead of whoever answers them.

Which frames are in a batch depends on the files alone, so that a prediction that is continued answers the same batches.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.prediction.decode import frames, still
from ushydra_lab.prediction.frames import Shown, batch_of, show
from ushydra_lab.prediction.inputs import Item
from ushydra_lab.prediction.progress import Problem
from ushydra_lab.tasks.base import Batch


@dataclass
class FrameBatch:
    """Frames that are answered together, each with its file; problems: files, or the rest of them, not read."""

    key: str
    shown: list[tuple[Item, Shown]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @cached_property
    def tensors(self) -> Batch:
        """What networks are asked with, on the CPU; there is at least one frame."""
        return batch_of([shown for _, shown in self.shown])


@dataclass(frozen=True)
class Batches:
    """canvas: (rows, columns); size: frames in a batch; every: of files with several frames each n-th is taken; done:
    keys of batches that are not made again.
    """

    canvas: tuple[int, int]
    size: int
    every: int = 1
    done: Collection[str] = frozenset()

    def of(self, items: Sequence[Item]) -> Iterator[FrameBatch]:
        """The batches of these files, in order; several stills share one, of other files each has its own."""
        number = 0
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for stills, group in groupby(items, lambda item: item.kind == "still"):
                units = _chunks(list(group), self.size if stills else 1)
                keyed = [(f"{number + n:08d}", unit) for n, unit in enumerate(units)]
                number += len(units)
                if stills:
                    yield from self._stills(keyed, pool)
                else:
                    for key, (item,) in keyed:
                        yield from self._frames(key, item)

    def _stills(self, keyed: list[tuple[str, list[Item]]], pool: ThreadPoolExecutor) -> Iterator[FrameBatch]:
        pending: deque[tuple[str, list[Item], list[Future[Shown | str]]]] = deque()
        for key, items in keyed:
            if key not in self.done:
                pending.append((key, items, [pool.submit(self._still, item) for item in items]))
            if len(pending) > 1:
                yield _gathered(*pending.popleft())
        yield from (_gathered(*left) for left in pending)

    def _still(self, item: Item) -> Shown | str:
        try:
            return show(still(item), self.canvas)
        except ImageProblem as problem:
            return str(problem)

    def _frames(self, unit: str, item: Item) -> Iterator[FrameBatch]:
        """Of one file, by the numbers of its frames; those of a batch that is done are decoded and no more."""
        last = FrameBatch(f"{unit}-end")
        if last.key in self.done:
            return

        def key(index: int) -> str:
            return f"{unit}-{index // (self.size * self.every):08d}"

        batch = FrameBatch("")
        try:
            for frame in frames(item, lambda index: index % self.every == 0 and key(index) not in self.done):
                own = key(frame.frame or 0)
                if own != batch.key:
                    yield from [batch] * bool(batch.key)
                    batch = FrameBatch(own)
                batch.shown.append((item, show(frame, self.canvas)))
        except ImageProblem as problem:
            last.problems.append((item.name, str(problem)))
        yield from [batch] * bool(batch.key)
        yield last


def _chunks(items: list[Item], size: int) -> list[list[Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _gathered(key: str, items: list[Item], results: list[Future[Shown | str]]) -> FrameBatch:
    batch = FrameBatch(key)
    for item, result in zip(items, (future.result() for future in results), strict=True):
        if isinstance(result, str):
            batch.problems.append((item.name, result))
        else:
            batch.shown.append((item, result))
    return batch


def ahead(batches: Iterator[FrameBatch]) -> Iterator[FrameBatch]:
    """The same batches, the next one made in a thread, with its tensors, while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(_next, batches)
        while (batch := coming.result()) is not None:
            coming = pool.submit(_next, batches)
            yield batch


def _next(batches: Iterator[FrameBatch]) -> FrameBatch | None:
    batch = next(batches, None)
    if batch and batch.shown:
        _ = batch.tensors
    return batch

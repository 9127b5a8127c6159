"""Decoding videos to grey frames, one after another, by FFmpeg (PyAV)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.io.image import MAX_PIXELS, TOO_LARGE, ImageProblem
from ushydra_lab.errors import UserError

SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv")


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """index: from 0; grey: (rows, columns); time_s: since the beginning, rate: frames per second, NaN if unknown."""

    index: int
    grey: NDArray[np.uint8]
    time_s: float
    rate: float


def frames(
    video: Path, wanted: Callable[[int], bool], last: int | None = None, container: str | None = None
) -> Iterator[VideoFrame]:
    """The wanted frames, none after `last`. container: the only one that is opened, as FFmpeg calls it.

    Raises ImageProblem, after the frames that could be decoded; UserError where PyAV is missing.
    """
    try:
        import av
    except ImportError:
        raise UserError("videos need PyAV: pip install 'ushydra_lab[video]'") from None
    try:
        with av.open(str(video), format=container) as opened:
            if not opened.streams.video:
                raise ImageProblem("holds no video")
            stream = opened.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise ImageProblem(TOO_LARGE)
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or nan)
            decoded = 0
            for index, picture in enumerate(opened.decode(stream)):
                decoded += 1
                if getattr(picture, "rotation", 0):
                    raise ImageProblem("is turned by its header; save it upright")
                if wanted(index):
                    grey = picture.to_ndarray(format="gray").astype(np.uint8, copy=False)
                    yield VideoFrame(index, grey, nan if picture.time is None else float(picture.time), rate)
                if index == last:
                    return
            if decoded + 1 < stream.frames:  # old encoders count a frame too many
                raise ImageProblem(f"ends after {decoded} of {stream.frames} frames; copy it again")
            if not decoded:
                raise ImageProblem("holds no frame")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise ImageProblem("is damaged from here on, or no video that FFmpeg can decode") from error

"""EchoNet-Dynamic: apical four-chamber videos with the left ventricle traced at end diastole and end systole.

D. Ouyang et al., Nature 580, 252 (2020), doi 10.1038/s41586-020-2145-8; Stanford University; research use agreement,
echonet.github.io/dynamic. `FileList.csv`, `VolumeTracings.csv` (FileName, X1, Y1, X2, Y2, Frame) and `Videos/*.avi`,
112 x 112 px without spacing. The first row of a traced frame is the long axis, each further row a chord of the left
ventricle across it; the outline goes down one end of the chords and back up the other (echonet/dynamic,
echonet/datasets/echo.py). A few videos have no tracings: they are left out, as the authors do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.declared import differs
from ushydra_lab.data.io import videos
from ushydra_lab.data.io.convert import Conversion, Converter, Images, remarks
from ushydra_lab.data.io.files import exists
from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.readers import folders
from ushydra_lab.data.readers.tables import read_table
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

NAME = "echonet_dynamic"
HOW = "echonet 1"
LIST, TRACINGS = "FileList.csv", "VolumeTracings.csv"
DOWNLOAD = "download EchoNet-Dynamic (echonet.github.io/dynamic)"
SIZE = ["FrameWidth", "FrameHeight"]
NUMBERS = ["X1", "Y1", "X2", "Y2", "Frame"]
PARTS = {"TRAIN": "train", "VAL": "val", "TEST": "test"}


@dataclass(frozen=True, eq=False)
class Tracing:
    """frame: index from 0; chords: (n, 4) of x1, y1, x2, y2, px, the long axis first."""

    frame: int
    chords: NDArray[np.float64]

    @property
    def outline(self) -> NDArray[np.float64]:
        """(2 n - 2, 2) of x, y at pixel indices, rounded as the authors do."""
        chords = self.chords[1:]
        return np.rint(np.concatenate([chords[:, :2], chords[::-1, 2:]]))

    @property
    def area(self) -> float:
        x, y = self.outline.T
        with np.errstate(over="ignore", invalid="ignore"):  # `mask` refuses what is that far outside
            return 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """1 where a pixel's index lies in the outline or on it. Raises ImageProblem: most of it is outside."""
        from matplotlib.path import Path as Outline

        rows, columns = np.indices(shape)
        points = np.column_stack([columns.ravel(), rows.ravel()])
        outline = Outline(self.outline)
        inside = outline.contains_points(points, radius=1e-6) | outline.contains_points(points, radius=-1e-6)
        if inside.sum() <= self.area / 2:
            raise ImageProblem(
                f"frame {self.frame}: the tracing lies outside the {shape[1]} x {shape[0]} px, or is empty"
            )
        return inside.reshape(shape).astype(np.uint8)


def read(root: str | PathLike[str], cache: str | PathLike[str], strict: bool = False) -> Source:
    """Two rows per video, the frames with the largest (ED) and the smallest (ES) traced area, as PNG in `cache`, with
    masks of the left ventricle (lv). A subject is a video; ef: ejection fraction, %.

    Videos that are not there are left out by the check; those that cannot be decoded, lack a traced frame or have
    another size than the list says are left out here, and listed, unless strict. Raises UserError: no such folder,
    tables that cannot be understood, no video that can be used.
    """
    folder = folders.holding(root, LIST, DOWNLOAD)
    videos = _videos(folder / LIST)
    tracings = _tracings(folder / TRACINGS)
    pairs = {name: pair for name in videos.index if (pair := _pair(tracings.get(name, []))) is not None}
    if untraced := [name for name in videos.index if name not in pairs]:
        print(f"{NAME}: {len(untraced)} videos without two traced frames are left out: {', '.join(untraced[:5])}")
    if not pairs:
        raise UserError(f"{folder / TRACINGS}: no video of {LIST} has two traced frames")
    found = [name for name in pairs if exists(_video(folder, name))]
    conversions = [
        _conversion(_video(folder, name), pairs[name], videos.loc[name, SIZE].to_numpy(float)) for name in found
    ]
    converted = Converter(Path(cache), folder, strict).pngs(conversions)
    pngs = dict(zip(found, converted, strict=True))
    usable = {name: pair for name, pair in pairs.items() if pngs.get(name) != {}}
    rows = [row for name, pair in usable.items() for row in _rows(name, pair, videos.loc[name], pngs.get(name))]
    table = pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="row"))
    code = MaskCode.of({"lv": 1})
    return Source(table, NAME, folder, code, partial=True, strict=strict, remarks=remarks(converted))


def _videos(sheet: Path) -> pd.DataFrame:
    """Indexed by the name without .avi. Raises UserError: odd or repeated names, unknown splits."""
    rows = read_table(sheet, ["FileName", "EF", "Split"]).apply(lambda cells: cells.str.strip())
    names, splits = rows["FileName"].str.removesuffix(".avi"), rows["Split"].str.upper()
    problems = [
        *(
            f"line {line}: FileName {names[line]!r} is no name of a file"
            for line in names.index[~names.str.fullmatch(r"\w[\w.-]*")]
        ),
        *(f"line {line}: FileName {names[line]!r} occurs again" for line in names.index[names.duplicated()]),
        *(
            f"line {line}: Split {splits[line]!r} is not one of {', '.join(PARTS)}"
            for line in splits.index[~splits.isin(list(PARTS))]
        ),
    ]
    if problems:
        raise UserError.listing(f"{sheet}: rows that are not the data set's", problems)
    sizes = rows.reindex(columns=SIZE).apply(pd.to_numeric, errors="coerce")
    return sizes.assign(part=splits.map(PARTS), ef=rows["EF"]).set_index(names)


def _tracings(sheet: Path) -> dict[str, list[Tracing]]:
    """Name without .avi -> its traced frames. Raises UserError: cells that are no numbers, too few chords."""
    rows = read_table(sheet, ["FileName", *NUMBERS])
    numbers = rows[NUMBERS].apply(pd.to_numeric, errors="coerce").replace([np.inf, -np.inf], np.nan)
    wrong = numbers.isna().any(axis=1) | (numbers["Frame"] < 0) | (numbers["Frame"] % 1 != 0)
    problems = [f"line {line}: {', '.join(rows.loc[line, NUMBERS])}" for line in rows.index[wrong]]
    if problems:
        raise UserError.listing(f"{sheet}: X1, Y1, X2, Y2 must be numbers, Frame a whole one from 0", problems)
    found: dict[str, list[Tracing]] = {}
    names = rows["FileName"].str.strip().str.removesuffix(".avi")
    chords = numbers[NUMBERS[:4]].to_numpy(float)
    for (name, frame), rows_of in numbers.groupby([names, numbers["Frame"].astype(int)]).indices.items():
        if len(rows_of) < 3:
            line = f"line {rows.index[rows_of[0]]}: {name}, frame {frame}"
            problems.append(f"{line}: {len(rows_of)} rows; an axis and two chords at least")
        found.setdefault(name, []).append(Tracing(int(frame), chords[rows_of]))
    if problems:
        raise UserError.listing(f"{sheet}: frames that are not traced whole; download it again", problems)
    return found


def _pair(tracings: list[Tracing]) -> dict[str, Tracing] | None:
    if len(tracings) < 2:
        return None
    ordered = sorted(tracings, key=lambda tracing: tracing.area)
    return {"ED": ordered[-1], "ES": ordered[0]}


def _video(folder: Path, name: str) -> Path:
    return folder / "Videos" / f"{name}.avi"


def _conversion(video: Path, pair: dict[str, Tracing], size: NDArray[np.float64]) -> Conversion:
    """size: (width, height) that the tracings were made at, NaN where the list does not say."""
    traced = [(phase, tracing.frame, tracing.chords.tolist()) for phase, tracing in pair.items()]
    return Conversion((video,), f"{HOW} {size.tolist()} {traced}", partial(_images, video, pair, size))


def _rows(
    name: str, pair: dict[str, Tracing], video: pd.Series, pngs: dict[str, Path] | None
) -> Iterator[dict[str, object]]:
    for phase, tracing in pair.items():
        yield {
            "image": str(pngs[phase]) if pngs else f"Videos/{name}.avi",
            "site": NAME,
            "subject": name,
            "part": video["part"],
            "mask": str(pngs[f"{phase}_mask"]) if pngs else "",
            "group_phase": phase,
            "ef": video["ef"],
            "source": f"Videos/{name}.avi, frame {tracing.frame}",
        }


def _images(video: Path, pair: dict[str, Tracing], size: NDArray[np.float64]) -> Images:
    traced = {tracing.frame for tracing in pair.values()}
    frames = {shown.index: shown.grey for shown in videos.frames(video, traced.__contains__, max(traced), "avi")}
    if missing := sorted(traced - frames.keys()):
        raise ImageProblem(f"traced frames {', '.join(map(str, missing))} are beyond its end, or it is truncated")
    shown = np.array([frames[pair["ED"].frame].shape[::-1]], float)
    if differs(shown, size[None])[0]:
        raise ImageProblem(f"is {shown[0, 0]:g} x {shown[0, 1]:g} px, but {LIST} says {size[0]:g} x {size[1]:g}")
    for phase, tracing in pair.items():
        yield phase, frames[tracing.frame]
        yield f"{phase}_mask", tracing.mask(frames[tracing.frame].shape)

"""Reader for the landmark CSV of the report on BPD/OFD biometry: end points for 622 training images of HC18.

No source and no licence are stated with it. Its columns of OFD and BPD are swapped (the BPD is the longer one in 522
rows), and some rows are far off the head. Images, pixel sizes and circumferences are HC18's (see `hc18`).
"""

from os import PathLike
from pathlib import Path

from ushydra_lab.data.readers import folders, hc18
from ushydra_lab.data.readers.tables import file_names, read_table, shift_coordinates
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

NAME = "image_name"


def read(
    root: str | PathLike[str], csv: str | PathLike[str], swap_columns: bool = False, strict: bool = False
) -> Source:
    """One row per row of `csv`; root: the folder of HC18.

    The points are pixel indices, so 0.5 is added. swap_columns exchanges OFD and BPD; nothing is exchanged unasked.
    strict: see `Source`. Raises UserError: no HC18, no such CSV or columns, images that are no training images of HC18.
    """
    root, csv = folders.existing(root, hc18.DOWNLOAD), Path(csv)
    table = read_table(csv, [NAME, *hc18.LANDMARKS], absent="no such file; set data.csv to the landmark CSV")
    names = file_names(csv, table[NAME])
    images = hc18.training(root)
    images.index = images["image"].map(lambda image: Path(image).name)
    if repeated := sorted(images.index[images.index.duplicated()]):
        raise UserError.listing(f"{root}: {hc18.TRAIN} has several rows of one image; remove all but one", repeated)
    if strange := [f"line {line}: {name}" for line, name in names.items() if name not in images.index]:
        raise UserError.listing(f"{csv}: names images that are no training images of HC18 in {root}", strange)
    points = shift_coordinates(table[hc18.LANDMARKS], 0.5)
    if swap_columns:
        points.columns = [*hc18.LANDMARKS[4:], *hc18.LANDMARKS[:4]]
    rows = images.loc[names].set_axis(table.index)
    return Source(rows.join(points), f"role_challenge ({csv.name})", root, partial=True, strict=strict)

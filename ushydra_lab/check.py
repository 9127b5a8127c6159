"""Check a manifest before training: python -m ushydra_lab.check MANIFEST.csv [--canvas H W]."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ushydra_lab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from ushydra_lab.data.manifest import Manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a verdict and a table of the sites; the exit status is 0 for a usable manifest, else 1."""
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.check", description="Check a manifest and its images.")
    parser.add_argument("manifest", help="CSV file: one row per image, with the columns image, site and subject")
    parser.add_argument(
        "--canvas", nargs=2, type=int, metavar=("H", "W"), help="also tell how images fit this canvas, px"
    )
    options = parser.parse_args(arguments)
    if options.canvas and min(options.canvas) < 1:
        parser.error("--canvas: H and W must be at least 1")
    from rich.console import Console

    from ushydra_lab.data.readers import manifest_csv

    console = Console()
    try:
        manifest = manifest_csv.read(options.manifest)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    console.print(_overview(manifest, options.canvas))
    print(f"{manifest.name}: {len(manifest.table)} images of {len(manifest.sites)} sites are usable")
    return 0


def _overview(manifest: "Manifest", canvas: Sequence[int] | None) -> "Table":
    """One column per site, so that a narrow terminal shows it whole."""
    from rich.table import Table

    from ushydra_lab.data.vocabulary import ANNOTATIONS

    sizes = {"pixel_mm": "mm per px", "height": "height, px", "width": "width, px"}
    table = manifest.table.reindex(columns=manifest.table.columns.union(list(sizes)))
    sites = [table[table["site"] == site] for site in manifest.sites]
    shown = Table("site", *manifest.sites)
    shown.add_row("images", *(str(len(rows)) for rows in sites))
    shown.add_row("subjects", *(str(rows["subject"].nunique()) for rows in sites))
    for name, annotation in ANNOTATIONS.items():
        shown.add_row(f"with {name}", *(str(manifest.has(annotation)[rows.index].sum()) for rows in sites))
    for column, title in sizes.items():
        shown.add_row(title, *(_span(rows[column]) for rows in sites))
    if canvas:
        shown.add_row(f"{canvas[0]} x {canvas[1]} filled, %", *(_span(_filled(rows, canvas)) for rows in sites))
    return shown


def _span(values: "pd.Series") -> str:
    """'0.061 .. 0.12', one number where all are equal, '-' where there is none."""
    low, high = values.min(), values.max()
    if values.isna().all():
        return "-"
    return f"{low:.4g}" if low == high else f"{low:.4g} .. {high:.4g}"


def _filled(rows: "pd.DataFrame", canvas: Sequence[int]) -> "pd.Series":
    """How much of the canvas each image takes up, the rest is padding, %."""
    from ushydra_lab.data.letterbox import Letterbox

    height, width = canvas

    def share(size: "pd.Series") -> float:
        content = Letterbox.fit((size["height"], size["width"]), (height, width)).size
        return 100 * content[0] * content[1] / (height * width)

    return rows[["height", "width"]].apply(share, axis=1)


if __name__ == "__main__":
    sys.exit(main())

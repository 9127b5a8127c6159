"""Bring the export of an annotation tool into a manifest with masks, which data=manifest reads.

    python -m ushydra_lab import labelme FOLDER --out NEW --set site=st_anna --pattern '{subject}_*.png'
    python -m ushydra_lab import coco instances.json --images FOLDER --out NEW --table patients.csv
    python -m ushydra_lab import masks FOLDER --images FOLDER --out NEW --pattern '{site}/{subject}_*.png' \\
        --colours st_anna:csp=255,0,0 st_josef:csp=1

What the tool does not know of an image, its site and subject first, is stated by --set, --pattern or --table.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ushydra_lab.commands.parser import new_parser
from ushydra_lab.errors import UserError, printable

if TYPE_CHECKING:
    import argparse

    from ushydra_lab.data.importers.write import Imported

FORMATS = ("labelme", "coco", "cvat", "slicer", "nifti", "masks")

SEVERAL = (
    ("--set", "COLUMN=VALUE", "of all images, such as site=st_anna pixel_mm=0.08"),
    ("--label", "TOOL=NAME", "what a label of the tool is called here; TOOL= ignores it"),
    ("--structures", "NAME", "of the masks; where they overlap the later lie on top"),
    ("--colours", "[SITE:]NAME=VALUE", "of mask files: csp=1, csp=255,0,0, head=128+ (a JPEG's from 128 on)"),
)


def main(arguments: list[str]) -> int:
    """Import into a new folder, and say what is in it."""
    given = _parser().parse_args(arguments)

    from ushydra_lab.data.importers import codes, facts
    from ushydra_lab.data.importers.form import Request
    from ushydra_lab.data.importers.pictures import Pictures
    from ushydra_lab.data.importers.write import import_to

    images = given.images or (given.source if given.source.is_dir() else given.source.parent)
    if not images.is_dir():
        raise UserError(f"{images}: no such folder; give the folder of the images (--images)")
    if given.out.resolve().is_relative_to(given.source.resolve()):
        raise UserError(f"{given.out}: lies in {given.source}, which its files would join; give a folder beside it")
    request = Request(
        given.source,
        Pictures(images),
        facts.stated(given.set, given.pattern, given.table),
        codes.parse(given.colours),
        _names(given.label),
        tuple(given.structures),
        given.suffix,
    )
    _tell(import_to(given.out, given.format, request))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = new_parser("import", __doc__)
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the export: a file, or a folder of files")
    parser.add_argument("--out", type=Path, required=True, help="a new folder for manifest.csv and masks/")
    parser.add_argument("--images", type=Path, help="the folder of images (default: the export's)")
    parser.add_argument("--pattern", help="of the images' names: '{site}/{subject}_*.png'")
    parser.add_argument(
        "--table", type=Path, help="CSV or Excel: column image (name of the file), and what is known of it"
    )
    parser.add_argument("--suffix", default="", help="what a mask's name has behind its image's: _mask")
    for option, metavar, text in SEVERAL:
        parser.add_argument(option, metavar=metavar, help=text, nargs="+", action="extend", default=[])
    return parser


def _names(words: list[str]) -> dict[str, str]:
    pairs = [word.rpartition("=") for word in words]
    if wrong := ["".join(pair) for pair in pairs if not pair[1] or not pair[0]]:
        raise UserError.listing("--label takes TOOL=NAME:", wrong)
    return {label: name for label, _, name in pairs}


def _tell(found: Imported) -> None:
    words = [str(found.manifest)]
    if found.structures:
        words.append(f"data.structures={{{', '.join(f'{name}: {grey}' for name, grey in found.structures.items())}}}")
    print(printable(f"{found.images} images: {found.manifest}"))
    print(printable(f"Look at them:  python -m ushydra_lab check {shlex.join(words)}"))

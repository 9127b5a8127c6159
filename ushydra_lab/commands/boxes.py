"""Measure what wrong boxes do to the NT drift of reconstructions.

    python -m ushydra_lab boxes multirun/nt_phase2 multirun/nt_detector

Every finished run's last stage meets its test images; the NT is measured in the annotated box, in boxes that were moved
and resized at random, and, with a second experiment, in those that its detector of the same held-out site and seed
found. Writes boxes/ beside the runs: images.csv, and means by the source of the box and by its IoU with the annotation.
"""

from __future__ import annotations

from ushydra_lab.commands.parser import LOCAL_HELP, new_parser

CAPTION = (
    "Means over test images and seeds. Measured: share of originals with a measurable NT in that box; of these, lost: "
    "share of reconstructions without one; change: absolute, of the original's NT from that in the annotated box; "
    "drift: absolute, from original to reconstruction in the same box."
)


def main(arguments: list[str]) -> int:
    """Measure an experiment's runs, and print the means."""
    parser = new_parser("boxes", __doc__)
    words = "multirun/<experiment> of reconstructions and, if there is one, of a detector"
    parser.add_argument("words", nargs="+", metavar="EXPERIMENT", help=f"{words}; {LOCAL_HELP}")
    typed = parser.parse_args(arguments).words

    from ushydra_lab.config.stored import folders_and_local
    from ushydra_lab.evaluation.boxes import box_errors, summary
    from ushydra_lab.report.render.terminal import new_console, rich_table

    folders, local = folders_and_local(typed)
    if len(folders) not in (1, 2):
        parser.error("name one or two experiments' directories, multirun/<experiment>")
    images, folder = box_errors(folders[0], folders[1] if len(folders) == 2 else None, local)
    console = new_console()
    for by in ("source", "iou"):
        table = summary(images, by)
        console.print(rich_table(table.map(_cell), f"NT drift by the box's {by}", CAPTION))
    print(f"Written: {folder}/images.csv, by_source.csv, by_iou.csv")
    return 0


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if value == value else "n/a"

"""Measure images, videos and DICOM files of which nothing else is known with a finished run, or several together.

    python -m ushydra_lab predict RUN INPUT --out FOLDER
    python -m ushydra_lab predict multirun/NAME/SITE INPUT.csv --out FOLDER

INPUT is a file, a folder or a table with a column `image`. Several runs, such as seeds, answer together. What was
interrupted is continued by the same command. The exit status is 3 where some files could not be read, 1 where nothing
can be predicted, 2 for a command line that cannot be used.
"""

from __future__ import annotations

from pathlib import Path

from ushydra_lab.commands.parser import LOCAL_HELP, new_parser

SOME_NOT_READ = 3


def main(arguments: list[str]) -> int:
    """Predict into a folder, and say what is in it."""
    parser = new_parser("predict", __doc__)
    parser.add_argument(
        "paths", nargs="+", metavar="RUN... INPUT", help=f"run directories, then INPUT; and {LOCAL_HELP}"
    )
    parser.add_argument("--out", type=Path, required=True, help="a new folder, or one that is to be continued")
    parser.add_argument("--pixel-mm", type=float, help="mm per px of images that do not say it; else px alone")
    parser.add_argument("--match", default="*", help="only files of a folder with such names: '*_ED.nii.gz'")
    parser.add_argument("--every", type=int, default=1, help="take each n-th frame of videos, cines and volumes")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    given = parser.parse_intermixed_args(arguments)

    from ushydra_lab.config.stored import folders_and_local

    folders, local = folders_and_local(given.paths)
    if len(folders) < 2:
        parser.error("give at least one RUN, and INPUT after it")
    if given.every < 1:
        parser.error("--every must be above 0")
    if folders[-1].is_dir() and given.out.resolve().is_relative_to(folders[-1].resolve()):
        parser.error(f"--out lies in {folders[-1]}, whose images it would become part of; choose a folder beside it")

    from ushydra_lab.prediction.inputs import read_input, spacing_problem
    from ushydra_lab.prediction.members import load_ensemble
    from ushydra_lab.prediction.predict import notices_of, predict_to

    if text := spacing_problem(given.pixel_mm):
        parser.error(f"--pixel-mm: {text}")
    files = read_input(folders[-1], given.match, given.pixel_mm)
    ensemble = load_ensemble(folders[:-1], given.device, local)
    for notice in notices_of(ensemble, files):
        print(notice)
    done = predict_to(given.out, ensemble, files, given.every)
    statuses = ", ".join(f"{count} {status}" for status, count in done.statuses.items())
    print(f"{'Predicted before: ' if done.again else ''}{done.folder / 'index.html'} ({done.frames} rows: {statuses})")
    if done.not_read:
        print(f"{done.not_read} files were not read, or not to their end: {done.folder / 'problems.csv'}")
    return SOME_NOT_READ if done.not_read else 0

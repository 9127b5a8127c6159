"""Requirements of an experiment on a manifest: annotations, and words of categories."""

from collections.abc import Sequence

import pandas as pd

from ushydra_lab.data.manifest import Manifest
from ushydra_lab.data.vocabulary import ANNOTATIONS, DATA_SET, Annotation, box, nearest
from ushydra_lab.errors import UserError

LISTED = 20


def required(manifest: Manifest, names: Sequence[str]) -> list[Annotation]:
    """The annotations of these names. Raises UserError: one is unknown, or no image has it."""
    if unknown := [name for name in names if name not in ANNOTATIONS and not name.endswith("_box")]:
        hints = ", ".join(f"{name!r}{nearest(name, ANNOTATIONS)}" for name in unknown)
        raise UserError(f"requires: no such annotation {hints}; there are {', '.join(ANNOTATIONS)} and NAME_box")
    wanted = [ANNOTATIONS.get(name) or box(name.removesuffix("_box")) for name in names]
    if absent := [annotation for annotation in wanted if annotation.name not in manifest.annotations]:
        needs = [f"{annotation.name}: {_need(manifest, annotation)}" for annotation in absent]
        raise UserError.listing(f"{manifest.name}: annotations this experiment requires are missing", needs)
    return wanted


def _need(manifest: Manifest, annotation: Annotation) -> str:
    unit = f" ({annotation.unit})" if annotation.unit else ""
    columns = f"columns {', '.join(annotation.columns)}{unit}, filled in one row at least"
    return manifest.lacks.get(annotation.name, columns)


def refuse_other_words(manifest: Manifest, part: pd.Series, setting: str, category: str, words: Sequence[str]) -> None:
    """part: of every row. Raises UserError where images to be trained or selected on have none of the words of the
    category that the setting names, saying which setting would do, or which files would have told.
    """
    chosen = part.isin(["train", "val"])
    blank = pd.Series("", part.index)
    given = manifest.table.get(category, blank)[chosen].value_counts()
    others = {str(word): count for word, count in given.items() if word not in words}
    if not others:
        return
    listed = ", ".join(f"{word or 'none'} {count}" for word, count in others.items())
    levels = [level for level in ANNOTATIONS[category].levels if level in given.index]
    remedies = [f"set {setting}=[{','.join(levels)}]"] * bool(levels and levels != [*words])
    remedies += [manifest.lacks[category]] if category in manifest.lacks else []
    records = part.index[chosen & ~manifest.table.get(category, blank).isin(list(words))]
    remedies += _of_sources(manifest.table.loc[records], category, words)
    raise UserError.listing(
        f"{manifest.name}: {len(records)} of {chosen.sum()} images to be trained or selected on have no {category} "
        f"among {', '.join(words)} ({setting}); they have: {listed}. "
        f"{'; '.join([*remedies, 'or leave these images out'])}. Their rows, from 0, of the data:",
        [f"record {record}: no {category} among {', '.join(words)}" for record in records],
        LISTED,
    )


def _of_sources(rows: pd.DataFrame, category: str, words: Sequence[str]) -> list[str]:
    """The setting that gives the images of a union's source without any word of the category one."""
    none = rows[rows.get(category, pd.Series("", rows.index)) == ""]
    names = sorted(none[DATA_SET].unique()) if DATA_SET in none else []
    return [f"set data.sources.{name}.{category}={'|'.join(words)}" for name in names]

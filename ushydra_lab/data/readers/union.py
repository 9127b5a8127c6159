"""Reader for several sources as the sites, or qualities, of one data set: each read by its own reader, then brought to
common words (`harmonised`).

A subject is a source's own: two sources never share one. Where sites are merged, a subject's name begins with those of
its source and site. Whether a person is in two sources is told by content alone: the check refuses one image in both.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd

from ushydra_lab.data import checks
from ushydra_lab.data.inspection import grouped, resolved
from ushydra_lab.data.io.mask_codes import JoinedCodes
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.readers.harmonised import harmonised
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import DATA_SET, IMAGE, MASK, SITE, SOURCE, SUBJECT
from ushydra_lab.errors import UserError

OWN_SITE = "site_in_source"


def read(
    sources: Mapping[str, Callable[[], Source]], harmonise: Mapping[str, Mapping[str, Any]] | None = None
) -> Source:
    """The rows of all sources, column `data_set` naming the source of each; a row's line is then "7 of NAME".

    sources: name -> its reader, with all settings. harmonise: name -> how its words become common ones (`harmonised`).
    Rows and files that a source may lack are left out as in that source alone. Raises UserError listing the problems of
    all sources.
    """
    found, problems = dict[str, Source](), list[str]()
    for name, reader in sources.items():
        try:
            source = harmonised(_read(reader), (harmonise or {}).get(name, {}))
            found[name] = _standing_alone(source, name)
        except UserError as error:
            problems.append(f"data.sources.{name}: {_of_source(error, name, reader)}")
    problems += _shared_sites(found, harmonise or {})
    if len(sources) < 2 and not problems:
        problems.append("data.sources: a union has two sources at least; one alone is data=NAME")
    if problems:
        raise UserError.listing("The union cannot be read:", problems)
    return _joined(found)


def _read(reader: Callable[[], Source]) -> Source:
    try:
        signature(reader).bind()
    except TypeError as error:
        raise UserError(f"{error}; add it to the source") from None
    source = reader()
    if problems := [text for _, text in checks.header(source)]:
        raise UserError.listing(source.name, problems)
    if source.table.empty:
        raise UserError(f"{source.name}: no rows; a manifest has one row per image")
    return source


def _standing_alone(source: Source, name: str) -> Source:
    """The source with absolute paths, and the lines of its rows named after it. Raises UserError: a path leads out."""
    table, problems = source.table.copy(), list[tuple[str, str]]()
    table[SOURCE] = table[SOURCE].where(_given(table[SOURCE]), table[IMAGE]) if SOURCE in table else table[IMAGE]
    for column in {IMAGE, MASK} & {*table}:
        cells = table[column].where(table[column].notna(), "").map(str)
        paths, wrong = resolved(cells, source.root, column)
        problems += [(checks.place(table, row), text) for row, text in wrong]
        table[column] = [str(path or "") for path in paths]
    if problems:
        raise UserError.listing(source.name, grouped(problems))
    table.index = pd.Index([f"{line} of {name}" for line in table.index])
    partial, strict = (np.broadcast_to(which, len(table)) for which in (source.partial, source.strict))
    remarks = tuple(f"{name}: {remark}" for remark in source.remarks)
    return replace(source, table=table, partial=partial, strict=strict, remarks=remarks)


def _given(cells: pd.Series) -> pd.Series:
    return cells.notna() & (cells != "")


def _joined(sources: Mapping[str, Source]) -> Source:
    tables = [source.table.assign(**{DATA_SET: name}) for name, source in sources.items()]
    table = _kept_apart(pd.concat(tables).rename_axis("line"))
    partial, strict = (
        np.concatenate([np.asarray(which) for which in of_sources])
        for of_sources in zip(*((source.partial, source.strict) for source in sources.values()), strict=True)
    )
    lacks: dict[str, str] = {}
    for name, source in sources.items():
        for column, why in source.lacks.items():
            lacks[column] = "; ".join([*filter(None, [lacks.get(column)]), f"{name}: {why}"])
    return Source(
        table.drop(columns=OWN_SITE),
        f"union of {', '.join(sources)}",
        next(iter(sources.values())).root,
        _codes(sources),
        partial,
        strict,
        tuple(remark for source in sources.values() for remark in source.remarks),
        lacks,
    )


def _kept_apart(table: pd.DataFrame) -> pd.DataFrame:
    """Subjects of a site that comes from several sources, or sites of theirs, by longer names."""
    origins = table[DATA_SET] + "/" + table[OWN_SITE]
    merged = origins.groupby(table[SITE]).transform("nunique") > 1
    named = table[SUBJECT].map(lambda name: isinstance(name, str) and name != "" and name == name.strip())
    return table.assign(**{SUBJECT: table[SUBJECT].where(~(merged & named), origins + "/" + table[SUBJECT])})


def _codes(sources: Mapping[str, Source]) -> JoinedCodes | None:
    codes = {name: source.masks for name, source in sources.items() if isinstance(source.masks, MaskCode)}
    source_of: dict[str, str] = {}
    for name in codes:
        for path in filter(None, sources[name].table.get(MASK, ())):
            if source_of.setdefault(path, name) != name:
                raise UserError(f"data.sources: {path} is a mask of {source_of[path]} and {name}; leave one out")
    return JoinedCodes.of(codes, source_of) if codes else None


def _shared_sites(sources: Mapping[str, Source], harmonise: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Sites of the same name in two sources, unless each source says so in its `site`."""
    owners: dict[str, list[str]] = {}
    for name, source in sources.items():
        for site in source.table[SITE].unique():
            owners.setdefault(str(site), []).append(name)
    for site, names in owners.items():
        unsaid = [name for name in names if "site" not in harmonise.get(name, {})]
        if len(names) > 1 and unsaid:
            keys = ", ".join(f"data.sources.{name}.site" for name in unsaid)
            yield f"site {site!r} is in {' and '.join(names)}; name it by {keys}: by one name if it is one hospital"


def _of_source(error: UserError, name: str, reader: Callable[[], Source]) -> str:
    """A message of the reader, its settings named as the source's."""
    own = "|".join(signature(reader).parameters)
    return re.sub(rf"(?<![\w/.])data\.(?=(?:{own})\b)", f"data.sources.{name}.", str(error)).replace("\n", "\n    ")

"""Audit of sites that may be one hospital and subjects that may be one person: a held-out site would not be unseen."""

import re
import unicodedata
from collections.abc import Iterator

import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag, by_site
from ushydra_lab.audit.site_names import ALIKE, MOST, nearly_same
from ushydra_lab.data import names
from ushydra_lab.data.vocabulary import SITE, SUBJECT

LISTED = 10  # pairs named in one remark
SPARSE = 10  # times as wide a range as there are subjects: numbers that a hospital gave, not a count
EXAMPLES = 3

METHOD = (
    "Names of sites, and within a site of subjects, that are one but for capitals, leading zeros, a decimal .0, "
    "punctuation, accents or characters that cannot be seen. Names of sites that are one when some letters are left "
    f"out of each, {MOST} at most, and {100 * ALIKE:g} % of both names' letters remain; not names that differ only in "
    "a number or in a last letter, such as hospital_a and hospital_b. Subjects of several images whose name is a word "
    "for no name: anonymous, unknown, --. IDs of subjects that sites share; not where a site's are running numbers: "
    f"one prefix, if any, with numbers that span less than {SPARSE} times the count of its subjects, as every "
    "hospital has a subject 1."
)


def audit(table: pd.DataFrame, written: pd.Series) -> Finding:
    """Names of sites or subjects nearly the same, or nobody's; subject IDs that occur at several sites.

    written: the sites as the source has them, letters composed or not.
    """
    subjects = {str(site): set(ids) - {""} for site, ids in table.groupby(SITE, sort=True)[SUBJECT]}
    flags = [*_composed(written), *_names(list(subjects)), *_people(table), *_shared(subjects)]
    return Finding("site_names", "Sites or subjects that may be one", METHOD, flags)


def _composed(written: pd.Series) -> Iterator[Flag]:
    sites = written.dropna().map(str)
    for group in sites.drop_duplicates().groupby(sites.map(lambda site: unicodedata.normalize("NFC", site))):
        if len(group[1]) > 1:
            yield Flag(f"sites {names.quoted(list(group[1]))} are one name, its letters composed or not: read as one")


def _people(table: pd.DataFrame) -> Iterator[Flag]:
    """Subjects of a site that are spelt in several ways, or whose name stands for no name."""
    for site, rows in by_site(table).items():
        own = table[SUBJECT].iloc[rows]
        if groups := names.spellings(set(own) - {""}):
            pairs = ", ".join(map(names.quoted, groups[:LISTED])) + ", ..." * (len(groups) > LISTED)
            one = {name for group in groups for name in group}
            yield Flag(
                f"site {site}: {len(groups)} subject{'s' * (len(groups) > 1)} may be spelt in several ways: {pairs}; "
                "spell each person alike, else images of one are trained and validated on",
                tuple(int(row) for row, name in zip(rows, own, strict=True) if name in one),
            )
        for name, images in own.value_counts().items():
            if images > 1 and name and names.is_placeholder(str(name)):
                yield Flag(
                    f"site {site}: {images} images of subject {str(name)!r}, which looks like a word for no name: all "
                    "count as one person; give every person a name of their own",
                    tuple(int(row) for row in rows[(own == name).to_numpy()]),
                )


def _names(sites: list[str]) -> Iterator[Flag]:
    for same in nearly_same(sites):
        yield Flag(
            f"sites {', '.join(same)} have nearly the same name: if they are one hospital, spell them alike, else one "
            "of them held out is not unseen; if they are not, leave them"
        )


def _shared(subjects: dict[str, set[str]]) -> Iterator[Flag]:
    holders: dict[str, list[tuple[str, str]]] = {}
    for site, ids in subjects.items():
        for key, name in {} if _running(ids) else {names.key(name): name for name in sorted(ids)}.items():
            holders.setdefault(key, []).append((site, name))
    groups: dict[tuple[str, ...], list[str]] = {}
    for held in holders.values():
        if len(held) > 1:
            groups.setdefault(tuple(site for site, _ in held), []).append(held[0][1])
    for sites, shared in groups.items():
        listed = ", ".join(sorted(shared)[:EXAMPLES]) + ", ..." * (len(shared) > EXAMPLES)
        many = f"{len(shared)} subject ID{'s' * (len(shared) > 1)}"
        together = f"{', '.join(sites[:-1])} and {sites[-1]}"
        yield Flag(
            f"sites {together} share {many} ({listed}): an ID at several sites counts as several subjects. If they are "
            "the same people, keep the images of one of the sites, or one held out is not unseen; if they are not, put "
            "the site's name before the ID"
        )


def _running(ids: set[str]) -> bool:
    found = [re.fullmatch(r"(\D*)(\d{1,18})", names.key(subject)) for subject in ids]
    matches = [match for match in found if match]
    if len(matches) < len(found) or len({match[1] for match in matches}) > 1:
        return False
    numbers = [int(match[2]) for match in matches]
    return not numbers or max(numbers) - min(numbers) < SPARSE * len(numbers)

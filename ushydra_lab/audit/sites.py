"""Sites that may be one hospital, and subjects that may be one: a site held out would then not be unseen."""

import re
import unicodedata
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import combinations

import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag, by_site
from ushydra_lab.data import names
from ushydra_lab.data.vocabulary import SITE, SUBJECT

ALIKE = 0.85
LISTED = 10  # pairs named in one remark
SPARSE = 10  # times as wide a range as there are subjects: numbers that a hospital gave, not a count
EXAMPLES = 3

METHOD = (
    "Names of sites, and within a site of subjects, that are one but for capitals, leading zeros, a decimal .0, "
    "punctuation, accents or characters that cannot be seen. Names of sites whose letters agree to "
    f"{100 * ALIKE:g} % (Ratcliff and Obershelp's ratio); not names that differ only in a number or in a last letter, "
    "such as hospital_a and hospital_b. Subjects of several images whose name is a word for no name: anonymous, "
    "unknown, --. IDs of subjects that two sites share; not where either site's IDs are running numbers: one prefix, "
    f"if any, with numbers that span less than {SPARSE} times the count of its subjects, as every hospital has a "
    "subject 1."
)


def audit(table: pd.DataFrame, written: pd.Series) -> Finding:
    """Names of sites or subjects nearly the same, or nobody's; subject IDs that occur at two sites.

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
    groups = {site: {site} for site in sites}
    for group in names.spellings(sites):
        if len({site.casefold() for site in group}) > 1:  # case alone is a problem, not a remark
            alike = set(group)
            groups |= dict.fromkeys(group, alike)
    for one, other in combinations(sites, 2):
        if groups[one] is not groups[other] and nearly_same(one, other):
            groups[one] |= groups[other]
            groups |= dict.fromkeys(groups[one], groups[one])
    for same in {id(group): sorted(group) for group in groups.values() if len(group) > 1}.values():
        yield Flag(
            f"sites {', '.join(same)} have nearly the same name: if they are one hospital, spell them alike, else one "
            "of them held out is not unseen; if they are not, leave them"
        )


def nearly_same(one: str, other: str) -> bool:
    """Whether two names of sites may be one hospital's by a slip; case alone is not looked at, as it is a problem."""
    plain, second = _plain(one), _plain(other)
    if plain == second:
        return one.casefold() != other.casefold()
    (words, label), (others, other_label) = _parts(one), _parts(other)
    if words == others and label != other_label:
        return False
    matcher = SequenceMatcher(None, plain, second, autojunk=False)
    return matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE


def _plain(name: str) -> str:
    """Letters and digits without accents and case."""
    return "".join(c for c in unicodedata.normalize("NFKD", name) if c.isalnum()).casefold()


def _parts(name: str) -> tuple[str, tuple[str, ...]]:
    """The name without what sites are counted by, and that: its numbers, and a single last letter ('_a', 'siteA')."""
    last = re.search(r"(?:[\W_]|(?<=[a-z])(?=[A-Z]))([A-Za-z])$", name)
    stem = name[: last.start()] if last else name
    numbers = [number.lstrip("0") for number in re.findall(r"\d+", stem)]
    return _plain(re.sub(r"\d+", "", stem)), (*numbers, last[1].casefold() if last else "")


def _shared(subjects: dict[str, set[str]]) -> Iterator[Flag]:
    own = {site: {names.key(name): name for name in ids} for site, ids in subjects.items() if not _running(ids)}
    for one, other in combinations(own, 2):
        if both := sorted(own[one][key] for key in own[one].keys() & own[other].keys()):
            listed = ", ".join(both[:EXAMPLES]) + ", ..." * (len(both) > EXAMPLES)
            many = f"{len(both)} subject ID{'s' * (len(both) > 1)}"
            yield Flag(
                f"sites {one} and {other} share {many} ({listed}): an ID at two sites counts as two subjects. If they "
                "are the same people, keep the images of one of the two sites, or one held out is not unseen; if they "
                "are not, put the site's name before the ID"
            )


def _running(ids: set[str]) -> bool:
    found = [re.fullmatch(r"(\D*)(\d{1,18})", names.key(subject)) for subject in ids]
    matches = [match for match in found if match]
    if len(matches) < len(found) or len({match[1] for match in matches}) > 1:
        return False
    numbers = [int(match[2]) for match in matches]
    return not numbers or max(numbers) - min(numbers) < SPARSE * len(numbers)

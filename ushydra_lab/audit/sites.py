"""Sites that may be one hospital, and subjects that may be one: a site held out would then not be unseen."""

import re
import unicodedata
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import combinations

import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag
from ushydra_lab.data.vocabulary import SITE, SUBJECT

ALIKE = 0.85
SPARSE = 10  # times as wide a range as there are subjects: numbers that a hospital gave, not a count
EXAMPLES = 3

METHOD = (
    "Names of sites that are equal without punctuation and accents, or whose letters agree to "
    f"{100 * ALIKE:g} % (Ratcliff and Obershelp's ratio); not names that differ only in a number or in a last letter, "
    "such as hospital_a and hospital_b. IDs of subjects that two sites share; not where either site's IDs are running "
    "numbers: one prefix, if any, with numbers that span less than "
    f"{SPARSE} times the count of its subjects, as every hospital has a subject 1."
)


def audit(table: pd.DataFrame) -> Finding:
    """Names of sites nearly the same; subject IDs that occur at two sites."""
    subjects = {str(site): set(ids) - {""} for site, ids in table.groupby(SITE, sort=True)[SUBJECT]}
    flags = [*_names(list(subjects)), *_shared(subjects)]
    return Finding("site_names", "Sites or subjects that may be one", METHOD, flags)


def _names(sites: list[str]) -> Iterator[Flag]:
    groups = {site: {site} for site in sites}
    for one, other in combinations(sites, 2):
        if groups[one] is not groups[other] and nearly_same(one, other):
            groups[one] |= groups[other]
            groups |= dict.fromkeys(groups[one], groups[one])
    for names in {id(group): sorted(group) for group in groups.values() if len(group) > 1}.values():
        yield Flag(
            f"sites {', '.join(names)} have nearly the same name: if they are one hospital, spell them alike, else one "
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
    own = {site: ids for site, ids in subjects.items() if not _running(ids)}
    for one, other in combinations(own, 2):
        if both := sorted(own[one] & own[other]):
            listed = ", ".join(both[:EXAMPLES]) + ", ..." * (len(both) > EXAMPLES)
            many = f"{len(both)} subject ID{'s' * (len(both) > 1)}"
            yield Flag(
                f"sites {one} and {other} share {many} ({listed}): an ID at two sites counts as two subjects. If they "
                "are the same people, keep the images of one of the two sites, or one held out is not unseen; if they "
                "are not, put the site's name before the ID"
            )


def _running(ids: set[str]) -> bool:
    found = [re.fullmatch(r"(\D*)(\d{1,18})", subject) for subject in ids]
    matches = [match for match in found if match]
    if len(matches) < len(found) or len({match[1] for match in matches}) > 1:
        return False
    numbers = [int(match[2]) for match in matches]
    return not numbers or max(numbers) - min(numbers) < SPARSE * len(numbers)

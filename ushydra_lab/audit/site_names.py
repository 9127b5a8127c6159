"""Detection of site names that may be misspellings of one hospital's, without comparing all pairs.

Two names are nearly the same where the same letters remain when some are left out of each. So every name is filed under
all that remains of it, and names that meet there are alike: the effort grows with the number of names.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import combinations, combinations_with_replacement

from ushydra_lab.data import names

ALIKE = 0.85  # of the letters of two names together that must remain
MOST = 2  # letters left out of one name
LONG = 40  # letters; of longer names, with their thousands of pairs of letters, one is left out


def nearly_same(sites: Iterable[str]) -> list[list[str]]:
    """Groups of two or more names that may be one hospital's, each sorted; case alone is a problem and no group."""
    plain = {site: _plain(site) for site in sorted(sites)}
    groups = {site: {site} for site in plain}
    for spelt in names.spellings(plain):
        if len({site.casefold() for site in spelt}) > 1:
            _join(groups, spelt)
    for met in _meetings(plain):
        # hospital_a and hospital_b are told apart on purpose; the same but for case is a problem, not a remark.
        if len({_stem(site) for site in met}) > 1 < len({site.casefold() for site in met}):
            _join(groups, met)
    return [sorted(group) for group in {id(group): group for group in groups.values()}.values() if len(group) > 1]


def _join(groups: dict[str, set[str]], alike: list[str]) -> None:
    """Make one of the groups that the names are in, moving the members of the smaller ones."""
    largest = max((groups[site] for site in alike), key=len)
    for site in alike:
        if groups[site] is not largest:
            moved = groups[site]
            largest |= moved
            groups |= dict.fromkeys(moved, largest)


def _meetings(plain: dict[str, str]) -> Iterator[list[str]]:
    """Names that are alike, some of them several times."""
    filed: dict[str, dict[int, list[str]]] = {}
    for site, letters in plain.items():
        for rest in _remainders(letters):
            if _agree(rest, len(rest), len(letters)):
                filed.setdefault(rest, {}).setdefault(len(letters), []).append(site)
    for rest, by_length in filed.items():
        for one, other in combinations_with_replacement(sorted(by_length), 2):
            if _agree(rest, one, other):
                yield by_length[one] if one == other else by_length[one] + by_length[other]


def _agree(rest: str, one: int, other: int) -> bool:
    """Whether enough remains of two names of so many letters."""
    return 2 * len(rest) >= ALIKE * (one + other)


def _remainders(letters: str) -> set[str]:
    most = 1 if len(letters) > LONG else MOST
    places = [place for count in range(most + 1) for place in combinations(range(len(letters)), count)]
    return {"".join(c for i, c in enumerate(letters) if i not in place) for place in places}


def _plain(name: str) -> str:
    """Letters and digits without accents and case."""
    return "".join(c for c in unicodedata.normalize("NFKD", name) if c.isalnum()).casefold()


def _stem(name: str) -> str:
    """The name without what sites are counted by: its numbers, and a single last letter ('_a', 'siteA')."""
    last = re.search(r"(?:[\W_]|(?<=[a-z])(?=[A-Z]))([A-Za-z])$", name)
    return _plain(re.sub(r"\d+", "", name[: last.start()] if last else name))

"""Comparing names of people and hospitals: spellings of one name, and placeholders such as 'unknown'."""

import re
import unicodedata
from collections.abc import Iterable

LOOK_ALIKES = str.maketrans(
    "АВЕКМНОРСТУХаеорсухіѕјΑΒΕΖΗΙΚΜΝΟΡΤΥΧοØøĐđŁłıɑ", "ABEKMHOPCTYXaeopcyxisjABEZHIKMNOPTYXoOoDdLlia"
)
"""Cyrillic and Greek letters that look like Latin ones, and letters with a stroke, which are no accents in Unicode."""
FILLERS = "\u115f\u1160\u3164\uffa0"  # letters by their category, but blank
PLACEHOLDERS = {
    *("anonymous", "anonymus", "anonymized", "anonymised", "anonym", "anon", "anonymouspatient", "anonymouspatientid"),
    *("deidentified", "pseudonymized", "pseudonymised", "redacted", "removed", "deleted", "hidden", "masked", "blank"),
    *("unknown", "unbekannt", "inconnu", "unnamed", "undefined", "unspecified", "missing", "empty", "noname", "noid"),
    *("none", "null", "nil", "nan", "na", "notavailable", "notapplicable", "default", "dummy", "test", "testpatient"),
    *("patient", "patientid", "patientname", "subject", "subjectid", "id", "name", "phantom", "tbd"),
}


def key(name: str) -> str:
    """The same for spellings that a person would take for one name: 12 and 12.0, P1, p1, P-01 and P_1, 001 and 1,
    1e5 and 100000, 1O1 and 101, composed and decomposed letters, with and without accents and characters that cannot be
    seen.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", _seen(name)) if unicodedata.category(c) != "Mn")
    digits = re.sub(r"(?<=\d)o(?=\d)", "0", plain.casefold().strip(" '\"`"))
    words = re.findall(r"[^\W\d_]+|\d+", _whole(digits))
    joined = " ".join(word.lstrip("0") or "0" if word.isdecimal() else word for word in words)
    # A boundary counts between two numbers alone: 1-11 is not 11-1, but P-1 is P1.
    return re.sub(r"(?<=\D) | (?=\D)", "", joined) or plain


def _seen(name: str) -> str:
    """As it looks: without what cannot be seen, digits of any script as 0 to 9, letters as the Latin look-alikes."""
    kept = "".join(c for c in name if c not in FILLERS and unicodedata.category(c) not in ("Cf", "Cc"))
    digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in kept)
    return unicodedata.normalize("NFKC", digits).translate(LOOK_ALIKES)


def _whole(text: str) -> str:
    """Digits alone of a number that is whole: 12.0, 12,00 and 1.2e1 are 12."""
    number = re.fullmatch(r"\+?(\d+)(?:[.,](\d+))?(?:e\+?(\d{1,2}))?", text)
    if not number:
        return text
    digits, exponent = (number[2] or "").rstrip("0"), int(number[3] or 0)
    return number[1] + digits.ljust(exponent, "0") if len(digits) <= exponent else text


def spellings(names: Iterable[str]) -> list[list[str]]:
    """Groups of two or more names that have one key, each sorted."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        groups.setdefault(key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def quoted(group: list[str]) -> str:
    """'P1' and 'p1'; with escapes where two of the names look the same."""
    alike = len({_seen(name) for name in group}) < len(group)
    return " and ".join(map(ascii if alike else repr, group))


def is_placeholder(name: str) -> bool:
    """Whether it is a word that stands for a name that was taken away, or has neither letters nor digits, or only x."""
    letters = "".join(c for c in _seen(name).casefold() if c.isalnum())
    return letters in PLACEHOLDERS or set(letters) <= {"x"}

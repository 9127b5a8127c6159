"""Tables of a LaTeX file: the environments and commands that papers' tables are written with. Nothing is run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ushydra_lab.claims.grid import Grid, grid

TABULAR = re.compile(r"\\begin\{(tabular[xy*]?|tabulary|longtable|tblr)\}(.*?)\\end\{\1\}", re.DOTALL)
FLOAT = re.compile(r"\\begin\{(?:sideways)?table\*?\}.*?\\end\{(?:sideways)?table\*?\}", re.DOTALL)
COMMENT = re.compile(r"(?<!\\)%.*")
RULE = re.compile(
    r"\\(?:toprule|bottomrule|cmidrule(?:\([^)]*\))?\{[^}]*\}|cline\{[^}]*\}|endfirsthead|endhead|endfoot|endlastfoot)"
)
BREAK = re.compile(r"\\(?:midrule|hline)\b")
END_OF_ROW = re.compile(r"\\\\(?:\s*\[[^\]]*\])?|\\tabularnewline\b")
DROPPED = re.compile(
    r"\\(?:footnotemark|footnote|tablefootnote|cite[tp]?|textsuperscript|tnote|label|ref|rowcolor|cellcolor|addlinespace)"
    r"(?:\[[^\]]*\])?(?:\{[^{}]*\})?|\^\{?\\?[a-zA-Z*†‡]+\}?"
)
_ARGUMENT = r"(?:\[[^\]]*\])?\s*\{(?:[^{}]|\{[^{}]*\})*\}\s*"
SETTINGS = re.compile(
    rf"\\(?:multirow\s*{_ARGUMENT}{_ARGUMENT}|multicolumn\s*{_ARGUMENT}{_ARGUMENT}|(?:textcolor|color|hspace)\*?\s*{_ARGUMENT})"
)
"""What stands before the text that is shown: spans, widths, colours."""
COMMAND = re.compile(r"\\[a-zA-Z]+\*?(?:\[[^\]]*\])?\s*\{([^{}]*)\}")
SYMBOLS = {
    r"\pm": "±", r"\uparrow": "↑", r"\downarrow": "↓", r"\times": "×", r"\Delta": "Δ", r"\%": "%", r"\_": "_",
    r"\&": "&", r"\#": "#", r"\$": "", r"\,": " ", r"\;": " ", r"\ ": " ", r"\quad": " ", "~": " ", "--": "–",
    r"\textbar": "|", r"\textless": "<", r"\textgreater": ">",
}  # fmt: skip
SPAN = re.compile(r"\s*\\multicolumn\s*\{(\d{1,2})\}")


def read(text: str) -> Iterator[Grid]:
    """Each table with its caption as its name, or the heading above it where it has none."""
    text = COMMENT.sub("", text)
    for number, found in enumerate(TABULAR.finditer(text), start=1):
        caption = _caption(text, found.start(), found.end()) or f"table {number}"
        heads, rows = _rows(found[2])
        if rows:
            yield grid(caption, heads, rows, caption)


def plain(text: str) -> str:
    """What LaTeX code shows, as far as tables of results need it."""
    for code, symbol in SYMBOLS.items():
        text = text.replace(code, symbol)
    text = SETTINGS.sub("", text)
    for _ in range(8):  # commands inside commands, innermost first
        shorter = COMMAND.sub(r"\1", DROPPED.sub("", text))
        if shorter == text:
            break
        text = shorter
    return " ".join(re.sub(r"[{}$]", "", re.sub(r"\\[a-zA-Z]+", " ", text)).split())


def _rows(body: str) -> tuple[list[list[str]], list[list[str]]]:
    heads: list[list[str]] = []
    rows: list[list[str]] = []
    body = RULE.sub(" ", _without_arguments(body))
    for piece in END_OF_ROW.split(body):
        if BREAK.search(piece) and heads and not rows:
            rows.append([])  # what follows the first rule below some row is no header
        line = BREAK.sub(" ", piece).strip()
        if line:
            cells = [part for cell in re.split(r"(?<!\\)&", line) for part in _spanned(cell)]
            (rows if rows else heads).append(cells)
    if not rows:
        heads, rows = heads[:1], heads[1:]
    return heads, [row for row in rows if row]


def _without_arguments(body: str) -> str:
    """Without the column specification and, before it, widths and positions."""
    body = body.lstrip()
    while body[:1] in ("{", "["):
        body = body[_closing(body) + 1 :].lstrip()
    return body


def _closing(text: str) -> int:
    """Place of the bracket that closes the first one; the end where none does."""
    depth, opening = 0, text[0]
    closing = {"{": "}", "[": "]"}[opening]
    for place, letter in enumerate(text):
        depth += (letter == opening) - (letter == closing)
        if not depth:
            return place
    return len(text)


def _spanned(cell: str) -> list[str]:
    """The text of a cell, once for every column it spans."""
    found = SPAN.match(cell)
    return [plain(cell)] * (max(1, int(found[1])) if found else 1)


def _caption(text: str, start: int, end: int) -> str:
    """Of the float that surrounds a tabular, else the last section's title."""
    around = next((f[0] for f in FLOAT.finditer(text) if f.start() <= start and end <= f.end()), text[start:end])
    if (place := around.find(r"\caption")) >= 0 and (brace := around.find("{", place)) >= 0:
        return plain(around[brace + 1 : brace + _closing(around[brace:])])
    titles = re.findall(r"\\(?:sub)*section\*?\{([^{}]*)\}", text[:start])
    return plain(titles[-1]) if titles else ""

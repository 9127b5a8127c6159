"""The tables and figures of a report as LaTeX, to be cut out for a paper: booktabs, vector figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ushydra_lab.report.figures import BLOCKS, MARKDOWN

SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}", '"': r"\textquotedbl{}",
    "±": r"$\pm$", "∓": r"$\mp$", "−": "$-$",
    "×": r"$\times$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "Δ": r"$\Delta$", "ρ": r"$\rho$", "λ": r"$\lambda$", "²": r"$^2$", "–": "--", "≥": r"$\ge$",
    "≤": r"$\le$",
}  # fmt: skip
HEAD = r"""% Needs nothing but what every TeX distribution has. Cut out what the paper needs.
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
"""
SECTIONS = ("section", "section", "subsection", "subsubsection")
TABLE = r"""\begin{table}[htbp]
\centering\small
\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%%
\begin{tabular}{%s}
\toprule
%s
\bottomrule
\end{tabular}}
\caption{%s}
\end{table}
"""
FIGURE = r"""\begin{figure}[htbp]
\centering\includegraphics[width=\linewidth,height=0.8\textheight,keepaspectratio]{%s.pdf}
\caption{%s}
\end{figure}
"""


def document(text: str) -> str:
    """A report's Markdown as a LaTeX document.

    Every table becomes a `table` whose caption is the heading above it and the paragraph below it, every figure a
    `figure` of its PDF. Letters that pdfLaTeX does not have, as of other scripts in names, need XeLaTeX or LuaLaTeX.
    """
    tokens = MarkdownIt("zero").enable([*BLOCKS]).parse(text)
    return HEAD + "\n".join(_blocks(_grouped(tokens))) + "\n\\end{document}\n"


def escape(text: str) -> str:
    """Plain text as LaTeX shows it."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _grouped(tokens: list[Token]) -> list[list[Token]]:
    """Top-level blocks: their opening token, what is inside, their closing token."""
    groups: list[list[Token]] = []
    for token in tokens:
        if token.level == 0 and token.nesting != -1:
            groups.append([])
        groups[-1].append(token)
    return groups


def _blocks(groups: list[list[Token]]) -> Iterator[str]:
    heading, used = "", -1
    for place, group in enumerate(groups):
        following = groups[place + 1] if place + 1 < len(groups) else []
        kind, content = group[0].type, _inline(group)
        caption = _paragraph(following)
        if kind == "heading_open":
            heading = content
            yield f"\\{SECTIONS[int(group[0].tag[1]) - 1]}*{{{content}}}"
        elif kind == "table_open":
            used = place + 1 if caption else used
            yield TABLE % (*_rows(group), ". ".join(filter(None, (heading, caption))))
        elif kind == "bullet_list_open":
            yield "\\begin{itemize}\n" + "\n".join(f"\\item {_text(t)}" for t in group if t.type == "inline")
            yield "\\end{itemize}"
        elif figure := re.fullmatch(MARKDOWN, _raw(group)):
            used = place + 1 if caption else used
            yield FIGURE % (figure[2].removesuffix(".png"), ". ".join(filter(None, (escape(figure[1]), caption))))
        elif place != used:
            yield content + "\n"


def _paragraph(group: list[Token]) -> str:
    """The text of a paragraph that is no figure, else nothing."""
    plain = group and group[0].type == "paragraph_open" and not re.fullmatch(MARKDOWN, _raw(group))
    return _inline(group) if plain else ""


def _rows(group: list[Token]) -> tuple[str, str]:
    """How the columns are set, and the rows of a table."""
    cells = [token for token in group if token.type in ("tr_open", "inline")]
    lines = [
        " & ".join(map(_text, row)) + r" \\"
        for is_cell, row in groupby(cells, lambda token: token.type == "inline")
        if is_cell
    ]
    columns = lines[0].count(" & ") + 1
    return "l" + "r" * (columns - 1), "\n".join([lines[0], r"\midrule", *lines[1:]])


def _raw(group: list[Token]) -> str:
    return "\n".join(token.content for token in group if token.type == "inline")


def _inline(group: list[Token]) -> str:
    return "\n".join(_text(token) for token in group if token.type == "inline")


def _text(inline: Token) -> str:
    """Words and `code` of one inline token."""
    return "".join(
        f"\\texttt{{{escape(child.content)}}}" if child.type == "code_inline" else escape(child.content) or "\n"
        for child in inline.children or ()
    )

"""A report as LaTeX for use in a paper: booktabs tables and vector figures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ushydra_lab.report.document import Block, Document, Figure, Gap, Heading, Note, Table, cells_of, on_one_line

SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}", '"': r"\textquotedbl{}",
    "±": r"$\pm$", "∓": r"$\mp$", "−": "$-$",
    "×": r"$\times$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "Δ": r"$\Delta$", "ρ": r"$\rho$", "λ": r"$\lambda$", "²": r"$^2$", "–": "--", "≥": r"$\ge$",
    "≤": r"$\le$", "∞": r"$\infty$",
}  # fmt: skip
PREAMBLE = r"""% Needs nothing but what every TeX distribution has. Cut out what the paper needs.
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
"""
HEADING_COMMANDS = ("section", "section", "subsection", "subsubsection")
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


def render(document: Document) -> str:
    """A report as a LaTeX document.

    Every table becomes a `table` whose caption is the heading above it and its own caption, every figure a `figure` of
    its PDF. Letters that pdfLaTeX does not have, as of other scripts in names, need XeLaTeX or LuaLaTeX.
    """
    return PREAMBLE + "\n".join(_blocks(document)) + "\n\\end{document}\n"


def escape(text: str) -> str:
    """Plain text as LaTeX shows it."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _blocks(document: Document) -> Iterator[str]:
    heading = ""
    for are_gaps, blocks in groupby(document, lambda block: isinstance(block, Gap)):
        yield from ["\\begin{itemize}"] * are_gaps
        for block in blocks:
            heading = block.text if isinstance(block, Heading) else heading
            yield _block(block, heading)
        yield from ["\\end{itemize}"] * are_gaps


def _block(block: Block, heading: str) -> str:
    match block:
        case Heading():
            return f"\\{HEADING_COMMANDS[block.level - 1]}*{{{escape(block.text)}}}"
        case Table():
            return TABLE % (*_rows(block), _caption(heading, block.caption))
        case Figure():
            return FIGURE % (block.file.name, _caption(block.title, block.caption))
        case Note():
            return escape(block.text) + "\n"
        case Gap():
            command = f"\n\\texttt{{{escape(block.command)}}}" if block.command else ""
            return f"\\item {escape(block.sentence)}{command}"


def _caption(*texts: str) -> str:
    return ". ".join(escape(text) for text in texts if text)


def _rows(table: Table) -> tuple[str, str]:
    """How the columns are set, and the rows of a table."""
    header, *lines = (" & ".join(escape(on_one_line(cell)) for cell in row) + r" \\" for row in cells_of(table))
    return "l" + "r" * (table.frame.shape[1] - 1), "\n".join([header, r"\midrule", *lines])

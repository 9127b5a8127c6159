"""Tables of all formats are read as they are printed; what cannot be read is named with the remedy."""

import html
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.claims import latex
from ushydra_lab.claims.audit import audit
from ushydra_lab.claims.numbers import count, number
from ushydra_lab.claims.read import grids
from ushydra_lab.commands.claims import main
from ushydra_lab.errors import UserError
from ushydra_lab.report.document import Table
from ushydra_lab.report.render import html as html_page
from ushydra_lab.report.render import latex as latex_page
from ushydra_lab.report.render import markdown as markdown_page

from . import consistent

DECIMALS = st.decimals(0, 100, places=3)


def read(tmp_path: Path, name: str, text: str) -> list[tuple[tuple[str, ...], ...]]:
    path = tmp_path / name
    path.write_text(text)
    return [(table.header, *table.rows) for table in grids(path)]


@given(
    value=DECIMALS, spread=DECIMALS, form=st.sampled_from(["{} ± {}", "{}±{}", "{} +/- {}", "{} ({})", "**{} ± {}**†"])
)
def test_a_mean_and_its_spread_are_read_with_their_last_digits(value: object, spread: object, form: str) -> None:
    found = number(form.format(value, spread))
    assert found is not None
    assert (found.value, found.spread) == (float(str(value)), float(str(spread)))
    assert found.step == found.spread_step == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("text", "value", "step"),
    [("91.3%", 91.3, 0.1), (".913", 0.913, 0.001), ("0,913", 0.913, 0.001), ("91,3", 91.3, 0.1), ("6,565", 6565, 1),
     ("−0.5*", -0.5, 0.1), ("0.91 [0.88, 0.94]", 0.91, 0.01), ("91.30 (88.0–94.1)", 91.3, 0.01), ("64.50", 64.5, 0.01)],
)  # fmt: skip
def test_numbers_of_papers(text: str, value: float, step: float) -> None:
    found = number(text)
    assert found is not None
    assert (found.value, found.step, found.spread) == (pytest.approx(value), pytest.approx(step), None)


@pytest.mark.parametrize("text", ["", "–", "n/a", "not run", "3D U-Net", "<0.001", "12 of 20", "1.2.3.4e5"])
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None


def test_numbers_of_images() -> None:
    assert [count(text) for text in ("450", "6,565", "1,234,567", "2 x 90", "2 × 90", "0.5", "12 (2)", "")] == [
        450, 6565, 1234567, 180, 180, None, None, None,
    ]  # fmt: skip


ROWS = [["Method", "Dice (%)", "IoU"], ["A & B | C", "91.30 ± 0.10", "0.840"], ["50 % <net>", "90.00 ± 1.00", "n/a"]]


def test_what_our_renderers_write_is_read_again(tmp_path: Path) -> None:
    import pandas as pd

    table = Table(pd.DataFrame(ROWS[1:], columns=ROWS[0]))
    expected = [tuple(map(tuple, ROWS))]
    assert read(tmp_path, "t.md", markdown_page.render([table])) == expected
    assert read(tmp_path, "t.tex", latex_page.render([table])) == expected
    assert read(tmp_path, "t.html", str(html_page.table_html(table))) == expected
    assert read(tmp_path, "t.csv", "\n".join(";".join(row) for row in ROWS)) == expected


CELL = st.text(st.characters(categories=["L", "N"], include_characters=" .,|&<>\"'"), min_size=1).filter(str.strip)


@given(cells=st.lists(st.tuples(CELL, DECIMALS.map(str)), min_size=1, max_size=4))
def test_cells_come_back_from_html_and_markdown(
    cells: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [["Method", "Dice"], *([f"net {text}", value] for text, value in cells)]
    expected = [tuple(tuple(" ".join(cell.split()) for cell in row) for row in rows)]
    folder = tmp_path_factory.mktemp("tables")
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    assert read(folder, "t.md", consistent.markdown(escaped)) == expected
    assert read(folder, "t.html", consistent.page(rows)) == expected
    assert html.escape("<") in consistent.page([["<"], ["1"]])


def test_latex_of_papers(tmp_path: Path) -> None:
    text = r"""
\begin{table}[t]\caption{Results on \textbf{two} sets.\label{tab:x}}
\begin{tabular*}{\linewidth}{@{}l@{\extracolsep{\fill}}lcc@{}}
\toprule
& & \multicolumn{2}{c}{Anna} \\ \cmidrule(lr){3-4}
Method~\cite{a} & Loss & Dice $\uparrow$ & IoU (\%) \\ % a comment & nothing
\midrule
\multirow{2}{*}{\textsc{U-Net}} & CE & $0.913\pm0.012$ & 84.0\,\% \\[2pt]
 & \textcolor{red}{Dice} & \textbf{0.920} $\pm$ 0.010\textsuperscript{*} & \underline{85.2}\% \\
\hline
Ours\footnote{Trained twice.} & CE & 0.930 & 87.0\% \\
\bottomrule
\end{tabular*}
\end{table}"""
    path = tmp_path / "t.tex"
    path.write_text(text)
    (table,) = grids(path)
    assert table.name == "Results on two sets"
    assert table.header == ("Method", "Loss", "Anna Dice ↑", "Anna IoU (%)")
    assert table.rows == (
        ("U-Net", "CE", "0.913±0.012", "84.0 %"),
        ("U-Net", "Dice", "0.920 ± 0.010", "85.2%"),
        ("Ours", "CE", "0.930", "87.0%"),
    )


def test_each_latex_table_has_its_own_caption(tmp_path: Path) -> None:
    rows = r"\begin{tabular}{ll} a & b \\ 1 & 2 \\ \end{tabular}"
    floats = [rf"\begin{{table}}\caption{{{name}}} {rows}\end{{table}}" for name in ("First", "Second")]
    (tmp_path / "t.tex").write_text("\n".join([r"\section{Results}", rows, *floats, rows]))
    assert [table.name for table in grids(tmp_path / "t.tex")] == ["Results", "First", "Second", "Results"]


def test_no_latex_is_run() -> None:
    assert latex.plain(r"\input{/etc/passwd} \def\x{\x\x}\x 0.9") == "/etc/passwd 0.9"


def test_spans_and_sections_of_html(tmp_path: Path) -> None:
    text = """<h2>Table 7</h2><script>var x = "<table>";</script><table>
    <tr><th rowspan=2>Method</th><th colspan=2>Dice</th></tr><tr><th>LV</th><th>LA</th></tr>
    <tr><td colspan=3>Internal</td></tr><tr><td>A<sup>1</sup></td><td>0.9</td><td>0.8</td></tr>
    <tr><td colspan=3>External</td></tr><tr><td>A</td><td>0.7</td><td>0.6</td></tr></table>"""
    assert read(tmp_path, "t.html", text) == [
        (("section", "Method", "Dice LV", "Dice LA"), ("Internal", "A", "0.9", "0.8"), ("External", "A", "0.7", "0.6"))
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.pdf", b"%PDF", "CSV|.csv"),
        ("t.md", b"no table here", "no table in it"),
        ("t.csv", b"", "no table in it"),
        ("t.csv", b"only,a,header\n", "no table in it"),
        ("t.csv", "Möthod,Dice\nA,0.9".encode("latin-1"), "not UTF-8"),
        ("t.html", b"<table><tr></tr></table>", "no table in it"),
        ("t.tex", rb"\begin{tabular}{l", "no table in it"),
    ],
)
def test_what_is_no_table_is_refused(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        audit(tmp_path / name)
    assert name in str(error.value)
    assert any(word in str(error.value) for word in told.split("|"))


@given(content=st.text(st.sampled_from("|-\n\\&{}<>/trdhableginmu.,;±()[]0123456789% \"'#$"), max_size=300))
@pytest.mark.parametrize("suffix", [".csv", ".md", ".tex", ".html"])
def test_whatever_a_file_holds_is_read_or_refused(
    suffix: str, content: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tables") / f"t{suffix}"
    path.write_text(content)
    try:
        audit(path)
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_the_command_prints_findings_wins_and_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("method,set,Dice,IoU,Accuracy\nA,Anna,0.929,0.858,0.645\nB,Anna,0.900,0.830,0.633")
    assert main([str(path)]) == 1
    assert "1 contradiction\n" in capsys.readouterr().out
    assert main([str(path), "--n", "Anna=90"]) == 1
    shown = capsys.readouterr().out
    assert "2 contradictions" in shown
    assert "A, Anna over B, Anna" in shown
    with pytest.raises(UserError, match="'Berta'"):
        main([str(path), "--n", "Berta=90"])
    with pytest.raises(SystemExit):
        main([str(path), "--n", "Anna"])
    path.write_text("method,Dice\nA,0.9")
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == "0 contradictions\n"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.csv: cannot be read"):
        audit(tmp_path / "absent.csv")


def test_the_audit_loads_neither_torch_nor_pandas() -> None:
    code = "import sys, ushydra_lab.claims.audit; sys.exit(bool({'torch', 'pandas', 'hydra'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

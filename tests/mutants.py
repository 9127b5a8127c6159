"""Do the tests notice a wrong line? `make test-mutants` changes one at a time and runs the tests of its module.

    python -m tests.mutants --count 216 --seed 0 --results mutants.jsonl

The sample is stratified by package and the same for the same seed and code. What RESULTS holds is not tried again, so
that an interrupted command goes on. The mutations are made in a copy; survivors are printed with file, line and change.
Those that survived the time had not all of their tests: `--again --seconds 1000` tries them on all.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.mutant_trial import KILLED, hold_libraries, run

ROOT = Path(__file__).parents[1]
STRATA = {
    "formulas": ("losses", "metrics", "geometry"),
    "data": ("data", "phantom"),
    "runs": ("runs", "training", "sweep"),
    "results": ("results", "audit", "claims"),
    "report": ("report", "figures"),
    "networks": ("networks", "tasks"),
    "judging": ("probes", "evaluation", "triage", "prediction"),
    "commands": ("commands", "config"),
}
COMPARED = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in",
            ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is"}  # fmt: skip
COMPUTED = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*", ast.Pow: "*",
            ast.BitAnd: "|", ast.BitOr: "&"}  # fmt: skip
EXCHANGED = {"min": "max", "max": "min", "any": "all", "all": "any", "sum": "max", "mean": "sum", "sorted": "list"}


@dataclass(frozen=True)
class Mutant:
    """One change of a line: the text from `start` to `end` (bytes of the file) becomes `new`."""

    stratum: str
    file: str
    line: int
    start: int
    end: int
    old: str
    new: str


def mutants_of(stratum: str, file: Path) -> Iterator[Mutant]:
    """Every single change of a module that is tried; annotations, docstrings and messages of errors are left alone."""
    source = file.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tree = ast.parse(source)
    left = {id(below) for node in ast.walk(tree) for skipped in _left_alone(node) for below in ast.walk(skipped)}
    for node in ast.walk(tree):
        if id(node) not in left and (new := _changed(node)) is not None:
            assert isinstance(node, ast.expr)
            assert node.end_lineno
            assert node.end_col_offset is not None
            start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
            old = source[start:end].decode()
            yield Mutant(stratum, file.relative_to(ROOT).as_posix(), node.lineno, start, end, old, f"({new})")


def _left_alone(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip":
        yield from node.keywords  # strict asserts what holds
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
        yield node.annotation
    if isinstance(node, ast.FunctionDef):
        yield from [node.returns] * bool(node.returns)
        yield from node.decorator_list
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node  # a docstring
    if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr):
        yield node
    if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets):
        yield node
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        yield node.slice


def _changed(node: ast.AST) -> str | None:
    """The node's text with one thing changed, or None."""
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARED:
            return f"{ast.unparse(left)} {COMPARED[type(op)]} {ast.unparse(right)}"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in COMPUTED and not _texts(left, right):
            return f"({ast.unparse(left)}) {COMPUTED[type(op)]} ({ast.unparse(right)})"
        case ast.BoolOp(op=op, values=values):
            word = " or " if isinstance(op, ast.And) else " and "
            return word.join(f"({ast.unparse(value)})" for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ast.unparse(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return ast.unparse(operand)
        case ast.IfExp(test=test, body=body, orelse=other):
            return f"({ast.unparse(other)}) if {ast.unparse(test)} else ({ast.unparse(body)})"
        case ast.Constant(value=bool(value)):
            return str(not value)
        case ast.Constant(value=int(value) | float(value)):
            return str(value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in EXCHANGED:
            return ast.unparse(
                ast.Call(ast.Name(EXCHANGED[name]), node.args, [] if name == "sorted" else node.keywords)
            )
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in EXCHANGED:
            return ast.unparse(ast.Call(ast.Attribute(value, EXCHANGED[name]), node.args, node.keywords))
    return None


def _texts(*nodes: ast.expr) -> bool:
    return any(isinstance(node, ast.Constant | ast.JoinedStr) and not _number(node) for node in nodes)


def _number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def sample(count: int, seed: int) -> list[Mutant]:
    """As many mutants of each stratum, drawn by module first, so that long modules have no more than short ones."""
    drawn = []
    for stratum, packages in STRATA.items():
        rng = random.Random(f"{seed} {stratum}")
        files = sorted(file for package in packages for file in (ROOT / "ushydra_lab" / package).rglob("*.py"))
        of_file = {file: found for file in files if (found := list(mutants_of(stratum, file)))}
        chosen: dict[Mutant, None] = {}
        while len(chosen) < min(count // len(STRATA), sum(map(len, of_file.values()))):
            chosen[rng.choice(of_file[rng.choice(list(of_file))])] = None
        drawn += list(chosen)
    return drawn


def files_for(file: str) -> list[str]:
    """The test files that import a module, its own one first, then those beside it, then the rest of its package's."""
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    package, _, name = module.rpartition(".")
    found = []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        text = test.read_text(encoding="utf-8")
        parents = f"from {package} import" in text and name in text
        typed = package.endswith(".commands") and f'"{name}"' in text and "cli import" in text
        if f"{module} import" in text or f"import {module}" in text or parents or typed:
            found.append(test.relative_to(ROOT).as_posix())
    own = file.replace("ushydra_lab/", "tests/", 1).replace(f"/{Path(file).name}", f"/test_{Path(file).name}")
    package_tests = (ROOT / "tests" / Path(file).parts[1]).rglob("test_*.py")
    beside = sorted(test.relative_to(ROOT).as_posix() for test in package_tests)
    beside.sort(key=lambda test: Path(test).parent != Path(own).parent)
    found.sort(key=lambda test: test != own)
    return list(dict.fromkeys([*found, *beside]))


def tried(mutant: Mutant, copy: Path, seconds: float, known: dict[str, float]) -> dict[str, Any]:
    """Whether some test fails, or never ends, once the change is made; 'untested' where none imports the module."""
    tests = files_for(mutant.file)
    if not tests:
        return {"outcome": "untested", "by": "", "taken": {}}
    file = copy / mutant.file
    whole, before = file.read_bytes(), file.stat().st_mtime
    file.write_bytes(whole[: mutant.start] + mutant.new.encode() + whole[mutant.end :])
    try:
        return run(copy, tests, seconds, known)
    finally:
        file.write_bytes(whole)
        os.utime(file, (before, before))  # so that what Python compiled of the wrong line is of another time


def read_results(file: Path) -> dict[Mutant, dict[str, Any]]:
    """Mutant -> what became of it, the last time it was tried."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    contents = [json.loads(line) for line in lines]
    return {Mutant(**content.pop("mutant")): content for content in contents}


def try_all(chosen: list[Mutant], known: dict[Mutant, dict[str, Any]], results: Path, seconds: float) -> list[str]:
    """Try those not yet known, and add them to `known` and the file; the tests that fail in an unchanged copy too."""
    taken: dict[str, float] = {}
    hold_libraries()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "multirun", "*.pyc"))
        for number, mutant in enumerate(chosen, 1):
            if mutant not in known:
                known[mutant] = tried(mutant, copy, seconds, taken)
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"mutant": asdict(mutant), **known[mutant]}) + "\n")
            for test, one in known[mutant]["taken"].items():
                taken[test] = max(one, taken.get(test, 0))
            print(f"{number}/{len(chosen)} {known[mutant]['outcome']}: {mutant.file}:{mutant.line}", file=sys.stderr)
        failing = sorted({known[mutant]["by"] for mutant in chosen if "::" in known[mutant]["by"]})
        return [name for name in failing if run(copy, [name], 600, {})["outcome"] == KILLED]


def print_results(outcomes: dict[Mutant, dict[str, Any]], broken: list[str]) -> None:
    """Counts of each stratum; then each mutant that no test noticed, or none but one that fails anyway."""
    for stratum in STRATA:
        counts = Counter(content["outcome"] for mutant, content in outcomes.items() if mutant.stratum == stratum)
        print(f"{stratum}: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    for mutant, content in outcomes.items():
        if content["outcome"] != KILLED or content["by"] in broken:
            fails = f"  {content['by']} fails without it, too" * (content["by"] in broken)
            print(f"{content['outcome']} {mutant.file}:{mutant.line}  {mutant.old}  ->  {mutant.new}{fails}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=216)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120, help="of CPU for the tests of one mutant")
    parser.add_argument("--again", action="store_true", help="try those of RESULTS again that were not killed")
    parser.add_argument("--results", type=Path, default=Path("mutants.jsonl"))
    given = parser.parse_args()
    known = read_results(given.results)
    if given.again:
        known = {mutant: content for mutant, content in known.items() if content["outcome"] == KILLED}
    chosen = sample(given.count, given.seed)
    random.Random(given.seed).shuffle(chosen)  # what an interrupted command has done is a sample of all
    broken = try_all(chosen, known, given.results, given.seconds)
    print_results({mutant: known[mutant] for mutant in chosen}, broken)


if __name__ == "__main__":
    main()

"""The mutations are single changes that can be compiled, and the same for the same seed."""

import ast
from pathlib import Path

from tests.mutant_trial import KILLED, SURVIVED, UNFINISHED, run
from tests.mutants import ROOT, STRATA, files_for, sample


def test_each_is_another_program_of_which_some_test_knows_the_module() -> None:
    chosen = sample(3 * len(STRATA), seed=1)
    assert [one.stratum for one in chosen] == [stratum for stratum in STRATA for _ in range(3)]
    assert chosen == sample(3 * len(STRATA), seed=1)
    for one in chosen:
        before = (ROOT / one.file).read_bytes()
        assert before[one.start : one.end].decode() == one.old
        after = before[: one.start] + one.new.encode() + before[one.end :]
        assert ast.dump(ast.parse(after)) != ast.dump(ast.parse(before))
        assert files_for(one.file)


def test_a_mutant_is_killed_by_a_test_that_fails_and_survives_only_all_of_them(tmp_path: Path) -> None:
    copy, tests = tmp_path / "copy", ["tests/test_own.py", "tests/test_other.py"]
    (copy / "tests").mkdir(parents=True)
    (copy / "tests" / "test_own.py").write_text("def test_it(): assert True\n")
    other = copy / "tests" / "test_other.py"
    other.write_text("def test_that(): assert True\n")
    assert run(copy, tests, 60, {"tests/test_other.py": 100.0})["outcome"] == UNFINISHED
    assert run(copy, tests, 60, {})["outcome"] == SURVIVED
    other.write_text("def test_that(): assert False\n")
    found = run(copy, tests, 60, {})
    assert (found["outcome"], found["by"]) == (KILLED, "tests/test_other.py::test_that")
    other.write_text("import os\ndef test_that(): os._exit(3)\n")
    assert run(copy, tests, 60, {})["by"] == "the end of the process"

"""The mutations are single changes that can be compiled, and the same for the same seed."""

import ast

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

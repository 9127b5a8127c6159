"""The libraries of a job are loaded once, and no collection of garbage looks at them again."""

import gc

from ushydra_lab.sweep.libraries import import_jobs


def test_garbage_is_collected_but_for_the_libraries_which_are_loaded_once() -> None:
    import_jobs()
    kept, garbage = gc.get_freeze_count(), [[] for _ in range(10_000)]
    import_jobs()
    assert gc.isenabled()
    assert 0 < gc.get_freeze_count() <= kept
    assert len(garbage) == 10_000

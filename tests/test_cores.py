"""Threads share busy cores, and leave alone what the user has set."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab import cores


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*cores.ASKED, "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # so that it is as it was at the end, whatever the test sets
        monkeypatch.delenv(name)


def seen(monkeypatch: pytest.MonkeyPatch, *times: tuple[int, int]) -> None:
    waiting = list(times)
    monkeypatch.setattr(cores, "_times", lambda: waiting.pop(0))


@pytest.mark.parametrize(("idle", "polite"), [(0, True), (60, True), (90, False), (100, False)])
def test_threads_sleep_soon_where_others_use_the_cores(
    idle: int, polite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen(monkeypatch, (1000, 5000), (1000 + idle, 5100))
    cores.share_busy_cores()
    assert ("GOMP_SPINCOUNT" in os.environ) == polite


def test_where_the_system_tells_no_times_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    seen(monkeypatch, (0, 0), (0, 0))
    cores.share_busy_cores()
    assert not any(name in os.environ for name in cores.ASKED)


@pytest.mark.parametrize("name", cores.ASKED)
def test_the_user_s_own_policy_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "passive")
    seen(monkeypatch)  # not even looked at
    cores.share_busy_cores()
    assert {key: value for key, value in os.environ.items() if key in cores.ASKED} == {name: "passive"}


def test_the_times_of_this_machine_go_on() -> None:
    idle, total = cores._times()
    assert 0 <= idle <= total
    assert cores._times()[1] >= total
    assert 0 <= cores.busy() <= 1


@given(jobs=st.integers(1, 200), usable=st.integers(1, 128))
def test_jobs_share_the_cores(jobs: int, usable: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cores, "_usable", lambda: set(range(usable)))
        threads = int(cores.threads_of_each(jobs)["OMP_NUM_THREADS"])
    assert threads >= 1
    assert threads * jobs <= max(usable, jobs) < (threads + 1) * jobs


def test_threads_that_the_user_has_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert cores.threads_of_each(2) == {}

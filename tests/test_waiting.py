"""Long work tells how far it has come."""

import pytest

from ushydra_lab import waiting


def test_a_log_gets_a_line_now_and_then_and_no_empty_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(waiting.followed("abc", "Reading [b]", 3)) == list("abc")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(waiting, "EVERY_S", 0.0)
    assert list(waiting.followed(iter("abc"), "Reading [b]", 3)) == list("abc")
    assert capsys.readouterr().out == "Reading [b]: 1 of 3\nReading [b]: 2 of 3\nReading [b]: 3 of 3\n"

import pickle

import pytest

from ushydra_lab.errors import UserError, printable


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;title\x07", "a\rb", "\x9b31m", "\u202etxt.exe", "\ud83d", "\b\b"])
def test_a_message_sends_no_command_to_the_terminal(text: str) -> None:
    shown = str(UserError(f"images/{text}.png: no image"))
    assert all(character.isprintable() for character in shown)
    assert "\\" in shown
    shown.encode("utf-8")


def test_lines_tabs_and_letters_stay_and_it_can_be_sent_to_another_process() -> None:
    text = "Zürich\n\t- 3 × 4 µm 東京"
    assert printable(text) == text
    error = UserError.listing("a", [text])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)

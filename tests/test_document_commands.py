"""What the documents tell a user to type is understood: settings are composed and checked, arguments are parsed."""

import argparse
import re
import shlex
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.test_documents import DOCUMENTS, text_of
from ushydra_lab.__main__ import VERBS
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.validation import check

TYPED = re.compile(r"^ {4}python -m ushydra_lab ((?:.*[\\,]\n)*.*)", re.MULTILINE)
"""A command in an indented block, which may go on in the next lines."""
QUOTED = re.compile(r"`(?:python -m ushydra_lab ([^`]+)|(\+experiment=\w+ [^`]+))`")
ELSEWHERE = ("--config-dir", "searchpath", "...")
"""Of commands that need a folder of the reader's own, or leave something out."""


def commands() -> Iterator[Any]:
    for document in (one for one in DOCUMENTS if one != "CHANGELOG.md"):
        text = text_of(document)
        for typed in [*TYPED.findall(text), *("".join(either) for either in QUOTED.findall(text))]:
            words = shlex.split(re.sub(r"\\\n|\n", " ", typed), comments=True)
            if words[0] != "VERB" and not any(part in word for word in words for part in ELSEWHERE):
                yield pytest.param(words, id=f"{document} {' '.join(words)}")


def trains(words: list[str]) -> bool:
    return words[0] not in VERBS or words[0] == "train"


def jobs_first(words: list[str]) -> list[str]:
    """The first job's overrides; what only a launcher or Hydra itself reads is left out."""
    parsed = OverridesParser.create().parse_overrides(
        [word for word in words if "=" in word and not word.startswith("-")]
    )
    own = [one for one in parsed if not one.get_key_element().startswith("hydra")]
    return [
        f"{one.get_key_element()}={next(iter(one.sweep_string_iterator()))}"
        if one.is_sweep_override()
        else str(one.input_line)
        for one in own
    ]


def test_the_documents_have_commands_of_both_kinds() -> None:
    found = [param.values[0] for param in commands()]
    assert sum(map(trains, found)) > 10
    assert len({words[0] for words in found if not trains(words)}) > 8


@pytest.mark.parametrize("words", [one for one in commands() if trains(one.values[0])])
def test_settings_are_composed_and_checked(words: list[str]) -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check(compose("config", overrides=["scale=laptop", *jobs_first(words)]))


class Parsed(Exception):
    """The arguments were understood."""


def stops_after(parse: Callable[..., object]) -> Callable[..., None]:
    def parsed(*given: object) -> None:
        parse(*given)
        raise Parsed

    return parsed


@pytest.mark.parametrize("words", [one for one in commands() if not trains(one.values[0])])
def test_arguments_are_parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, stops_after(getattr(argparse.ArgumentParser, name)))
    with pytest.raises(Parsed):
        import_module(f"ushydra_lab.commands.{words[0]}").main(words[1:])

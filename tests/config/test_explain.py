"""What Hydra refuses is told in words of the command line."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from ushydra_lab.config.explain import explain, nearest_key
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers


def refused(*words: str) -> str:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(HydraException) as error:
        compose("config", overrides=["+experiment=nt_phase2", "scale=laptop", *words])
    return explain(error.value)


def test_an_error_without_a_known_cause_is_told_as_it_is() -> None:
    assert explain(HydraException("as it is")) == "as it is"
    error = HydraException("also")
    error.__cause__ = ValueError("of something else")
    assert explain(error) == "also"


def test_a_mistyped_key_option_or_word_is_named_with_what_there_is() -> None:
    assert "did you mean 'trainer.precision'?" in refused("trainer.precison=32")
    assert "loss=sobl: there is none (did you mean 'sobel'?); choose one of" in refused("loss=sobl")
    assert refused("loss=[roi").startswith("loss=[roi: not understood.")


def test_the_last_word_of_a_key_decides_and_among_equals_the_whole() -> None:
    keys = ["trainer.max_steps", "stages.phase1.max_epochs", "stages.phase2.max_epochs"]
    assert nearest_key("trainer.max_epoch", iter(keys)) == "stages.phase1.max_epochs"
    assert nearest_key("stages.phase2.max_epoch", iter(keys)) == "stages.phase2.max_epochs"

"""A finished run's configuration is used with the paths of this machine."""

from pathlib import Path

from hydra import compose, initialize_config_dir

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.stored import AS_STORED, Local, on_this_machine
from ushydra_lab.config.validation import check


def stored(cache: object) -> Experiment:
    """On phantoms, which lie in the cache."""
    register_resolvers()
    words = ["+experiment=nt_phase2", "scale=laptop", "data=phantom_nt", f"cache_dir='{cache}'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=words))


def test_a_cache_that_is_here_stays_and_another_becomes_that_of_a_new_run(tmp_path: Path) -> None:
    here, received = stored(tmp_path), stored(tmp_path / "nowhere")
    assert on_this_machine(here, AS_STORED) == here
    placed = on_this_machine(received, AS_STORED)
    assert (placed.cache_dir, placed.data["root"]) == ("multirun/.cache", "multirun/.cache/phantom")
    for one in (here, received):
        told = on_this_machine(one, Local.of(["cache_dir=/mine"]))
        assert (told.cache_dir, told.data["root"]) == ("/mine", "/mine/phantom")

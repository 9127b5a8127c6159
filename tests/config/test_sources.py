"""What is typed of a union's sources: the files of conf/data behind it, what is refused, and what identifies a job."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ushydra_lab.config.identity import determining, shareable
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.stored import Local, chosen_data, on_this_machine
from ushydra_lab.config.validation import check
from ushydra_lab.data.readers.union import read
from ushydra_lab.errors import UserError
from ushydra_lab.runs.pack import without_paths

TWO = "data.sources={africa: {data: african_planes, root: /x/a, quality: low}, ours: {data: manifest, path: m.csv}}"


def configured(*overrides: str) -> Experiment:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=["+experiment=hydra_vit", "scale=laptop", *overrides]))


def test_a_source_has_the_settings_of_its_file_and_what_harmonises_it_stands_apart() -> None:
    data = configured("data=union", TWO).data
    readers = {name: source["_target_"].split(".")[-2] for name, source in data["sources"].items()}
    assert readers == {"africa": "african_planes", "ours": "manifest_csv"}
    assert data["sources"]["africa"] == {
        "_target_": "ushydra_lab.data.readers.african_planes.read", "_partial_": True, "root": "/x/a", "strict": False,
    }  # fmt: skip
    assert data["sources"]["ours"]["cache"].endswith("converted")
    assert data["harmonise"] == {"africa": {"quality": "low"}}


def test_a_setting_that_the_reader_has_is_the_readers() -> None:
    typed = "data.sources={a: {data: images, root: x, site: St_Anna, quality: low}, b: {data: phantom_nt_regions}}"
    data = configured("data=union", typed).data
    assert data["sources"]["a"]["site"] == "St_Anna"
    assert data["harmonise"] == {"a": {"quality": "low"}}
    assert data["sources"]["b"]["scene"] == "nt_regions"
    assert data["sources"]["b"]["images_per_site"] == 200


@pytest.mark.parametrize("name", ["planes_by_quality", "planes_public", "hearts_by_quality"])
def test_a_ready_mixture_names_every_folder_that_it_lacks(name: str) -> None:
    with pytest.raises(UserError) as caught:
        configured(f"data={name}")
    places = [line.split()[1] for line in str(caught.value).splitlines()[1:]]
    assert len(places) == str(caught.value).count("has no value; add data.sources.") >= 2
    given = configured(f"data={name}", *(f"{place}=/x" for place in places))
    assert {place.rpartition(".")[2] for place in places} <= {"root", "path"}
    assert given.split["_target_"].endswith("SeenAndUnseen")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{data: african_plane, root: x}", r"sources.b.data=african_plane: .*did you mean 'african_planes'"),
        ("{data: union}", r"sources.b.data=union: no data set"),
        ("{root: x}", r"sources.b=.*a source names a data set"),
        ("3", r"sources.b=3: a source names a data set"),
        ("{data: camus, root: x, rot: 1}", r"unknown key 'data.sources.b.rot'.*did you mean 'data.sources.b.root'"),
        ("{data: camus, root: x, qualty: low}", r"'data.sources.b.qualty'.*did you mean 'data.sources.b.quality'"),
        ("{data: camus, root: x, strict: 'no'}", r"data.sources.b.strict=no: true or false"),
        ("{_target_: os.system, command: ls}", r"data.sources.b._target_=os.system"),
        ("{_target_: ushydra_lab.data.split.Random}", r"data.sources.b._target_=.*no reader of data"),
    ],
)
def test_what_is_no_source_is_refused_by_its_key(source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        configured("data=union", f"data.sources={{a: {{data: manifest, path: m.csv}}, b: {source}}}")


def test_sources_without_names_are_refused() -> None:
    with pytest.raises(UserError, match=r"data.sources=here: sources have names, \{NAME: "):
        configured("data=union", "data.sources=here")
    with pytest.raises(UserError, match=r"data.sources has no value"):
        configured("data=union")


@pytest.mark.parametrize(("place", "lacks"), [("${nothing}/m.csv", "nothing"), ("${oc.env:NOPE}/m.csv", "NOPE")])
def test_a_place_that_stands_for_nothing_is_named_by_its_key(place: str, lacks: str) -> None:
    with pytest.raises(UserError, match=rf"data\.sources\.a\.path: .*'{lacks}' not found"):
        configured("data=union", f"data.sources={{a: {{data: manifest, path: '{place}'}}}}")


def test_a_source_follows_what_it_refers_to_also_where_that_was_typed_as_text() -> None:
    words = ["data.sources={a: {data: phantom_nt_regions, seed: '${seed}', root: '${cache_dir}/x'}}", "seed='7'"]
    source = configured("data=union", *words, "cache_dir=5").data["sources"]["a"]
    assert (source["seed"], source["root"]) == (7, "5/x")


def test_where_the_sources_lie_determines_no_number_and_is_not_shared() -> None:
    one = configured("data=union", TWO)
    moved = configured("data=union", TWO.replace("/x/a", "/y").replace("m.csv", "n.csv"))
    other = configured("data=union", TWO.replace("quality: low", "quality: high"))
    assert determining(one.as_dict()) == determining(moved.as_dict())
    assert determining(one.as_dict()) != determining(other.as_dict())
    shown = shareable(one.as_dict())
    assert not {key for key in shown if key.endswith((".root", ".path", ".cache"))}
    assert shown["data.harmonise.africa.quality"] == "low"
    packed = without_paths(one.as_dict())["data"]["sources"]
    assert packed["africa"]["_target_"] == "ushydra_lab.data.readers.african_planes.read"
    assert "m.csv" not in str(packed)
    assert "/x/a" not in str(packed)


def test_a_finished_runs_sources_are_placed_on_this_machine(tmp_path: Path) -> None:
    stored = configured("data=union", TWO, f"cache_dir='{tmp_path}'")
    placed = on_this_machine(stored, Local.of(["data.sources.africa.root=/here", "data.sources.ours.path=there.csv"]))
    assert placed.data["sources"]["africa"]["root"] == "/here"
    assert placed.data["sources"]["ours"]["path"] == "there.csv"
    assert stored.data["sources"]["africa"]["root"] == "/x/a"
    with pytest.raises(UserError, match="no source of the run"):
        on_this_machine(stored, Local.of(["data.sources.arfica.root=/here"]))
    with pytest.raises(UserError, match="only these can be told anew"):
        Local.of(["data.sources.africa.strict=true"])


def test_other_verbs_choose_a_union_as_training_does() -> None:
    name, data = chosen_data(["data=union", TWO])
    assert name == "union"
    assert data["sources"].keys() == {"africa", "ours"}
    assert OmegaConf.create(data)._target_.endswith(read.__module__ + ".read")

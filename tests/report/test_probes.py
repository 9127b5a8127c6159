"""The report shows what was probed, of the weights the runs have now, and names what was not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import auc, roc_auc_score, roc_curve

from ushydra_lab.report.document import Gap
from ushydra_lab.report.papers.nt import probes as nt
from ushydra_lab.report.papers.nt.phases import COLUMNS
from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections import probe_unfamiliar
from ushydra_lab.report.sections.probe_figures import draw_histograms, draw_plane, draw_roc
from ushydra_lab.report.sections.probe_tables import TABLES, caption, table
from ushydra_lab.report.sections.probes import read, section
from ushydra_lab.results.clustered import clustered_auroc
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import Run

from .. import fake_runs

SCORES = {"site_accuracy": 0.8, "site_auroc": 0.9, "max_softmax": 0.6, "entropy": 0.5, "mahalanobis_auroc": 0.7}
SCORES |= {"mahalanobis_l2_auroc": 0.7, "knn_auroc": 0.6, "quality_r2": -0.5, "quality_rho": 0.1}
PARTS = {"train": 20, "val": 10, "test": 15}


def write_run(run: Path, seed: int, key: str = "k", shift: float = 0.0) -> dict[str, object]:
    """A probed run of one stage; its row of the collected stages."""
    held_out = run.parts[-3]
    rng = np.random.default_rng(seed)
    parts = [part for part, count in PARTS.items() for _ in range(count)]
    seen = sorted({"a", "b", "c"} - {held_out})
    sites = seen * 15 + [held_out] * 15
    numbers = {name: rng.normal(size=45) for name in ("pca_1", "pca_2", "max_softmax", "knn")}
    codes = pd.DataFrame(
        {"stage": "phase2", "feature": "z", "part": parts, "record": range(45), "site": sites} | numbers
    )
    codes.loc[codes["part"] == "train", ["knn", "max_softmax"]] = np.nan
    split = codes[["record", "site", "part"]].assign(subject=(codes["record"] // 2).astype(str))
    fake_runs.write(run, {"phase2": "k"}, split.loc[split["part"] != "train", ["record", "site", "part"]], split)
    codes.to_csv(run / "probes.csv", index=False)
    scores = {name: value + shift for name, value in SCORES.items()} | {"triage_lost_auroc": None}
    content = {"made_from": {"stages": {"phase2": key}}, "images": PARTS, "stages": {"phase2": {"z": scores}}}
    (run / "probes.json").write_text(json.dumps(content))
    who = {"held_out": held_out, "fold": held_out, "seed": seed, "variant": "roi", "stage": "phase2"}
    return who | {
        "method": "phase2",
        "method_name": "phase2",
        "missing_runs": "",
        "run": Run(run),
        "key": "k",
        "sites": ("a", "b", "c"),
    }


@pytest.fixture
def stages(tmp_path: Path) -> pd.DataFrame:
    """c held out with four seeds: two probed, one with other weights, one with a damaged file; b never probed."""
    rows = [write_run(tmp_path / "nt/c" / f"seed{seed}/roi", seed, shift=0.1 * seed) for seed in (1, 2)]
    rows.append(write_run(tmp_path / "nt/c/seed3/roi", 3, key="of weights before"))
    rows.append(write_run(tmp_path / "nt/c/seed4/roi", 4))
    (tmp_path / "nt/c/seed4/roi/probes.json").write_text("{damaged")
    rows.append(write_run(tmp_path / "nt/b/seed1/roi", 1))
    for name in ("probes.json", "probes.csv"):
        (tmp_path / "nt/b/seed1/roi" / name).unlink()
    return pd.DataFrame(rows)


def found(stages: pd.DataFrame, images: pd.DataFrame | None = None) -> Collected:
    return Collected(pd.DataFrame() if images is None else images, stages, {})


def rows(stages: pd.DataFrame, name: str, of_paper: bool = True, **changed: str) -> pd.DataFrame:
    scores, _, _ = read(stages)
    shown = found(stages.assign(**changed))
    paper = nt.printed(shown) if of_paper else None
    return table(shown, scores, TABLES[name].columns, paper).set_index(["held out", "method", "codes"])


def test_scores_are_mean_and_sd_over_seeds(stages: pd.DataFrame) -> None:
    row = rows(stages, "table5").loc[("c", "phase2", "code z")]
    assert row["kNN ↑"].startswith(f"{np.mean([0.7, 0.8]):.3f} ± {np.std([0.7, 0.8], ddof=1):.3f} [")
    assert row["images"] == "10 / 15"
    assert row["seeds"] == "2 of 4 probed"


def test_each_hospital_has_its_own_printed_number(stages: pd.DataFrame) -> None:
    shown = rows(stages, "table5")
    assert shown.index.get_level_values(0).tolist() == ["a", "b", "c"]
    assert shown["kNN, paper"].tolist() == ["0.7182 ± 0.0011", "0.6421 ± 0.0547", "0.9312 ± 0.0061"]
    control = rows(stages, "table5", variant="global")
    assert set(control["kNN, paper"]) == {"–"}
    first = rows(stages, "table6", stage="phase1", variant="global")
    assert first["R², paper"].tolist() == ["0.177", "0.175", "0.053"]


def test_other_features_than_the_code_have_no_printed_number(stages: pd.DataFrame) -> None:
    for run in (one.path for one in stages["run"][:2]):
        content = json.loads((run / "probes.json").read_text())
        content["stages"]["phase2"]["roi"] = SCORES
        (run / "probes.json").write_text(json.dumps(content))
        codes = pd.read_csv(run / "probes.csv")
        pd.concat([codes, codes.assign(feature="roi")]).to_csv(run / "probes.csv", index=False)
    shown = rows(stages, "table4")
    assert shown.loc[("c", "phase2", "ROI-pooled map"), "Entropy, unseen (nats), paper"] == "–"
    assert shown.loc[("c", "phase2", "code z"), "Entropy, unseen (nats), paper"] == "0.688 ± 0.006"


def test_a_site_not_probed_and_one_not_held_out_are_rows_that_say_so(stages: pd.DataFrame) -> None:
    shown = rows(stages, "table4")["Confidence, unseen ↓"]
    assert shown.loc[("a", "phase2", "code z")] == "not run"
    assert shown.loc[("b", "phase2", "code z")] == "not probed"
    others = rows(stages, "table4", False, stage="train", method_name="train hybrid", method="train hybrid")
    assert "a" not in others.index.get_level_values(0), "no paper's rows to be filled"


def test_the_paper_s_own_claims_follow_from_its_numbers() -> None:
    """Abstract: 0.556 to 0.541 max-softmax, 0.684 to 0.688 entropy, Mahalanobis AUROC up to 0.9956, on H3."""
    assert [nt.PRINTED["max_softmax"][phase][2][:5] for phase in ("phase1", "roi")] == ["0.556", "0.541"]
    assert [nt.PRINTED["entropy"][phase][2][:5] for phase in ("phase1", "roi")] == ["0.684", "0.688"]
    assert max(text for texts in nt.PRINTED["mahalanobis_auroc"].values() for text in texts) == "0.9956 ± 0.0014"


def test_the_curve_encloses_the_auroc_of_higher_scores_for_unseen_images(stages: pd.DataFrame) -> None:
    codes = read(stages)[1]
    lines = [line for line in draw_roc(codes, "abc").axes[0].lines if line.get_linestyle() == "-"]
    for line, (_, run) in zip(lines, codes.groupby("seed"), strict=True):
        shown = run[run["part"] != "train"]
        assert auc(*line.get_data()) == pytest.approx(roc_auc_score(shown["part"] == "test", shown["knn"]))


def test_every_site_has_its_own_colour_whichever_is_unseen_and_that_is_named_and_on_top(tmp_path: Path) -> None:
    found: dict[str, set[object]] = {site: set() for site in "abc"}
    for held_out in "abc":
        codes = read(pd.DataFrame([write_run(tmp_path / f"nt/{held_out}/seed1/roi", 1)]))[1]
        shown = draw_plane(codes, "pca", "abc").axes[0].collections
        labels = [dots.get_label() for dots in shown]
        assert labels == [site + " (unseen)" * (site == held_out) for site in "abc"]
        assert [len(dots.get_offsets()) for dots in shown] == [15, 15, 15]
        assert max(shown, key=lambda dots: dots.get_zorder()).get_label() == f"{held_out} (unseen)"
        for site, dots in zip("abc", shown, strict=True):
            found[site].add(matplotlib.colors.to_hex(dots.get_facecolor()[0]))
        for figure in (draw_histograms(codes, "knn", "distance", "abc"), draw_roc(codes, "abc")):
            drawn = [one.get_edgecolor() for one in figure.axes[0].patches] + [
                one.get_color() for one in figure.axes[0].lines
            ]
            assert found[held_out] <= {matplotlib.colors.to_hex(colour) for colour in drawn}
    assert [len(colours) for colours in found.values()] == [1, 1, 1]
    assert len(set.union(*found.values())) == 3


def test_an_auroc_of_unseen_images_has_an_interval_by_subjects(stages: pd.DataFrame) -> None:
    scores, codes, _ = read(stages)
    first = codes[(codes["seed"] == 1) & (codes["part"] != "train")]
    subjects = first["site"] + (first["record"] // 2).astype(str)
    found = clustered_auroc(first["knn"], first["part"] == "test", subjects)
    one = scores[scores["seed"] == 1].iloc[0]
    assert (one["knn_auroc_low"], one["knn_auroc_high"]) == pytest.approx((found.low, found.high))
    ends = scores[["knn_auroc_low", "knn_auroc_high"]].mean()
    assert rows(stages, "table5").loc[("c", "phase2", "code z"), "kNN ↑"].endswith("[{:.3f}, {:.3f}]".format(*ends))


def far_set(run: Path, **changed: object) -> pd.DataFrame:
    """Probes of a run against another data set, whose images lie farther away than the unseen site's."""
    folder = run / "external" / "hearts-0123abcd"
    folder.mkdir(parents=True)
    images = pd.read_csv(run / "probes.csv").assign(unit=np.arange(45) // 2)
    images.loc[images["part"] == "test", "knn"] += 3
    images.to_csv(folder / "probes.csv", index=False)
    content = json.loads((run / "probes.json").read_text()) | changed
    (folder / "probes.json").write_text(json.dumps(content))
    return images[images["part"] != "train"]


def test_near_and_far_sets_stand_beside_each_other(stages: pd.DataFrame, tmp_path: Path) -> None:
    shown = far_set(tmp_path / "nt/c/seed1/roi")
    text = markdown.render(section(found(stages), tmp_path / "nt/report"))
    assert probe_unfamiliar.TITLE in text
    table = pd.read_csv(tmp_path / "nt/report/probes_unfamiliar.csv", dtype=str).set_index("unfamiliar")
    assert table.index.tolist() == ["near: c", "far: hearts"]
    tested = shown["part"] == "test"
    area = roc_auc_score(tested, shown["knn"])
    false, true, _ = roc_curve(~tested, -shown["knn"], drop_intermediate=False)
    far = table.loc["far: hearts"]
    assert far["AUROC ↑"].startswith(f"{area:.3f}")
    assert far["FPR95 ↓"].startswith(f"{false[np.argmax(true >= 0.95)]:.3f} [")
    assert (far["images"], far["seeds"]) == ("10 / 15", "1")
    assert table.loc["near: c", "seeds"] == "2"


def test_a_far_set_of_other_weights_or_without_subjects_is_a_gap(stages: pd.DataFrame, tmp_path: Path) -> None:
    run = tmp_path / "nt/c/seed1/roi"
    far_set(run, made_from={"stages": {"phase2": "before"}})
    text = markdown.render(section(found(stages), tmp_path / "nt/report"))
    assert "- c/seed1/roi against hearts: probed with other weights than it has now." in text
    assert "`python -m ushydra_lab probes multirun/nt/c --against data=hearts`" in text
    file = run / "external" / "hearts-0123abcd" / "probes.csv"
    shutil.copy(run / "probes.json", file.with_suffix(".json"))
    pd.read_csv(file).drop(columns="unit").to_csv(file, index=False)
    text = markdown.render(section(found(stages), tmp_path / "nt/report"))
    assert "- c/seed1/roi against hearts: probed by an earlier version" in text
    assert "far: hearts" not in text


def test_captions_speak_of_the_paper_of_triage_and_of_an_error_only_where_they_are(stages: pd.DataFrame) -> None:
    scores = read(stages)[0]
    of_paper = found(stages, pd.DataFrame(columns=["roi_edge_mae"]))
    others = found(stages.assign(stage="train"), pd.DataFrame(columns=["dice_empty_csp", "dice_empty_lv"]))
    for name in TABLES:
        assert "aper" in caption(TABLES[name], of_paper, scores, nt.NOTES[name])
        assert "aper" not in caption(TABLES[name], others, scores)
    triage = scores.assign(triage_lost_auroc=0.7)
    texts = [caption(TABLES["table6"], *of) for of in ((of_paper, triage), (of_paper, scores), (others, scores))]
    assert ["Triage" in text for text in texts] == [True, False, False]
    assert ["ROI Edge-MAE" in text for text in texts] == [True, True, False]
    assert [text.count("1 - Dice (all images)") for text in texts] == [0, 0, 1]


AUTOENCODER = {"_target_": "ushydra_lab.networks.conv_autoencoder.ConvAutoencoder", "decoder_input": "map"}


def with_network(run: Path, **network: str) -> None:
    """Rewrite the network of a run's configuration."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"network": AUTOENCODER | network}))


def test_captions_say_what_trained_the_code(stages: pd.DataFrame) -> None:
    def told(**network: str) -> str:
        for run in stages["run"]:
            with_network(run.path, **network)
        return caption(TABLES["table4"], found(stages.assign(run=[Run(run.path) for run in stages["run"]])), stages)

    assert "Code z: an untrained random projection" in told()  # as versions before 0.4.0 stored it
    assert "Code z: an untrained random projection" in told(auxiliary="none")
    assert "Code z: trained by an auxiliary low-resolution" in told(auxiliary="detached")
    assert "the encoder with it, by an auxiliary" in told(auxiliary="joint")
    assert "Code z: trained by the decoder." in told(decoder_input="latent", auxiliary="detached")
    assert "activations of a network trained by its task" in told(_target_="my_lab.Net")


@pytest.mark.parametrize(("shift", "words"), [(3.0, "higher in"), (0.0, "NOT shown to be higher in")])
def test_a_trained_code_stands_beside_an_untrained_one_with_what_differs(
    tmp_path: Path, shift: float, words: str
) -> None:
    rows = []
    for variant, moved, network in (("plain", 0.0, {}), ("learned", shift, {"auxiliary": "detached"})):
        for seed in range(1, 6):
            run = tmp_path / "nt/c" / f"seed{seed}/{variant}"
            row = write_run(run, seed)
            codes = pd.read_csv(run / "probes.csv")
            codes.loc[codes["part"] == "test", "knn"] += moved
            codes.to_csv(run / "probes.csv", index=False)
            with_network(run, **network)
            rows.append(row | {"run": Run(run), "variant": variant, "method": variant, "method_name": variant})
    text = markdown.render(section(found(pd.DataFrame(rows)), tmp_path / "nt/report"))
    assert f"learned: {words} kNN AUROC (c)." in text
    assert "untrained random projection of the trained map's average (plain); trained by an auxiliary" in text
    shown = pd.read_csv(tmp_path / "nt/report/probes_trained_code.csv").set_index("method")["kNN AUROC"]
    areas = []
    for seed in range(1, 6):
        codes = pd.read_csv(tmp_path / f"nt/c/seed{seed}/learned/probes.csv").query("part != 'train'")
        areas.append(roc_auc_score(codes["part"] == "test", codes["knn"]))
    assert shown["learned"].startswith(f"{np.mean(areas):.3f} ")
    assert ("*" in shown["learned"]) == (shift > 0)


@pytest.mark.usefixtures("whole_pictures")
def test_the_section_has_tables_figures_and_the_commands_for_the_rest(stages: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "nt" / "report"
    text = markdown.render(nt.section(found(stages), folder))
    assert all(text.count(f"(Table {number})") == 1 for number in (4, 5, 6))
    assert (
        "- c/seed3/roi: probed with other weights than it has now.\n  `python -m ushydra_lab probes multirun/nt/c`"
        in text
    )
    assert "- c/seed4/roi: probes.json is damaged.\n  `python -m ushydra_lab probes multirun/nt/c`" in text
    assert "- b/seed1/roi: not probed.\n  `python -m ushydra_lab probes multirun/nt/b`" in text
    assert "- Held out a: not run.\n  `python -m ushydra_lab +experiment=nt held_out=a seed=1,2,3,4`" in text
    assert str(tmp_path) not in text
    for name in ("confidence", "roc", "knn", "pca"):
        assert (folder / f"c_probes_{name}.png").stat().st_size > 5_000
    assert pd.read_csv(folder / "probes_table5.csv")["knn_auroc"].tolist() == pytest.approx([0.7, 0.8])
    assert "umap" not in text


def test_a_stage_that_two_variants_share_counts_once(stages: pd.DataFrame, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "nt/c/seed1/roi", tmp_path / "nt/c/seed1/other")
    other = stages.iloc[[0]].assign(run=Run(tmp_path / "nt/c/seed1/other"), variant="other")
    scores, codes, _ = read(pd.concat([stages, other]))
    assert scores["seed"].tolist() == [1, 2]
    assert len(codes) == 2 * 45


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without_last_digits(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])


def without_a_row(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def text_for_numbers(file: Path) -> None:
    pd.read_csv(file).assign(knn="much").to_csv(file, index=False)


def without_places(file: Path) -> None:
    pd.read_csv(file).drop(columns="pca_1").to_csv(file, index=False)


def replaced(text: str) -> Callable[[Path], None]:
    return lambda file: (file.write_text(text), None)[1]


CONTENT = {"made_from": {"stages": {"phase2": "k"}}, "images": PARTS, "stages": {"phase2": {"z": {"entropy": "much"}}}}
DAMAGE: list[tuple[str, Callable[[Path], None]]] = [
    *(("probes.csv", harm) for harm in (half, without_last_digits, without_a_row, text_for_numbers, without_places)),
    *(("probes.csv", replaced(text)) for text in ("", "stage\n", "\0\0\0")),
    ("probes.csv", lambda file: (file.write_bytes(b"\xff\xfe" * 40), None)[1]),
    ("probes.json", half),
    *(("probes.json", replaced(text)) for text in ("", "null", "[]", '{"stages": {}}', json.dumps(CONTENT))),
    *(
        ("probes.json", replaced(json.dumps(CONTENT | {"stages": stages})))
        for stages in ({"phase2": 3}, {"phase2": {"z": None}}, {"phase1": {"z": {}}})
    ),
]


@pytest.mark.parametrize(("name", "harm"), DAMAGE)
def test_a_damaged_or_half_written_file_is_a_gap_with_the_command_that_makes_it_again(
    stages: pd.DataFrame, tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    harm(tmp_path / "nt/c/seed2/roi" / name)
    blocks = section(found(stages), tmp_path / "nt" / "report")
    assert any(name in one for block in blocks if isinstance(block, Gap) for one in block.damage)
    text = markdown.render(blocks)
    (line,) = (line for line in text.splitlines() if line.startswith("- c/seed2/roi") or ", c/seed2/roi" in line)
    assert line == f"- c/seed2/roi: {name} is damaged." or line == "- c/seed2/roi, c/seed4/roi: probes.json is damaged."
    assert "`python -m ushydra_lab probes multirun/nt/c`" in text
    assert rows(stages, "table5").loc[("c", "phase2", "code z"), "seeds"] == "1 of 4 probed"


def test_all_files_damaged_is_a_gap_too(stages: pd.DataFrame, tmp_path: Path) -> None:
    for run in stages["run"][:3]:
        half(run.path / "probes.csv")
    text = markdown.render(section(found(stages), tmp_path / "nt" / "report"))
    assert "- c/seed1/roi, c/seed2/roi, c/seed3/roi: probes.csv is damaged.\n" in text
    assert "(Table 4)" not in text


def test_runs_that_were_never_probed_add_a_gap_to_the_paper_s_experiments_alone(
    stages: pd.DataFrame, tmp_path: Path
) -> None:
    for file in tmp_path.rglob("probes.*"):
        file.unlink()
    images = pd.DataFrame([{"part": "test", **dict.fromkeys(COLUMNS, 1.0)}])
    assert section(found(stages, images), tmp_path / "nt" / "report") == []
    assert nt.section_if_probed(found(stages, images), tmp_path / "nt" / "report") == []
    text = markdown.render(nt.section(found(stages, images), tmp_path / "nt" / "report"))
    assert "- c/seed1/roi, c/seed2/roi, c/seed3/roi, c/seed4/roi: not probed.\n" in text
    assert nt.section(found(stages, images.assign(part="val")), tmp_path / "nt" / "report") == []

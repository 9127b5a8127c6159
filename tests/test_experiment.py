"""The spine: one command from images to the table; what is done stays done; the unseen site stays unseen."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.stored import AS_STORED
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.external import evaluate
from ushydra_lab.files import read_json
from ushydra_lab.probes.finished import probe
from ushydra_lab.report.build import report
from ushydra_lab.results.collect import collect
from ushydra_lab.runs.run import Run
from ushydra_lab.tasks.base import Task
from ushydra_lab.tasks.reconstruction import Reconstruction
from ushydra_lab.training.assembly import rehearse
from ushydra_lab.training.callbacks.history import History

from .forked import ForkServer

WITHOUT_QUALITY = sorted(path for path in (CONF / "experiment").glob("*.yaml") if not path.stem.startswith("hydra"))
"""Those of the others are in test_hydra_experiments.py."""
TINY = [
    "scale=laptop", "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=4", "stages.phase1.max_epochs=2",
    "stages.phase2.max_epochs=2", "logger.mode=disabled", "panel_images=1",
]  # fmt: skip


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom of eight images a hospital; the path of its manifest."""
    root = tmp_path_factory.mktemp("phantom") / "three hospitals"
    return phantom.write(root, "nt", 0, dict.fromkeys(phantom.SCENES["nt"].machines, 8))


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom of ten heads a hospital; the path of its manifest."""
    root = tmp_path_factory.mktemp("phantom") / "heads"
    return phantom.write(root, "head", 0, dict.fromkeys(phantom.SCENES["head"].machines, 10))


def configured(root: Path, manifest: Path, *overrides: str) -> tuple[Experiment, Path]:
    register_resolvers()
    chosen = ["data=manifest", f"data.path='{manifest}'", "held_out=hospital_c", f"run_root='{root}'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["+experiment=nt_phase2", *TINY, *chosen, *overrides])
    return check(cfg), run_path(cfg)


def run(root: Path, manifest: Path, *overrides: str) -> Path:
    config, path = configured(root, manifest, *overrides)
    experiment.run(config, path)
    return path


def weights(run: Path, stage: str) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints" / f"{stage}.ckpt", weights_only=True)["state_dict"]
    assert isinstance(state, dict)
    return state


def same_weights(a: Path, b: Path, stage: str) -> bool:
    first, second = weights(a, stage), weights(b, stage)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, hospitals: Path) -> Path:
    """A finished run of the tiny experiment."""
    return run(tmp_path_factory.mktemp("finished"), hospitals)


def test_a_run_directory_holds_what_it_says(finished: Path) -> None:
    summary = read_json(finished / "run.json")
    assert summary["status"] == "finished"
    assert list(summary["stages"]) == ["phase1", "phase2"]
    phase2 = summary["stages"]["phase2"]
    assert sum(phase2["loss_weights"].values()) == pytest.approx(3)
    pulls = [phase2["loss_weights"][term] * norm for term, norm in phase2["gradient_norms"].items()]
    assert pulls == pytest.approx([pulls[0]] * 3, rel=1e-5)
    for file in ("config.yaml", "split.csv", "per_image.csv", "figures/test.png", "history/phase1.csv"):
        assert (finished / file).stat().st_size > 0


def test_a_job_builds_each_task_once_and_reads_few_checkpoints(
    hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, reads = [], []
    build, read = Task.__init__, torch.load

    def counted(task: Task, *given: Any, **settings: Any) -> None:
        tasks.append(task)
        build(task, *given, **settings)

    def read_counted(*given: Any, **settings: Any) -> Any:
        reads.append(given)
        return read(*given, **settings)

    monkeypatch.setattr(Task, "__init__", counted)
    monkeypatch.setattr(torch, "load", read_counted)
    run(tmp_path, hospitals)
    assert len(tasks) == 2
    assert len(reads) <= 5


def test_every_image_of_validation_and_test_is_measured_once_a_stage(finished: Path) -> None:
    images, split = pd.read_csv(finished / "per_image.csv"), pd.read_csv(finished / "split.csv")
    for _, rows in images.groupby("stage"):
        assert sorted(rows["record"]) == sorted(split.loc[split["part"] != "train", "record"])
    assert set(images.loc[images["part"] == "test", "site"]) == {"hospital_c"}
    assert images[["psnr", "roi_mae", "roi_edge_mae", "roi_ms_ssim", "ms_ssim"]].notna().all(axis=None)


def test_results_name_no_subject_or_path(finished: Path, hospitals: Path) -> None:
    assert not {"subject", "image"} & set(pd.read_csv(finished / "per_image.csv"))
    assert str(hospitals.parent) not in (finished / "run.json").read_text()


def test_the_second_variant_reuses_phase_1(finished: Path, hospitals: Path) -> None:
    other = run(finished.parents[3], hospitals, "loss=global")
    one, two = (read_json(path / "run.json")["stages"] for path in (finished, other))
    assert one["phase1"]["key"] == two["phase1"]["key"]
    assert one["phase2"]["key"] != two["phase2"]["key"]
    assert same_weights(finished, other, "phase1")
    assert not same_weights(finished, other, "phase2")


def test_an_auxiliary_decoder_changes_no_bit_of_the_rest(finished: Path, hospitals: Path, tmp_path: Path) -> None:
    """Selection, calibrated weights, evaluation: all is as without it, but for z."""
    without = run(tmp_path, hospitals, "network.auxiliary=none")
    assert (without / "per_image.csv").read_bytes() == (finished / "per_image.csv").read_bytes()
    for stage in ("phase1", "phase2"):
        known, trained = weights(without, stage), weights(finished, stage)
        assert {key for key in known if not torch.equal(known[key], trained[key])} == {
            "network.to_code.weight",
            "network.to_code.bias",
        }
        curves = pd.read_csv(finished / "history" / f"{stage}.csv")
        assert curves[["train/thumbnail", "val/thumbnail"]].notna().all(axis=None)
        shared = pd.read_csv(without / "history" / f"{stage}.csv")
        pd.testing.assert_frame_equal(curves[shared.columns], shared, check_exact=True)


def test_two_stages_that_differ_in_the_epoch_are_trained_once_and_each_has_its_own_weights(
    hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: dict[tuple[str, int], dict[str, torch.Tensor]] = {}
    end = History.on_train_epoch_end

    def remember(history: History, trainer: Any, task: Any) -> None:
        end(history, trainer, task)
        states[history.stage, trainer.current_epoch] = {key: value.clone() for key, value in task.state_dict().items()}

    monkeypatch.setattr(History, "on_train_epoch_end", remember)
    monkeypatch.setattr(
        Reconstruction, "selection_loss", lambda task, _: torch.tensor(1.0 + task.trainer.current_epoch)
    )
    other = "{epoch: last, init: phase1, max_epochs: 2, min_delta: 5e-5, callbacks: '${stages.phase2.callbacks}', "
    other += "task: '${stages.phase2.task}'}"
    done = run(tmp_path, hospitals, "stages.phase2.patience=null", f"+stages.late={other}")
    assert list(states) == [("phase1", 0), ("phase1", 1), ("phase2", 0), ("phase2", 1)]
    for stage, epoch in (("phase2", 0), ("late", 1)):
        found = weights(done, stage)
        assert all(torch.equal(found[key], value) for key, value in states["phase2", epoch].items())
    stages = read_json(done / "run.json")["stages"]
    assert [(stages[name]["selected_epoch"], stages[name]["score"]) for name in ("phase2", "late")] == [(1, 1), (2, 2)]
    assert len({stage["key"] for stage in stages.values()}) == 3
    images = pd.read_csv(done / "per_image.csv")
    errors = [images.loc[images["stage"] == stage, "roi_mae"].to_numpy() for stage in ("phase2", "late")]
    assert not np.array_equal(*errors)


def test_a_finished_run_is_left_alone(finished: Path, hospitals: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    run(finished.parents[3], hospitals)
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}


def test_a_finished_run_takes_a_later_word_on_burnt_in_names_and_nothing_else(
    finished: Path, hospitals: Path, tmp_path: Path
) -> None:
    root = tmp_path / "copied"
    path = root / finished.relative_to(finished.parents[3])
    shutil.copytree(finished.parents[3], root)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for declared in (True, False):
        run(root, hospitals, f"deidentified={declared}")
        assert Run(path).deidentified is declared
    changed = {file.name for file, content in before.items() if file.read_bytes() != content}
    assert changed == {"run.json"}
    Run(path).verify()


def test_the_same_seed_gives_the_same_bits(finished: Path, hospitals: Path, tmp_path: Path) -> None:
    again = run(tmp_path, hospitals)
    assert same_weights(finished, again, "phase2")
    assert (finished / "per_image.csv").read_bytes() == (again / "per_image.csv").read_bytes()


@pytest.mark.parametrize("stage", ["phase1", "phase2"])
def test_an_interrupted_run_continues_to_the_same_bits(
    finished: Path, hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def interrupt(history: History, trainer: Any, *_: Any) -> None:
        if history.stage == stage and trainer.current_epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_epoch_start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, hospitals)
    interrupted = configured(tmp_path, hospitals)[1]
    assert read_json(interrupted / "run.json")["status"] == "interrupted"
    run(tmp_path, hospitals)
    assert same_weights(finished, interrupted, "phase2")
    assert (finished / "per_image.csv").read_bytes() == (interrupted / "per_image.csv").read_bytes()
    histories = [pd.read_csv(path / "history" / f"{stage}.csv") for path in (finished, interrupted)]
    pd.testing.assert_frame_equal(*histories)


def test_a_stage_killed_just_after_its_early_stop_is_not_trained_further(
    hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = ["stages.phase1.max_epochs=6", "stages.phase1.patience=1", "stages.phase1.min_delta=10"]
    undisturbed = run(tmp_path / "a", hospitals, *early)
    assert read_json(undisturbed / "run.json")["stages"]["phase1"]["epochs"] == 2

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ushydra_lab.runs.stage_store.StageFolder.finish", die)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "b", hospitals, *early)
    continued = run(tmp_path / "b", hospitals, *early)
    assert read_json(continued / "run.json")["stages"] == read_json(undisturbed / "run.json")["stages"]
    assert same_weights(undisturbed, continued, "phase2")


def test_poison_in_the_held_out_site_leaves_every_fitted_number_unchanged(
    finished: Path, hospitals: Path, tmp_path: Path
) -> None:
    poisoned = tmp_path / "poisoned"
    shutil.copytree(hospitals.parent, poisoned)
    rng = np.random.default_rng(0)
    for path in (poisoned / "hospital_c").glob("*.png"):
        with Image.open(path) as image:
            size = image.size[::-1]
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(path)
    other = run(tmp_path / "runs", poisoned / "manifest.csv")
    clean, dirty = (read_json(path / "run.json")["stages"] for path in (finished, other))
    assert clean == dirty
    assert all(same_weights(finished, other, stage) for stage in clean)
    tables = [pd.read_csv(path / "per_image.csv") for path in (finished, other)]
    val = [table[table["part"] == "val"].astype({"nt_lost": float}) for table in tables]  # noise has no NT to be lost
    pd.testing.assert_frame_equal(*val)
    assert not tables[0][tables[0]["part"] == "test"].equals(tables[1][tables[1]["part"] == "test"])


def test_another_configuration_is_refused_with_the_difference(finished: Path, hospitals: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)another configuration.*batch_size: 4 there, 2 now.*variant=NAME"):
        run(finished.parents[3], hospitals, "batch_size=2")
    assert read_json(finished / "run.json")["status"] == "finished"


def test_other_images_under_the_same_command_are_refused(finished: Path, hospitals: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(hospitals.parent, changed)
    path = next((changed / "hospital_a").glob("*.png"))
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    with pytest.raises(UserError, match="other images"):
        run(finished.parents[3], changed / "manifest.csv")


def test_external_evaluation_says_which_sites_are_new(finished: Path, hospitals: Path) -> None:
    folder = evaluate(Run(finished), ["data=manifest", f"data.path='{hospitals}'"])
    assert read_json(folder / "metrics.json")["never_seen"] == ["hospital_c"]
    external, own = pd.read_csv(folder / "per_image.csv"), pd.read_csv(finished / "per_image.csv")
    assert external["record"].nunique() == 24
    test = own[own["part"] == "test"].set_index(["stage", "record"])["roi_mae"]
    again = external.set_index(["stage", "record"]).loc[test.index, "roi_mae"]
    np.testing.assert_allclose(again, test, rtol=1e-4)


def test_a_checkpoint_of_another_network_is_refused(
    finished: Path, hospitals: Path, tmp_path: Path, reseal: Callable[[Path], None]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, ignore=shutil.ignore_patterns("external"))
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("decoder_input: map", "decoder_input: latent"))
    reseal(copy)
    with pytest.raises(UserError, match="another network"):
        evaluate(Run(copy), ["data=manifest", f"data.path='{hospitals}'"])
    assert not list(copy.glob("external/*/metrics.json"))


def test_a_damaged_checkpoint_is_named(finished: Path, hospitals: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, ignore=shutil.ignore_patterns("external"))
    damaged = copy / "checkpoints" / "phase1.ckpt"
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"phase1.ckpt.*damaged"):
        evaluate(Run(copy), ["data=manifest", f"data.path='{hospitals}'"])


def test_a_full_disk_is_named_and_the_job_can_be_continued(
    hospitals: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ushydra_lab.training.callbacks.history.write_csv", full)
        with pytest.raises(UserError, match=r"no space is left.*run_root="):
            run(tmp_path, hospitals)
    assert same_weights(finished, run(tmp_path, hospitals), "phase2")


OF_ITS_OWN_PICTURES = (
    "nt_phase2",
    "nt_extensions",
    "nt_detector",
    "brain_attention_unet",
    "biometry_stage3",
    "biometry_multihead",
)
"""One experiment of each kind of panel."""


@pytest.mark.parametrize("path", WITHOUT_QUALITY, ids=lambda path: path.stem)
@pytest.mark.usefixtures("pca_for_umap")
def test_every_experiment_file_runs_one_batch(
    path: Path, hospitals: Path, heads: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if path.stem in OF_ITS_OWN_PICTURES:
        request.getfixturevalue("whole_pictures")
    register_resolvers()
    small = ["scale=laptop", "batch_size=4", "logger.mode=disabled", "panel_images=1", "held_out=hospital_c"]
    small += ["+trainer.limit_train_batches=1", "+trainer.limit_val_batches=2", f"run_root='{tmp_path}'"]
    small += ["network.widths=[2,4,4,8]", "canvas=[168,176]"]
    data = ["data=manifest", f"data.path='{hospitals}'"]
    if not path.stem.startswith("nt"):
        data = ["data=manifest", f"data.path='{heads}'", "data.structures={parenchyma: 1, csp: 2, lv: 3}"]
    if path.stem == "nt_extensions":
        table = pd.read_csv(hospitals)
        nasal_bone = {f"nasal_bone_{edge}": table[f"nt_{edge}"] for edge in ("x1", "y1", "x2", "y2")}
        table.assign(**nasal_bone).to_csv(hospitals.with_name("regions.csv"), index=False)
        data[1] = f"data.path='{hospitals.with_name('regions.csv')}'"
    if path.stem == "head_hc18":
        data += ["structures=['head=parenchyma+csp+lv']"]
    if path.stem == "camus_lv":
        data += ["structures=[lv,csp,parenchyma]"]
    if path.stem == "biometry_new_hospital":
        data += ["split.held_out=[hospital_c]", "~data.difficulty", "~data.sites", "~data.images_per_site"]
    if path.stem == "biometry_multicentre":
        data += ["~data.resample"]
    if path.stem.endswith(("hc18", "multicentre")):
        data += ["stages.pretrain.instead.data.images_per_site=4", "stages.pretrain.instead.data.seed=1"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"+experiment={path.stem}", *small, *data])
    for stage in cfg.stages.values():
        stage.max_epochs = 1
    experiment.run(check(cfg), run_path(cfg))
    assert read_json(run_path(cfg) / "run.json")["status"] == "finished"
    assert {"test.png", "hardest.png", "easiest.png", "sites.png"} <= {
        file.name for file in (run_path(cfg) / "figures").iterdir()
    }
    assert (run_path(cfg) / "figures" / "density.png").exists() == path.stem.startswith("biometry")
    content, note = probe(Run(run_path(cfg)), "ledoit_wolf", [], AS_STORED)
    assert content, note
    assert content["stages"].keys() == cfg.stages.keys()
    assert all(0 <= found["z"]["knn_auroc"] <= 1 and "quality_r2" in found["z"] for found in content["stages"].values())


@pytest.mark.parametrize("weighting", ["unit", "uncertainty", "gradnorm"])
def test_every_weighting_trains(weighting: str, hospitals: Path, finished: Path) -> None:
    other = run(finished.parents[3], hospitals, f"weighting={weighting}", f"variant={weighting}")
    found = read_json(other / "run.json")["stages"]["phase2"]["loss_weights"]
    assert (found == dict.fromkeys(found, 1.0)) == (weighting == "unit")


def test_offline_wandb_holds_panels_and_curves_but_no_path_or_subject(hospitals: Path, tmp_path: Path) -> None:
    done = run(tmp_path, hospitals, "logger.mode=offline")
    (file,) = done.glob("wandb/offline-run-*/*.wandb")
    content, deadline = b"", time.monotonic() + 60
    while b"panels/test" not in content and time.monotonic() < deadline:  # wandb's own process writes the file
        time.sleep(0.2)
        content = file.read_bytes()
    assert b"panels/test" in content
    assert b"phase2/val/loss" in content
    for secret in (str(tmp_path), str(hospitals.parent), "hospital_a/0001", str(Path.home())):
        assert secret.encode() not in content


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


def test_the_command_as_typed_ends_with_the_table(tmp_path: Path, hospitals: Path) -> None:
    """One of the slowest: the only sweep that starts as its user starts it, imports, four jobs, all pictures."""
    typed = ["ushydra_lab", "+experiment=nt_phase2", "seed=1000,1001"]
    data = ["data=manifest", f"data.path={str(hospitals).replace(' ', chr(92) + ' ')}", "held_out=hospital_b"]
    done = command(tmp_path, *typed, *TINY, *data)
    assert done.returncode == 0, done.stderr
    assert "phase2 global vs" in done.stdout
    assert "unseen site, held out hospital_b (8 images, 2 seeds)" in done.stdout
    assert "phase2 roi against phase1:" in done.stdout
    runs = sorted(str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("run.json"))
    expected = [f"multirun/nt_phase2/hospital_b/seed{s}/{v}" for s in (1000, 1001) for v in ("global", "roi")]
    assert runs == expected
    assert (tmp_path / "multirun/nt_phase2/report/tables.md").exists()


def test_a_refused_command_leaves_nothing_behind(tmp_path: Path, hospitals: Path, fork_server: ForkServer) -> None:
    typed = ["+experiment=nt_phase2", "seed=1,2", "data=manifest", "held_out=hospital_x"]
    status, said = fork_server.run([*typed, f"data.path={str(hospitals).replace(' ', chr(92) + ' ')}", *TINY], tmp_path)
    assert status == 1
    assert "hospital_x" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.path=nowhere.csv", "nowhere.csv"),
        ("data.path=.", r"directory|folder"),
        ("trainer.precision=fuzzy", "precision"),
        ("stages.phase1.task.optimizer.lr=-1", "learning rate"),
        ("augment.shift=-3", "shift=-3"),
        ("canvas=[100,176]", "161 px"),
        ("network.decoder_input=nothing", "decoder_input"),
    ],
)
def test_what_a_component_refuses_is_said_before_anything_starts(
    override: str, message: str, hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"(?is){message}"):
        rehearse(configured(tmp_path, hospitals, override)[0])


def test_a_lost_checkpoint_is_put_back(hospitals: Path, tmp_path: Path) -> None:
    done = run(tmp_path, hospitals)
    before = weights(done, "phase2")
    (done / "checkpoints" / "phase2.ckpt").unlink()
    run(tmp_path, hospitals)
    assert all(torch.equal(before[key], value) for key, value in weights(done, "phase2").items())


def test_help_does_not_import_torch(tmp_path: Path) -> None:
    script = (
        "import sys, ushydra_lab.__main__ as command\n"
        "sys.argv = ['ushydra_lab', '--help']\n"
        "try: command.main()\n"
        "except SystemExit: sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "+experiment=nt_phase2" in done.stdout


NAMES = [
    "NA",
    "None",
    "null",
    "nan",
    "001",
    "1e5",
    "TRUE",
    "N/A",
    "#N/A",
    "-nan",
    "inf",
    "1_000",
    "=1+1",
    "<NA>",
]


def test_texts_stay_texts_from_the_manifest_to_the_report(
    write_images: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    """A site called NA, and subjects whose names a type-guessing reader would make numbers or missing values of."""
    table = write_images({"NA": len(NAMES), "b": 8, "TRUE": 8}, size=(168, 176))
    table.loc[table["site"] == "NA", "subject"] = NAMES
    table.to_csv(tmp_path / "images.csv", index=False)
    short = ["stages.phase1.max_epochs=1", "stages.phase2.max_epochs=1"]
    done = run(tmp_path / "runs", tmp_path / "images.csv", "held_out=NA", *short)
    found = collect(done.parents[2])
    assert not found.unfinished
    tested = found.images[found.images["part"] == "test"]
    assert sorted(tested.drop_duplicates("record")["subject"]) == sorted(NAMES)
    assert set(tested["site"]) == {"NA"}
    assert set(found.images["held_out"]) == {"NA"}
    report(done.parents[2])
    assert f"{len(NAMES)} images" in (done.parents[2] / "report" / "tables.md").read_text()

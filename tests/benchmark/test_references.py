"""What is compared does the same work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ushydra_lab.benchmark import loss
from ushydra_lab.benchmark.growth import SEEN, check_rows, manifest_rows
from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, data_of
from ushydra_lab.benchmark.loop import EPOCH, TRAINING, BareLoop, timed_fit
from ushydra_lab.benchmark.plain import CompetentTraining, OtherProcess, PlainImages, PlainTraining, plain_ms_ssim
from ushydra_lab.benchmark.predict import rows
from ushydra_lab.benchmark.training import network_alone
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.geometry.heatmaps import OFFSET, draw
from ushydra_lab.runs.stage_store import StageFolder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the phantoms are, drawn once for all tests."""
    return tmp_path_factory.mktemp("cache")


def lab(folder: Path, cache: Path, repeats: int = 1) -> Lab:
    return Lab("tiny", repeats, torch.device("cpu"), folder, cache)


@pytest.mark.parametrize("warn_only", [False, True])
def test_the_network_alone_is_measured_outside_deterministic_mode_which_is_as_before_then(warn_only: bool) -> None:
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    unpool = torch.nn.MaxUnpool2d(2)  # has no deterministic version
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.MaxPool2d(2, return_indices=True))
    network_alone(_Unpooled(network, unpool), [torch.rand(1, 1, 10, 10)])
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled() == warn_only


class _Unpooled(torch.nn.Module):
    def __init__(self, network: torch.nn.Module, unpool: torch.nn.MaxUnpool2d) -> None:
        super().__init__()
        self.network, self.unpool = network, unpool

    def forward(self, x: torch.Tensor) -> Any:
        return self.unpool(*self.network(x))


def test_the_bare_loop_ends_with_the_very_weights_of_the_experiment_s_training(tmp_path: Path, cache: Path) -> None:
    here = lab(tmp_path, cache, repeats=2)
    experiment = here.experiment(ROI_EXPERIMENT, "data.images_per_site=10")
    data, bare_task = data_of(experiment), here.task(experiment, "phase1")
    times = timed_fit(here, experiment, "phase1", data, {})
    assert {name: len(taken) for name, taken in times.items()} == {TRAINING: 2, EPOCH: 2}
    (folder,) = (path.parent for path in tmp_path.glob("*/stage.json"))
    bare = BareLoop(here, bare_task, data)
    for _ in range(StageFolder(folder).summary.selected_epoch or 0):
        bare.epoch()
    trained = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
    for name, weights in bare.task.state_dict().items():
        assert torch.equal(weights, trained[name]), name


def test_a_plain_image_is_the_one_of_our_batches(tmp_path: Path, cache: Path) -> None:
    here = lab(tmp_path, cache)
    experiment = here.experiment(ROI_EXPERIMENT, "data.images_per_site=10")
    data = data_of(experiment)
    batch = next(iter(data.part_loader("train")))
    plain = PlainImages(list(data.manifest.table["image"].iloc[batch["record"].numpy()]), data.canvas)
    torch.testing.assert_close(torch.stack([plain[row] for row in range(len(plain))]), batch["image"])


@pytest.mark.parametrize("training", [PlainTraining, CompetentTraining])
def test_their_step_makes_the_step_of_ours(training: type[PlainTraining], tmp_path: Path, cache: Path) -> None:
    here = lab(tmp_path, cache)
    experiment = here.experiment(ROI_EXPERIMENT)
    ours, plain = here.task(experiment, "phase1"), training(here.task(experiment, "phase1").network, here.device)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 1, 168, 176, generator=generator)
    boxes = {"nt_box": [40.0, 60, 90, 80], "content": [0.0, 0, 176, 168]}
    batch = {"image": image} | {name: torch.tensor([box] * 2) for name, box in boxes.items()}
    loss = ours.total(ours.losses(batch))
    loss.backward()
    plain.step(image)
    for mine, theirs in zip(ours.network.parameters(), plain.network.parameters(), strict=True):
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("training", [PlainTraining, CompetentTraining])
def test_each_trains_on_all_images_as_they_are(training: type[PlainTraining], tmp_path: Path, cache: Path) -> None:
    here = lab(tmp_path, cache)
    data = data_of(here.experiment(ROI_EXPERIMENT, "data.images_per_site=10"))
    images = PlainImages(list(data.manifest.table["image"]), data.canvas)
    of_epoch = torch.cat(list(training.batches(images, 4)))
    expected = torch.stack([images[row] for row in range(len(images))])
    order = [int((expected - one).flatten(1).abs().amax(1).argmin()) for one in of_epoch]
    assert sorted(order) == list(range(len(images)))
    torch.testing.assert_close(of_epoch, expected[order])


def test_another_way_runs_in_a_process_that_ends_with_its_use_and_is_missed_if_it_dies(
    tmp_path: Path, cache: Path
) -> None:
    here = lab(tmp_path, cache)
    experiment = here.experiment(ROI_EXPERIMENT, "data.images_per_site=10")
    data = data_of(experiment)
    images = PlainImages(list(data.manifest.table["image"]), data.canvas)
    network = here.task(experiment, "phase1").network
    with OtherProcess(CompetentTraining, network, images, 4, here.device) as plain:
        plain.step()
        plain.epoch()
        assert plain.process.is_alive()
    assert plain.process.exitcode == 0
    with OtherProcess(PlainTraining, network, images, 4, here.device) as plain:
        plain.process.kill()
        with pytest.raises((EOFError, OSError)):
            plain.step()


def similarity(network: torch.nn.Module, data: UltrasoundData) -> float:
    """Mean MS-SSIM of the validation images."""
    with torch.inference_mode():
        values = [plain_ms_ssim()(network(batch["image"]), batch["image"]) for batch in data.val_dataloader()]
    return float(torch.cat(values).mean())


def test_three_epochs_the_fast_way_end_where_the_plain_way_does(tmp_path: Path, cache: Path) -> None:
    """Within a tenth of the difference that another seed makes."""
    here, found, rate = lab(tmp_path, cache), {}, 0.01
    for seed in (1000, 1001):
        settings = [f"seed={seed}", f"stages.phase1.task.optimizer.lr={rate}", "augment=null"]
        experiment = here.experiment(ROI_EXPERIMENT, "data.images_per_site=40", *settings)
        data = data_of(experiment)
        fast = BareLoop(here, here.task(experiment, "phase1"), data)
        plain, loader = (
            PlainTraining(here.task(experiment, "phase1").network, here.device, rate),
            data.train_dataloader(),
        )
        before = similarity(plain.network, data)
        for epoch in range(3):
            fast.epoch()
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            for batch in loader:
                plain.step(batch["image"])
        found[seed] = similarity(fast.task.network, data), similarity(plain.network, data)
        assert found[seed][0] > before + 0.01
    noise = abs(found[1000][0] - found[1001][0])
    assert all(abs(ours - theirs) < 0.1 * noise for ours, theirs in found.values()), found


def test_the_rows_that_are_checked_are_a_faultless_manifest_of_eight_sites() -> None:
    table = manifest_rows(480)
    check_rows(table)
    assert table["site"].nunique() == 8
    assert (table.groupby(["site", "subject"]).size() == 3).all()
    assert all(SEEN % (sites - 1) == 0 for sites in (3, 5, 9))


def test_loops_over_files_write_the_masks_of_predict(tmp_path: Path, cache: Path) -> None:
    list(rows(lab(tmp_path, cache)))
    written = [path.parent for path in tmp_path.rglob("hospital_c") if next(path.glob("*.jpg"), None)]
    ways = [folder for folder in written if folder.name != "overlays"]
    ways += list(tmp_path.glob("*/masks"))
    masks = [{file.relative_to(way): np.array(Image.open(file)) for file in way.rglob("*.png")} for way in ways]
    assert len(ways) == 7
    for found in masks[1:]:
        assert found.keys() == masks[0].keys()
        assert all(np.array_equal(found[name], mask) for name, mask in masks[0].items())


def of_all(works: dict[str, Callable[..., torch.Tensor]], *given: Any) -> None:
    """Assert that all give the same, and have the same gradient with respect to a first tensor of floats."""
    found = {name: work(*given) for name, work in works.items()}
    for value in found.values():
        torch.testing.assert_close(value, found["ours"].to(value.dtype), equal_nan=True, rtol=1e-4, atol=1e-4)
    if given[0].requires_grad:
        gradients = [torch.autograd.grad(value.sum(), given[0])[0] for value in found.values()]
        for gradient in gradients[1:]:
            torch.testing.assert_close(gradient, gradients[0], rtol=1e-3, atol=1e-7)


def test_other_losses_and_scores_are_the_same_function() -> None:
    noise = torch.randn(3, 4, 64, 80, generator=torch.Generator().manual_seed(0))
    pred, true = loss.patches(noise), loss.patches(noise.flip(0))
    of_all(loss.HYBRIDS, noise.requires_grad_(), true)
    of_all(loss.DICE, pred, true.where(true != 3, 0), 4)
    points = torch.tensor([[[61.3, 70.2], [80.9, 40.0]]])
    maps = torch.logit(draw(points, (64, 80), loss.STRIDE, loss.SIGMA).clamp(1e-9, 0.999)) - OFFSET
    of_all(loss.SOFT_ARGMAX, maps)
    torch.testing.assert_close(loss.ours_points(maps), points, rtol=0, atol=0.1)

"""What jobs have yet to do: shared stages once, those of the store not at all; and how much it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests import small_systems
from ushydra_lab import phantom
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.sweep.missing_work import missing_work


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A job of two stages of 3 epochs each, of which no image has been read."""
    images = phantom.write(tmp_path_factory.mktemp("images"), "nt", 0, dict.fromkeys(phantom.SCENES["nt"].machines, 4))
    return check(small_systems.composed(small_systems.words("nt_phase2", images, images.parent / "runs", 3)))


def test_a_stage_is_as_many_steps_as_its_training_images_make_batches(job: Experiment) -> None:
    work = missing_work([job], {})
    assert [stage.name for stage in work.stages] == ["phase1", "phase2"]
    for stage in work.stages:
        data = stage.data
        assert stage.images == (data.part == "train").sum() > 0
        assert stage.most_epochs == 3
        assert stage.most_steps == 3 * len(data.train_dataloader())
        assert stage.canvases[1] == len(data.part) * 168 * 176, "no masks"
    (evaluated,) = (images for _, images in work.evaluations)
    assert evaluated == data.part.isin(["train", "val", "test"]).sum()


def test_jobs_share_stages_that_begin_alike(job: Experiment) -> None:
    jobs = [job, replace(job, variant="again"), replace(job, seed=5)]
    work = missing_work(jobs, {})
    assert len(work.stages) == 4
    assert len(work.evaluations) == 3
    assert len({stage.work for stage in work.stages}) == 2, "seeds take equally long"
    assert not (Path(job.run_root) / ".stages").exists()

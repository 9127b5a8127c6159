"""Decoders learn from their own quality, and images are routed by what training images looked like."""

import re

import pytest
import torch

from ushydra_lab.errors import UserError
from ushydra_lab.losses.segmentation import cross_entropy, soft_dice
from ushydra_lab.networks.hydra import HydraUNet, HydraViT
from ushydra_lab.tasks.routed import (
    RoutedClassification,
    RoutedSegmentation,
    SpecialiseClassification,
    SpecialiseSegmentation,
)

SIZE = (32, 32)
DOMAINS = ["low", "high"]  # codes 0 and 2 of the vocabulary
PLANES = {"planes": ["brain", "abdomen"]}
MASKS = {
    "structures": ["lv"],
    "terms": {"dice": soft_dice, "ce": cross_entropy},
    "shares": {"dice": 0.5, "ce": 0.5},
    "class_weighted": [],
    "select": ["lv"],
}


def batch_of(quality, seed=0, first=0):
    """Dark images of low and bright ones of high quality."""
    generator, codes = torch.Generator().manual_seed(seed), torch.tensor(quality)
    bright = torch.where(codes == 0, 0.2, 0.7)[:, None, None, None]
    image = bright + 0.1 * torch.rand(len(quality), 1, *SIZE, generator=generator)
    mask = torch.zeros(len(quality), *SIZE, dtype=torch.uint8)
    for index in range(len(mask)):
        mask[index, 8 + index % 3 : 20, 8 : 20 + index % 4] = 1
    return {
        "image": image,
        "mask": mask,
        "plane": torch.arange(len(quality)) % 2,
        "quality": codes,
        "content": torch.tensor([[0.0, 0, SIZE[1], SIZE[0]]]).repeat(len(quality), 1),
        "record": torch.arange(first, first + len(quality)),
        "digest": torch.arange(first, first + len(quality)),
    }


TRAINING = [batch_of([0, 2, 0, 2], seed=1, first=10), batch_of([2, 2, 0, 0, 0], seed=2, first=20)]


def task_for(target, stage, decoders=2, shared=True, **settings):
    torch.manual_seed(0)
    if target == "planes":
        network = HydraViT(2, decoders, canvas=SIZE, hidden_size=16, layers=2, heads=2, patch_size=8, shared=shared)
        kind = {"specialise": SpecialiseClassification, "route": RoutedClassification}[stage]
        return kind(network=network, optimizer=torch.optim.Adam, domains=DOMAINS, **PLANES, **settings)
    kind = {"specialise": SpecialiseSegmentation, "route": RoutedSegmentation}[stage]
    network = HydraUNet(2, decoders, widths=(4, 6, 8), shared=shared)
    return kind(network=network, optimizer=torch.optim.Adam, domains=DOMAINS, **MASKS, **settings)


def fitted(target, **settings):
    task = task_for(target, "route", **settings)
    task.prepare(TRAINING)
    return task.eval()


targets = pytest.mark.parametrize("target", ["planes", "masks"])


def moved(module):
    return any(p.grad is not None and p.grad.any() for p in module.parameters())


@targets
def test_in_stage_1_a_decoder_is_updated_only_by_its_own_domain(target):
    task, batch = task_for(target, "specialise"), batch_of([2, 0, 2, 0])
    task.network.encoders.eval()  # batch norm of a shared encoder would mix the domains before the decoders
    task.total(task.losses(batch)).backward()
    together = [p.grad.clone() for p in task.network.decoders[1].parameters()]
    task.zero_grad()
    alone = {key: values[batch["quality"] == 2] for key, values in batch.items()}
    task.total(task.losses(alone)).backward()
    assert not moved(task.network.decoders[0])
    assert moved(task.network.decoders[1])
    expected = [p.grad / 2 for p in task.network.decoders[1].parameters()]  # half of the batch is its own
    torch.testing.assert_close(together, expected, rtol=1e-4, atol=1e-7)


@targets
@pytest.mark.parametrize("encoder", ["joint", "frozen", "per_decoder"])
def test_the_encoder_is_trained_as_asked(target, encoder):
    task = task_for(target, "specialise", shared=encoder != "per_decoder", encoder=encoder)
    task.train()
    before = {name: b.clone() for name, b in task.network.encoders.named_buffers()}
    task.total(task.losses(batch_of([0, 0, 0]))).backward()
    found = [moved(one) for one in task.network.encoders]
    assert found == {"joint": [True], "frozen": [False], "per_decoder": [True, False]}[encoder]
    if encoder == "frozen":
        torch.testing.assert_close(dict(task.network.encoders.named_buffers()), before)


def test_an_encoder_that_the_network_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"encoder=per_decoder needs network.shared=False"):
        task_for("planes", "specialise", encoder="per_decoder")


@targets
@pytest.mark.parametrize("stage", ["specialise", "route"])
def test_training_images_without_a_quality_are_all_named(target, stage):
    task = task_for(target, stage)
    with pytest.raises(UserError) as refused:
        task.prepare([batch_of([0, -1, 2, 1]), batch_of([0, -1], first=30)])
    assert re.findall(r"record (\d+): no quality among low, high", str(refused.value)) == ["1", "3", "31"]
    unlabelled = {key: values for key, values in batch_of([0, 2]).items() if key != "quality"}
    with pytest.raises(UserError, match=r"(?s)record 0: no quality.*record 1: no quality"):
        task.prepare([unlabelled])


def test_images_without_plane_and_without_quality_are_listed_together():
    batch = batch_of([0, -1, 2, -1]) | {"plane": torch.tensor([0, 1, 4, -1])}
    with pytest.raises(UserError) as refused:
        task_for("planes", "specialise").prepare([batch])
    found = re.findall(r"record (\d+): no (\w+)", str(refused.value))
    assert sorted(found) == [("1", "quality"), ("2", "plane"), ("3", "plane"), ("3", "quality")]


@targets
def test_stage_1_refuses_to_select_by_images_without_a_quality(target):
    task = task_for(target, "specialise")
    with pytest.raises(UserError, match="record 1: no quality"):
        task.validation_step(batch_of([0, 1, 2]), 0)


@targets
def test_stage_1_is_evaluated_by_the_decoder_of_the_own_domain_or_not_at_all(target):
    task = task_for(target, "specialise").eval()
    batch = batch_of([2, 1, 0])
    score = {"planes": "correct", "masks": "dice_lv"}[target]
    found = task.evaluate(batch)
    assert found[score].isnan().tolist() == [False, True, False]
    assert found["domain"].tolist() == [1, -1, 0]


@targets
def test_statistics_come_from_the_training_images_and_from_nothing_else(target):
    task = fitted(target)
    saved = {name: value.clone() for name, value in task.router.state_dict().items()}
    poison = batch_of([0, 2, 0, 2]) | {"image": torch.full((4, 1, *SIZE), 0.99)}
    task.train()
    task.total(task.losses(poison)).backward()
    task.eval().evaluate(poison)
    torch.testing.assert_close(task.router.state_dict(), saved)
    again = task_for(target, "route")
    again.prepare([*TRAINING[:1], poison])
    assert not torch.equal(again.router.mean, saved["mean"]), "the training images do matter"


@targets
def test_stage_2_leaves_encoder_and_heads_as_they_are(target):
    task = fitted(target).train()
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    optimizer = task.configure_optimizers()
    task.total(task.losses(batch_of([0, 2, 0, 2]))).backward()
    optimizer.step()
    same = {name for name, value in task.network.state_dict().items() if torch.equal(value, before[name])}
    fixed = {name for name in before if name.startswith("encoders") or ".head." in name}
    assert fixed <= same
    assert len(same) < len(before)


@targets
def test_a_loaded_checkpoint_routes_alike_and_one_image_as_in_a_batch(target):
    task, batch = fitted(target), batch_of([0, 2, 2, 0, 2], seed=3)
    loaded = task_for(target, "route")
    with torch.no_grad():
        for p in loaded.network.parameters():
            p.add_(1)
    loaded.load_state_dict(task.state_dict())
    loaded.eval()
    route = task.evaluate(batch)["route"]
    assert route.tolist() == [0, 1, 1, 0, 1]
    singly = [loaded.evaluate({k: v[i : i + 1] for k, v in batch.items()})["route"].item() for i in range(5)]
    assert singly == route.tolist()


@targets
@pytest.mark.parametrize("router", ["weighted", "zscored", "mahalanobis", "soft"])
def test_routers_by_style_find_the_domain(target, router):
    found = fitted(target, router=router).evaluate(batch_of([0, 2, 1, 2], seed=4))
    assert found["router_hit"][[0, 1, 3]].tolist() == [1, 1, 1]
    assert found["router_hit"][2].isnan()
    assert found["regret"][2].isnan()
    if router != "soft":
        assert found["regret"][[0, 1, 3]].tolist() == [0, 0, 0]


@targets
def test_the_oracle_answers_where_the_domain_is_known(target):
    task, batch = fitted(target, router="oracle"), batch_of([2, 0, 1])
    found = task.evaluate(batch)
    assert found["route"][:2].tolist() == [1, 0]
    score = {"planes": "correct", "masks": "dice_lv"}[target]
    assert all(found[name][2].isnan() for name in ("route", "router_hit", "regret", score))
    unlabelled = {key: values for key, values in batch.items() if key != "quality"}
    assert task.evaluate(unlabelled)[score].isnan().all()


@targets
@pytest.mark.parametrize("router", ["weighted", "soft"])
def test_a_router_that_looks_at_the_image_answers_without_a_label_and_says_by_how_much(target, router):
    task, batch = fitted(target, router=router), batch_of([0, 2, 2, 0])
    answer = task.answer(batch["image"], batch["content"])
    assert torch.equal(answer["route"], task.evaluate(batch)["route"])
    distances = task.router.distances(task._styles(batch["image"], batch["content"]), "weighted")
    torch.testing.assert_close(answer["margin"], (distances[:, 0] - distances[:, 1]).abs())
    assert torch.equal(task.decided(answer, batch), answer["logits"])


@targets
def test_what_chooses_by_a_label_says_so_by_an_answer_without_logits(target):
    batch = batch_of([0, 2])
    for task in (fitted(target, router="oracle"), task_for(target, "specialise").eval()):
        answer = task.answer(batch["image"], batch["content"])
        assert set(answer) == {"every"}
        assert torch.equal(task.decided(answer, batch), answer["every"][[0, 1], [0, 1]])


def test_random_routes_follow_the_record_whatever_the_batch():
    batch = batch_of([0] * 40)
    first = fitted("planes", router="random").evaluate(batch)["route"]
    backwards = {key: values.flip(0) for key, values in batch.items()}
    assert torch.equal(fitted("planes", router="random").evaluate(backwards)["route"], first.flip(0))
    assert 5 < first.sum() < 35


@targets
def test_soft_routing_goes_from_the_nearest_decoder_to_the_mean_of_all(target):
    batch = batch_of([0, 2, 2], seed=5)
    seen = batch["image"], batch["content"]
    with torch.no_grad():
        cold = fitted(target, router="soft", temperature=1e-4).answer(*seen)["logits"].softmax(1)
        hot = fitted(target, router="soft", temperature=1e6).answer(*seen)["logits"].softmax(1)
        task = fitted(target)
        every = task.network.decode_all(task.network.encodings(batch["image"])).softmax(2)
        torch.testing.assert_close(cold, task.answer(*seen)["logits"].softmax(1))
    torch.testing.assert_close(hot, every.mean(1))


@targets
def test_what_only_evaluates_leaves_training_and_selection_alone(target):
    batch = batch_of([0, 2, 2, 0])
    paper = fitted(target).losses(batch)
    assert {"router", "weight", "temperature"} <= type(fitted(target)).only_evaluated
    for settings in ({"router": "random"}, {"weight": 1.0}, {"router": "soft", "temperature": 5.0}):
        torch.testing.assert_close(fitted(target, **settings).losses(batch), paper)


@targets
def test_one_decoder_takes_every_image_whatever_its_quality(target):
    specialise, route = (task_for(target, stage, decoders=1) for stage in ("specialise", "route"))
    batch = batch_of([0, 1, -1, 2])
    for task in (specialise, route):
        task.prepare([batch])
        task.total(task.losses(batch)).backward()
        found = task.eval().evaluate(batch)
        assert not found[{"planes": "correct", "masks": "dice_lv"}[target]].isnan().any()
        assert found["domain"].tolist() == [0, -1, -1, 1]
        assert "regret" not in found


@targets
def test_pictures_are_of_the_routers_answer(target):
    with torch.inference_mode():
        found = fitted(target, router="oracle").pictures(batch_of([2, 1, 0, 2, 0]))
    assert all(values.shape == (5, *SIZE) for values in found.values())
    if target == "masks":
        assert (found["prediction"][1] == 255).all()
    else:
        assert found["Grad-CAM of predicted"][1].isnan().all()
        assert found["Grad-CAM of predicted"][[0, 2, 3, 4]].max() > 0.5


@targets
def test_where_no_image_has_an_answer_there_is_no_picture(target):
    with torch.inference_mode():
        assert fitted(target, router="oracle").pictures(batch_of([1, 1])) == {}

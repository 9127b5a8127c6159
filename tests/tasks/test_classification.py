"""Planes are told apart, errors are named, and maps show what the network looked at."""

import pytest
import torch
from torch import nn

from ushydra_lab.errors import UserError
from ushydra_lab.networks.baselines.resnet import ResNet
from ushydra_lab.networks.baselines.vit import ViT
from ushydra_lab.tasks.classification import Classification

PLANES = ["brain", "abdomen"]  # codes 1 and 0 of the vocabulary


class Sure(nn.Module):
    """Brain where the image's corner is bright, by fixed logits."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, image):
        bright = image[:, 0, 0, 0]
        return self.scale * torch.stack([bright, 1 - bright], 1)


def task_for(network):
    return Classification(network, torch.optim.Adam, PLANES)


def batch_of(planes, size=(8, 8)):
    image = torch.zeros(len(planes), 1, *size)
    image[0] = 1
    content = torch.tensor([[0.0, 0, size[1], size[0]]]).repeat(len(planes), 1)
    return {"image": image, "content": content, "plane": torch.tensor(planes), "record": torch.arange(len(planes))}


def test_classes_are_in_the_order_of_planes_and_not_of_the_vocabulary():
    found = task_for(Sure()).evaluate(batch_of([1, 0, 1]))
    assert found["true"].tolist() == [0, 1, 0]
    assert found["predicted"].tolist() == [0, 1, 1]
    assert found["correct"].tolist() == [1, 1, 0]
    torch.testing.assert_close(found["prob_brain"] + found["prob_abdomen"], torch.ones(3))
    torch.testing.assert_close(found["confidence"], torch.full((3,), 4.0).sigmoid())


def test_the_loss_is_the_cross_entropy_of_the_true_planes():
    loss = task_for(Sure()).losses(batch_of([1, 0, 1]))["ce"]
    chance = torch.tensor(4.0).sigmoid()
    torch.testing.assert_close(loss, -(2 * chance.log() + (1 - chance).log()) / 3)


def test_images_of_other_planes_are_refused_in_training_and_count_nowhere_in_evaluation():
    task, batch = task_for(Sure()), batch_of([1, 4, 2])
    for use in (task.losses, lambda b: task.prepare([b])):
        with pytest.raises(UserError, match=r"(?s)record 1: no plane among brain, abdomen.*record 2: no"):
            use(batch)
    found = task.evaluate(batch)
    assert found["correct"].isnan().tolist() == [False, True, True]
    assert found["true"].tolist() == [0, -1, -1]


def test_unknown_planes_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"brane.*did you mean 'brain'"):
        Classification(Sure(), torch.optim.Adam, ["brane"])


@pytest.mark.parametrize(
    "network",
    [lambda: ResNet(2, depth=18, width=4), lambda: ViT(2, (64, 64), 1, 16, 2, 2, 16)],
    ids=["resnet", "vit"],
)
def test_grad_cam_is_a_map_of_the_image_and_leaves_the_task_alone(network):
    torch.manual_seed(2)  # with other random weights nothing may speak for the class, which is a map of zeros
    with torch.inference_mode():  # as pictures are drawn
        task = task_for(network()).eval()
        batch = batch_of([1, 0], (64, 64)) | {"image": torch.rand(2, 1, 64, 64)}
        before = {name: value.clone() for name, value in task.state_dict().items()}
        maps = task.pictures(batch)["Grad-CAM of predicted"]
        torch.testing.assert_close(task.state_dict(), before)
    assert maps.shape == (2, 64, 64)
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert maps.amax((1, 2)).max() > 0.5


def test_a_network_without_feature_maps_has_no_such_picture():
    assert task_for(Sure()).pictures(batch_of([1, 0])) == {}


def test_grad_cam_finds_the_part_of_the_image_that_decides():
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([1.0, -1.0])[:, None, None, None]
        network[0].bias.zero_()
    image = torch.zeros(1, 1, 16, 16)
    image[..., 2:6, 9:13] = 1
    found = task_for(network).pictures(batch_of([1], (16, 16)) | {"image": image})["Grad-CAM of predicted"][0]
    assert found[2:6, 9:13].min() > 0.3
    assert found[8:].max() == 0

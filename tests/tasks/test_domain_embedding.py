"""DoFE learns masks and, for a tenth, its images' quality, which no image needs when it is answered."""

import pytest
import torch
from torch import Tensor

from ushydra_lab.losses.segmentation import cross_entropy
from ushydra_lab.networks.baselines.dofe import DoFE, domain_loss
from ushydra_lab.tasks.domain_embedding import DomainEmbedding

LOW, MEDIUM, HIGH = range(3)


def task_for(domains: int = 2) -> DomainEmbedding:
    torch.manual_seed(0)
    network = DoFE(2, domains, width=0.35, channels=8)
    settings = {"terms": {"ce": cross_entropy}, "shares": {"ce": 1.0}, "class_weighted": [], "select": ["head"]}
    return DomainEmbedding(network, torch.optim.Adam, ["head"], domains=["low", "high"], **settings)


def batch_of(*quality: int) -> dict[str, Tensor]:
    count = len(quality)
    mask = torch.zeros(count, 32, 48, dtype=torch.uint8)
    mask[:, 8:20, 10:30] = 1
    content = torch.tensor([[0.0, 0, 48, 32]]).repeat(count, 1)
    image = torch.rand(count, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    record = torch.arange(count)
    return {"image": image, "mask": mask, "content": content, "quality": torch.tensor(quality), "record": record}


def test_a_tenth_of_the_guess_s_error_is_added_to_the_segmentation_s() -> None:
    task, batch = task_for().eval(), batch_of(HIGH, LOW)
    losses = task.losses(batch)
    logits, guesses = task.network.forward_with_domains((batch["image"] - 0.5) / 0.5, torch.tensor([1, 0]))
    torch.testing.assert_close(task(batch["image"]), logits)
    torch.testing.assert_close(losses["domain"], domain_loss(guesses, torch.tensor([1, 0])))
    torch.testing.assert_close(losses["ce"], cross_entropy(logits, batch["mask"], None))
    torch.testing.assert_close(task.total(losses), losses["ce"] + 0.1 * losses["domain"])


def test_the_memory_of_an_image_s_quality_is_filled_in_training() -> None:
    task = task_for().train()
    task.losses(batch_of(HIGH, HIGH))
    assert task.network.filled.tolist() == [False, True]


def test_an_image_of_another_quality_is_not_trained_on_and_the_domains_are_as_many_as_the_network_s() -> None:
    assert task_for().lacking(batch_of(LOW, MEDIUM, HIGH))["quality among low, high"].tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"the network has 3 domains, the experiment \['low', 'high'\]"):
        task_for(domains=3)

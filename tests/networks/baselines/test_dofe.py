"""DoFE remembers each training domain's features, and answers with those of the domains an image resembles."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ushydra_lab.networks.baselines.deeplab import Backbone
from ushydra_lab.networks.baselines.dofe import DoFE, domain_loss


def small(domains: int = 3, **settings) -> DoFE:
    torch.manual_seed(0)
    return DoFE(2, domains, width=0.35, channels=8, **settings)


def image(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 1, 64, 96, generator=torch.Generator().manual_seed(1))


def seen_features(network: DoFE) -> list[torch.Tensor]:
    """Filled with the means (B, C) of the features at each forward."""
    means: list[torch.Tensor] = []
    network.norm.register_forward_hook(lambda module, args, out: means.append(out.detach().mean((2, 3))))
    return means


def test_the_pool_moves_by_a_tenth_to_the_mean_of_each_domain_in_the_batch_and_starts_with_its_first():
    network = small()
    means = seen_features(network)
    network.forward_with_domains(image(), torch.tensor([0, 2, 0, 0]))
    first = torch.stack([means[0][[0, 2, 3]].mean(0), torch.zeros_like(means[0][0]), means[0][1]])
    torch.testing.assert_close(network.pool, first)
    assert network.filled.tolist() == [True, False, True]
    network.forward_with_domains(image(), torch.tensor([1, 1, 2, 2]))
    second = torch.stack([first[0], means[1][:2].mean(0), 0.9 * first[2] + 0.1 * means[1][2:].mean(0)])
    torch.testing.assert_close(network.pool, second)


def test_only_training_with_domains_changes_the_pool():
    network = small()
    network(image())
    assert not network.filled.any()
    network.forward_with_domains(image(), torch.arange(4) % 3)
    pool = network.pool.clone()
    network.eval().forward_with_domains(image(), torch.arange(4) % 3)
    network.train()(image())
    assert torch.equal(network.pool, pool)


def test_features_gain_the_memories_of_the_domains_the_image_resembles():
    network = small().double().eval()
    network.pool = torch.randn(network.pool.shape, dtype=torch.double)
    features, enriched = [], []
    network.norm.register_forward_hook(lambda module, args, out: features.append(out))
    network.head.register_forward_pre_hook(lambda module, args: enriched.append(args[0]))
    _, domain_logits = network.forward_with_domains(image().double(), torch.zeros(4, dtype=torch.long))
    h, logits = features[0].detach().numpy(), domain_logits.detach().numpy()
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    memory = np.einsum("bk,kc->bc", p, network.pool.numpy())[:, :, None, None]
    weight = network.selector.weight.detach().numpy()[..., 0, 0]
    expected = h + np.tanh(np.einsum("oc,bchw->bohw", weight, h)) * memory
    np.testing.assert_allclose(enriched[0].detach().numpy(), expected, rtol=1e-10)


def test_a_checkpoint_answers_as_the_trained_network():
    network, other = small(), small()
    network.forward_with_domains(image(), torch.arange(4) % 3)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.eval()(image()), network.eval()(image()))
    network.pool = torch.zeros_like(network.pool)
    assert not torch.equal(other(image()), network(image()))


def test_both_losses_together_change_every_parameter():
    network = small().double()
    x, domains = image().double(), torch.arange(4) % 3
    network.forward_with_domains(x, domains)  # fills the pool, without which the selector has nothing to select
    before = {key: p.detach().clone() for key, p in network.named_parameters()}
    logits, domain_logits = network.forward_with_domains(x, domains)
    loss = F.cross_entropy(logits, torch.randint(2, (4, 64, 96))) + 0.1 * domain_loss(domain_logits, domains)
    loss.backward()
    torch.optim.SGD(network.parameters(), lr=1).step()
    still = {key for key, p in network.named_parameters() if (p - before[key]).norm() < 1e-10}
    # The shifts of MobileNetV2's linear layers are taken away again by the next batch norm.
    assert {key for key in still if not key.endswith("reduce_1x1.normalization.bias")} == set()


def test_the_domain_loss_is_the_mean_squared_error_of_probabilities():
    logits = torch.tensor([[0.0, 0.0], [np.log(3), 0.0]], dtype=torch.double)
    assert domain_loss(logits, torch.tensor([0, 1])).item() == pytest.approx((0.25 + 0.25 + 0.5625 + 0.5625) / 4)


def test_domains_that_look_different_are_told_apart():
    network = small(domains=2)
    domains = torch.arange(8) % 2
    x = image(8)[..., :32, :32] * torch.where(domains == 0, 0.2, 1.0)[:, None, None, None]
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(15):
        optimizer.zero_grad()
        domain_loss(network.forward_with_domains(x, domains)[1], domains).backward()
        optimizer.step()
    assert torch.equal(network.forward_with_domains(x, domains)[1].argmax(1), domains)


@pytest.mark.parametrize("size", [(32, 64), (33, 47), (101, 63)])
def test_logits_have_the_images_size_even_of_one_image_in_training(size):
    logits, domain_logits = small().forward_with_domains(torch.rand(1, 1, *size), torch.tensor([2]))
    assert (logits.shape, domain_logits.shape) == ((1, 2, *size), (1, 3))


def test_in_evaluation_an_image_does_not_depend_on_its_batch_or_memory_layout():
    network = small().double().eval()
    network.pool = torch.randn(network.pool.shape, dtype=torch.double)
    x = image().double()
    together = network(x)
    torch.testing.assert_close(network(x[1:2]), together[1:2])
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), together)


def test_the_backbone_is_a_quarter_and_a_sixteenth_of_the_image_and_averages_slowly():
    with torch.device("meta"):
        backbone = Backbone(1, 1.0)
        fine, coarse = backbone(torch.empty(1, 1, 64, 96))
    assert (fine.shape, coarse.shape) == ((1, 24, 16, 24), (1, 320, 4, 6))
    assert {m.momentum for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_a_rehearsal_on_the_meta_device_makes_no_weights():
    with torch.device("meta"):
        logits, domain_logits = small().forward_with_domains(
            torch.empty(2, 1, 33, 64), torch.zeros(2, dtype=torch.long)
        )
    assert (logits.shape, domain_logits.shape, logits.device.type) == ((2, 2, 33, 64), (2, 3), "meta")


def test_images_of_other_channels_or_too_small_are_refused():
    for wrong in [(1, 3, 64, 64), (1, 1, 31, 64)]:
        with pytest.raises(ValueError, match=r"32 px"):
            small()(torch.rand(wrong))

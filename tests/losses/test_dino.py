"""The perceptual term compares what a frozen network sees of each box, and nothing else."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ushydra_lab.errors import UserError
from ushydra_lab.geometry.boxes import box_mask
from ushydra_lab.losses.dino import NOT_LOADED, RoiDino, resized_boxes
from ushydra_lab.losses.weighting import gradient_norms
from ushydra_lab.tasks.reconstruction import Reconstruction

H, W = 40, 57
BOX = torch.tensor([[0.0, 0, 9, 7], [20.2, 10.4, 57, 24], [5, 5, 50, 39]])
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def images(batch: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, H, W, generator=generator), torch.rand(batch, 1, H, W, generator=generator)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small ViT of 32 px squares, as DINO's is published: weights and processor settings."""
    torch.manual_seed(3)
    model = transformers.ViTModel(transformers.ViTConfig(**TINY, image_size=32, patch_size=8), add_pooling_layer=False)
    for p in model.parameters():
        nn.init.normal_(p, std=0.2)
    folder = tmp_path_factory.mktemp("vit")
    model.save_pretrained(folder)
    settings = {"do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder, model.eval()


@pytest.fixture
def dino(saved) -> RoiDino:
    return RoiDino(str(saved[0]), size=32)


def test_the_value_is_the_mean_difference_of_the_patch_tokens_of_each_crop(dino, saved):
    x_hat, x = images()
    mean, sd = (torch.tensor(values)[:, None, None] for values in ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))

    def tokens(crops: Tensor) -> Tensor:
        with torch.no_grad():
            return saved[1](pixel_values=(crops.expand(-1, 3, -1, -1) - mean) / sd).last_hidden_state[:, 1:]

    a, b = (tokens(resized_boxes(i, BOX, 32)) for i in (x_hat, x))
    torch.testing.assert_close(dino(x_hat, x, BOX), (a - b).abs().mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_a_batch_gives_what_its_images_give_alone(dino):
    x_hat, x = images()
    alone = [dino(x_hat[i : i + 1], x[i : i + 1], BOX[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(dino(x_hat, x, BOX), torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_identical_images_and_those_that_differ_outside_the_box_alone_cost_nothing(dino):
    x, other = images()
    assert (dino(x, x, BOX) == 0).all()
    assert (dino(torch.where(box_mask(BOX, (H, W)), x, other), x, BOX) == 0).all()


def test_the_gradient_is_inside_the_box_alone_and_reaches_all_of_it(dino):
    x_hat, x = images()
    dino(x_hat.requires_grad_(), x, BOX).sum().backward()
    inside = box_mask(BOX, (H, W))
    assert (x_hat.grad[~inside] == 0).all()
    assert (x_hat.grad[inside] != 0).float().mean() > 0.99


def test_descending_the_gradient_lowers_the_loss(dino):
    x_hat, x = images()
    before = dino(x_hat.requires_grad_(), x, BOX).sum()
    before.backward()
    assert dino(x_hat.detach() - 0.01 * x_hat.grad / x_hat.grad.abs().max(), x, BOX).sum() < before


@st.composite
def pixel_boxes(draw) -> list[int]:
    x1, y1 = draw(st.integers(0, W - 1)), draw(st.integers(0, H - 1))
    return [x1, y1, draw(st.integers(x1 + 1, W)), draw(st.integers(y1 + 1, H))]


@settings(deadline=None, max_examples=60)
@given(st.lists(pixel_boxes(), min_size=3, max_size=3), st.sampled_from([8, 32, 61]))
def test_boxes_are_stretched_as_torch_stretches_each_crop(boxes, size):
    x = images()[0].double()
    crops = [x[i : i + 1, :, y1:y2, x1:x2] for i, (x1, y1, x2, y2) in enumerate(boxes)]
    expected = [F.interpolate(c, (size, size), mode="bilinear", antialias=True) for c in crops]
    found = resized_boxes(x, torch.tensor(boxes, dtype=torch.float32), size)
    np.testing.assert_allclose(found.numpy(), torch.cat(expected).numpy(), atol=1e-5)


def test_half_precision_reconstructions_are_compared_in_full_precision(dino):
    x_hat, x = images()
    with torch.autocast("cpu", torch.bfloat16):
        value = dino(x_hat.bfloat16(), x, BOX)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, dino(x_hat.bfloat16().float(), x, BOX), rtol=0, atol=0)


def test_the_frozen_network_is_no_part_of_the_task_that_trains_with_it(dino):
    network = nn.Conv2d(1, 1, 3, padding=1)
    task = Reconstruction(network, torch.optim.SGD, {"roi_dino": dino})
    task.prepare([])
    x = images()[1]
    losses = task.losses({"image": x, "nt_box": BOX})
    assert gradient_norms(losses, network.parameters())["roi_dino"] > 0
    task.total(losses).backward()
    frozen = list(dino._encoder.parameters())
    assert frozen
    assert not any(p.requires_grad or p.grad is not None for p in frozen)
    assert not dino._encoder.training
    assert {id(p) for p in task.parameters()} == {id(p) for p in network.parameters()}
    assert set(task.state_dict()) == {"network.weight", "network.bias", "weighting.weights"}


def test_nothing_is_loaded_before_a_training_starts(tmp_path):
    task = Reconstruction(nn.Identity(), torch.optim.SGD, {"roi_dino": RoiDino(str(tmp_path / "none"))})
    task.rehearse((176, 256))
    with pytest.raises(UserError, match=NOT_LOADED):
        task.prepare([])


def refusal(folder) -> str:
    with pytest.raises(UserError) as error:
        RoiDino(str(folder), 32).load()
    first = str(error.value).partition("\n")[0]
    assert first == NOT_LOADED == error.value.public
    assert str(folder) in str(error.value)
    assert f"hf download {folder}" in str(error.value)
    return str(error.value)


def test_a_folder_without_weights_is_refused_with_the_remedy(tmp_path):
    refusal(tmp_path)
    refusal(tmp_path / "none")


def test_without_a_network_a_folder_of_the_hub_s_name_is_taken_from_where_the_command_is_started(
    saved, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refusal("no-such-owner/no-such-vit")
    shutil.copytree(saved[0], tmp_path / "no-such-owner" / "no-such-vit")
    RoiDino("no-such-owner/no-such-vit", size=32).load()


def test_pickled_weights_are_not_read(saved, tmp_path):
    saved[1].config.save_pretrained(tmp_path)
    torch.save(saved[1].state_dict(), tmp_path / "pytorch_model.bin")
    assert "model.safetensors" in refusal(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path):
    transformers.BertModel(transformers.BertConfig(**TINY, vocab_size=9)).save_pretrained(tmp_path)
    assert "embeddings.cls_token" in refusal(tmp_path)


def test_a_square_that_patches_do_not_fill_is_refused(saved):
    with pytest.raises(UserError, match=r"size=36.*multiples of the ViT's patch of 8 px"):
        RoiDino(str(saved[0]), 36).load()

"""Each decoder learns from and answers for its own domain, and a ViT's weights are those that were asked for."""

import json

import pytest
import torch
import transformers
from torch import nn

from ushydra_lab.errors import UserError
from ushydra_lab.networks.hydra import HydraUNet, HydraViT

CANVAS = (32, 48)
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZES = {"hidden_size": 16, "layers": 2, "heads": 2, "patch_size": 8}


def unet(domains=3, **settings):
    torch.manual_seed(0)
    return HydraUNet(2, domains, widths=(4, 6, 8), **settings)


def vit(domains=3, canvas=CANVAS, **settings):
    torch.manual_seed(0)
    return HydraViT(4, domains, canvas=canvas, **(SIZES | settings))


def test_the_u_net_has_the_widths_that_its_inventors_gave_it():
    """O. Ronneberger et al., MICCAI 2015, figure 1."""
    with torch.device("meta"):
        network = HydraUNet(2, 1)
    convolutions = [module for module in network.encoders.modules() if isinstance(module, nn.Conv2d)]
    assert list(dict.fromkeys(module.out_channels for module in convolutions)) == [64, 128, 256, 512, 1024]


BUILDS = [unet, vit, lambda: unet(shared=False), lambda: vit(shared=False)]
builds = pytest.mark.parametrize("build", BUILDS, ids=["unet", "vit", "unet_per_decoder", "vit_per_decoder"])


def images(count, canvas=CANVAS):
    return torch.rand(count, 1, *canvas, generator=torch.Generator().manual_seed(1))


def moved(module: nn.Module) -> list[bool]:
    return [p.grad is not None and bool(p.grad.any()) for p in module.parameters()]


@builds
def test_an_encoder_sees_pixels_from_minus_1_to_1(build):
    network, seen = build(), []
    for encoder in network.encoders:
        first = next(module for module in encoder.modules() if isinstance(module, nn.Conv2d))
        first.register_forward_pre_hook(lambda _, given: seen.append((float(given[0].min()), float(given[0].max()))))
    x = images(2)
    x[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    network.forward_routed(x, torch.tensor([0, 0]))
    assert {*seen} == {(-1.0, 1.0)}


@builds
def test_one_hot_routing_updates_a_decoder_only_by_its_own_domain(build):
    network, x, route = build(), images(6), torch.tensor([2, 0, 2, 0, 0, 2])
    network.encoders.eval()  # batch norm of a shared encoder would mix the domains before the decoders
    network.forward_routed(x, route).square().sum().backward()
    assert [any(moved(decoder)) for decoder in network.decoders] == [True, False, True]
    together = [p.grad.clone() for p in network.decoders[0].parameters()]
    network.zero_grad()
    network.forward_routed(x[route == 0], route[route == 0]).square().sum().backward()
    assert [any(moved(decoder)) for decoder in network.decoders] == [True, False, False]
    torch.testing.assert_close(together, [p.grad for p in network.decoders[0].parameters()])


def test_decoders_of_a_unet_keep_batch_norm_statistics_of_their_own_domain():
    network = unet()
    before = {name: b.clone() for name, b in network.decoders[1].named_buffers()}
    network.forward_routed(images(4), torch.tensor([0, 2, 0, 2]))
    assert all(torch.equal(b, before[name]) for name, b in network.decoders[1].named_buffers())
    assert network.decoders[0].up[0].conv[1].num_batches_tracked == 1


def test_a_shared_encoder_sees_all_domains_in_one_batch():
    network, x = unet(), images(4)
    network.forward_routed(x, torch.tensor([0, 2, 1, 2]))
    reference = unet()
    reference.encode(x)
    torch.testing.assert_close(network.encoders.state_dict(), reference.encoders.state_dict())


@pytest.mark.parametrize("build", [lambda: unet(shared=False), lambda: vit(shared=False)], ids=["unet", "vit"])
def test_with_an_encoder_per_decoder_other_domains_leave_no_trace_in_it(build):
    network = build()
    before = {name: b.clone() for name, b in network.encoders[1].named_buffers()}
    network.forward_routed(images(4), torch.tensor([0, 2, 0, 2])).sum().backward()
    assert [any(moved(encoder)) for encoder in network.encoders] == [True, False, True]
    assert all(torch.equal(b, before[name]) for name, b in network.encoders[1].named_buffers())


@builds
def test_encoders_start_alike_and_decoders_differ(build):
    network = build()
    first = network.encoders[0].state_dict()
    for encoder in network.encoders:
        torch.testing.assert_close(encoder.state_dict(), first)
    x = network.encode(images(2))
    assert not torch.equal(network.decode(x, 0), network.decode(x, 1))


@builds
def test_every_image_gets_the_logits_of_its_decoder_in_its_place(build):
    network, x, route = build().eval(), images(5), torch.tensor([1, 0, 2, 0, 1])
    with torch.no_grad():
        routed = network.forward_routed(x, route)
        alone = torch.cat([network.decode(network.encode(x[i : i + 1], d), d) for i, d in enumerate(route.tolist())])
        everything = network.decode_all(network.encodings(x))
    torch.testing.assert_close(routed, alone)
    assert everything.shape == (5, 3, *routed.shape[1:])
    torch.testing.assert_close(everything[torch.arange(5), route], routed)


@builds
def test_every_parameter_takes_part(build):
    network = build()
    network.forward_routed(images(6), torch.tensor([0, 1, 2, 2, 1, 0])).square().sum().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # a bias of keys shifts all logits of a query alike
    assert [name for name in still if not name.endswith("k_proj.bias")] == []


@pytest.mark.parametrize("route", [[0, 3], [-1, 0], [0], [0, 1, 1]])
@builds
def test_a_route_to_no_decoder_or_for_other_images_is_refused(build, route):
    with pytest.raises(ValueError, match="decoder below 3 for each of 2 images"):
        build().forward_routed(images(2), torch.tensor(route))


@pytest.mark.parametrize("canvas", [(32, 32), (33, 47), (20, 30)])
def test_segmentation_logits_have_the_images_size(canvas):
    assert unet().eval().forward_routed(images(2, canvas), torch.tensor([0, 2])).shape == (2, 2, *canvas)


@builds
def test_the_routers_features_are_a_map_of_each_image_and_vary_between_images(build):
    network = build().eval()
    x, content = images(3), torch.tensor([[0.0, 0, 48, 32]]).expand(3, 4)
    encodings = network.encodings(x * torch.tensor([0.2, 0.6, 1])[:, None, None, None])
    assert all(f.levels[-1].ndim == 4 and f.levels[-1].shape[-2] / f.levels[-1].shape[-1] == 32 / 48 for f in encodings)
    styles = network.styles(encodings, content)
    assert styles.shape == (3, len(network.encoders), 4)
    assert (styles.std(0) > 1e-5).all(), "each of the four numbers tells images apart"


def test_one_vit_decoder_of_as_many_blocks_has_the_parameters_of_all_decoders():
    with torch.device("meta"):
        hydra, single = vit(3, hidden_size=64, layers=4), vit(1, hidden_size=64, layers=4, decoder_layers=3)
    counts = [sum(p.numel() for p in network.parameters()) for network in (hydra, single)]
    assert counts[0] - counts[1] == 2 * (2 * 64 + 64 * 4 + 4), "two more norms and heads"


@pytest.fixture
def folder(tmp_path):
    """A ViT classifier of 32 px squares as others publish them, weights and processor settings."""
    torch.manual_seed(3)
    config = transformers.ViTConfig(**TINY, image_size=32, patch_size=8, num_labels=7)
    model = transformers.ViTForImageClassification(config).eval()
    for p in model.parameters():
        nn.init.normal_(p, std=0.2)
    model.save_pretrained(tmp_path / "vit")
    settings = {"do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(settings))
    return tmp_path / "vit", model


def test_a_vit_from_a_folder_gives_the_features_it_was_saved_with(folder):
    path, saved = folder
    network = HydraViT(4, 2, weights=str(path), canvas=(32, 32)).eval()
    x = images(2, (32, 32))
    mean, sd = (torch.tensor(values)[:, None, None] for values in ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))
    with torch.no_grad():
        out = saved.vit(pixel_values=(x.expand(-1, 3, -1, -1) - mean) / sd, output_hidden_states=True)
        tokens, patches = network.encode(x).levels
    torch.testing.assert_close(tokens, out.last_hidden_state)
    torch.testing.assert_close(patches.flatten(2).mT, out.hidden_states[1][:, 1:])


def test_without_processor_settings_pixels_are_moved_to_minus_one_to_one(folder):
    path, saved = folder
    (path / "preprocessor_config.json").unlink()
    network, x = HydraViT(4, 2, weights=str(path), canvas=(32, 32)).eval(), images(2, (32, 32))
    with torch.no_grad():
        expected = saved.vit(pixel_values=2 * x.expand(-1, 3, -1, -1) - 1).last_hidden_state
        torch.testing.assert_close(network.encode(x).levels[0], expected)


def test_positions_for_another_canvas_are_those_that_the_library_interpolates(folder):
    path, saved = folder
    network, x = HydraViT(4, 2, weights=str(path), canvas=(48, 64)).eval(), images(2, (48, 64))
    normalised = (x - network.encoders[0].mean) / network.encoders[0].sd
    with torch.no_grad():
        expected = saved.vit(pixel_values=normalised, interpolate_pos_encoding=True).last_hidden_state
        torch.testing.assert_close(network.encode(x).levels[0], expected)


def test_a_checkpoint_holds_the_normalisation_of_its_weights(folder):
    path, _ = folder
    network = HydraViT(4, 2, weights=str(path), canvas=(32, 32)).eval()
    (path / "preprocessor_config.json").unlink()
    restored = HydraViT(4, 2, weights=str(path), canvas=(32, 32)).eval()
    restored.load_state_dict(network.state_dict())
    x, route = images(2, (32, 32)), torch.tensor([0, 1])
    assert torch.equal(restored.forward_routed(x, route), network.forward_routed(x, route))


def test_half_precision_weights_are_trained_in_full_precision(folder):
    path, saved = folder
    saved.half().save_pretrained(path)
    assert {p.dtype for p in HydraViT(4, 2, weights=str(path), canvas=(32, 32)).parameters()} == {torch.float32}


def refusal(weights, **settings) -> str:
    with pytest.raises(UserError) as error:
        HydraViT(4, 2, weights=str(weights), canvas=(32, 32), **settings)
    assert str(weights) in str(error.value)
    assert "save_pretrained" in str(error.value)
    return str(error.value)


def test_a_folder_that_is_not_there_is_refused_and_nothing_takes_its_place(tmp_path):
    refusal(tmp_path / "none")


def test_a_hub_model_that_cannot_be_reached_is_refused(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refusal("no-such-owner/no-such-vit")


def test_pickled_weights_are_not_read(folder):
    path, saved = folder
    torch.save(saved.state_dict(), path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    assert "model.safetensors" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "[]"), ("config.json", "null"), ("config.json", "3"), ("preprocessor_config.json", "[]"),
        ("preprocessor_config.json", "null"), ("preprocessor_config.json", '{"image_mean": "x"}'),
        ("preprocessor_config.json", '{"image_std": [1, 2]}'),
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused(folder, name, content):
    (folder[0] / name).write_text(content)
    assert name in refusal(folder[0])


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_a_damaged_file_is_refused(folder, name):
    file = folder[0] / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    refusal(folder[0])


def test_weights_of_another_network_are_refused_though_transformers_would_draw_a_vit_at_random(tmp_path):
    config = transformers.BertConfig(**TINY, vocab_size=9)
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    assert "embeddings.cls_token" in refusal(tmp_path / "bert")


def test_a_canvas_that_patches_do_not_fill_is_refused(folder):
    for settings in ({"weights": str(folder[0])}, {"hidden_size": 16, "heads": 2, "layers": 1, "patch_size": 8}):
        with pytest.raises(ValueError, match="multiples of the ViT's patch of 8 px"):
            HydraViT(4, 2, canvas=(32, 36), **settings)


def test_a_vit_refuses_images_of_another_canvas():
    with pytest.raises(ValueError, match=r"\(B, 1, 32, 48\)"):
        vit().encode(images(2, (48, 32)))

"""Inspecting a network's activations: Grad-CAM of its prediction, and one code per image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ushydra_lab.errors import UserError


def grad_cam(network: nn.Module, logits: Callable[[], Tensor]) -> Tensor | None:
    """Grad-CAM (Selvaraju et al., ICCV 2017) of the predicted class of one image, (h, w) in [0, 1].

    None where no feature map lies on the way from the network to the logits.

    The last feature map (1, C, h, w) on which the class depends, weighted by the mean gradient of each channel,
    without what is negative, over its maximum; all 0 where nothing speaks for the class. In a transformer the map
    is the patch tokens after the last layer norm that the class depends on, on the grid of the patches.

    Args:
        network: whose modules make the feature maps. Its parameters must ask for gradients.
        logits: runs it, giving (1, K).
    """
    seen: list[Tensor] = []
    grids: list[tuple[int, int]] = []  # of each; tokens have that of the last map before them

    def remember(module: nn.Module, _: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or not output.requires_grad:
            return
        if output.ndim == 4 and output.shape[2:].numel() > 1:
            grids.append((output.shape[2], output.shape[3]))
            seen.append(output)
        elif isinstance(module, nn.LayerNorm) and grids and output.shape[1] == 1 + grids[-1][0] * grids[-1][1]:
            grids.append(grids[-1])
            seen.append(output)

    with _watched(network, remember), torch.enable_grad():
        score = logits().amax(1).sum()
        gradients = torch.autograd.grad(score, seen, allow_unused=True) if seen else ()
    found = [
        (_on_grid(features.detach(), grid), _on_grid(gradient, grid))
        for features, gradient, grid in zip(seen, gradients, grids, strict=True)
        if gradient is not None
    ]
    return _map(*next((pair for pair in reversed(found) if pair[1].any()), found[-1])) if found else None


def _on_grid(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """Patch tokens (1, 1 + h * w, C), without the class token, as a map (1, C, h, w); maps as they are."""
    return values if values.ndim == 4 else values[:, 1:].mT.unflatten(2, grid)


def _map(features: Tensor, gradient: Tensor) -> Tensor:
    found = (gradient.mean((2, 3), keepdim=True) * features).sum(1)[0].relu()
    return found / found.max().clamp(min=torch.finfo(found.dtype).tiny)


def deepest_code(network: nn.Module, run: Callable[[], object]) -> Tensor:
    """One code an image, (B, C): the deepest feature map, or the last patch tokens, averaged.

    The deepest map is the smallest, of those the one with most channels, of those the last.

    In a U-Net that is the bottleneck, in a classifier the map before its head, in a transformer what the last layer
    norm gives.

    Args:
        network: whose modules make the feature maps.
        run: runs it on the images.

    Raises:
        UserError: nothing in it makes a map (B, C, h, w); the task then needs a `code` of its own.
    """
    maps: list[Tensor] = []
    tokens: list[Tensor] = []

    def remember(module: nn.Module, _: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        if output.ndim == 4:
            if not maps or _depth(output) >= _depth(maps[0]):
                maps[:] = [output]
        elif isinstance(module, nn.LayerNorm) and output.ndim == 3:
            tokens[:] = [output]

    with _watched(network, remember):
        run()
    if tokens:
        return tokens[0][:, 1:].float().mean(1)
    if maps:
        return maps[0].float().mean((2, 3))
    raise UserError(
        f"{type(network).__name__} makes no feature map (B, C, h, w) that could be probed; give its task a method "
        "`code(batch)` that returns one code an image, (B, C)"
    )


def middle_code(network: nn.Module, run: Callable[[], object]) -> Tensor | None:
    """One code an image, (B, C): channel means of the last map of each size but the smallest and the largest.

    In a U-Net these are the decoder's maps: they depend on where structures are found, and less than the deepest map
    on what all images share. With one or two sizes it is the smallest; of a transformer `deepest_code`; None of
    a network that makes no map.
    """
    maps: dict[int, Tensor] = {}

    def remember(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            maps[output.shape[2:].numel()] = output

    with _watched(network, remember):
        try:
            deepest = deepest_code(network, run)
        except UserError:
            return None
    sizes = sorted(maps)
    if len(sizes) < 3:
        return deepest
    return torch.cat([maps[size].float().mean((2, 3)) for size in sizes[1:-1]], 1)


def _depth(features: Tensor) -> tuple[int, int]:
    return -features.shape[2:].numel(), features.shape[1]


@contextmanager
def _watched(network: nn.Module, remember: Callable[[nn.Module, Any, Any], None]) -> Iterator[None]:
    """Tell `remember` of every module's output."""
    handles: list[RemovableHandle] = [module.register_forward_hook(remember) for module in network.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

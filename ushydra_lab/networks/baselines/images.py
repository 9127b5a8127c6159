"""The check of a network's input images."""

from torch import Tensor


def require(x: Tensor, channels: int, side: int) -> Tensor:
    """The images x unchanged, if they are (B, channels, H, W) with sides of at least `side` px.

    Raises:
        ValueError: they are not.
    """
    if x.ndim != 4 or x.shape[1] != channels or min(x.shape[-2:]) < side:
        raise ValueError(
            f"expected images of shape (B, {channels}, H, W) with sides of at least {side} px, got {tuple(x.shape)}"
        )
    return x

"""From a composed configuration to plain values, and from a node with a `_target_` to the object it describes."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ushydra_lab.config.schema import Node
from ushydra_lab.errors import UserError


def make(node: Node | DictConfig, **settings: Any) -> Any:
    """Instantiate a node with a `_target_`, in plain Python types.

    Raises:
        UserError: the component refuses its settings; in its own words if it raised one itself.
    """
    try:
        return instantiate(node, _convert_="all", **settings)
    except InstantiationException as error:
        cause = error.__cause__
        while cause is not None and not isinstance(cause, UserError) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise UserError(f"{node['_target_']} refuses its settings: {cause or error}") from error


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolved, in plain Python types.

    Raises:
        UserError: a value is missing (`???`) or refers to something that does not exist.
    """
    try:
        content = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(omegaconf_message(error)) from error
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def omegaconf_message(error: OmegaConfBaseException) -> str:
    """The first line of the message, with the full key where OmegaConf knows it."""
    line = str(error).splitlines()[0]
    key = getattr(error, "full_key", None)
    return f"{key}: {line}" if key and key not in line else line

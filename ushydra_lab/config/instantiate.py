"""Turning a composed configuration into plain values, and a node with a `_target_` into the object it describes."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from ushydra_lab.config.schema import Node
from ushydra_lab.errors import UserError


def instantiate(node: Node | DictConfig, **settings: Any) -> Any:
    """Instantiate a node with a `_target_`, in plain Python types.

    Raises:
        UserError: the component refuses its settings; in its own words if it raised one itself.
    """
    try:
        return hydra_instantiate(node, _convert_="all", **settings)
    except InstantiationException as error:
        raise component_error(error, f"{node['_target_']} refuses its settings") from error


def component_error(error: Exception, what: str) -> Exception:
    """The error to raise when building a component failed.

    A UserError where the component refused its settings, in its own words if it raised one itself; a mistake in its
    code stays what it is, and shows its traceback.
    """
    cause: BaseException = error
    while not isinstance(cause, UserError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, UserError):
        return cause
    if isinstance(cause, InstantiationException | ValueError | TypeError | ImportError | OSError):
        return UserError(f"{what}: {cause}")
    assert isinstance(cause, Exception)
    return cause


def to_plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration in plain Python types.

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
    if key and isinstance(error, MissingMandatoryValue):
        return f"{key} has no value; add {key}=..."
    return f"{key}: {line}" if key and key not in line else line

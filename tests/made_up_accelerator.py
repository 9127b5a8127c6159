"""A made-up accelerator: computes as the CPU does and, as a GPU would wait there, refuses syncs and mixed devices.

Registered with torch as the device `made_up`, so that `.to`, factories, autocast and backward know it. Its tensors hold
tensors of the CPU. Inside `Accelerator` these are errors, which name the line of the lab that caused them:

- a sync: the processor waits until all queued work is done, to read a value (`.item()`, `.tolist()`, `.cpu()`, `if`),
  to learn a shape that depends on values (boolean indices, `nonzero`, `unique`), or to copy from memory that it may
  change meanwhile (`torch.tensor(..., device=)`, `.to(device)` without `non_blocking=True`);
- an operation on tensors of the accelerator and of the CPU, except for single numbers.

`allowed` names functions of the lab, "losses.roi.patches_of", in which, or in what they call, a sync is wanted; those
that had one are in `met`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import numpy as np
import torch
from lightning.pytorch.accelerators import Accelerator as LightningAccelerator
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

aten = torch.ops.aten
READS = (
    aten._local_scalar_dense, aten.nonzero, aten.nonzero_numpy, aten.masked_select, aten._unique, aten._unique2,
    aten.unique_dim, aten.unique_consecutive, aten.bincount, aten.equal, aten.is_nonzero,
)  # fmt: skip
COPIES = (aten._to_copy, aten.copy_, aten.copy)
FROM_HOST = (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)
TO_HOST = (Tensor.tolist, Tensor.numpy, Tensor.__array__)


class _Module(_DummyBackendModule):
    """What `torch.autocast` and the generators ask of a device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def is_autocast_enabled(self) -> bool:
        return torch.is_autocast_enabled("made_up")


_setup_privateuseone_for_python_backend("made_up", backend_module=_Module())
_library = torch.library.Library("_", "IMPL")
_library.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")  # autocast lowers nothing there
DEVICE = torch.device("made_up:0")


class Refused(AssertionError):
    """A sync, or an operation on tensors of two devices."""


class Far(Tensor):
    """A tensor of the accelerator; `near` holds its values."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> Self:
        return Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), storage_offset=near.storage_offset(), dtype=near.dtype,
            device=DEVICE,
        )  # fmt: skip

    def __init__(self, near: Tensor) -> None:
        self.near = near

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl


def near(tree: Any) -> Any:
    """The tensors of the CPU that those of the accelerator hold."""
    return tree_map(lambda one: one.near if isinstance(one, Far) else one, tree)


def _computed(func: Any, args: Any, kwargs: Any) -> Any:
    """What an operation gives, on the device of its tensors or the one it names."""
    device = kwargs.get("device")
    far = any(isinstance(one, Far) for one in tree_leaves((args, kwargs)))
    if device is not None:
        far = torch.device(device).type == DEVICE.type
        kwargs = {**kwargs, "device": torch.device("cpu"), "pin_memory": None} if far else kwargs
    elif func.overloadpacket is aten.copy_:
        far = isinstance(args[0], Far)
    kwargs = {key: value for key, value in kwargs.items() if key != "pin_memory"}
    if not any(isinstance(one, Far) for one in tree_leaves((args, kwargs))) and not far:
        return func(*args, **kwargs)
    found = func(*near(args), **near(kwargs))
    found = tree_map(lambda one: Far(one) if far and isinstance(one, Tensor) else one, found)
    return return_and_correct_aliasing(func, args, kwargs, found)


class Accelerator:
    """While it is entered the device `made_up` works, and refuses what the module's first lines say."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.allowed, self.met = set(allowed), set[str]()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(_Operations(self))
        self._stack.enter_context(_Constants(self))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def sync(self, what: str) -> None:
        """A sync happens here; refused unless one of the functions that are running is allowed to have one."""
        wanted = {name for name in running() if name in self.allowed}
        if not wanted:
            raise Refused(f"{what}, at {_place()}")
        self.met |= wanted


class _Operations(TorchDispatchMode):
    """Operations of torch; those that are made of others are taken apart, as torch does where it tracks gradients."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__()
        self.accelerator = accelerator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._can_decompose():
            with _Operations(self.accelerator):
                return func.decompose(*args, **kwargs)
        self._check(func, args, kwargs)
        return _computed(func, args, kwargs)

    def _check(self, func: Any, args: Any, kwargs: Any) -> None:
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        far = [one for one in tensors if isinstance(one, Far)]
        if func.overloadpacket in COPIES:
            self._check_copy(func, args, kwargs)
        elif far and (func.overloadpacket in READS or _by_values(func, args)):
            self.accelerator.sync(f"{func} waits for values")
        elif far and any(one.ndim and not isinstance(one, Far) for one in tensors):
            raise Refused(f"{func} of tensors of two devices, at {_place()}")

    def _check_copy(self, func: Any, args: Any, kwargs: Any) -> None:
        if func.overloadpacket is aten._to_copy:
            device, source = kwargs.get("device"), args[0]
            target_far = isinstance(source, Far) if device is None else torch.device(device).type == DEVICE.type
            waits = not kwargs.get("non_blocking", False)
        else:
            target_far, source = isinstance(args[0], Far), args[1]
            waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        if isinstance(source, Far) and not target_far:
            self.accelerator.sync(f"{func} to the CPU waits for values")
        elif target_far and not isinstance(source, Far) and waits:
            self.accelerator.sync(f"{func} from the CPU without non_blocking=True")


class _Constants(TorchFunctionMode):
    """Python values sent to the accelerator, and fetched from it: torch makes these outside of its dispatcher."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in TO_HOST and isinstance(args[0], Far):
            self.accelerator.sync(f"{func.__name__} waits for values")
            return func(args[0].near.detach(), *args[1:], **kwargs)
        values = tree_leaves(args[1:] if func is Tensor.new_tensor else args)
        if func in FROM_HOST and not any(isinstance(one, Far) for one in values):
            default = args[0].device if func is Tensor.new_tensor else "cpu"
            if torch.device(kwargs.get("device") or default).type == DEVICE.type:
                return self._sent(func, args, kwargs)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], Far):
            args = (args[0], self._index(args[1]), *args[2:])
        return func(*args, **kwargs)

    def _index(self, index: Any) -> Any:
        """A list in an index is a constant, too."""
        parts = index if isinstance(index, tuple) else (index,)
        sent = tuple(
            self._sent(torch.tensor, (one,), {}) if isinstance(one, list | np.ndarray) else one for one in parts
        )
        return sent if isinstance(index, tuple) else sent[0]

    def _sent(self, func: Callable[..., Tensor], args: Any, kwargs: Any) -> Tensor:
        self.accelerator.sync(f"{func.__name__} sends a constant from the CPU")
        if func is Tensor.new_tensor:
            kwargs = {"dtype": args[0].dtype, **kwargs}
            func, args = torch.tensor, args[1:]
        return func(*args, **{**kwargs, "device": "cpu"}).to(DEVICE, non_blocking=True)


def _by_values(func: Any, args: Any) -> bool:
    """Whether an index or a count decides a shape."""
    if func.overloadpacket is aten.repeat_interleave:
        return True
    if func.overloadpacket not in (aten.index, aten.index_put, aten.index_put_):
        return False
    masks = [one for one in args[1] if isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8)]
    filled = func.overloadpacket is not aten.index and args[2].numel() == 1 and len(args[1]) == 1
    return bool(masks) and not filled


def _frames() -> Iterator[Any]:
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in ("ushydra_lab", "lightning", "torchmetrics"):
            yield frame
        frame = frame.f_back


def running() -> Iterator[str]:
    """The functions of the lab that are running, "losses.roi.patches_of", the innermost first."""
    for frame in _frames():
        module = frame.f_globals["__name__"].removeprefix("ushydra_lab.")
        yield f"{module}.{frame.f_code.co_qualname.partition('.<locals>')[0]}"


def _place() -> str:
    """The innermost line of the lab."""
    for frame, name in zip(_frames(), running(), strict=False):
        return f"{name}, line {frame.f_lineno}"
    return "no line of the lab"


class MadeUp(LightningAccelerator):
    """Lightning's side of the device."""

    def setup_device(self, device: torch.device) -> None: ...

    def teardown(self) -> None: ...

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def parse_devices(devices: Any) -> Any:
        return devices

    @staticmethod
    def get_parallel_devices(devices: Any) -> Any:
        return [DEVICE]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return "made_up"

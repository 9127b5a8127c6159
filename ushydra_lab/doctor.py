"""What a machine lacks to run the lab: each finding with its remedy."""

from __future__ import annotations

import importlib
import netrc
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ushydra_lab.config.paths import CONSTRAINTS
from ushydra_lab.cores import usable_cores
from ushydra_lab.files import link_or_copy

DISTRIBUTION = "ushydra_lab"
WANDB = "api.wandb.ai"
GIGABYTE = 10**9
MEMORY_GB = 8
"""Memory that `make demo` and the laptop experiments want."""
DISK_GB = 5
"""Disk that checkpoints and figures of a laptop sweep want, beside the cache of images."""


class State(Enum):
    """How a finding stands: all is well, worth knowing, or the lab cannot run so."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, how it is here, and what to do about it (empty where nothing is to be done)."""

    subject: str
    here: str
    state: State = State.GOOD
    remedy: str = ""


def examine(run_root: Path, cache_dir: Path, cache_gb: float) -> Iterator[Finding]:
    """All findings of this machine; run_root, cache_dir, cache_gb: as the settings of these names."""
    yield _python()
    yield from _packages()
    yield from _device()
    yield _cores()
    yield from _memory()
    yield from _folder("runs", run_root, DISK_GB, "run_root=FOLDER")
    yield from _folder("cache", cache_dir, cache_gb, "cache_dir=FOLDER or a smaller cache_gb")
    yield _wandb()


def _python() -> Finding:
    return Finding("python", f"{platform.python_version()} on {platform.platform(terse=True)}, {sys.prefix}")


def _packages() -> Iterator[Finding]:
    """Versions that are installed, beside the ranges that the lab declares and the versions it was tested with."""
    try:
        declared = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        yield Finding(DISTRIBUTION, "not installed", State.BAD, "in its folder: pip install -c constraints.txt -e .")
        return
    yield Finding(DISTRIBUTION, metadata.version(DISTRIBUTION))
    tested = {canonicalize_name(one.name): one for one in map(Requirement, _lines(CONSTRAINTS))}
    found = [
        _package(needed, tested.get(canonicalize_name(needed.name)), extra)
        for needed in declared
        if (extra := _extra(needed)) not in ("dev", "docs")
    ]
    good = sum(one.state is State.GOOD for one in found)
    yield Finding("packages", f"{good} of {len(found)} as tested; the tested versions: {CONSTRAINTS}")
    yield from (one for one in found if one.state is not State.GOOD)


def _lines(file: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _extra(needed: Requirement) -> str:
    """The extra that a requirement belongs to, empty for what the lab always needs."""
    extras = [name for name in metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or [] if needed.marker]
    return next((name for name in extras if needed.marker and needed.marker.evaluate({"extra": name})), "")


def _package(needed: Requirement, tested: Requirement | None, extra: str) -> Finding:
    pinned = str(tested.specifier).removeprefix("==") if tested else ""
    try:
        version = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        if extra:
            remedy = f"pip install 'ushydra_lab[{extra}]', if you use {extra}"
            return Finding(needed.name, "not installed", State.NOTE, remedy)
        return Finding(needed.name, "not installed", State.BAD, f"pip install '{needed.name}{needed.specifier}'")
    if not needed.specifier.contains(version, prereleases=True):
        remedy = f"pip install '{needed.name}{f'=={pinned}' if pinned else needed.specifier}'"
        return Finding(needed.name, f"{version}, needed {needed.specifier}", State.BAD, remedy)
    if tested and not tested.specifier.contains(version, prereleases=True):
        remedy = f"if something fails: pip install {needed.name}=={pinned}"
        return Finding(needed.name, f"{version}, tested {pinned}", State.NOTE, remedy)
    return Finding(needed.name, version)


def _device() -> Iterator[Finding]:
    """Each GPU that torch sees and the scale that follows; a GPU that torch does not see."""
    try:
        torch = importlib.import_module("torch")  # here, since a broken installation is a finding, too
    except (ImportError, OSError) as error:
        yield Finding("device", f"torch cannot be loaded: {error}", State.BAD, "pip install --force-reinstall torch")
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(number)
            yield Finding(f"GPU {number}", f"{card.name}, {card.total_memory / GIGABYTE:.0f} GB")
        yield Finding("scale", "paper (scale=laptop makes it small)")
        return
    if shutil.which("nvidia-smi"):
        found = f"torch {torch.__version__} sees none of this machine's NVIDIA GPUs"
        yield Finding("device", found, State.NOTE, "install the torch build for your CUDA driver: pytorch.org")
    else:
        yield Finding("device", "CPU, no NVIDIA GPU found")
    yield Finding("scale", "laptop (scale=paper wants a GPU)")


def _cores() -> Finding:
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return Finding("cores", f"{usable_cores()} usable{f', OMP_NUM_THREADS={threads}' if threads else ''}")


def _memory() -> Iterator[Finding]:
    """Total memory, where the system tells it."""
    try:
        gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    except (AttributeError, ValueError, OSError):  # not on Windows
        return
    state = State.GOOD if gigabytes >= MEMORY_GB else State.NOTE
    remedy = "" if state is State.GOOD else "a smaller canvas=[H,W] or batch_size"
    yield Finding("memory", f"{gigabytes:.0f} GB", state, remedy)


def _folder(name: str, folder: Path, need_gb: float, remedy: str) -> Iterator[Finding]:
    """Whether a folder can be written to, has hard links, and how much is free; nothing is left in it."""
    place = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    try:
        linked = _writes_and_links(place)
    except OSError as error:
        yield Finding(name, f"{folder} cannot be written: {error.strerror}", State.BAD, remedy)
        return
    free = shutil.disk_usage(place).free / GIGABYTE
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / GIGABYTE
    size = f", {held:.1f} GB of it used by this folder" if folder.exists() else ""
    short = free + held < need_gb
    yield Finding(
        name,
        f"{folder}: {free:.0f} GB free{size}, up to {need_gb:g} GB wanted",
        State.NOTE if short else State.GOOD,
        f"make room, or {remedy}" if short else "",
    )
    if not linked:
        remedy = f"{remedy} on a file system with hard links; without them checkpoints are copied"
        yield Finding(name, f"{folder} has no hard links", State.NOTE, remedy)


def _writes_and_links(folder: Path) -> bool:
    """Write a file, and see whether a second name for it is the same file; both are removed."""
    first, second = (folder / f".doctor.{secrets.token_hex(4)}" for _ in range(2))
    try:
        first.write_bytes(b"")
        link_or_copy(first, second)
        return second.samefile(first)
    finally:
        first.unlink(missing_ok=True)
        second.unlink(missing_ok=True)


def _wandb() -> Finding:
    """Whether curves can go online; without a login they are written offline."""
    if os.environ.get("WANDB_API_KEY") or _login():
        return Finding("wandb", "logged in (logger.mode=online sends curves; the default writes them offline)")
    return Finding("wandb", "no login; curves are written offline", State.GOOD, "to send them: wandb login")


def _login() -> bool:
    try:
        return netrc.netrc().authenticators(WANDB) is not None
    except (OSError, netrc.NetrcParseError):  # there is none, or others may read it
        return False

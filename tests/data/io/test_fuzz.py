"""Two thousand manifests, half of them with one planted fault: none leads to a traceback, no fault is passed over."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.audit import report
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import manifest_csv
from ushydra_lab.errors import UserError

from ..planted import FAULTS, IMAGES, SAID, Row, good, text

COUNT = 2000
FILES = (*IMAGES, "half.png", "empty.png", "text.png", "folder", "loop.png", "out.png", "m.png")
ODD = (
    *("", " ", "nan", "NA", "inf", "-inf", "1e308", "-1", "0", "1,5", "1e-9", "0x1F", "Ⅻ", "٣", "true", "None", "\t"),
    *("../../etc/passwd", "/etc/passwd", "C:\\a.png", "a" * 300, "%s", "{}", "\U0001f600", "<script>", "=1+1", "."),
    *FILES,
)
NOISE = (
    '"',
    ",",
    ";",
    "\n",
    "\r",
    "\t",
    "\0",
    "\ufeff",
    "\u2028",
    "a",
    "9",
    "-",
    " ",
    "é",
    "\udcff",
    "#",
    "'",
    "sep=;\n",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and what only looks like one."""
    home = tmp_path_factory.mktemp("fuzz")
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for name in ("0.png", "1.png"):
        Image.fromarray(noise[..., int(name[0])]).save(home / name)
    Image.fromarray(noise[..., 2].astype(np.uint16) * 200).save(home / "16.png")
    Image.fromarray(noise[::-1]).save(home / "rgb.png")
    Image.fromarray((noise[..., 0] > 128).astype(np.uint8)).save(home / "m.png")
    (home / "half.png").write_bytes((home / "rgb.png").read_bytes()[:900])
    (home / "copy.png").write_bytes((home / "0.png").read_bytes())
    (home / "empty.png").touch()
    (home / "text.png").write_text("no image")
    (home / "folder").mkdir()
    (home / "loop.png").symlink_to("loop.png")
    (home / "out.png").symlink_to("/etc/hostname")
    return home


def noisy(rng: random.Random) -> bytes:
    """A good manifest, then some of: odd cells, columns dropped, renamed or repeated, characters put in or left out."""
    rows = good(rng)
    for row in rows:
        for _ in range(rng.choice((0, 0, 0, 1))):
            row[rng.choice(list(row))] = rng.choice(ODD)
    if rows and rng.random() < 0.1:
        column = rng.choice(list(rows[0]))
        rows = [{k: v for k, v in row.items() if k != column} for row in rows]
    if rows and rng.random() < 0.1:
        column, suffix = rng.choice(list(rows[0])), rng.choice((" ", "_", "x"))
        rows = [{k + suffix * (k == column): v for k, v in row.items()} for row in rows]
    content = text(rows, rng.choice((",", ",", ";", "\t")))
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2, 8))):
        place = rng.randint(0, len(content))
        content = content[:place] + rng.choice(NOISE) + content[place + rng.randint(0, 3) :]
    return content.encode("utf-8", "surrogateescape")


def outcome(folder: Path, content: bytes) -> set[str]:
    """The audits that have remarks, or `refused`."""
    (folder / "manifest.csv").write_bytes(content)
    try:
        source = manifest_csv.read(folder / "manifest.csv", {"head": 1} if b"mask" in content else None)
        found = report.audit(source)
        check_manifest(source)
    except UserError as error:
        return {"refused"} if len(str(error)) > 20 else set()
    assert found.usable
    return {finding.kind for finding in found.findings if finding.flags}


def written(rng: random.Random, rows: list[Row]) -> bytes:
    return text(rows, rng.choice((",", ";", "\t"))).encode()


def test_no_manifest_leads_to_a_traceback(folder: Path, fuzz_seeds: Callable[[int], range]) -> None:
    refused, seeds = 0, fuzz_seeds(COUNT)
    for seed in seeds:
        content = noisy(random.Random(seed))
        try:
            refused += outcome(folder, content) == {"refused"}
        except Exception as error:
            raise AssertionError(f"manifest {seed}: {content!r}") from error
    assert 0.15 * len(seeds) < refused < 0.85 * len(seeds)


def test_no_planted_fault_is_passed_over(folder: Path, fuzz_seeds: Callable[[int], range]) -> None:
    missed, tried, seeds = [], Counter[str](), fuzz_seeds(COUNT)
    for seed in seeds:
        rng = random.Random(seed)
        rows, fault = good(rng, least=2), list(FAULTS)[seed // 10 % len(FAULTS)]
        FAULTS[fault](rng, rows)
        content = written(rng, rows)
        if not outcome(folder, content) & {"refused", SAID.get(fault, "refused")}:
            missed.append(f"{seed} {fault}: {content.decode()}")
        tried[fault] += 1
    print(f"{len(seeds) - len(missed)} planted faults caught, {len(missed)} missed; tried {dict(tried)}")
    assert not missed, "\n\n".join(missed[:10])
    assert {*tried} == {*FAULTS}


def test_what_has_no_fault_is_read(folder: Path, fuzz_seeds: Callable[[int], range]) -> None:
    for seed in fuzz_seeds(COUNT)[::4]:
        rng = random.Random(seed)
        content = written(rng, good(rng, least=1))
        assert not outcome(folder, content) & {"refused", "site_names", "coordinates"}, content

"""The page: the verdict first, all tables and figures, nothing that is private, nothing that it has to fetch."""

import ast
import base64
import hashlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from ushydra_lab.config.identity import WITHHELD
from ushydra_lab.errors import UserError
from ushydra_lab.report import missing
from ushydra_lab.report.build import report
from ushydra_lab.report.document import Figure, Gap, Heading, Note, Table
from ushydra_lab.report.protocol import SYNTHETIC
from ushydra_lab.report.render import html as page
from ushydra_lab.report.render import pictures
from ushydra_lab.report.verdict import RULE
from ushydra_lab.tasks.columns import Metric

from .. import fake_runs

SUBJECTS, SITE = 20, "<b>&"
PICTURED = ("test", "hardest", "easiest", "sites", "test_roi", "hardest_roi")
SECRET = "Jane Doe 1977"


class Page(HTMLParser):
    """Tables as rows of texts, links, image texts, and all text in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.links: list[tuple[str, str]] = []
        self.alts: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.in_cell = False
        self.feed(str(html))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [(tag, value or "") for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.tables[-1][-1][-1] += data

    def table(self, *header: str) -> list[list[str]]:
        """The rows, stripped, of the first table whose header begins so."""
        rows = next(t for t in self.tables if [cell.strip() for cell in t[0][: len(header)]] == list(header))
        return [[cell.strip() for cell in row] for row in rows]


def write_run(
    root: Path, seed: int, variant: str, gain: float, deidentified: bool = True, held_out: str = SITE, width: int = 300
) -> Path:
    """A run with validation and test images whose ROI-MAE is less by `gain`; a site's name is HTML."""
    rng = np.random.default_rng(seed)
    mae = rng.uniform(0.01, 0.02, SUBJECTS)
    parts, sites = ["val"] * 5 + ["test"] * 15, ["seen"] * 5 + [held_out] * 15
    images = pd.DataFrame({"stage": "train", "part": parts, "record": range(SUBJECTS), "site": sites})
    own = np.random.default_rng([seed, *variant.encode()])
    noisy = mae * (1 - gain) * own.uniform(0.99, 1.01, SUBJECTS)
    images = images.assign(psnr_content=30 + own.normal(0, 1, SUBJECTS), roi_mae=noisy)
    names = [f"{SECRET} {i}" for i in range(SUBJECTS)]
    split = {"record": range(SUBJECTS), "image": [f"/home/me/{i}.png" for i in names], "site": sites, "subject": names}
    config: dict[str, Any] = {"name": "exp", "variant": variant, "seed": seed, "deidentified": deidentified}
    config |= {"run_root": "/home/me/runs", "cache_dir": "/home/me/cache", "logger": {"project": "mine"}}
    config |= {"data": {"_target_": "reader", "root": "/home/me/data"}, "network": {"weights": "/home/me/vit.pt"}}
    config |= {"split": {"_target_": "a.LeaveOneSiteOut", "held_out": held_out, "val_fraction": 0.15}}
    config |= {"stages": {"train": {"task": {"lr": 0.1}}}, "loss": {"name": variant}}
    stages = {"train": {"key": f"{seed}-{variant}", "selected_by": "val/loss"}}
    run = root / "exp" / held_out / f"seed{seed}" / variant
    versions = {"torch": "2.13.0"}
    fake_runs.write(run, stages, images, pd.DataFrame(split | {"part": parts}), config, versions=versions)
    (run / "figures").mkdir()
    for name in PICTURED:
        Image.fromarray(rng.integers(0, 256, (60, width), dtype=np.uint8)).save(run / "figures" / f"{name}.png")
    return run


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    for variant, gain in {"plain": 0.0, "better": 0.1}.items():
        for seed in (1, 2):
            write_run(tmp_path, seed, variant, gain)
    return tmp_path / "exp"


def made(experiment: Path) -> tuple[str, Page]:
    report(experiment)
    html = (experiment / "report" / "index.html").read_text()
    return html, Page(html)


def test_the_page_needs_nothing_but_itself(experiment: Path) -> None:
    html, read = made(experiment)
    assert read.links
    assert all(link.startswith(("#", "data:")) for _, link in read.links)
    assert all(re.match("data:image/(png|webp);base64,", link) for tag, link in read.links if tag == "img")
    assert not read.tags & {"iframe", "object", "embed", "form", "video"}
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"script-src ([^;\"]*)", html) == [f"'sha256-{one}'" for one in hashes], (
        "what sorts tables, alone"
    )
    assert not re.search(r"url\(|@import|\son\w+=", html)
    assert all(read.alts)


def test_the_verdict_comes_first_and_says_how_much(experiment: Path) -> None:
    for seed in (3, 4, 5):
        for variant, gain in {"plain": 0.0, "better": 0.1}.items():
            write_run(experiment.parent, seed, variant, gain)
    _, read = made(experiment)
    assert read.text.index("train better was better than train plain in ROI-MAE: ") < read.text.index("held out:")
    percent, low, high = re.search(  # type: ignore[union-attr]
        r"ROI-MAE: (\S+) % lower \(95 % interval (\S+) to (\S+) % lower\)", read.text
    ).groups()
    assert float(low) < float(percent) < float(high)
    assert float(percent) == pytest.approx(10, abs=0.5)
    assert "no clear difference in PSNR (dB)" in read.text
    assert "15 images of 15 subjects, 5 seeds." in read.text


def test_two_seeds_are_too_few_and_the_page_says_so(experiment: Path) -> None:
    text = made(experiment)[1].text
    assert "too few seeds or subjects for any difference to be significant in PSNR (dB)" in text
    assert "15 images of 15 subjects, 2 seeds: too few" in text


def test_tables_have_the_cells_of_the_files(experiment: Path) -> None:
    _, read = made(experiment)
    shown = read.table("method", "PSNR (dB) ↑", "ROI-MAE ↓")
    written = pd.read_csv(experiment / "report" / f"{SITE}_test_values.csv")
    assert shown == [list(written.columns), *written.astype(str).values.tolist()]
    in_markdown = [line for line in (experiment / "report" / "tables.md").read_text().splitlines() if line[:2] == "| "]
    rows = {tuple(cell.strip() for cell in row) for table in read.tables for row in table}
    for line in in_markdown:
        cells = tuple(cell.strip() for cell in line.strip("| ").split(" | "))
        assert cells in rows or set(cells) == {"---"}


def test_names_from_data_are_text_and_neither_html_nor_markdown(experiment: Path, tmp_path: Path) -> None:
    html, read = made(experiment)
    assert "<b>" not in html
    assert f"held out: {SITE}" in read.text
    text = "*a* [x](http://evil.test) <img src=x> ![y](http://evil.test/y.png) &lt; `c` | - x"
    frame = pd.DataFrame({text: [text]})
    blocks = [
        Heading(text, 2),
        Table(frame, text),
        Figure(tmp_path / text, text, text),
        Note(text),
        Gap(text, text, text),
    ]
    shown = Page(page.to_html(blocks))
    assert not shown.tags & {"a", "img", "em"}
    assert not shown.links
    assert shown.text.count(text) == 10


def test_figures_are_embedded_also_where_the_site_s_name_is_html(tmp_path: Path) -> None:
    Image.new("RGB", (60, 20), (200, 30, 40)).save(tmp_path / f"{SITE}_x.png")
    read = Page(page.to_html([Figure(tmp_path / f"{SITE}_x", "Title & more"), Figure(tmp_path / "no", "Gone")]))
    (source,) = [link for _, link in read.links]
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")
    assert picture.size == (60, 20)
    assert picture.getpixel((5, 5)) == pytest.approx((200, 30, 40), abs=3)
    assert read.alts == ["Title & more"]
    assert 'The figure "Gone" is missing' in read.text


def test_nothing_private_is_on_the_page(experiment: Path) -> None:
    (experiment / "multirun.yaml").write_text(
        yaml.safe_dump(
            {"hydra": {"overrides": {"task": ["run_root=/home/me", "+experiment=exp", "seed=1,2", "x=../y"]}}}
        )
    )
    html, _ = made(experiment)
    for secret in (SECRET, "/home/me", str(experiment.parent), "vit.pt", "mine", ".png"):
        assert secret not in html
    assert missing.command(experiment) == "python -m ushydra_lab run_root=PATH +experiment=exp seed=1,2 x=PATH"


def test_the_settings_are_those_that_may_be_shared(experiment: Path) -> None:
    _, read = made(experiment)
    assert ["loss.name", "plain", "better"] in read.table("setting", "plain", "better")
    assert "split.val_fraction: 0.15" in read.text
    assert f"network.weights: {WITHHELD}" in read.text
    assert read.table("held out", "train")[0][:4] == ["held out", "train", "val", "test"]
    assert read.table("held out", "train")[1] == [SITE, "none", "5 (5)", "15 (15)", "0"]


@pytest.mark.parametrize("deidentified", [True, False])
def test_whole_frames_are_shown_only_of_images_declared_free_of_names(tmp_path: Path, deidentified: bool) -> None:
    write_run(tmp_path, 1, "plain", 0.0, deidentified)
    read = made(tmp_path / "exp")[1]
    shown = {link for tag, link in read.links if link.startswith("data:image/webp")}
    figures = tmp_path / "exp" / SITE / "seed1" / "plain" / "figures"
    whole = {name: pictures._within(figures / f"{name}.png", pictures.MOST_BYTES) for name in PICTURED}
    assert shown == {whole[name] for name in PICTURED if name.endswith("_roi") != deidentified}
    assert ("No whole frames of train:" in read.text) != deidentified


def test_a_word_for_deidentified_shows_no_whole_frame(tmp_path: Path) -> None:
    run = write_run(tmp_path, 1, "plain", 0.0)
    settings = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(settings | {"deidentified": "no"}))
    assert "No whole frames of train:" in made(tmp_path / "exp")[1].text


@pytest.mark.parametrize("word", ["++data.root=JaneDoe/us", "+data.csv=JaneDoe.csv", "data.path='/home/JaneDoe.csv'"])
def test_no_typed_path_is_in_a_command(experiment: Path, word: str) -> None:
    typed = {"hydra": {"overrides": {"task": ["+experiment=exp", word]}}}
    (experiment / "multirun.yaml").write_text(yaml.safe_dump(typed))
    assert missing.command(experiment) == f"python -m ushydra_lab +experiment=exp {word.partition('=')[0]}=PATH"


@pytest.mark.parametrize(
    "word",
    ["data.images_per_site=24", "data.image_size=3", "data.rooted=x", "cache_gb=2", "run_rooted=x", "data.pathology=a"],
)
def test_what_only_begins_as_a_private_key_is_in_the_command_as_typed(experiment: Path, word: str) -> None:
    typed = {"hydra": {"overrides": {"task": ["+experiment=exp", word, "data.images.a=x", "logger.project=x"]}}}
    (experiment / "multirun.yaml").write_text(yaml.safe_dump(typed))
    assert missing.command(experiment) == f"python -m ushydra_lab +experiment=exp {word} data.images.a=PATH"


@pytest.mark.parametrize(
    "site", ["Zürich", "1.10", "1_000", "1e3", "null", "st. anna", "north", "o'neil\\", "a,b", "$x"]
)
def test_a_site_s_name_is_typed_so_that_it_stays_one(experiment: Path, site: str) -> None:
    (typed,) = (w for w in shlex.split(missing.command(experiment, held_out=site)) if w.startswith("held_out"))
    assert OverridesParser.create().parse_override(typed).value() == site


def test_pictures_get_smaller_until_they_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    write_run(tmp_path, 1, "plain", 0.0, width=2000)
    for most in (100_000_000, 50_000):
        monkeypatch.setattr(pictures, "MOST_BYTES", most)
        sizes.append(len(made(tmp_path / "exp")[0]))
    assert sizes[1] < 0.5 * sizes[0]


def test_what_small_pictures_leave_lets_large_ones_keep_their_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speckle = np.random.default_rng(0).integers(0, 256, (300, 1200), dtype=np.uint8)
    Image.fromarray(speckle).save(tmp_path / "large.png")
    Image.new("L", (1200, 300)).save(tmp_path / "small.png")
    large, small = (tmp_path / f"{name}.png" for name in ("large", "small"))
    monkeypatch.setattr(pictures, "MOST_BYTES", int(1.2 * pictures._bytes(pictures._within(large, 10**9))))
    found = pictures._sources([large, small])
    widths = [Image.open(io.BytesIO(base64.b64decode(found[f].partition(",")[2]))).width for f in (large, small)]
    assert widths == [1200, 1200]
    assert sum(map(pictures._bytes, found.values())) <= pictures.MOST_BYTES
    assert pictures._bytes(found[large]) > pictures.MOST_BYTES / 2


def settings_of(run: Path, **changed: Any) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | changed))


PHANTOM = {"_target_": "ushydra_lab.data.readers.phantom.read", "root": "/home/me"}


def test_a_page_of_the_phantom_s_images_alone_says_so_below_its_title(experiment: Path) -> None:
    runs = list(experiment.glob("*/*/*"))
    assert SYNTHETIC not in made(experiment)[1].text
    for run in runs:
        settings_of(run, data=PHANTOM)
    _, read = made(experiment)
    assert read.text.index(SYNTHETIC) < read.text.index("a site that no method")
    assert (experiment / "report" / "tables.md").read_text().splitlines()[2] == SYNTHETIC
    assert "phantom (synthetic phantom images, no patient): 20 images of 20 subjects at 2 sites" in read.text
    settings_of(runs[0], data={"_target_": "ushydra_lab.data.readers.hc18.read"})
    assert SYNTHETIC not in made(experiment)[1].text
    assert SYNTHETIC not in (experiment / "report" / "tables.md").read_text()


def test_a_stage_that_was_trained_on_other_images_is_named_with_them(experiment: Path) -> None:
    for run in experiment.glob("*/*/*"):
        settings_of(run, data={"_target_": "ushydra_lab.data.readers.hc18.read"})
        settings_of(run, stages={"train": {"task": {}, "instead": {"data": PHANTOM}}})
    _, read = made(experiment)
    assert SYNTHETIC not in read.text
    assert "hc18: 20 images of 20 subjects at 2 sites; stage train alone: phantom (synthetic" in read.text


def test_what_better_means_is_said_where_something_is_compared(experiment: Path) -> None:
    assert RULE in made(experiment)[1].text
    for run in experiment.glob("*/*/better"):
        shutil.rmtree(run)
    assert RULE not in made(experiment)[1].text


def test_held_out_sites_are_in_alphabetical_order_whatever_ran_first(tmp_path: Path) -> None:
    for site in ("north", "east", "south"):
        write_run(tmp_path, 1, "plain", 0.0, held_out=site)
    _, read = made(tmp_path / "exp")
    for where in ("{}, a site", "Single test images, held out: {}", "train, held out {}, seed 1"):
        assert (found := [read.text.index(where.format(site)) for site in ("east", "north", "south")]) == sorted(found)


def test_worst_and_best_know_which_way_is_better(experiment: Path) -> None:
    rows = made(experiment)[1].table("method", "metric", "worst")
    values = pd.concat(pd.read_csv(file) for file in experiment.rglob("plain/per_image.csv"))
    tested = values[values["part"] == "test"]
    (psnr,), (mae,) = ([row for row in rows if row[:2] == ["train plain", m]] for m in ("PSNR (dB) ↑", "ROI-MAE ↓"))
    assert [psnr[2], psnr[-1]] == [f"{v:.2f}" for v in (tested["psnr_content"].min(), tested["psnr_content"].max())]
    assert [mae[2], mae[-1]] == [f"{v:.5f}" for v in (tested["roi_mae"].max(), tested["roi_mae"].min())]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGES: list[tuple[Callable[[Path], object], str]] = [  # and what the page says
    (lambda run: cut(run / "per_image.csv"), "per_image.csv is damaged"),
    (lambda run: (run / "per_image.csv").write_bytes(b"\xff\x00"), "per_image.csv is damaged"),
    (lambda run: (run / "config.yaml").unlink(), "config.yaml is missing"),
    (lambda run: (run / "split.csv").write_text(""), "split.csv is damaged"),
    (lambda run: cut(run / "run.json"), "run.json is damaged"),
    (lambda run: (run / "figures" / "test.png").unlink(), "test.png is missing"),
    (lambda run: cut(run / "figures" / "test.png"), "test.png is damaged"),
    (lambda run: (run / "run.json").write_text('{"status": "failed", "error": "/home/me"}'), "failed"),
    (lambda run: (run / "run.json").write_text('{"status": "planned"}'), "missing"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_a_damaged_run_is_named_with_what_is_wrong_and_the_page_is_there(
    experiment: Path, damage: Any, said: str
) -> None:
    damage(experiment / SITE / "seed2" / "better")
    (experiment / SITE / "stray.txt").write_text("x")
    damaged = said.partition(" ")[0] if said.partition(".")[2].startswith(("csv", "yaml", "json")) else ""
    told = rf"Damaged, and so not in the tables:\n  - \S+/seed2/better/{re.escape(damaged)} "
    with pytest.raises(UserError, match=told) if damaged else nullcontext():
        report(experiment)
    html = (experiment / "report" / "index.html").read_text()
    read = Page(html)
    (row,) = read.table("run", "what is wrong")[1:]
    assert row[0] == f"{SITE}/seed2/better"
    assert said in row[1]
    assert "train plain" in read.text
    assert "/home/me" not in html
    assert "python -m ushydra_lab +experiment=exp" in read.text


@pytest.mark.parametrize(("damage", "said"), [one for one in DAMAGES if "test.png" not in one[1]])
def test_where_the_only_run_is_damaged_the_page_says_that_and_the_command_fails(
    tmp_path: Path, damage: Any, said: str
) -> None:
    damage(write_run(tmp_path, 1, "plain", 0.0))
    with pytest.raises(UserError, match="No finished run"):
        report(tmp_path / "exp")
    html = (tmp_path / "exp" / "report" / "index.html").read_text()
    read = Page(html)
    assert "No run has finished" in read.text
    assert said in read.table("run", "what is wrong")[1][1]
    assert "/home/me" not in html


def test_a_whole_experiment_says_that_nothing_is_missing(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, read = made(experiment)
    assert "Nothing: all runs that were planned have finished" in read.text
    assert f"To read: {experiment / 'report' / 'index.html'}" in capsys.readouterr().out


def test_the_same_runs_give_the_same_bytes(experiment: Path) -> None:
    assert made(experiment)[0] == made(experiment)[0]


def test_making_the_page_imports_neither_lightning_nor_wandb() -> None:
    script = (
        "import sys, ushydra_lab.report.render.html; print(sorted({'lightning', 'wandb', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == []


def test_the_sign_of_the_worst_and_the_best_is_kept(tmp_path: Path) -> None:
    metric = Metric("Regret", "lower", 3, "difference")
    found = page._range(pd.Series([-0.5, 0.0, 0.2]), metric)
    assert (found["worst"], found["median"], found["best"]) == ("0.200", "0.000", "-0.500")


def test_comparisons_of_an_earlier_report_are_not_shown_again(experiment: Path) -> None:
    made(experiment)
    for variant in ("plain", "better"):
        for file in experiment.rglob(f"{variant}/per_image.csv"):
            table = pd.read_csv(file)
            table[table.columns.difference(["stage", "part", "record", "site"])] = np.nan
            table.to_csv(file, index=False)
    assert "no other method" in made(experiment)[1].text

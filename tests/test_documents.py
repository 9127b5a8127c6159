"""README, CONTRIBUTING, CHANGELOG and docs/ name files, verbs and layers that there are."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import ushydra_lab
from ushydra_lab.__main__ import VERBS
from ushydra_lab.commands.train import HELP

ROOT = Path(__file__).parents[1]
PACKAGE = Path(ushydra_lab.__file__).parent
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{file.name}" for file in ROOT.glob("docs/*.md"))]
QUOTED = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w.-]+(/[\w.-]+)*\.(py|yaml|toml|md|html|json)|[\w.-]+(/[\w.-]+)*/")
NAMED = re.compile(r"[A-Z]{2,}")
"""A word that stands for a name of the reader's own."""
HELD = re.compile(
    r"`(?P<name>\w+(?:\.\w+)?)` (?:in|of) `(?P<file>[\w/]+\.py)`|`(?P<holder>[\w/]+\.py)` \(`(?P<held>\w+)`\)"
)
COMMAND = re.compile(r"python -m ushydra_lab(?:\.(?P<module>\w+)|[ \n]+(?P<word>[^\s`]+))")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
BOX, EDGE = re.compile(r"^    │ (\w+) ", re.MULTILINE), re.compile(r"^    [├└].*$", re.MULTILINE)


def text_of(document: str) -> str:
    """A document; of the change log the newest version alone, since what is older names what there was."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return "## ".join(text.split("\n## ")[:2]) if document == "CHANGELOG.md" else text


def files_in(text: str) -> Iterator[str]:
    """Every file or folder in backticks; of one with a placeholder in capitals the folder before it."""
    for path in (quoted for quoted in QUOTED.findall(text) if FILE.fullmatch(quoted)):
        stem = path.partition(".")[0]
        placeholder = NAMED.search(stem) if path not in DOCUMENTS else None
        yield path[: placeholder.start()].rpartition("/")[0] if placeholder else path


def exists(path: str) -> bool:
    """Below the repository or, as CONTRIBUTING says, below the package."""
    return any((folder / path).exists() for folder in (ROOT, PACKAGE))


def test_what_the_patterns_find() -> None:
    text = "`conf/data/NAME.yaml`, `runs/run.py` (`keep`), `per_image.csv`, `data/`, `README.md`, `a.b.c`, `trust=[x]`"
    assert list(files_in(text)) == ["conf/data", "runs/run.py", "data/", "README.md"]
    commands = COMMAND.finditer("python -m ushydra_lab\nrun x; python -m ushydra_lab.check")
    assert [found.groups() for found in commands] == [(None, "run"), ("check", None)]


def test_every_file_that_contributing_names_exists() -> None:
    files = list(files_in(text_of("CONTRIBUTING.md")))
    assert len(files) > 100
    assert [file for file in files if not exists(file)] == []


def test_every_name_that_contributing_finds_in_a_module_is_there() -> None:
    found = [
        (one["name"] or one["held"], one["file"] or one["holder"]) for one in HELD.finditer(text_of("CONTRIBUTING.md"))
    ]
    assert len(found) > 15
    for name, file in found:
        path = PACKAGE / file if (PACKAGE / file).exists() else ROOT / file
        word = name.rpartition(".")[2]
        defined = rf"(?:def|class) {word}\b|^ *{word}(?:: [^=\n]*)? ="
        assert re.search(defined, path.read_text("utf-8"), re.MULTILINE), f"{name} in {file}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_names_a_verb_that_exists(document: str) -> None:
    commands = list(COMMAND.finditer(text_of(document)))
    words = [found["word"] for found in commands if found["word"]]
    verbs = [word for word in words if "=" not in word and word not in HELP]
    assert [verb for verb in verbs if verb not in VERBS] == []
    modules = [found["module"] for found in commands if found["module"]]
    assert document == "CHANGELOG.md" or not modules, "the commands before 0.4.0"


def test_the_picture_shows_the_layers_of_the_import_contract() -> None:
    text = text_of("CONTRIBUTING.md")
    picture = text[text.index("    ┌") : text.index("┘")]
    drawn = [set(BOX.findall(layer)) for layer in EDGE.split(picture)]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert [one for one in drawn if one] == [set(re.findall(r"ushydra_lab\.(\w+)", layer)) for layer in layers]


def test_the_picture_lacks_no_package() -> None:
    text = text_of("CONTRIBUTING.md")
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(BOX.findall(text)) == modules - {"__init__"}


def test_every_verb_has_its_place_in_contributing() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `commands/(\w+)\.py` \|", text_of("CONTRIBUTING.md"), re.MULTILINE)
    assert sorted(rows) == sorted((verb, verb) for verb in VERBS if verb != "train")


@pytest.mark.parametrize("package", ["runs", "sweep", "results", "training"])
def test_every_module_has_tests_of_its_own(package: str) -> None:
    """As CONTRIBUTING says, tests mirror the packages: what names this module in its place imports it."""
    modules = [file.relative_to(PACKAGE) for file in (PACKAGE / package).rglob("*.py") if file.stem != "__init__"]
    tests = {module: ROOT / "tests" / module.with_name(f"test_{module.name}") for module in modules}
    names = {module: ".".join(["ushydra_lab", *module.with_suffix("").parts]) for module in modules}
    assert [str(module) for module, test in tests.items() if not test.exists()] == []
    texts = {module: test.read_text(encoding="utf-8") for module, test in tests.items()}
    imported = {
        module: names[module] in text or f"from {names[module].rpartition('.')[0]} import {module.stem}" in text
        for module, text in texts.items()
    }
    assert [str(module) for module in modules if not imported[module]] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_links_to_is_there(document: str) -> None:
    links = [link for link in LINK.findall(text_of(document)) if "://" not in link]
    assert [link for link in links if not ((ROOT / document).parent / link).exists()] == []


def test_every_page_and_picture_is_shown_to_whoever_starts_at_the_readme() -> None:
    linked = {(ROOT / one).parent / link for one in DOCUMENTS for link in LINK.findall(text_of(one))}
    shown = {file.resolve() for file in linked}
    kept = [file for place in ("*.md", "*.ipynb", "pictures/**/*.png") for file in (ROOT / "docs").glob(place)]
    assert len(kept) > 50
    assert [file.name for file in kept if file.resolve() not in shown] == []


def test_every_page_stands_in_a_table_of_the_index_which_is_the_site_s_contents() -> None:
    tables = "".join(line for line in text_of("docs/index.md").splitlines() if line.startswith("|"))
    listed = {link.removesuffix(".md") for link in LINK.findall(tables) if link.endswith(".md")}
    assert listed == {file.stem for file in ROOT.glob("docs/*.md")} - {"index"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_link_to_a_heading_finds_it(document: str) -> None:
    for page, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text_of(document)):
        if "://" not in page:
            target = (ROOT / document).parent / page if page else ROOT / document
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings]


def test_notebooks_are_kept_without_what_they_put_out() -> None:
    cells = [cell for file in ROOT.glob("docs/*.ipynb") for cell in json.loads(file.read_text("utf-8"))["cells"]]
    assert len(cells) > 3
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_the_gallery_has_the_figures_of_every_section_that_draws_some_and_none_is_large() -> None:
    sections = (PACKAGE / "report" / "sections").glob("*.py")
    drawing = {f"report/sections/{file.name}" for file in sections if "save_figure(" in file.read_text("utf-8")}
    assert drawing <= set(QUOTED.findall(text_of("docs/gallery.md")))
    assert [file.name for file in ROOT.glob("docs/pictures/**/*.png") if file.stat().st_size > 150_000] == []

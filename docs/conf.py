"""The documentation as a site: `make docs` builds it with Sphinx from the pages beside this file."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from ushydra_lab import __version__

project, author, copyright = "ushydra_lab", "the ushydra_lab authors", "the ushydra_lab authors, MIT licence"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!ushydra_lab\.[A-Za-z]+$).*")]
"""Names of other libraries, and of the lab's insides, which the reference mentions in signatures alone."""
highlight_language = "text"
myst_heading_anchors = 3
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

html_theme, html_title = "furo", f"ushydra_lab {release}"
html_static_path, html_css_files, html_js_files = ["_static"], ["site.css"], ["site.js"]
html_extra_path = ["_build/notebook"]
html_theme_options = {"top_of_page_buttons": []}
html_show_sphinx = html_copy_source = False

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "start", "CONTRIBUTING.md": "contributing"}
"""Files beside docs/ that are pages of the site, too."""


def with_files_beside(app: Sphinx, page: str, source: list[str]) -> None:
    """Give the pages of files beside docs/ their text, and all links to those files the page as their target."""
    for file, name in PAGES.items():
        if page == name:
            source[0] = (ROOT / file).read_text(encoding="utf-8")
    for file, name in PAGES.items():
        source[0] = re.sub(rf"\]\((\.\./)?{re.escape(file)}", f"]({name}.md", source[0])
    source[0] = source[0].replace("](docs/", "](")


def with_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Make each table of the index, whose head is its caption, a part of the site's contents as well."""
    if page == "index":
        for head, rows in re.findall(r"^\| (.+?) \| \|\n((?:\|.*\n)+)", source[0], re.MULTILINE):
            pages = "\n".join(dict.fromkeys(re.findall(r"\]\((\w+)\.md\)", rows)))
            source[0] += f"\n```{{toctree}}\n:caption: {head.capitalize()}\n:hidden:\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    app.connect("source-read", with_files_beside)
    app.connect("source-read", with_contents)

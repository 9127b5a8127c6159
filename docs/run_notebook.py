"""`python docs/run_notebook.py FOLDER`: run first_steps.ipynb in a new folder, and write it there with its outputs.

An error in a cell ends it with status 1. Needs `pip install 'ushydra_lab[docs]'`.
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("first_steps.ipynb")


def main() -> None:
    (folder,) = map(Path, sys.argv[1:])
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as work:
        client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": work}})
        client.extra_arguments = ["--log-level=ERROR"]  # else it warns of a connection that no one else can reach
        client.execute()
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / NOTEBOOK.name)


if __name__ == "__main__":
    main()

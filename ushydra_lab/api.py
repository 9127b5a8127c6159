"""What Python code may call; `import ushydra_lab` offers these names, and loads them when the first is used.

Each does what the verb of its name does, and returns objects in place of printing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from os import PathLike
from pathlib import Path

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode

from ushydra_lab import experiment
from ushydra_lab.config.explain import explain
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.stored import chosen_data
from ushydra_lab.config.typed import normalise
from ushydra_lab.data.manifest import Manifest
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation import external
from ushydra_lab.prediction.answer import Prediction
from ushydra_lab.prediction.inputs import read_input
from ushydra_lab.prediction.members import Ensemble, load_ensemble
from ushydra_lab.prediction.predict import predictions
from ushydra_lab.report import build
from ushydra_lab.runs.plan import write_plans
from ushydra_lab.runs.run import Run, experiments_below
from ushydra_lab.sweep.jobs import validate
from ushydra_lab.sweep.sweeper import drop_missing_keys, expand
from ushydra_lab.training import assembly

__all__ = ["Prediction", "Run", "UserError", "evaluate", "load", "predict", "read_manifest", "train", "write_report"]
Place = str | PathLike[str]


def train(*overrides: str) -> list[Run]:
    """Train every job that these words of the command line stand for, or what is missing of them; the runs.

    overrides: as `python -m ushydra_lab train` takes them; `scale=laptop` or `scale=paper` is one of them.

    Raises:
        UserError: a word, a setting or the data cannot be used; none is trained then.
    """
    register_resolvers()
    words = [normalise(word) for word in _words(overrides)]
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            config = hydra.compose_config("config", words, RunMode.MULTIRUN, with_log_configuration=False)
            drop_missing_keys(config)
            directories = validate(expand(config))
    except HydraException as error:
        raise UserError(explain(error)) from error
    write_plans({directory.path: directory.experiment for directory in directories})
    for directory in directories:
        experiment.run(directory.experiment, directory.path)
    return [Run(directory.path) for directory in directories]


def load(*runs: Run | Place, device: str = "auto") -> Ensemble:
    """Finished runs, ready to predict: one, or several that answer together, such as seeds.

    device: auto, cpu or cuda.

    Raises:
        UserError: one is not finished or is damaged, or they do not answer the same question.
    """
    _require("device", device, str, "auto, cpu or cuda")
    return load_ensemble([_run(run).path for run in runs], device)


def predict(model: Ensemble, images: Place, *, pixel_mm: float | None = None, every: int = 1) -> Iterator[Prediction]:
    """What a model says of each frame of a file, a folder or a table of images, one after another.

    A prediction has its row of predictions.csv (`prediction["ofd_mm"]`), `mask`, at the size of the file's frame, and
    `overlay`, a picture. pixel_mm: mm per px of images that do not say it; every: of videos each n-th frame is taken.

    Raises:
        UserError: there is nothing to predict, or a file cannot be read.
    """
    _require("model", model, Ensemble, "what lab.load(RUN) gives")
    _require("pixel_mm", pixel_mm, (Real, type(None)), "a number of mm per px")
    _require("every", every, Integral, "a whole number from 1")
    if every < 1:
        raise UserError(f"every={every}: take each n-th frame, n from 1")
    return predictions(model, read_input(_place("images", images), pixel_mm=pixel_mm), every)


def evaluate(run: Run | Place, *overrides: str) -> Path:
    """Evaluate a run on other labelled images, chosen as `data=NAME data.root=FOLDER`; the folder of the results.

    Raises:
        UserError: the run is not finished or is damaged, or the data cannot be used.
    """
    return external.evaluate(_run(run), _words(overrides))


def write_report(folder: Place) -> Path:
    """Write the report of the finished runs of one experiment, `multirun/NAME`; its page.

    Raises:
        UserError: there is no finished run, or there are several experiments, or the report cannot be written.
    """
    experiments = list(experiments_below([_place("folder", folder)]))
    if len(experiments) > 1:
        raise UserError(f"{folder}: holds several experiments; name one: {', '.join(map(str, experiments))}")
    build.report(experiments[0])
    return experiments[0] / "report" / "index.html"


def read_manifest(*overrides: str) -> Manifest:
    """The checked table of a data set, chosen as `data=NAME data.root=FOLDER`.

    Raises:
        UserError: naming all problems of the data.
    """
    return assembly.read_manifest(chosen_data(_words(overrides))[1])


def _run(run: Run | Place) -> Run:
    return run if isinstance(run, Run) else Run(_place("run", run))


def _place(name: str, value: Place) -> Path:
    _require(name, value, (str, PathLike), "the path of one file or folder")
    return Path(value)


def _words(overrides: Sequence[str]) -> list[str]:
    for word in overrides:
        _require("override", word, str, "a word of the command line, such as 'seed=1', each an argument of its own")
    return list(overrides)


def _require(name: str, value: object, kind: type | tuple[type, ...], wanted: str) -> None:
    """Refuse an argument of another type; a truth value is no number."""
    if isinstance(value, bool) or not isinstance(value, kind):
        raise UserError(f"{name}={value!r}: give {wanted}")

"""The protocol behind a report: parts, seeds, model selection, statistics, settings and versions.

Nothing here names a path, a file of the data or a subject.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ushydra_lab.config.identity import shareable
from ushydra_lab.data.vocabulary import ALL_PARTS, SEEN_TEST
from ushydra_lab.report.tables import metrics_in, plural
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import Run

PHANTOM = "ushydra_lab.data.readers.phantom.read"
NO_PATIENT = "synthetic phantom images, no patient"
SYNTHETIC = f"All images are {NO_PATIENT}."
SHARED = "subjects in two parts"
STATISTICS = (
    "Mean ± SD over seeds (ddof 1) of the mean over images. Two methods are compared on the same images and seeds: "
    "one test of seeds crossed with subjects, each variance times its own squared Student quantile; p Holm-adjusted "
    "for all comparisons of all held-out sites together, and intervals that hold for all of them at once. No star from "
    "one seed or from fewer than six subjects. A missing run is left out and listed, never averaged over."
)


@dataclass(frozen=True)
class Protocol:
    """The protocol of an experiment, as the page shows it.

    facts: (what, text). parts: images (subjects) of each part, one row per held-out site. shared: settings that all
    variants have. differing: the others, one row per setting and one column per variant. versions: package -> versions.
    """

    facts: list[tuple[str, str]]
    parts: pd.DataFrame
    shared: list[tuple[str, str]]
    differing: pd.DataFrame
    versions: list[tuple[str, str]]


def protocol(collected: Collected) -> Protocol:
    """The protocol of all finished runs."""
    runs = collected.stages.drop_duplicates("run")
    configs = {run: run.config for run in runs["run"]}
    shared, own = _settings(configs, dict(zip(runs["run"], runs["variant"], strict=True)))
    versions = defaultdict(list)
    for run in runs["run"]:
        for name, version in run.summary.versions.items():
            versions[name].append(version)
    table = [(name, _each(values)) for name, values in versions.items()]
    return Protocol(_facts(collected, configs), _parts(runs), shared, own, table)


def synthetic(collected: Collected) -> bool:
    """Whether every image is a phantom, including those that single stages were trained on (`instead`)."""
    configs = [run.config for run in collected.stages["run"].unique()]
    data = [data for config in configs for data in (config["data"], *_of_stages(config).values())]
    return {reader for one in data for reader in _readers(one)} == {PHANTOM}


def _readers(data: dict[str, Any]) -> list[str]:
    """The reader of the data, or those of a union's sources."""
    return [one["_target_"] for one in (data.get("sources") or {"": data}).values()]


def _of_stages(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Stage -> its own data, of stages that were trained on other images than the run's."""
    own = {name: (stage.get("instead") or {}).get("data") for name, stage in config["stages"].items()}
    return {name: data for name, data in own.items() if data}


def _data(configs: dict[Run, dict[str, Any]]) -> Iterator[str]:
    """Each data set: its reader, and how many images, subjects and sites it has."""
    for run, config in {json.dumps(config["data"]): (run, config) for run, config in configs.items()}.values():
        counts, split = plural(len(run.split), "image"), run.split
        subjects = plural(split.drop_duplicates(["site", "subject"]).shape[0], "subject")
        counts += f" of {subjects} at {plural(split['site'].nunique(), 'site')}"
        yield f"{_reader(config['data'])}: {counts}"
        for stage, data in _of_stages(config).items():
            yield f"stage {stage} alone: {_reader(data)}"


def _reader(data: dict[str, Any]) -> str:
    """`phantom` of `ushydra_lab.data.readers.phantom.read`, and that its images are of no patient."""
    if sources := data.get("sources"):
        return f"union of {', '.join(f'{name}: {_reader(source)}' for name, source in sources.items())}"
    name = ".".join(data["_target_"].split(".")[-2:]).removesuffix(".read")
    return f"{name} ({NO_PATIENT})" if data["_target_"] == PHANTOM else name


def _facts(collected: Collected, configs: dict[Run, dict[str, Any]]) -> list[tuple[str, str]]:
    splits = [_call(config["split"]) for config in configs.values() if config.get("split")]
    chosen = (_chosen(run, name, config) for run, config in configs.items() for name in run.summary.stages)
    rules = _each(filter(None, chosen))
    notes = [metric.note for metric in metrics_in(collected.images).values() if metric.note]
    facts = {
        "Data": _each(_data(configs), "; "),
        "Held out": _each(collected.stages["held_out"]),
        "Seeds": _each(collected.stages["seed"]),
        "Split": _each(splits),
        "Stages": _each(collected.stages["stage"]),
        "Selection": f"{rules}; on validation images alone, the held-out part takes no part in it" if rules else "",
        "Metrics": _each(notes, "; "),
        "Statistics": STATISTICS,
    }
    return [(what, text) for what, text in facts.items() if text]


def _chosen(run: Run, stage: str, config: dict[str, Any]) -> str:
    """Which epoch's weights a stage stands for; empty where a run of an old version does not say."""
    if config["stages"][stage].get("epoch") == "last":
        return f"{stage}: last epoch"
    rule = run.summary.stages[stage].selected_by
    return f"{stage}: best {rule}" if rule else ""


def _call(node: dict[str, Any]) -> str:
    """`LeaveOneSiteOut (val_fraction 0.15)` of a node with a _target_; what is held out stands elsewhere."""
    values = {key: value for key, value in node.items() if key not in ("_target_", "held_out", "fold")}
    words = ", ".join(f"{key} {_text(value)}" for key, value in shareable(values).items())
    name = str(node.get("_target_", "")).rpartition(".")[2]
    return f"{name} ({words})" if words else name


def _parts(runs: pd.DataFrame) -> pd.DataFrame:
    """held out, images (subjects) of each part, and how many subjects are in several parts of one split."""
    rows: dict[str, dict[str, set[str]]] = {}
    for row in runs.drop_duplicates(["fold", "seed"]).to_dict("records"):
        split = row["run"].split
        used = split[split["part"] != "unused"].drop_duplicates(["site", "subject", "part"])
        cells = {SHARED: str(used.duplicated(["site", "subject"]).sum())}
        for part, images in split.groupby("part"):
            cells[str(part)] = f"{len(images)} ({images.drop_duplicates(['site', 'subject']).shape[0]})"
        for column, cell in cells.items():
            rows.setdefault(row["held_out"], {}).setdefault(column, set()).add(cell)
    table = [
        {"held out": held_out}
        | {
            part: " or ".join(sorted(cells[part], key=_number)) if part in cells else "none"
            for part in (*ALL_PARTS, "unused", SHARED)
        }
        for held_out, cells in rows.items()
    ]
    shown = pd.DataFrame(table)
    none = [part for part in (SEEN_TEST, "unused") if len(shown) and (shown[part] == "none").all()]
    return shown.drop(columns=none)


def _number(cell: str) -> int:
    return int(cell.partition(" ")[0])


def _settings(
    configs: dict[Run, dict[str, Any]], variants: dict[Run, str]
) -> tuple[list[tuple[str, str]], pd.DataFrame]:
    """(key, value) of all runs alike; the others, a column a variant, several values of its runs side by side."""
    values: dict[str, dict[str, dict[str, None]]] = {}
    for run, config in configs.items():
        for key, value in shareable(config).items():
            values.setdefault(key, {}).setdefault(variants[run], {})[_text(value)] = None
    texts = {key: {variant: ", ".join(of) for variant, of in own.items()} for key, own in values.items()}
    names = list(dict.fromkeys(variants.values()))
    alike = {key for key, own in texts.items() if len(own) == len(names) and len(set(own.values())) == 1}
    rows = [{"setting": k} | {n: own.get(n, "–") for n in names} for k, own in texts.items() if k not in alike]
    return [(key, next(iter(texts[key].values()))) for key in texts if key in alike], pd.DataFrame(rows)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _each(values: Iterable[Any], joint: str = ", ") -> str:
    return joint.join(dict.fromkeys(map(str, values)))

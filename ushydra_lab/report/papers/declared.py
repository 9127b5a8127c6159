"""The paper whose tables a run belongs to, as its configuration declares it (key `paper`)."""

from __future__ import annotations

from typing import Any

from ushydra_lab.results.collect import Collected

BEFORE_0_3 = {
    "nt_phase2": "nt",
    "nt_as_printed": "nt",
    "nt_section_3_1": "nt",
    "nt_fetus_framework": "nt",
    "nt_ablation": "nt/ablation",
    "biometry_stage1": "biometry",
    "biometry_stage2": "biometry",
    "biometry_stage3": "biometry",
    "hydra_vit": "ushydranet/planes",
    "hydra_unet": "ushydranet/hearts",
    "brain_attention_unet": "thesis",
    "brain_csp_only": "thesis",
    "brain_losses": "thesis",
    "brain_networks": "thesis",
    "brain_imbalance": "thesis",
}
"""Name of an experiment -> its paper, for runs whose stored configuration is of a version without the key `paper`."""


def paper_of(config: dict[str, Any]) -> str | None:
    """The paper of a run's configuration; None where it belongs to none."""
    paper = config["paper"] if "paper" in config else BEFORE_0_3.get(str(config.get("name")))
    return None if paper is None else str(paper)


def papers_of(collected: Collected) -> list[str]:
    """The papers of all finished runs, each once, in the order of the runs."""
    named = (paper_of(run.config) for run in collected.stages["run"].unique())
    return list(dict.fromkeys(paper for paper in named if paper is not None))


def experiments_of(collected: Collected) -> set[str]:
    """Names of the experiments of the finished runs."""
    return {str(run.config.get("name")) for run in collected.stages["run"].unique()}

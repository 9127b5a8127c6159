"""The NT paper's Tables 4, 5 and 6: the probes' scores at every held-out site, beside the printed numbers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ushydra_lab.report.document import Document
from ushydra_lab.report.papers.nt.phases import FINAL, FIRST, PROTOCOLS, SITES, held_out_sites, hospital_of_site
from ushydra_lab.report.sections import probes
from ushydra_lab.report.sections.probe_tables import Printed
from ushydra_lab.report.tables import NOTHING
from ushydra_lab.results.collect import Collected

PRINTED: dict[str, dict[str, tuple[str, str, str]]] = {
    "max_softmax": {
        FIRST: ("0.751 ± 0.118", "0.710 ± 0.107", "0.556 ± 0.035"),
        FINAL: ("0.752 ± 0.118", "0.710 ± 0.107", "0.541 ± 0.028"),
    },
    "entropy": {
        FIRST: ("0.523 ± 0.132", "0.574 ± 0.099", "0.684 ± 0.010"),
        FINAL: ("0.521 ± 0.132", "0.575 ± 0.099", "0.688 ± 0.006"),
    },
    "mahalanobis_auroc": {
        FIRST: ("0.8681 ± 0.0005", "0.7400 ± 0.0004", "0.9953 ± 0.0013"),
        FINAL: ("0.8684 ± 0.0003", "0.7488 ± 0.0035", "0.9956 ± 0.0014"),
    },
    "knn_auroc": {
        FIRST: ("0.7152 ± 0.0013", "0.6382 ± 0.0520", "0.9317 ± 0.0079"),
        FINAL: ("0.7182 ± 0.0011", "0.6421 ± 0.0547", "0.9312 ± 0.0061"),
    },
    "quality_r2": {FIRST: ("0.177", "0.175", "0.053"), FINAL: ("0.235", "0.153", "0.074")},
    "quality_rho": {FIRST: ("0.321", "0.493", "0.298"), FINAL: ("0.317", "0.407", "0.358")},
}
"""As printed in Tables 4, 5 and 6, of PROTOCOLS, for Phase 1 and the final objective, on z."""
NUMBERS = {"table4": "Table 4", "table5": "Table 5", "table6": "Table 6"}
OF_ALL = f"{SITES} Its codes: z."
NOTES = {
    "table4": f"The paper does not say what its SD is of. {OF_ALL}",
    "table5": OF_ALL,
    "table6": "The paper reads low values as good: the code then holds little about artefacts of the reconstruction. "
    f"{OF_ALL}",
}


def section(collected: Collected, folder: Path) -> Document:
    """The probes' tables with the paper's numbers and what is missing from them, even if nothing was probed."""
    return probes.section(collected, folder, printed(collected), required=True)


def section_if_probed(collected: Collected, folder: Path) -> Document:
    """The same as `section` if anything was probed, else nothing, since the ablation does not need probes."""
    return probes.section(collected, folder, printed(collected))


def printed(collected: Collected) -> Printed:
    """The printed numbers for the sites that stand for the paper's hospitals."""
    value = partial(_value, hospital_of_site(collected))
    return Printed(NUMBERS, NOTES, held_out_sites(collected), frozenset(PRINTED), value)


def _value(protocols: dict[str, str], score: str, held_out: str, stage: str, variant: str) -> str:
    """The printed score of Phase 1 or of the final objective."""
    phase = {FIRST: FIRST, "phase2": variant}.get(stage)
    if held_out not in protocols or phase not in PRINTED[score]:
        return NOTHING
    return PRINTED[score][phase][PROTOCOLS.index(protocols[held_out])]

"""What trained the code that the probes read, by the configuration of each method's network."""

from __future__ import annotations

from typing import Any

import pandas as pd

AUTOENCODER = "ConvAutoencoder"
UNTRAINED = "an untrained random projection of the trained map's average"
BY_DECODER = "trained by the decoder"
AUXILIARY = {
    "none": UNTRAINED,
    "detached": "trained by an auxiliary low-resolution reconstruction, which does not train the encoder",
    "joint": "trained, and the encoder with it, by an auxiliary low-resolution reconstruction",
}
OF_TASK = "the deepest activations of a network trained by its task"


def trained_by(network: dict[str, Any]) -> str:
    """What trained z, in words, of a stored `network`; empty where it does not say which network it is of."""
    name = str(network.get("_target_", "")).rpartition(".")[2]
    if name != AUTOENCODER:
        return OF_TASK if name else ""
    if network["decoder_input"] != "map":
        return BY_DECODER
    return AUXILIARY[network.get("auxiliary", "none")]  # versions before 0.4.0 had no auxiliary decoder


def code_sentence(stages: pd.DataFrame) -> str:
    """'Code z: ...', for the caption of a table of probes; by variant where these differ. Empty if nothing is known."""
    found: dict[str, dict[str, None]] = {}
    for row in stages.drop_duplicates("run").to_dict("records"):
        found.setdefault(trained_by(row["run"].config["network"]), {})[row["variant"]] = None
    found.pop("", None)
    several = len(found) > 1
    words = [f"{what} ({', '.join(variants)})" if several else what for what, variants in found.items()]
    return f"Code z: {'; '.join(words)}." if words else ""

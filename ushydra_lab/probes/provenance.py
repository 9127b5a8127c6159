"""A linear probe that predicts an image's site from its code (paper 1, section 3.4 and appendix C.2, Table 4)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn

from ushydra_lab.probes.features import Floats

EPOCHS, LEARNING_RATE, WEIGHT_DECAY = 100, 1e-2, 1e-4
BATCH = 8


class SiteProbe:
    """`nn.Linear(D, sites)` under cross-entropy: 100 epochs of Adam, 1e-2, weight decay 1e-4, batches of 8 (3.1).

    The codes come as they are: the paper standardises nothing. So the probe's confidence depends on the codes'
    scale, and is comparable between stages of one network only.
    """

    def __init__(self, codes: Floats, site: NDArray[np.str_], seed: int) -> None:
        """codes (N, D) and sites (N,) of the training images; a function of these and the seed alone.

        Raises ValueError where there are fewer than two sites.
        """
        names, target = np.unique(site, return_inverse=True)
        if len(names) < 2:
            raise ValueError(f"a probe of the site needs two of them, got {names.tolist()}")
        self.sites: list[str] = names.tolist()
        x, y = torch.from_numpy(codes), torch.from_numpy(target)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.linear = nn.Linear(codes.shape[1], len(names), dtype=torch.float64)
            optimizer = torch.optim.Adam(self.linear.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
            for _ in range(EPOCHS):
                for rows in torch.randperm(len(x)).split(BATCH):
                    optimizer.zero_grad()
                    F.cross_entropy(self.linear(x[rows]), y[rows]).backward()
                    optimizer.step()

    @torch.inference_mode()
    def probabilities(self, codes: Floats) -> Floats:
        """Softmax over `sites`: (N, D) to (N, S)."""
        return self.linear(torch.from_numpy(codes)).softmax(1).numpy()

    def right(self, probabilities: Floats, site: NDArray[np.str_]) -> Floats:
        """1 where the most probable site is the image's own, else 0, (N,)."""
        return (np.array(self.sites)[probabilities.argmax(1)] == site).astype(np.float64)

    def auroc(self, probabilities: Floats, site: NDArray[np.str_]) -> float:
        """Mean over sites of one against the rest; NaN where the images are all of one site."""
        present = [index for index, name in enumerate(self.sites) if 0 < (site == name).sum() < len(site)]
        values = [roc_auc_score(site == self.sites[index], probabilities[:, index]) for index in present]
        return float(np.mean(values)) if values else np.nan


def entropy(probabilities: Floats) -> Floats:
    """Shannon entropy in nats, (N, S) to (N,); 0 log 0 is 0."""
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return -(probabilities * logs).sum(1)

"""The maps of the codes are made wherever the probes are, and are the same for the same seed."""

import numpy as np
import pytest
import torch

from ushydra_lab.probes.projection import project


@pytest.mark.slow
def test_umap_and_pca_are_fitted_on_training_codes_and_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(0)
    train, unseen, noise = rng.normal(size=(12, 6)), rng.normal(size=(5, 6)), rng.normal(size=(5, 6))
    threads = torch.get_num_threads()
    first, again = project(train, [unseen, noise], 1), project(train, [unseen, noise], 1)
    assert torch.get_num_threads() == threads  # what is trained in this process afterwards has the same bits
    other = project(train, [noise, noise], 1)
    assert list(first) == ["pca_1", "pca_2", "umap_1", "umap_2"]
    for name, values in first.items():
        assert values.shape == (22,)
        assert np.isfinite(values).all()
        assert np.array_equal(values, again[name])
        assert np.array_equal(values[:12], other[name][:12])  # whatever is mapped afterwards
    assert not np.array_equal(first["umap_1"], project(train, [unseen, noise], 2)["umap_1"])

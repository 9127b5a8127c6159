"""Combining several loss terms: fixed, gradient-calibrated (paper 1, section 2.4), learned, dynamic."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn


def _stack(terms: Sequence[str], losses: Mapping[str, Tensor]) -> Tensor:
    if set(terms) != set(losses):
        raise ValueError(f"expected the loss terms {sorted(terms)}, got {sorted(losses)}")
    return torch.stack([losses[term] for term in terms])


class Weighting(nn.Module):
    """Combines K named terms into one objective, and one score that compares epochs."""

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The objective, a scalar."""
        raise NotImplementedError

    def selection(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The score, a scalar; lower is better."""
        raise NotImplementedError

    def present(self) -> Tensor:
        """The weight of each term now, (K,), without gradient."""
        raise NotImplementedError


class FixedWeights(Weighting):
    """Weighted sum with weights that do not change during training; they are saved with the model.

    Raises:
        ValueError: not one weight per term, or (when called) other terms than named.
    """

    weights: Tensor

    def __init__(self, terms: Sequence[str], weights: Sequence[float] | Tensor | None = None) -> None:
        """weights: one a term, in their order; 1 each by default."""
        super().__init__()
        weights = [1.0] * len(terms) if weights is None else weights
        if len(terms) != len(weights):
            raise ValueError(f"{len(terms)} loss terms {list(terms)} but {len(weights)} weights")
        self.terms = tuple(terms)
        self.register_buffer("weights", torch.as_tensor(weights, dtype=torch.float32).detach().clone())

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        return (self.weights * _stack(self.terms, losses)).sum()

    def selection(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The score that compares epochs: here the objective itself."""
        return self(losses)

    def present(self) -> Tensor:
        return self.weights.clone()


class UncertaintyWeights(Weighting):
    """Learned uncertainty (Cipolla et al. 2018): sum of exp(-s) L + s, s a term's log variance."""

    def __init__(self, terms: Sequence[str]) -> None:
        super().__init__()
        self.terms = tuple(terms)
        self.log_variances = nn.Parameter(torch.zeros(len(terms)))

    def present(self) -> Tensor:
        """exp(-s), (K,), without gradient."""
        return torch.exp(-self.log_variances.detach())

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        return (torch.exp(-self.log_variances) * _stack(self.terms, losses) + self.log_variances).sum()

    def selection(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The score that compares epochs: the plain sum, as the objective falls with the variances alone."""
        return _stack(self.terms, losses).sum()


class GradNormWeights(FixedWeights):
    """Weights that follow the terms' gradient norms and training rates (GradNorm, Chen et al. 2018).

    Starts from equal weights. `step` is one gradient step on that paper's L_grad (equation 2), divided by the
    mean gradient norm so that `lr` has no unit; no optimiser state is needed. The first step records the
    initial losses.
    """

    initial_losses: Tensor

    def __init__(self, terms: Sequence[str], alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__(terms)
        self.alpha, self.lr = alpha, lr
        self.register_buffer("initial_losses", torch.full((len(terms),), torch.nan))

    def selection(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The score that compares epochs: the plain sum, since the weights differ from epoch to epoch."""
        return _stack(self.terms, losses).sum()

    @torch.no_grad()
    def step(self, norms: Mapping[str, float], losses: Mapping[str, Tensor]) -> None:
        """Update the weights from unscaled gradient norms and losses; they stay positive with sum K.

        Raises:
            ValueError: a norm or loss that is zero, negative or not finite, naming its term.
        """
        g = _positive("gradient norm", {term: norms[term] for term in self.terms}).to(self.weights)
        now = _positive("loss", {term: float(losses[term]) for term in self.terms}).to(self.weights)
        if self.initial_losses.isnan().any():
            self.initial_losses.copy_(now)
        progress = now / self.initial_losses
        weighted = self.weights * g
        target = weighted.mean() * (progress / progress.mean()) ** self.alpha
        slope = torch.sign(weighted - target) * g / g.mean()
        weights = (self.weights - self.lr * slope).clamp(min=1e-3)
        self.weights.copy_(weights * len(weights) / weights.sum())


def _positive(what: str, values: Mapping[str, float]) -> Tensor:
    bad = [f"{term} ({value})" for term, value in values.items() if not (math.isfinite(value) and value > 0)]
    if bad:
        raise ValueError(f"every {what} must be finite and above zero, check the terms: {', '.join(bad)}")
    return torch.tensor(list(values.values()), dtype=torch.float64)


def gradient_norms(losses: Mapping[str, Tensor], parameters: Iterable[nn.Parameter]) -> dict[str, float]:
    """Euclidean norm over all parameters of each unscaled scalar loss's gradient; no `.grad` is touched.

    The graph is kept, so that the losses can still be differentiated. A term that reaches no parameter has
    norm 0.
    """
    trainable = [p for p in parameters if p.requires_grad]
    return {term: _gradient_norm(loss, trainable) for term, loss in losses.items()}


def _gradient_norm(loss: Tensor, parameters: list[nn.Parameter]) -> float:
    if not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return float(nn.utils.get_total_norm([g for g in gradients if g is not None]))


def calibrated_weights(norms: Mapping[str, float], cap: float = 100.0) -> Tensor:
    """Weights proportional to 1 / gradient norm, in the order of `norms`, with sum K (section 2.4), (K,).

    A weight over `cap` times the smallest is lowered to that: a term with hardly any gradient is not
    amplified without bound.

    Raises:
        ValueError: a norm that is zero, negative or not finite, naming every such term.
    """
    inverse = 1 / _positive("gradient norm", norms)
    inverse = inverse.clamp(max=cap * float(inverse.min()))
    return (inverse * len(inverse) / inverse.sum()).float()

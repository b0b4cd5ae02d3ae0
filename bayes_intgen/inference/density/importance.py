"""Importance draws of hyperparameters about the mode of their marginal posterior.

The Laplace approximation at the mode, with the heavier tails of a Student-t distribution, is the
first proposal. After every batch the proposal adapts to the weighted draws so far: adaptive
multiple importance sampling (Cornuet, Marin, Mira and Robert, Scandinavian Journal of Statistics
2012). The weights are those of all proposals together, Pareto smoothed.

Only NumPy evaluates the density: nothing is compiled. Over 24 fits with 3 actions, 200 effective
draws take 900 evaluations, and the standard deviations of the hyperparameters' logarithms
are 5% too small: the largest weights are rare. Two-piece distributions per principal axis in place
of the first proposal save a tenth of the evaluations.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import gammaln, logsumexp

from bayes_intgen._progress import stage
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior, Mode
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.sampled_model import (
    ImportanceDiagnostics,
)

# Degrees of freedom of the proposals. With 4 and 15 the same fits take 980 and 810 evaluations, and
# the standard deviations are 4 and 5% too small.
DEGREES_OF_FREEDOM = 8.0
# Number of proposals between two adaptations, and maximum number of all.
BATCH_SIZE, MAX_PROPOSALS = 200, 4000
# Log weight below the largest one at which a draw has none, and below which `exp` underflows.
LOWEST_LOG_WEIGHT = -700.0
# Prior of Pareto k: as that many exceedances of shape one half.
PRIOR_COUNT, PRIOR_SHAPE = 10, 0.5
# Number of draws of the coefficients per point: most resampled points need no more.
PER_POINT = 4


class ImportanceDraws(NamedTuple):
    """Weighted draws of the hyperparameters.

    Attributes
    ----------
    points : ndarray, shape (proposal, D)
        Logarithms of the hyperparameters.
    log_density : ndarray, shape (proposal,)
        Log posterior density up to a constant.
    weights : ndarray, shape (proposal,)
        Pareto-smoothed importance weights, which add up to one.
    diagnostics : ImportanceDiagnostics
    """

    points: Array
    log_density: Array
    weights: Array
    diagnostics: ImportanceDiagnostics

    def resample(self, count: int, rng: np.random.Generator) -> Array:
        """Indices of equally weighted draws, in random order, by systematic resampling.

        A draw of weight w occurs w times ``count``, rounded up or down.
        """
        at = (rng.random() + np.arange(count)) / count
        cumulative = np.cumsum(self.weights)
        index = np.searchsorted(cumulative, at * cumulative[-1], side="right")
        return rng.permutation(np.minimum(index, len(cumulative) - 1))


class StudentT(NamedTuple):
    """Multivariate Student-t distribution, by mean (D,) and lower Cholesky root (D, D)."""

    mean: Array
    root: Array

    @classmethod
    def about(cls, mode: Mode) -> Self:
        """Laplace approximation with heavier tails."""
        return cls(mode.point, np.linalg.cholesky(mode.covariance))

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Draw points, shape (count, D)."""
        normal = rng.standard_normal((count, len(self.mean)))
        widen = np.sqrt(DEGREES_OF_FREEDOM / rng.chisquare(DEGREES_OF_FREEDOM, count))
        return np.asarray(self.mean + widen[:, None] * normal @ self.root.T)

    def log_density(self, points: Array) -> Array:
        """Log density at points (n, D), shape (n,)."""
        df, size = DEGREES_OF_FREEDOM, len(self.mean)
        white = solve_triangular(self.root, (points - self.mean).T, lower=True)
        constant = gammaln((df + size) / 2) - gammaln(df / 2) - 0.5 * size * np.log(df * np.pi)
        constant -= float(np.log(np.diag(self.root)).sum())
        squares = np.einsum("dn,dn->n", white, white)
        return np.asarray(constant - 0.5 * (df + size) * np.log1p(squares / df))

    def adapted(self, points: Array, weights: Array, first: Self) -> Self:
        """Match mean and covariance to those of weighted points.

        The covariance is shrunk towards that of the first proposal, which has the weight of two
        draws per dimension.
        """
        effective = 1 / float(weights @ weights)
        trust = effective / (effective + 2 * points.shape[1])
        mean = weights @ points
        covariance = (points - mean).T @ ((points - mean) * weights[:, None])
        covariance = trust * covariance + (1 - trust) * first.root @ first.root.T
        return type(self)(mean, np.linalg.cholesky(covariance))


def importance_draws(
    values: Callable[[Array], Array],
    proposal: StudentT,
    rng: np.random.Generator,
    progress: bool,
    max_proposals: int = MAX_PROPOSALS,
    adapts: bool = True,
) -> ImportanceDraws:
    """Draw from proposals that adapt to the posterior, until enough draws are effective.

    Parameters
    ----------
    values : callable
        Minus the log posterior density at points (n, D), shape (n,), up to a constant.
    proposal : StudentT
        The first one.
    rng : Generator
    progress : bool
    max_proposals : int
        Maximum number of draws.
    adapts : bool
        Whether proposals adapt to the draws so far.

    Examples
    --------
    >>> proposal = StudentT.about(Mode(np.zeros(2), np.eye(2)))
    >>> rng = np.random.default_rng(0)
    >>> draws = importance_draws(lambda x: 0.5 * (x**2).sum(1), proposal, rng, progress=False)
    >>> draws.diagnostics.is_reliable
    True
    """
    proposals = [proposal]
    points = np.zeros((0, len(proposal.mean)))
    log_density = np.zeros(0)
    with stage("Laplace approximation", progress, "draws") as bar:
        while True:
            batch = proposals[-1].draw(BATCH_SIZE, rng)
            points = np.concatenate([points, batch])
            of_batch = -values(batch)
            finite = np.where(np.isfinite(of_batch), of_batch, -np.inf)
            log_density = np.append(log_density, finite)
            bar.update(BATCH_SIZE)
            # All batches have one size: the density of all proposals together is their mean.
            of_each = [one.log_density(points) for one in proposals]
            log_proposal = logsumexp(of_each, axis=0) - np.log(len(proposals))
            weights, pareto_k = smoothed_weights(log_density - log_proposal)
            diagnostics = ImportanceDiagnostics(pareto_k, 1 / float(weights @ weights), len(points))
            if diagnostics.is_reliable or len(points) >= max_proposals:
                return ImportanceDraws(points, log_density, weights, diagnostics)
            latest = proposals[-1]
            proposals.append(latest.adapted(points, weights, proposal) if adapts else latest)


def smoothed_weights(log_ratio: Array) -> tuple[Array, float]:
    """Pareto-smooth importance weights; return them, with sum one, and Pareto k.

    The largest weights are replaced by quantiles of a generalised Pareto distribution (Vehtari,
    Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling", Journal of Machine
    Learning Research 2024). ArviZ's function takes 1.2 s to import, three times as long as such a
    fit.

    Parameters
    ----------
    log_ratio : ndarray, shape (n,)
        Log of the posterior density over that of the proposal, up to a constant; minus infinity
        where the posterior has no density. At least 25 draws.

    Notes
    -----
    Pareto k is NaN, and the weights are not smoothed, if more than a quarter of the largest ones
    are equal.

    Examples
    --------
    >>> weights, pareto_k = smoothed_weights(np.random.default_rng(0).normal(size=500))
    >>> round(float(weights.sum()), 6), pareto_k < 0.7
    (1.0, True)
    """
    log_weights = np.maximum(log_ratio - np.max(log_ratio), LOWEST_LOG_WEIGHT)
    count = len(log_weights)
    in_tail = int(3 * np.sqrt(count)) if count > 225 else count // 5
    order = np.argsort(log_weights)
    weights = np.exp(log_weights)
    threshold, largest = weights[order[-in_tail - 1]], order[-in_tail:]
    shape, scale = generalised_pareto(weights[largest] - threshold)
    if np.isfinite(shape):
        upper = -np.log1p(-(np.arange(in_tail) + 0.5) / in_tail)
        quantiles = scale * (np.expm1(shape * upper) / shape if shape else upper)
        # No weight exceeds the largest one.
        weights[largest] = np.minimum(threshold + quantiles, 1.0)
    return weights / weights.sum(), shape


def generalised_pareto(exceedances: Array) -> tuple[float, float]:
    """Estimate shape k and scale of a generalised Pareto distribution from sorted values.

    The estimate of Zhang and Stephens, "A new and efficient estimation method for the generalized
    Pareto distribution" (Technometrics 2009): the posterior mean of theta = -k / scale over a grid,
    under a prior that depends on the data. The shape is shrunk towards one half.
    """
    count = len(exceedances)
    quartile = exceedances[int(count / 4 + 0.5) - 1]
    if not quartile > exceedances[0]:
        return np.nan, np.nan
    size = 30 + int(np.sqrt(count))
    grid = (1 - np.sqrt(size / (np.arange(size) + 0.5))) / (3 * quartile) + 1 / exceedances[-1]
    shapes = np.log1p(-grid[:, None] * exceedances).mean(axis=1)
    log_likelihood = count * (np.log(-grid / shapes) - shapes - 1)
    density = np.exp(log_likelihood - log_likelihood.max())
    theta = float(density @ grid / density.sum())
    shape = float(np.log1p(-theta * exceedances).mean())
    shrunk = (count * shape + PRIOR_COUNT * PRIOR_SHAPE) / (count + PRIOR_COUNT)
    return shrunk, -shape / theta


class EvaluatedDraws:
    """Evaluations of a marginal posterior that draw coefficients from the same factors.

    Parameters
    ----------
    posterior : MarginalPosterior
    seed : int
    """

    def __init__(self, posterior: MarginalPosterior, seed: int) -> None:
        self._posterior, self._rng = posterior, generator(seed, "proposals", 1)
        self._batches: list[Array] = []

    def values(self, points: Array) -> Array:
        """Minus the log density at points (n, D), shape (n,); NaN where numbers overflow.

        With ``PER_POINT`` draws of the coefficients each.
        """
        posterior = self._posterior
        normal = self._rng.standard_normal((len(points), PER_POINT, posterior.size))
        draws = np.empty_like(normal)

        def draw(conditionals: Conditional, at: slice) -> Array:
            draws[at] = conditionals.draw(normal[at])
            return np.asarray(conditionals.log_evidence)

        self._batches.append(draws)
        evidence = np.concatenate(posterior.map_conditionals(draw, points))
        return np.asarray(-evidence - posterior.prior.log_density(points))

    def coefficients(self, points: Array, index: Array) -> Array:
        """Coefficients at points by index, shape (draw, P), of all points evaluated so far."""
        every = np.concatenate(self._batches)
        distinct, position, counts = np.unique(index, return_inverse=True, return_counts=True)
        rows = np.split(np.argsort(position, kind="stable"), counts.cumsum()[:-1])
        coefficients = np.empty((len(index), every.shape[2]))
        for i, own in zip(distinct, rows, strict=True):
            coefficients[own[:PER_POINT]] = every[i, : len(own)]
        more = np.flatnonzero(counts > PER_POINT)
        others = [rows[i][PER_POINT:] for i in more]
        normal = [self._rng.standard_normal((len(own), every.shape[2])) for own in others]

        def draw(conditionals: Conditional, at: slice) -> None:
            for i, (own, numbers) in enumerate(zip(others[at], normal[at], strict=True)):
                coefficients[own] = conditionals[i].draw(numbers)

        if len(more):
            self._posterior.map_conditionals(draw, points[distinct[more]])
        return coefficients

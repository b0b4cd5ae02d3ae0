"""Draws of the coefficients at points where the marginal posterior is evaluated anyway."""

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.conditional import Conditional

# Number of draws of the coefficients per point: most resampled points need no more.
PER_POINT = 4


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
        """:meth:`MarginalPosterior.values`, and ``PER_POINT`` draws of the coefficients each."""
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

"""Part of the predictor by which the units of a population differ, and averages over units."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.evaluation import Evaluation, PointEvaluation
from bayes_intgen.models.terms import Decomposition, Term

# Number of units above which an average of exponentials is over strata of similar units, and number
# of these strata. With 20,000 units whose effects have a standard deviation of one, the average of
# a draw is wrong by at most 0.05%, and by 0.02 posterior standard deviations.
MANY_UNITS, STRATA = 1_000, 250


class UnitEffects(NamedTuple):
    """Terms of covariates and groups, with their coefficients.

    Attributes
    ----------
    terms : Decomposition
        Without the terms that are the same for all units.
    coefficients : ndarray, shape (chain, draw, P)
    """

    terms: Decomposition
    coefficients: Array

    @classmethod
    def of(
        cls,
        terms: Decomposition,
        coefficients: Array,
        intervened: NDArray[np.bool_],
        among: Sequence[Term] | None = None,
    ) -> Self:
        """Extract from some terms, or all, and the coefficients of all, (chain, draw, P).

        Leaves out terms that are zero under all of the masks, shape (n, K).
        """
        own = tuple(
            term
            for term in (terms.terms if among is None else among)
            if term.depends_on_covariates(len(terms.names)) and term.gate(intervened).any()
        )
        return cls(replace(terms, terms=own), coefficients[..., terms.columns_of(own)])

    def at_each(
        self,
        actions: Array,
        intervened: NDArray[np.bool_],
        units: Array,
        function: Callable[[Array], Array],
    ) -> Array:
        """Apply a function of the design of units at points and masks, shape (n, K).

        The function maps a design, shape (U, P), of the units, shape (U, C + G), to an array
        (..., draw), and the result has n as its last axis. Points with the same design as the one
        before have the same result.
        """
        count = actions.shape[1]
        if not len(actions):
            none = np.zeros((1, count)), np.zeros((1, count), dtype=bool)
            return self.at_each(*none, units, function)[..., :0]
        alike = all(min(term.inputs) >= count for term in self.terms.terms)
        if len(actions) > 1 and alike and (intervened == intervened[0]).all():
            one = self.at_each(actions[:1], intervened[:1], units, function)
            return np.repeat(one, len(actions), axis=-1)
        evaluation = Evaluation(np.concatenate([np.zeros((len(units), count)), units], axis=1))
        out: list[Array] = []
        before: Array | None = None
        for point, mask in zip(actions, intervened, strict=True):
            at = PointEvaluation(evaluation, point)
            design = self.terms.matrix(at.inputs, np.tile(mask, (len(units), 1)), evaluation=at)
            same = before is not None and np.array_equal(design, before)
            out.append(out[-1] if same else function(design))
            before = design
        return np.stack(out, axis=-1)

    def log_sum_exp(self, centred: Array, shares: Array) -> Array:
        """Logarithm of the sum over units of share times exp(difference), (chain, draw).

        ``centred`` is the design, shape (U, P), of differences from an average. More units than
        ``MANY_UNITS`` are sorted by the posterior mean of their differences and grouped, more
        finely where the exponential is large. A group has the design of its mean. The variance
        within groups, pooled, enters to second order.
        """
        if len(centred) <= MANY_UNITS:
            return np.asarray(np.log(np.exp(self.coefficients @ centred.T) @ shares))
        average = centred @ self.coefficients.mean(axis=(0, 1))
        order = np.argsort(average)
        centred, shares, average = centred[order], shares[order], average[order]
        tilted = shares * np.exp(average - average[-1])
        tilted /= tilted.sum()
        position = np.cumsum(shares / shares.sum() + tilted)
        stratum = np.ceil(STRATA * position / position[-1])
        starts = np.flatnonzero(np.diff(stratum, prepend=0.0))
        totals = np.add.reduceat(shares, starts)
        means = np.add.reduceat(shares[:, None] * centred, starts) / totals[:, None]
        within = centred - np.repeat(means, np.diff(starts, append=len(shares)), axis=0)
        covariance = (within * tilted[:, None]).T @ within
        half = ((self.coefficients @ covariance) * self.coefficients).sum(axis=-1) / 2
        return np.asarray(np.log(np.exp(self.coefficients @ means.T) @ totals) + half)

"""Bayesian A-optimal allocation of rows to regimes.

The mean posterior variance of linear targets, tr(A (I + sum_r n_r M_r)^-1) in whitened
coordinates, is convex in the numbers of rows n_r (Chaloner and Verdinelli 1995). Sequential
quadratic programming minimises its logarithm, so that the scale of the problem does not matter,
with its exact gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy

from bayes_intgen._typing import Array
from bayes_intgen.decide.belief import Belief, Update
from bayes_intgen.errors import ModelError
from bayes_intgen.text.number_format import format_number

# Largest number of rows that a search for a width considers, and relative precision of its result.
MAX_ROWS, ROWS_PRECISION = 10**9, 1e-3
# Largest information of planned rows about a combination of coefficients, in units of the present
# one: float64 has 16 digits, two of which are left for coefficients that rows say nothing about.
MAX_INFORMATION = 1e14
# Shares of the rows below this are zero.
MIN_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class Allocation:
    """Allocation of rows to regimes for some targets.

    Attributes
    ----------
    belief : Belief
    loadings : ndarray, shape (J, r)
        Linear part of the targets.
    rest : ndarray, shape (J,)
        Variance of the rest of each target, which no row reduces.
    widths : ndarray, shape (J,)
        Present widths of the targets' intervals.
    informations : sequence of ndarray, each (r, r)
        Information of a row of each of R regimes.
    costs : ndarray, shape (R,)
        Cost of a row of each regime.
    """

    belief: Belief
    loadings: Array
    rest: Array
    widths: Array
    informations: Sequence[Array]
    costs: Array
    _best: dict[float, Array] = field(default_factory=dict, repr=False)

    def best_rows(self, total: float) -> Array:
        """Numbers of rows, shape (R,), that cost ``total`` and minimise the mean variance.

        Raises
        ------
        ModelError
            If they would inform so much that rounding determines the result.
        """
        # Of all eigenvalues together. Costs may differ by any factor.
        with np.errstate(over="ignore"):
            information = np.trace(self._stacked, axis1=1, axis2=2) * (total / self.costs)
        most = int(information.argmax())
        if not information[most] <= MAX_INFORMATION:
            raise ModelError(
                f"{total:.3g} rows at a cost of {self.costs[most]:g} each leave a variance that is "
                "too small to be computed; give fewer rows, or a larger cost or noise"
            )
        if total not in self._best:
            self._best[total] = self._shares(total) * total / self.costs
        return self._best[total]

    def update(self, rows: Array) -> Update:
        """Update of the belief by some rows of each regime, shape (R,)."""
        scores = self.belief.scores
        n_draws = None if scores is None else len(scores)
        return Update.of_information(self._information(rows), n_draws)

    def mean_width(self, rows: Array) -> float:
        """Mean width of the targets' intervals after some rows of each regime, shape (R,)."""
        before = np.square(self.loadings).sum(axis=1) + self.rest
        after = self.update(rows).variance(self.loadings) + self.rest
        share = np.divide(after, before, out=np.zeros_like(after), where=before > 0)
        return float((self.widths * np.sqrt(np.minimum(share, 1.0))).mean())

    def mean_variance(self, rows: Array) -> tuple[float, Array]:
        """Mean variance after some rows of each regime, and its gradient, shape (R,)."""
        precision = np.eye(self.belief.size) + self._information(rows)
        along = scipy.linalg.cho_solve(scipy.linalg.cho_factor(precision), self.loadings.T).T
        slope = along.T @ along / len(along)
        value = float(np.einsum("jr,jr->", along, self.loadings)) / len(along)
        return value, -np.array([np.vdot(slope, own) for own in self.informations])

    def rows_for(self, width: float) -> int:
        """Smallest total at which the best allocation reaches a mean width, by bisection.

        Raises
        ------
        ModelError
            If no number of rows reaches it.
        """
        nothing = np.zeros(len(self.costs))
        if self.mean_width(nothing) <= width:
            return 0
        low, high = 1.0, 100.0
        while self.mean_width(self.best_rows(high)) > width:
            low, high = high, 10 * high
            if high > MAX_ROWS:
                own = self.mean_width(self.best_rows(low))
                raise ModelError(
                    f"no number of rows of these regimes reaches a width of {format_number(width)}:"
                    f" {low:,.0f} rows would reach {format_number(own)}"
                )
        while high - low > max(1.0, ROWS_PRECISION * high):
            middle = float(np.sqrt(low * high)) if high > 2 * low else (low + high) / 2
            if self.mean_width(self.best_rows(middle)) > width:
                low = middle
            else:
                high = middle
        return int(np.ceil(high))

    def _information(self, rows: Array) -> Array:
        return np.asarray(np.tensordot(rows, self._stacked, axes=1))

    @cached_property
    def _stacked(self) -> Array:
        return np.stack(list(self.informations))

    def _shares(self, total: float) -> Array:
        """Shares of the total cost, shape (R,)."""
        per_share, count = total / self.costs, len(self.costs)

        def loss(shares: Array) -> tuple[float, Array]:
            value, gradient = self.mean_variance(shares * per_share)
            return float(np.log(value)), gradient * per_share / value

        if count == 1 or not self.loadings.any():
            return np.full(count, 1 / count)
        known = min(self._best, key=lambda own: abs(np.log(own / total)), default=None)
        start = np.full(count, 1 / count)
        if known is not None:
            start = (start + 9 * self._best[known] * self.costs / known) / 10
        result = scipy.optimize.minimize(
            loss,
            start,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * count,
            constraints={
                "type": "eq",
                "fun": lambda shares: shares.sum() - 1,
                "jac": lambda shares: np.ones(count),
            },
            options={"maxiter": 200, "ftol": 1e-9},
        )
        shares = np.where(result.x < MIN_SHARE, 0.0, result.x)
        return np.asarray(shares / shares.sum())

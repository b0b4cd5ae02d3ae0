"""Normal approximation of the posterior of the coefficients, and its update by planned rows.

:class:`Allocation` chooses these rows: Bayesian A-optimal design.

Rows with design matrix X and noise precisions W turn a covariance V of the coefficients into
(V^-1 + X'WX)^-1, whatever their outcomes will be, and the posterior mean moves by a normal vector
whose covariance is the difference (Raiffa and Schlaifer 1961; the knowledge gradient with
correlated beliefs of Frazier, Powell and Dayanik 2009). V is the covariance of the draws, over
hyperparameters too, so that the update is that of Bayes linear statistics (Goldstein and Wooff
2007). For a function that is not linear in the coefficients, such as an effect under a log link,
only its linear part is updated.

Where rows say little, draws are a mixture of normal distributions over scales, and the variance of
its largest draws would promise too much of an experiment. In a principal component whose central
90% interval is much narrower than its variance implies, the belief is the normal distribution with
that interval.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import scipy

from bayes_intgen._typing import Array
from bayes_intgen._work import single_blas_thread
from bayes_intgen.errors import ModelError
from bayes_intgen.posterior.draws import tails_of
from bayes_intgen.text.formats import format_number, shorter_number

# Width of the central 90% interval of a standard normal distribution, and the ratio of widths below
# which a direction has heavy tails: with 400 draws, its standard error is 0.04 for normal draws.
ENDS, NORMAL_WIDTH = (0.05, 0.95), 3.2897072539029444
MIN_RATIO = 0.9
# Smallest variance of a direction, relative to the largest, that counts as uncertain.
MIN_VARIANCE = 1e-12
# Largest number of rows that a search for a width considers, and relative precision of its result.
MAX_ROWS, ROWS_PRECISION = 10**9, 1e-3
# Largest information of planned rows about a combination of coefficients, in units of the present
# one: float64 has 16 digits, two of which are left for coefficients that rows say nothing about.
MAX_INFORMATION = 1e14
# Shares of the rows below this are zero.
MIN_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class Belief:
    """Covariance of P coefficients, as the product of a root with its transpose.

    In whitened coordinates, of which there are r, the coefficients are mean + root @ x with x
    standard normal.

    Attributes
    ----------
    root : ndarray, shape (P, r)
    scores : ndarray, shape (S, r)
        Draws in coordinates with unit variance; without any, the covariance is known.
    tails : ndarray, shape (r,), or float
        Standard deviation of the belief relative to that of the draws: 1 without heavy tails.

    Examples
    --------
    >>> belief = Belief.known(np.diag([1.0, 2.0]))
    >>> once = belief.information(np.array([[0.0, 1.0]]), np.array([0.75]))
    >>> belief.update(once).variance(np.eye(2) @ belief.root)
    array([1., 1.])
    """

    root: Array
    scores: Array
    tails: Array | float = 1.0

    @classmethod
    def of_draws(cls, coefficients: Array) -> Self:
        """Covariance of draws, shape (S, P)."""
        centred = coefficients - coefficients.mean(axis=0)
        covariance = centred.T @ centred / (len(centred) - 1)
        values, vectors = np.linalg.eigh(covariance)
        uncertain = values > MIN_VARIANCE * max(float(values[-1]), 0.0)
        sd, vectors = np.sqrt(values[uncertain]), vectors[:, uncertain]
        scores = centred @ vectors / sd
        width = np.ptp(np.quantile(scores, ENDS, axis=0), axis=0) / NORMAL_WIDTH
        tails = np.where(width < MIN_RATIO, width, 1.0)
        return cls(vectors * sd * tails, scores, tails)

    @classmethod
    def known(cls, root: Array) -> Self:
        """Covariance that is known, and not estimated from draws."""
        return cls(root, np.empty((0, root.shape[1])))

    @property
    def n_draws(self) -> float:
        """Number of draws behind the covariance; infinite if it is known."""
        return len(self.scores) or np.inf

    def loadings(self, targets: Array) -> tuple[Array, Array]:
        """Linear part of targets, shape (J, r), and the variance of the rest, shape (J,).

        Parameters
        ----------
        targets : ndarray, shape (S, J)
            Draws of functions of the coefficients, in the order of the draws of these.
        """
        centred = targets - targets.mean(axis=0)
        linear = centred.T @ self.scores / (len(centred) - 1)
        variance = np.square(centred).sum(axis=0) / (len(centred) - 1)
        rest = variance - np.square(linear).sum(axis=1)
        # Rounding, where targets are linear.
        return linear * self.tails, np.where(rest > 1e-9 * variance, rest, 0.0)

    def information(self, design: Array, precision: Array) -> Array:
        """Information of rows in whitened coordinates, shape (r, r).

        Parameters
        ----------
        design : ndarray, shape (n, P)
        precision : ndarray, shape (n,)
            Inverse variance of the noise of each row, times the number of rows like it.
        """
        half = (design @ self.root) * np.sqrt(precision)[:, None]
        return np.asarray(half.T @ half)

    def update(self, information: Array) -> "Update":
        """Update by rows of some information."""
        values, vectors = np.linalg.eigh(information)
        return Update(np.clip(values, 0.0, None), vectors, self.n_draws)


@dataclass(frozen=True, eq=False)
class Update:
    """Update of a belief by planned rows, in the eigenvectors of their information.

    Attributes
    ----------
    values : ndarray, shape (r,)
    vectors : ndarray, shape (r, r)
    n_draws : float
        Number of draws behind the covariance; infinite if it is known.
    """

    values: Array
    vectors: Array
    n_draws: float

    @property
    def informed(self) -> float:
        """Effective number of directions that the rows inform."""
        return float((self.values / (1 + self.values)).sum())

    @cached_property
    def remaining(self) -> Array:
        """Share of the variance in each eigenvector that the rows leave, shape (r,).

        The variance after an update is a concave function of the covariance before, so that a
        covariance of S draws makes it too small: to second order by m^2 (d + 1 - m) / S, where m
        is the share that remains, and d the sum of 1 - m over all eigenvectors.
        """
        share = 1 / (1 + self.values)
        bias = share**2 * (self.informed + 1 - share) / (self.n_draws - 1)
        return np.minimum(share + bias, 1.0)

    def variance(self, loadings: Array) -> Array:
        """Variances of targets with loadings, shape (J, r), after the update, shape (J,)."""
        removed = np.square(loadings @ self.vectors) @ (1 - self.remaining)
        return np.asarray(np.maximum(np.square(loadings).sum(axis=1) - removed, 0.0))

    def moves(self, loadings: Array, normals: Array) -> Array:
        """Draws of the change of the posterior means of targets, shape (n, J).

        Parameters
        ----------
        loadings : ndarray, shape (J, r)
        normals : ndarray, shape (n, J)
            Standard normal numbers. The same ones make updates by several experiments comparable,
            since the root of the covariance is the symmetric one.
        """
        half = (loadings @ self.vectors) * np.sqrt(1 - self.remaining)
        values, vectors = np.linalg.eigh(half @ half.T)
        return np.asarray(((normals @ vectors) * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T)


@dataclass(frozen=True, eq=False)
class Targets:
    """Quantities whose intervals rows are to narrow.

    Attributes
    ----------
    loadings : ndarray, shape (J, r)
        Linear part of the targets.
    rest : ndarray, shape (J,)
        Variance of the rest of each target, which no row reduces.
    widths : ndarray, shape (J,)
        Present widths of the targets' intervals.
    """

    loadings: Array
    rest: Array
    widths: Array

    @classmethod
    def of_draws(cls, belief: Belief, draws: Array, level: float) -> Self:
        """Targets of which there are draws, shape (S, J), and their central intervals."""
        ends = np.quantile(draws, tails_of(level), axis=0)
        return cls(*belief.loadings(draws), np.ptp(ends, axis=0))

    def widths_after(self, update: Update) -> Array:
        """Widths of the intervals after an update, shape (J,)."""
        before = np.square(self.loadings).sum(axis=1) + self.rest
        after = update.variance(self.loadings) + self.rest
        share = np.divide(after, before, out=np.zeros_like(after), where=before > 0)
        return np.asarray(self.widths * np.sqrt(np.minimum(share, 1.0)))


@dataclass(frozen=True, eq=False)
class Allocation:
    """Bayesian A-optimal allocation of rows to regimes for some targets.

    The mean posterior variance of linear targets, tr(A (I + sum_r n_r M_r)^-1) in whitened
    coordinates, is convex in the numbers of rows n_r (Chaloner and Verdinelli 1995). Sequential
    quadratic programming minimises its logarithm, so that the scale of the problem does not matter,
    with its exact gradient.

    Attributes
    ----------
    belief : Belief
    targets : Targets
    informations : ndarray, shape (R, r, r)
        Information of a row of each of R regimes.
    costs : ndarray, shape (R,)
        Cost of a row of each regime.
    """

    belief: Belief
    targets: Targets
    informations: Array
    costs: Array

    def best_rows(self, total: float) -> Array:
        """Numbers of rows, shape (R,), that cost ``total`` and minimise the mean variance.

        Raises
        ------
        ModelError
            If they would inform so much that rounding determines the result.
        """
        # Of all eigenvalues together. Costs may differ by any factor.
        with np.errstate(over="ignore"):
            information = np.trace(self.informations, axis1=1, axis2=2) * (total / self.costs)
        most = int(information.argmax())
        if not information[most] <= MAX_INFORMATION:
            raise ModelError(
                f"{shorter_number(total, 3)} rows at a cost of {format_number(self.costs[most])} "
                "each leave a variance that is too small to be computed; give fewer rows, or a "
                "larger cost or noise"
            )
        # Hundreds of products of small matrices, for which threads wait longer than they compute.
        with single_blas_thread():
            return self._shares(total) * total / self.costs

    def update(self, rows: Array) -> Update:
        """Update of the belief by some rows of each regime, shape (R,)."""
        return self.belief.update(self._information(rows))

    def mean_width(self, rows: Array) -> float:
        """Mean width of the targets' intervals after some rows of each regime, shape (R,)."""
        return float(self.targets.widths_after(self.update(rows)).mean())

    def mean_variance(self, rows: Array) -> tuple[float, Array]:
        """Mean variance after some rows of each regime, and its gradient, shape (R,)."""
        loadings = self.targets.loadings
        precision = np.eye(loadings.shape[1]) + self._information(rows)
        along = scipy.linalg.cho_solve(scipy.linalg.cho_factor(precision), loadings.T).T
        slope = along.T @ along / len(along)
        value = float(np.einsum("jr,jr->", along, loadings)) / len(along)
        return value, -np.array([np.vdot(slope, own) for own in self.informations])

    def rows_for(self, width: float) -> int:
        """Smallest total at which the best allocation reaches a mean width.

        Raises
        ------
        ModelError
            If no number of rows reaches it.
        """
        if self.mean_width(np.zeros(len(self.costs))) <= width:
            return 0

        def excess(total: float) -> float:
            return self.mean_width(self.best_rows(total)) - width

        high = 1.0
        while (over := excess(high)) > 0:
            high *= 10
            if high > MAX_ROWS:
                raise ModelError(
                    f"no number of rows of these regimes reaches a width of {format_number(width)}:"
                    f" {MAX_ROWS:,.0f} rows would reach {format_number(width + over)}"
                )
        if high > 1:
            high = scipy.optimize.brentq(excess, high / 10, high, xtol=1.0, rtol=ROWS_PRECISION)
        return int(np.ceil(high))

    def _information(self, rows: Array) -> Array:
        return np.asarray(np.tensordot(rows, self.informations, axes=1))

    def _shares(self, total: float) -> Array:
        """Shares of the total cost, shape (R,)."""
        per_share, count = total / self.costs, len(self.costs)

        def loss(shares: Array) -> tuple[float, Array]:
            value, gradient = self.mean_variance(shares * per_share)
            return float(np.log(value)), gradient * per_share / value

        if count == 1 or not self.targets.loadings.any():
            return np.full(count, 1 / count)
        result = scipy.optimize.minimize(
            loss,
            np.full(count, 1 / count),
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

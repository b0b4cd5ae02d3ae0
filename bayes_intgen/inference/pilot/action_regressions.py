"""Regressions of actions on their observed causes, whose residuals are control variables."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.control import ControlVariable
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations, Rows

# Maximum number of rows for the choice of covariates and groups, and for the start of a regression.
MAX_ROWS = 20_000
# Number of updates of the variances of a regression's coefficients, and of iterations of the
# regressions of some rows, of squared residuals or of intervals.
ITERATIONS, START_ITERATIONS = 50, 10
# Variance of coefficients, relative to that of the action, below which their functions are absent.
MIN_VARIANCE = 1e-8
# Share of the variance of the fitted mean in directions of its error that are left out.
NEGLIGIBLE = 1e-3


class Causes(NamedTuple):
    """Functions of the observed causes of an action.

    Attributes
    ----------
    inputs : tuple of int
        The action and its causes, among actions, covariates and groups.
    control : ControlVariable
        Functions of these inputs; its coefficients are where the regression starts.
    share : float
        Number of independent rows that tell as much, over the number of rows: hidden causes that
        persist make the action of a unit differ from its usual one for a while.
    """

    inputs: tuple[int, ...]
    control: ControlVariable
    share: float


def control_variables(
    causes: Mapping[int, Causes], sample: Observations, data: Rows, progress: bool
) -> dict[int, ControlVariable]:
    """Control variables of the actions whose causes explain something, by one pass over all rows.

    Parameters
    ----------
    causes : mapping from action to Causes
    sample : Observations
        Rows from which the regressions start.
    data : Rows
    progress : bool
    """
    some = sample.sample(MAX_ROWS).joined
    causes = {k: own._replace(control=_start(own, some)) for k, own in causes.items()}

    def of_batch(batch: Observations) -> list[CrossProducts]:
        return [_step(own.control, *rows_of(own, batch)) for own in causes.values()]

    def merge(before: list[CrossProducts], after: list[CrossProducts]) -> list[CrossProducts]:
        return [one.merged(other) for one, other in zip(before, after, strict=True)]

    cross = data.joined.map_reduce(of_batch, merge, "Regressions of actions", progress)
    each = zip(causes.items(), cross, strict=True)
    found = {k: _control_variable(own.control, sums) for (k, own), sums in each}
    return {k: control for k, control in found.items() if control is not None}


class CrossProducts(NamedTuple):
    """Weighted cross products of a constant, functions of causes and a response.

    Attributes
    ----------
    products : ndarray, shape (2 + M, 2 + M)
    units : float
        Number of units.
    """

    products: Array
    units: float

    @classmethod
    def of(
        cls, functions: Array, response: Array, units: Array, variance: Array, hidden: float = 0.0
    ) -> Self:
        """Cross products of rows, shape (n,) each, with these relative variances of a unit.

        ``hidden`` is added to the sum of the squares of the response.
        """
        columns = np.column_stack([functions, response])
        products = (columns * (units / variance)[:, None]).T @ columns
        products[-1, -1] += hidden
        return cls(products, float(units.sum()))

    def merged(self, other: Self) -> Self:
        return type(self)(self.products + other.products, self.units + other.units)


def _step(start: ControlVariable, functions: Array, action: Array, units: Array) -> CrossProducts:
    """Cross products for a step of Newton's method from the start.

    For numbers it leads to the least squares. For intervals of scores the response and its variance
    are those of iteratively reweighted least squares, and the hidden squares make the sum of
    squares at the start an expectation given the intervals, as in the EM algorithm.
    """
    residual, information = start.standardised(action, functions)
    hidden, sd = (1 - information) * (1 - residual**2 / information), start.sd(functions)
    response = functions @ start.coefficients + sd * residual / information
    return CrossProducts.of(functions, response, units, sd**2 / information, float(units @ hidden))


def rows_of(causes: Causes, data: Observations) -> tuple[Array, Array, Array]:
    """Functions of causes, action and number of units in the rows where the action was not set."""
    rows = ~data.intervened[:, causes.inputs[0]]
    inputs = data.inputs[rows][:, list(causes.inputs)]
    units = np.ones(len(inputs)) if data.weights is None else data.weights[rows]
    return causes.control.functions_of_causes(inputs), inputs[:, 0], causes.share * units


class Regression(NamedTuple):
    """Bayesian linear regression on a constant and several bases.

    Attributes
    ----------
    mean : ndarray, shape (1 + M,)
    root : ndarray, shape (1 + M, 1 + M)
        Of the posterior covariance, ``root @ root.T``.
    variance : float
        Of the residuals of a unit whose relative variance is one.
    of_bases : ndarray
        Prior variance of the coefficients of each basis.
    """

    mean: Array
    root: Array
    variance: float
    of_bases: Array


def _regression(
    cross: CrossProducts,
    bases: Sequence[Basis],
    start: Regression | None = None,
    iterations: int = ITERATIONS,
) -> Regression | None:
    """Regression from cross products; None if the causes explain nothing.

    Each basis has a variance of its coefficients, by the fixed points of MacKay (Neural Computation
    1992). The constant has a flat prior.
    """
    products = cross.products
    xx, xy, yy, weight = products[:-1, :-1], products[:-1, -1], products[-1, -1], products[0, 0]
    total = yy / weight - (xy[0] / weight) ** 2
    if not total > 0:
        return None
    of_column = np.repeat(np.arange(len(bases)), [basis.size for basis in bases])
    count = np.bincount(of_column)
    variance, of_bases = total * weight / cross.units, np.full(len(bases), total)
    if start is not None:
        variance, of_bases = start.variance, start.of_bases
    for _ in range(iterations):
        prior = np.concatenate([[0.0], 1 / of_bases[of_column]])
        factor = np.linalg.cholesky(xx / variance + np.diag(prior))
        root = np.linalg.inv(factor).T
        mean = root @ (root.T @ xy) / variance
        spent = count - np.bincount(of_column, np.square(root[1:]).sum(axis=1)) / of_bases
        squares = np.bincount(of_column, mean[1:] ** 2)
        of_bases = np.maximum(squares / np.maximum(spent, MIN_VARIANCE), MIN_VARIANCE * total)
        remainder = yy - 2 * mean @ xy + mean @ xx @ mean
        left = remainder / max(cross.units - 1 - spent.sum(), 1.0)
        variance = max(left, MIN_VARIANCE * total * weight / cross.units)
    if (of_bases <= MIN_VARIANCE * total).all():
        return None
    return Regression(mean, root, float(variance), of_bases)


def regressions(products: Array, bases: Sequence[Basis]) -> Array:
    """Coefficients of regressions on the same bases, one column each, from cross products of all.

    ``products`` are those of a constant, the functions of the bases, and the responses.
    """
    size = 1 + sum(basis.size for basis in bases)
    means = np.zeros((size, len(products) - size))
    for i, mean in enumerate(means.T, start=size):
        own = [*range(size), i]
        fit = _regression(CrossProducts(products[np.ix_(own, own)], products[0, 0]), bases)
        mean[0] = products[0, i] / products[0, 0]
        if fit is not None:
            mean[:] = fit.mean
    return means


def _start(causes: Causes, data: Observations) -> ControlVariable:
    """Mean and log variance of an action given its causes, by some of the rows.

    Normal scores have a constant variance: among groups in which nearly all rows share a value it
    is hardly known, and would make outliers of the few others.
    """
    functions, action, units = rows_of(causes, data)
    start, fit = causes.control, None
    if isinstance(start.scale, Coordinate):
        return _with_log_variance(start, functions, start.scale(action), units)
    for _ in range(START_ITERATIONS):
        fit = _regression(_step(start, functions, action, units), start.bases, fit, 2)
        if fit is None:
            break
        log_variance = _scaled(start.log_variance, fit.variance)
        start = replace(start, coefficients=fit.mean, log_variance=log_variance)
    return start


def _scaled(log_variance: Array, ratio: float) -> Array:
    """Coefficients of the log variance of residuals whose variance is larger by a factor."""
    return np.append(log_variance[0] + np.log(ratio), log_variance[1:])


def _with_log_variance(
    start: ControlVariable, functions: Array, action: Array, units: Array
) -> ControlVariable:
    """Estimate the coefficients of the log variance of an action given its causes.

    Gamma regression of squared residuals with a logarithmic link, by iteratively reweighted least
    squares (McCullagh and Nelder, *Generalized Linear Models*, 1989, chapter 8), whose weights are
    constant.
    """
    one, fit = np.ones(len(units)), None
    of_mean = _regression(CrossProducts.of(functions, action, units, one), start.bases)
    if of_mean is None:
        return start
    squares = (action - functions @ of_mean.mean) ** 2
    start = replace(start, log_variance=_scaled(start.log_variance, of_mean.variance))
    for _ in range(START_ITERATIONS):
        variance = start.sd(functions) ** 2
        response = np.log(variance) + squares / variance - 1
        fit = _regression(CrossProducts.of(functions, response, units, one), start.bases, fit, 2)
        if fit is None:
            break
        start = replace(start, log_variance=fit.mean)
    return start


def _control_variable(start: ControlVariable, cross: CrossProducts) -> ControlVariable | None:
    """Control variable from cross products; None if the causes explain nothing."""
    fit = _regression(cross, start.bases)
    if fit is None:
        return None
    xx = cross.products[:-1, :-1]
    # Principal axes of the error of the fitted mean over the rows.
    values, vectors = np.linalg.eigh(fit.root.T @ xx @ fit.root)
    axes = fit.root @ vectors[:, np.cumsum(values) > NEGLIGIBLE * values.sum()]
    # An eigensolver leaves the signs open.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    log_variance = _scaled(start.log_variance, fit.variance)
    return replace(start, coefficients=fit.mean, log_variance=log_variance, root=axes)

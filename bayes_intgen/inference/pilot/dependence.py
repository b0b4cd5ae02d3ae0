"""Dependence between rows of a unit that follow each other, and what it adds to the posterior.

The likelihood takes rows as independent. If noise and hidden causes persist, its estimates stay
consistent, since the mean of an outcome given the actions of its own row is the same (Pepe and
Anderson, Communications in Statistics 1994), but their covariance V X'WX V + V S^-2 V does not:
with covariances R of the noise of rows, over its variances in the fit, it is
V X'W^(1/2) R W^(1/2) X V + V S^-2 V (Liang and Zeger, Biometrika 1986). The difference is added to
draws of the coefficients, in the directions in which it is positive. Terms are selected by scores
with the same excess: it is large where a column persists as noise does, and zero where it does not.
"""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.in_time import gaps, step_of
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.passes import row_weights
from bayes_intgen.inference.gaussian.sufficient_statistics import GroupSums
from bayes_intgen.inference.pilot.residuals import (
    MAX_LAG,
    column_sums,
    within_groups,
    without_effects,
)
from bayes_intgen.inference.settings import INDEPENDENT, Autocorrelation
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import VarianceFunction

# Correlations of the persistent part of the noise, from one row to the next, that are compared.
DECAYS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
# Number of simulated tables of noise from which moments of residuals are computed.
SIMULATIONS = 20
# Standard errors by which residuals of neighbouring rows must be correlated; without a time.
MIN_Z, MIN_Z_OF_NEIGHBOURS = 2.5, 4.0
# Number of neighbouring rows, and of places in the table, that are looked at without a time.
NEIGHBOURS, PLACES = 500, 8


# Rows by unit and time: their columns over the standard deviation of the noise, whether an action
# was set, their unit and their time.
Batch = tuple[Array, NDArray[np.int_], NDArray[np.int_], Array]


def correlated_draws(
    data: Rows, fit: Mode, shape: tuple[int, ...], seed: int
) -> tuple[Array, Autocorrelation]:
    """Draw what dependence adds to the coefficients, shape (*shape, P); estimate the correlation.

    Zero where residuals of rows that follow each other are not correlated, or rows have no time.
    These may still follow each other in an order that can be seen: see :func:`_unknown_order`.

    Parameters
    ----------
    data : Rows
        Rows whose noise is Gaussian, as the fit takes it to be.
    fit : Mode
        With all terms.
    shape : tuple of int
    seed : int
    """
    terms, conditional = fit.terms, fit.conditional
    nothing = np.zeros((*shape, terms.size))
    if not data.columns.time:
        rows = data if isinstance(data, Observations) else data.opening
        return nothing, _unknown_order(rows, _Scores(fit))
    added, correlation = _added(data, fit, terms, seed)
    if not added.size:
        return nothing, correlation
    root = conditional.root
    directions, excess = _positive_root(root.T @ added @ root)
    normal = generator(seed, "dependence").standard_normal(nothing.shape)
    inflation = 1 + float(excess / conditional.share.sum())
    correlation = correlation._replace(inflation=inflation)
    return np.asarray(normal @ (root @ directions).T), correlation


def dependence_of_scores(data: Rows, fit: Mode, terms: Decomposition, squares: Array) -> Array:
    """Root of what dependence adds to the covariance of the scores X'We / sigma^2, shape (P, Q).

    Of some terms, e being the noise. Without a time, and without correlation, Q is zero.

    Parameters
    ----------
    data : Rows
    fit : Mode
        Its residuals show the correlation.
    terms : Decomposition
    squares : ndarray, shape (P,)
        Diagonal of X'WX.
    """
    added = np.zeros((0, 0))
    if data.columns.time:
        added, _ = _added(data, fit, terms, seed=0)
    if not added.size:
        return np.zeros((terms.size, 0))
    scale = np.sqrt(squares) / fit.noise_sd
    scale[scale == 0] = 1.0
    root, _ = _positive_root(added / np.outer(scale, scale))
    return np.asarray(scale[:, None] * root)


def _added(data: Rows, fit: Mode, terms: Decomposition, seed: int) -> tuple[Array, Autocorrelation]:
    """What dependence adds to the covariance of scores, shape (P, P), or empty; the correlation."""
    rows = data.opening
    apart = gaps(rows)
    step, nothing = step_of(apart), (np.zeros((0, 0)), INDEPENDENT)
    if not step > 0:
        return nothing
    noise = _estimated(rows, apart / step, _Scores(fit), seed)
    if not noise.persistent.any():
        return nothing
    design = _design(data, terms, fit.spread)

    def of_batch(rows: Observations) -> Batch:
        rows = rows.by_time
        assert rows.series is not None
        assert rows.time is not None
        root = np.sqrt(row_weights(fit.spread, rows))[:, None] / fit.noise_sd
        return root * design(rows), _in_experiment(rows), rows.series, rows.time

    total = partial(_half_of_excess, noise, step, terms.size)
    half = data.by_time.map_reduce(of_batch, np.add, "Dependence", False, total)
    return half + half.T, noise.correlation(data, step)


def _positive_root(matrix: Array) -> tuple[Array, float]:
    """Root of the positive part of a symmetric matrix, shape (P, P), and its trace."""
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(values, 0)
    return vectors * np.sqrt(values), float(values.sum())


def _unknown_order(data: Observations, scores: "_Scores") -> Autocorrelation:
    """Strongest correlation of neighbours in the order of the table, or of dates within groups.

    Of some thousand rows.
    """
    strongest, columns, inputs = INDEPENDENT, data.columns, data.covariates
    for time, unit in [("", ""), *product(columns.dates, ["", *columns.groups])]:
        keys = [inputs[:, columns.every.index(name)] for name in (time, unit) if name]
        order = np.lexsort(keys) if keys else np.arange(len(data))
        starts = np.linspace(0, max(len(data) - NEIGHBOURS, 0), PLACES).astype(int)
        some = np.unique(starts[:, None] + np.arange(min(NEIGHBOURS, len(data))))
        rows = data.take(order[some])
        same = np.diff(some) == 1
        if unit:
            same &= np.diff(rows.covariates[:, columns.every.index(unit)]) == 0
        left = scores.residuals(rows)[:, 0]
        products = (left[1:] * left[:-1])[same] / np.mean(left**2)
        if products.size and products.sum() > MIN_Z_OF_NEIGHBOURS * np.sqrt(products.size):
            found = INDEPENDENT._replace(
                share=1.0, decay=float(products.mean()), time=time, unit=unit
            )
            strongest = max(strongest, found, key=lambda own: own.next)
    return strongest


class _Scores(NamedTuple):
    """Columns and residuals of rows, over the standard deviation of the noise.

    Random effects are subtracted from both.
    """

    fit: Mode

    def columns(self, rows: Observations) -> Array:
        """Columns of rows, shape (n, P)."""
        return self._over_noise(rows, self.fit.terms.design(rows))

    def residuals(self, rows: Observations) -> Array:
        """Residuals of the outcomes of rows, shape (n, 1)."""
        terms = self.fit.terms
        mean = terms.centre + terms.design(rows) @ self.fit.conditional.mean
        return self._over_noise(rows, (rows.outcome - mean)[:, None])

    def of_noise(self, rows: Observations, columns: Array, noise: Array) -> Array:
        """Residuals, shape (n, S), of rows with such columns whose outcomes are standard noise."""
        sd = self.fit.noise_sd / np.sqrt(row_weights(self.fit.spread, rows))
        fitted = columns @ (self.fit.conditional.covariance @ (columns.T @ noise))
        return self._over_noise(rows, sd[:, None] * noise) - fitted

    def _over_noise(self, rows: Observations, values: Array) -> Array:
        precision, effects = row_weights(self.fit.spread, rows), self.fit.terms.random_effects
        if effects is not None:
            values = within_groups(rows, effects, values, precision)
        return np.asarray(np.sqrt(precision)[:, None] / self.fit.noise_sd * values)


class _Noise(NamedTuple):
    """Parts of the noise of rows without experiment and with, over what the fit takes it to be.

    Attributes
    ----------
    persistent, independent : ndarray, shape (2,)
        Variances of an autoregression of order one, and of what is new in every row.
    decay : float
        Correlation of the persistent part from one step to the next.
    """

    persistent: Array
    independent: Array
    decay: float

    def correlation(self, data: Rows, step: float) -> Autocorrelation:
        """Correlation of the noise on average over the rows."""
        inside = sum(count for mask, count in data.regimes.items() if any(mask))
        own, other = ([len(data) - inside, inside] @ part for part in self[:2])
        return Autocorrelation(float(own / (own + other)), self.decay, step)


def _estimated(rows: Observations, steps: Array, scores: _Scores, seed: int) -> _Noise:
    """Parts of the noise by simulated moments: products of residuals as in tables with such noise.

    ``steps``, shape (n,), is the time since the row before, infinite for the first row of a unit.

    Residuals of a fit are smaller and less correlated than the noise, where experiments are short
    more so; and hidden causes of an action that was set are part of the noise as a whole. Moments
    are linear in the variances of both parts, which are fitted by least squares for each decay
    (method of simulated moments: McFadden, Econometrica 1989).
    """
    normal = generator(seed, "correlation").standard_normal((len(rows), SIMULATIONS))
    lags = np.arange(min(MAX_LAG + 1, len(rows)))
    position, which = _positions(steps), _in_experiment(rows)
    # Pairs of rows of a unit, so many rows apart, without experiment and with; others last.
    kinds = [
        np.where((position[m:] >= m) & (which[m:] == which[: len(rows) - m]), which[m:], 2)
        for m in lags
    ]

    def moments(left: Array) -> Array:
        """Sums of the products of residuals of such pairs, shape (2, lags)."""
        means = [np.mean(left[m:] * left[: len(left) - m], axis=1) for m in lags]
        sums = [np.bincount(*own, minlength=3)[:2] for own in zip(kinds, means, strict=True)]
        return np.stack(sums, axis=1)

    pairs = np.stack([np.bincount(own, minlength=3)[:2] for own in kinds], axis=1).astype(float)
    weights = 1 / np.sqrt(np.maximum(pairs, 1))
    columns, observed = scores.columns(rows), moments(scores.residuals(rows))
    independent = moments(scores.of_noise(rows, columns, normal))
    best, found, strongest = np.inf, _Noise(np.zeros(2), np.ones(2), 0.0), 0.0
    for decay in DECAYS:
        noise = _autoregression(normal, decay**steps)
        persistent = moments(scores.of_noise(rows, columns, noise))
        z = _z_of_excess(decay ** lags[1:].astype(np.float64), observed, independent, pairs)
        parts = np.stack([persistent, independent], axis=2) * weights[:, :, None]
        fits = [nnls(own, target) for own, target in zip(parts, observed * weights, strict=True)]
        loss, strongest = sum(loss**2 for _, loss in fits), max(strongest, z)
        if loss < best:
            best, (own, other) = loss, np.stack([variances for variances, _ in fits], axis=1)
            seen = pairs[:, 0] > 0
            # A kind that is not among these rows has noise like the other's.
            own, other = (np.where(seen, part, part[seen][0]) for part in (own, other))
            found = _Noise(own, other, decay)
    return found if strongest > MIN_Z else _Noise(np.zeros(2), np.ones(2), 0.0)


def _z_of_excess(kernel: Array, observed: Array, independent: Array, pairs: Array) -> float:
    """Correlation of residuals beyond that of a fit to independent rows, in standard errors."""
    every, alone, count = (own.sum(axis=0) for own in (observed, independent, pairs))
    excess = kernel @ (every / every[0] - alone / alone[0])[1:] * count[0]
    return float(excess / np.sqrt(kernel**2 @ count[1:]))


def _positions(gaps: Array) -> NDArray[np.intp]:
    """Number of rows of the unit before each row."""
    number = np.arange(len(gaps))
    return number - np.maximum.accumulate(np.where(np.isinf(gaps), number, 0))


def _by_position(decay: Array) -> list[NDArray[np.intp]]:
    """Rows with one row before them on which they depend, with two, and so on."""
    position = _positions(np.where(decay > 0, 1.0, np.inf))
    order = np.argsort(position, kind="stable")
    return np.split(order, np.cumsum(np.bincount(position))[:-1])[1:]


def _autoregression(normal: Array, decay: Array) -> Array:
    """Autoregressions of unit variance, shape (n, S), from standard normal numbers."""
    out = normal.copy()
    for rows in _by_position(decay):
        own = decay[rows, None]
        out[rows] = own * out[rows - 1] + np.sqrt(1 - own**2) * normal[rows]
    return out


def _in_experiment(rows: Observations) -> NDArray[np.int_]:
    """Whether an action was set, as 0 or 1, shape (n,)."""
    return rows.intervened.any(axis=1).astype(int)


def _design(
    data: Rows, terms: Decomposition, spread: VarianceFunction
) -> Callable[[Observations], Array]:
    """Function that gives the columns of rows, without random effects."""
    effects = terms.random_effects
    if effects is None:
        return terms.design

    def of_batch(rows: Observations) -> GroupSums:
        return column_sums(rows, effects, terms.design(rows), row_weights(spread, rows))

    sums: GroupSums = data.map_reduce(of_batch, GroupSums.merge, "Sums of groups", False)
    return lambda rows: without_effects(rows, effects, terms.design(rows), sums)


def _half_of_excess(noise: _Noise, step: float, size: int, batches: Iterable[Batch]) -> Array:
    """Half of what noise that persists adds to the covariance of the columns of rows, (P, P).

    That is the columns of a row times those of the rows of its unit before it, with weights that
    decay, and half of the excess of its own variance: summed over consecutive batches.
    """
    out, nothing = np.zeros((size, size)), (-np.inf, np.zeros(size))
    last = dict[int, tuple[float, Array]]()
    for columns, which, series, time in batches:
        sd = np.sqrt(noise.persistent)[which][:, None]
        excess = np.maximum(noise.persistent + noise.independent - 1, 0)[which][:, None]
        units, starts = np.unique(series, return_index=True)
        # The last row of each unit so far stands before its rows in this batch.
        times, sums = zip(*(last.get(unit, nothing) for unit in units.tolist()), strict=True)
        every, before = np.insert(time, starts, times), np.insert(sd * columns, starts, sums, 0)
        is_row = np.insert(np.ones(len(series), dtype=bool), starts, False)
        apart = np.where(is_row, np.diff(every, prepend=0.0), np.inf)
        decay, lagged = noise.decay ** (apart / step), np.zeros_like(before)
        for at in _by_position(decay):
            lagged[at] = decay[at, None] * (lagged[at - 1] + before[at - 1])
        ends = np.append(starts[1:], len(series)) + np.arange(len(units))
        so_far = zip(every[ends].tolist(), lagged[ends] + before[ends], strict=True)
        last.update(zip(units.tolist(), so_far, strict=True))
        out += (sd * lagged[is_row] + excess * columns / 2).T @ columns
    return out

"""Residuals of the pilot fit: variances of random effects, and outcomes far from the fit.

Variances of random effects are estimated by maximum likelihood, relative to that of the noise. A
random effect of each row is what the units have in common of which the row is the mean.

Where outcomes lie far from the fit, the mean and its intervals hang on a few rows: they inflate the
noise, distort its variance function and pull the fit. Noise that is merely skewed, as hidden causes
often are, has tails that fall at least exponentially, and no such rows.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.passes import row_weights, unit_precision
from bayes_intgen.inference.gaussian.sufficient_statistics import GroupSums
from bayes_intgen.models.terms import RandomEffects
from bayes_intgen.models.variance_function import VarianceFunction

# Bounds of the ratio of variances: beyond them groups are alike, or noise is negligible.
MIN_RATIO, MAX_RATIO = 1e-6, 1e6
# Minimum log likelihood that an intraclass correlation gains: less is rounding, as where all rows
# have the same number of units.
MIN_GAIN = 1e-3
# Tail probabilities between which the rate of an exponential tail is estimated: more typing errors
# than a fifth of these would be needed to change it much.
TAILS = (0.2, 0.1)
# Standard errors of that rate by which the tail may be longer than estimated.
STANDARD_ERRORS = 1.64
# Expected number of rows beyond the limit on either side, if the tail is exponential.
EXPECTED_ROWS = 0.01
# Minimum share of the residual sum of squares in such rows: less hardly changes any interval.
MIN_SHARE = 0.05
# Standard deviation of a normal variable over its median absolute deviation.
NORMAL_MAD = 1.4826
# Maximum distance of rows whose residuals are compared, and standard errors by which they are
# correlated.
MAX_LAG, MIN_Z = 12, 2.0


def residuals(data: Observations, fit: Mode, progress: bool, of_fit: bool = True) -> Array:
    """Leverage-corrected residuals of a fit, shape (N,).

    Random effects are subtracted. The rows may be means of several units, by their weights.

    The variance of a row's residual is that of its noise times 1 - h, with leverage h (HC2:
    MacKinnon and White 1985), and of a row that is not ``of_fit`` times 1 + h.
    """
    terms, conditional, spread = fit.terms, fit.conditional, fit.spread
    # Single precision suffices for leverages, and takes half the time.
    root = (conditional.root / conditional.noise_sd).astype(np.float32)

    def of_batch(batch: Observations) -> Array:
        design = terms.design(batch)
        of_unit = np.sum((design.astype(np.float32) @ root) ** 2, axis=1)
        leverage = row_weights(spread, batch) * of_unit
        residual = batch.outcome - terms.centre - design @ conditional.mean
        variance = np.clip(1 - leverage, 0.05, 1) if of_fit else 1 + leverage
        return np.asarray(residual / np.sqrt(variance))

    own = np.concatenate(list(data.map_batches(of_batch, "Residuals", progress)))
    if terms.random_effects is None:
        return own
    precision = row_weights(spread, data)
    return within_groups(data, terms.random_effects, own[:, None], precision)[:, 0]


def within_groups(
    data: Observations, effects: RandomEffects, columns: Array, precision: Array
) -> Array:
    """Subtract the predicted effects of each row's group (BLUP) from columns, shape (N, C)."""
    return without_effects(data, effects, columns, column_sums(data, effects, columns, precision))


def column_sums(
    data: Observations, effects: RandomEffects, columns: Array, precision: Array
) -> GroupSums:
    """Sums of columns over the rows of each group."""
    of_rows = effects.of_rows(data.inputs)
    return GroupSums.over(*of_rows, columns[:, :-1], columns[:, -1], precision)


def without_effects(
    data: Observations, effects: RandomEffects, columns: Array, sums: GroupSums
) -> Array:
    """Subtract the effects of each row's group, predicted from sums, shape (N, C)."""
    codes, functions = effects.of_rows(data.inputs)
    shrunk = sums.zz + np.diag(1 / np.array(effects.ratio))
    predicted = np.linalg.solve(shrunk, sums.cross)
    which = np.searchsorted(sums.codes, codes)
    return np.asarray(columns - np.einsum("nq,nqc->nc", functions, predicted[which]))


def estimate_ratio(
    data: Observations, effects: RandomEffects, residuals: Array, spread: VarianceFunction
) -> RandomEffects:
    """Estimate the variance ratios from residuals of a fit, by maximum likelihood.

    Parameters
    ----------
    data : Observations
    effects : RandomEffects
    residuals : ndarray, shape (N,)
        Outcomes minus fitted means, with the random effects in them.
    spread : VarianceFunction
    """
    loss = _loss(data, *effects.of_rows(data.inputs), residuals, spread)
    start = np.log(np.array(effects.ratio))
    bounds = [(np.log(MIN_RATIO), np.log(MAX_RATIO))] * len(start)
    result = minimize(
        lambda log_ratio: loss(np.exp(log_ratio)), start, method="L-BFGS-B", bounds=bounds
    )
    return replace(effects, ratio=tuple(np.exp(result.x).tolist()))


def estimate_intraclass_correlation(data: Observations, residuals: Array) -> float:
    """Share of a unit's variance that the units of a row have in common, by maximum likelihood.

    Zero where the residuals of means of many units are as small as those of independent units.

    Parameters
    ----------
    data : Observations
        Rows with weights.
    residuals : ndarray, shape (N,)
    """
    assert data.weights is not None
    rows, one = np.arange(len(data)), np.ones((len(data), 1))
    loss = _loss(data, rows, one, residuals, VarianceFunction())
    median = np.median(data.weights)

    def ratio(share: float) -> Array:
        """Ratio of variances with this share of the variance of a row of median size."""
        return np.array([share / (1 - share) / median])

    result = minimize_scalar(lambda share: loss(ratio(share)), bounds=(0, 1), method="bounded")
    if loss(ratio(MIN_RATIO)) - result.fun < MIN_GAIN:
        return 0.0
    return float(1 / (1 + 1 / ratio(result.x)[0]))


def _loss(
    data: Observations,
    codes: NDArray[np.int_],
    effects: Array,
    residuals: Array,
    spread: VarianceFunction,
) -> Callable[[Array], float]:
    """Minus the log likelihood of variance ratios (q,) of effects (N, q) of groups.

    The variance of the noise is profiled out.
    """
    precision, blank = row_weights(spread, data), np.zeros((len(data), 0))
    sums = GroupSums.over(codes, effects, blank, residuals, precision)
    squares, rows = float(precision @ residuals**2), len(data)
    if data.weights is not None and data.within is not None:
        squares += float(data.within @ unit_precision(spread, data))
        rows += int((data.weights - 1).sum())

    def loss(ratio: Array) -> float:
        effect = sums.regression(ratio)
        return float(rows * np.log(squares - np.sum(effect.half**2)) + effect.log_det) / 2

    return loss


def independent_share(data: Observations, residuals: Array) -> float:
    """Number of independent rows that tell as much of a mean, over the number of rows.

    By correlations of residuals of rows of a unit that follow each other, as long as they are
    positive (Geyer, Statistical Science 1992), in the mean over columns, if there are several; one
    without a time.
    """
    left = residuals.reshape(len(residuals), -1)
    left = left[:, left.any(axis=0)]
    if data.series is None or data.time is None or not left.size:
        return 1.0
    order = np.lexsort((data.time, data.series))
    left, series = left[order] / np.sqrt(np.mean(left**2, axis=0)), data.series[order]
    # Variance of the mean over columns of products of independent rows.
    variance, total = np.mean((left.T @ left / len(left)) ** 2), 1.0
    for lag in range(1, MAX_LAG + 1):
        products = (left[lag:] * left[:-lag]).mean(axis=1)[series[lag:] == series[:-lag]]
        if not products.sum() > MIN_Z * np.sqrt(variance * products.size):
            break
        total += 2 * float(products.mean())
    return 1 / total


class FarOutcomes(NamedTuple):
    """Far outcomes of a fit.

    Attributes
    ----------
    above, below : int
        Numbers of outcomes far above and far below the fit.
    rows : int
        Number of rows that were examined.
    distance : float
        Distance of the farthest from the fit, in robust standard deviations of the noise.
    limit : float
        Distance beyond which outcomes count as far, the smaller of both sides.
    share : float
        Share of these rows in the residual sum of squares.
    row : int
        Row of the farthest outcome, from zero; -1 if rows were left out, or are a sample.
    value : float
        That outcome.
    """

    above: int
    below: int
    rows: int
    distance: float
    limit: float
    share: float
    row: int
    value: float

    @classmethod
    def of(cls, data: Rows, rows: Observations, standardised: Array) -> Self | None:
        """Find far outcomes; None if there are none, or they hardly matter.

        Parameters
        ----------
        data : Rows
            All rows of a fit.
        rows : Observations
            Those with residuals.
        standardised : ndarray, shape (n,)
            Residuals over their standard deviations.
        """
        centred = standardised - np.median(standardised)
        scale = NORMAL_MAD * float(np.median(np.abs(centred)))
        if not scale > 0:
            return None
        limits = exponential_limit(centred), exponential_limit(-centred)
        above, below = centred > limits[0], -centred > limits[1]
        far = above | below
        share = float(np.sum(centred[far] ** 2) / np.sum(centred**2))
        if share < MIN_SHARE:
            return None
        farthest = int(np.argmax(np.where(far, np.abs(centred), 0)))
        return cls(
            int(above.sum()),
            int(below.sum()),
            len(rows),
            float(np.abs(centred[farthest]) / scale),
            min(limits) / scale,
            share,
            _row_in(data, rows, farthest),
            float(rows.outcome[farthest]),
        )

    def to_dataset(self) -> xr.Dataset:
        """Convert to scalars, for storage with a fit."""
        return labelled_dataset({f"far_{n}": ((), value) for n, value in self._asdict().items()})

    @classmethod
    def of_dataset(cls, dataset: xr.Dataset) -> Self | None:
        """Read from :meth:`to_dataset`; None if there are none."""
        if "far_rows" not in dataset:
            return None
        return cls(*(dataset[f"far_{name}"].item() for name in cls._fields))


def exponential_limit(values: Array) -> float:
    """Value that an exponential upper tail exceeds ``EXPECTED_ROWS`` times in as many values.

    Examples
    --------
    >>> round(exponential_limit(np.random.default_rng(0).exponential(size=1_000_000)))
    19
    """
    begin, end = np.quantile(values, 1 - np.array(TAILS))
    steps = np.log(TAILS[0] / TAILS[1])
    error = np.sqrt((1 / TAILS[1] - 1 / TAILS[0]) / len(values)) / steps
    mean_excess = (end - begin) / steps * (1 + STANDARD_ERRORS * error)
    return float(end + mean_excess * np.log(len(values) * TAILS[1] / EXPECTED_ROWS))


def _row_in(data: Rows, rows: Observations, which: int) -> int:
    """Row of the table that is row ``which`` of some rows, which may be in another order."""
    if not isinstance(data, Observations) or not data.is_whole:
        return -1
    same: NDArray[np.bool_] = data.outcome == rows.outcome[which]
    same &= (data.actions == rows.actions[which]).all(axis=1)
    return int(same.argmax()) if same.any() else -1

"""Convergence of Markov chains: R-hat, effective sample sizes, and the stopping rule.

The only implementation, for the stopping rule, the warnings, the summary and the report (Vehtari et
al., "Rank-normalization, folding, and localization", Bayesian Analysis 2021; equations in comments
are theirs). ArviZ's functions take 1.2 s to import, and four times as long.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri

from bayes_intgen._typing import Array
from bayes_intgen.identification.regimes import Mask
from bayes_intgen.models import Model

RHAT_LIMIT = 1.01
ESS_LIMIT = 400
# Probabilities of the quantiles that bound the tails, as in ArviZ.
TAIL_PROBABILITIES = (0.11, 0.89)
# Minimum and maximum draws per chain, if their number is not fixed.
MIN_DRAWS, MAX_DRAWS = 200, 2000
# Maximum growth factor of the number of draws between two assessments of convergence.
MAX_GROWTH = 1.25
# Number of rows of the monitored effect.
N_POINTS = 20


class Convergence(NamedTuple):
    """R-hat and effective sample sizes of every quantity, each shape (quantity,).

    Attributes
    ----------
    names : sequence of str
        Names of the quantities; empty where they do not matter.
    rhat : ndarray
        Split R-hat of the ranks, or of the folded ranks if larger; NaN for a single chain.
    ess_bulk, ess_tail : ndarray
        In the bulk and in the tails; NaN if a draw is not finite.
    """

    names: Sequence[str]
    rhat: Array
    ess_bulk: Array
    ess_tail: Array

    @property
    def ess(self) -> Array:
        """Smaller of the effective sample sizes in the bulk and in the tails."""
        return np.minimum(self.ess_bulk, self.ess_tail)

    @classmethod
    def of(cls, draws: Array, names: Sequence[str] = ()) -> Self:
        """Assess draws, shape (chain, draw, quantity)."""
        half = draws.shape[1] // 2
        halves = np.concatenate([draws[:, :half], draws[:, -half:]])
        folded = np.abs(halves - np.median(halves, axis=(0, 1)))
        ends = np.quantile(draws, TAIL_PROBABILITIES, axis=(0, 1))
        tails = [(halves <= end).astype(float) for end in ends]
        # Sorting and Fourier transforms release the GIL.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            scores, of_folded = pool.map(_normal_scores, [halves, folded])
            ess_bulk, *ess_tails = pool.map(_ess_of_mean, [scores, *tails])
        rhat = np.maximum(_rhat(scores), _rhat(of_folded))
        finite = np.where(np.isfinite(draws).all(axis=(0, 1)), 1.0, np.nan)
        return cls(names, rhat, finite * ess_bulk, finite * np.minimum(*ess_tails))


def _rhat(scores: Array) -> Array:
    """R-hat of the halves of chains (half, draw, quantity); NaN for a single chain."""
    if len(scores) <= 2:
        return np.full(scores.shape[2], np.nan)
    within, total = _variances(scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(total / within))


def _ess_of_mean(values: Array) -> Array:
    """Effective sample size for the mean of values (chain, draw, quantity)."""
    count, length = values[..., 0].size, values.shape[1]
    within, total = _variances(values)
    # Autocovariance of every chain at all lags. Twice as long, so that the ends of a chain do not
    # meet.
    padded = next_fast_len(2 * length, real=True)
    spectrum = rfft(values - values.mean(axis=1, keepdims=True), padded, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    autocovariance = irfft(power, padded, axis=1)[:, :length] / length
    with np.errstate(invalid="ignore", divide="ignore"):
        # Equation 10.
        correlation = 1 - (within - autocovariance.mean(axis=0)) / total
        correlation[0] = 1
        # Sums of neighbouring lags are positive and fall (Geyer, "Practical Markov chain Monte
        # Carlo", Statistical Science 1992, section 3.3).
        pairs = correlation[:-1:2] + correlation[1::2]
        pairs[1:] = np.minimum.accumulate(np.clip(pairs[1:], 0, None), axis=0)
        size = count / (2 * pairs.sum(axis=0) - 1)
    # Antithetic draws are worth more than independent ones, but the excess is mostly noise.
    maximum = count * np.log10(count)
    size = np.where(size <= 0, maximum, np.minimum(size, maximum))
    return np.where(np.ptp(values, axis=(0, 1)) > 0, size, count)


def _variances(values: Array) -> tuple[Array, Array]:
    """Variance within chains (chain, draw, quantity), and with that between them (equation 3)."""
    length = values.shape[1]
    within = values.var(axis=1, ddof=1).mean(axis=0)
    return within, within * (length - 1) / length + values.mean(axis=1).var(axis=0, ddof=1)


def _normal_scores(draws: Array) -> Array:
    """Standard normal quantiles at the ranks of every quantity's draws; ties have average ranks."""
    flat = np.ascontiguousarray(draws.reshape(-1, draws.shape[2]).T)
    ranks = np.empty(flat.shape)
    for of_quantity, values in zip(ranks, flat, strict=True):
        _, which, counts = np.unique(
            values, return_inverse=True, return_counts=True, equal_nan=False
        )
        of_quantity[:] = (np.cumsum(counts) - (counts - 1) / 2)[which]
    scores = ndtri((ranks - 3 / 8) / (flat.shape[1] + 1 / 4))
    return np.asarray(scores.T.reshape(draws.shape))


def additional_draws(short: float, done: int, block_size: int) -> int:
    """Decide how many draws per chain to add, in whole blocks, to those that are done.

    Parameters
    ----------
    short : float
        Largest of their :func:`shortfalls`.
    done, block_size : int

    Examples
    --------
    >>> additional_draws(1.1, 200, 25)
    25
    """
    if short <= 1:
        return 0
    # Few draws exaggerate the shortfall: one excursion of one chain may cost a hundred draws.
    blocks = math.ceil((min(short, MAX_GROWTH) - 1) * done / block_size)
    return int(max(min(blocks * block_size, MAX_DRAWS - done), 0))


def shortfalls(draws: Array) -> Array:
    """Estimate the ratio of the number of draws that convergence needs to the present number.

    At most one if these suffice, and infinite if it cannot be estimated.

    Parameters
    ----------
    draws : ndarray, shape (chain, draw, quantity)

    Returns
    -------
    ndarray, shape (quantity,)
    """
    if not np.isfinite(draws).all():
        return np.full(draws.shape[2], np.inf)
    assessed = Convergence.of(draws)
    # R-hat - 1 is about inversely proportional to the number of draws. R-hat is NaN for a quantity
    # that never changes, and for a single chain.
    excess = np.nan_to_num(assessed.rhat, nan=1.0) - 1
    short = np.maximum(ESS_LIMIT / assessed.ess, excess / (RHAT_LIMIT - 1))
    return np.where(np.isfinite(short), short, np.inf)


def monitored_points(
    model: Model, regimes: Sequence[Mask], rows: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Points and masks of the effect that is monitored, shape (N_POINTS, K) each.

    Points are evenly spaced among ``rows``, the reference rows, which a fit keeps. All actions are
    set, or those of an observed regime if the joint effect is not identified.
    """
    points = np.asarray(rows[np.linspace(0, len(rows) - 1, N_POINTS).astype(int)])
    joint = (True,) * points.shape[1]
    mask = joint if model.identifies(regimes, joint) else regimes[0]
    return points, np.tile(np.array(mask, dtype=bool), (len(points), 1))

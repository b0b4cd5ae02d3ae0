"""A smaller posterior of the same hyperparameters, for a sampler to walk.

Of the coefficients of every function, those of high frequency are ones of which the data say
next to nothing wherever the hyperparameters are likely to be. Integrated out beforehand, each
with a prior standard deviation that stays in proportion to the noise, they change the density
of the hyperparameters hardly at all, while a gradient costs the cube of what is left. A sampler
walks the smaller posterior, and accepts or refuses where it arrives by the exact one: delayed
acceptance (Christen and Fox, "Markov chain Monte Carlo using an approximation", JCGS 2005).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.condense import Condensed

# Share of its prior variance that the data may take from a coefficient that is left out,
# anywhere that was looked: with less the exact density accepts more than nine draws in ten.
LEAST_SHARE = 0.07
# With fewer coefficients than this, or more than this share of them left, the second step and its
# compilation cost what they save.
LEAST_SIZE = 100
MOST_KEPT = 0.9
# How far each hyperparameter is moved: until the energy has risen by at least the one, and, if
# that overshoots, at most the other. A normal one rises by 2 at two standard deviations.
RISE = (2.0, 6.0)


def coarse(posterior: Collapsed, mode: Array, covariance: Array) -> Collapsed | None:
    """A smaller posterior that is close to the exact one, where there is one.

    Parameters
    ----------
    posterior : Collapsed
    mode : ndarray, shape (D,)
    covariance : ndarray, shape (D, D)
        The posterior's, roughly.

    Returns
    -------
    Collapsed or None
        Over the same hyperparameters, with fewer coefficients; None where it would not save time.
    """
    if posterior.size < LEAST_SIZE:
        return None
    at_mode = posterior.given(posterior.sites(mode))
    lowest = posterior.value(mode)

    def largest_share(i: int) -> Array:
        along = covariance[i] / covariance[i, i]
        points = [
            mode + _far_out(posterior, mode, lowest, side * along, np.sqrt(covariance[i, i]))
            for side in (-1, 1)
        ]
        shares = [posterior.given(posterior.sites(point)).share for point in points]
        return np.asarray(np.max(shares, axis=0))

    with ThreadPoolExecutor() as pool:
        share = np.max([at_mode.share, *pool.map(largest_share, range(len(mode)))], axis=0)
    dropped = np.flatnonzero((share < LEAST_SHARE) & ~_needed(posterior))
    if len(dropped) < (1 - MOST_KEPT) * posterior.size:
        return None
    return without(posterior, dropped, at_mode.sd[dropped] / at_mode.noise_sd)


def without(posterior: Collapsed, dropped: NDArray[np.int_], ratio: Array) -> Collapsed:
    """The posterior with coefficients integrated out at fixed prior standard deviations.

    Parameters
    ----------
    posterior : Collapsed
    dropped : ndarray of int
        Columns of coefficients with a prior mean of zero that no known row depends on.
    ratio : ndarray, shape (len(dropped),)
        Their prior standard deviations, in units of the noise's.
    """
    condensed = Condensed.of(posterior.sums, dropped, ratio)
    priors = posterior.priors.of_columns(condensed.kept)
    return Collapsed(priors, condensed.sums, posterior.terms)


def _far_out(posterior: Collapsed, mode: Array, lowest: float, along: Array, sd: float) -> Array:
    """How far it is from the mode to where one hyperparameter is far out, shape (D,).

    The curvature at the mode knows nothing of long tails: the hyperparameter goes on, the others
    following their conditional means, until the energy says that it is far out.
    """
    enough, most = RISE
    distance = 2 * sd
    for _ in range(6):
        rise = posterior.value(mode + distance * along) - lowest
        if rise > enough:
            break
        distance *= 1.5
    while rise > most:
        distance *= 0.8
        rise = posterior.value(mode + distance * along) - lowest
    return distance * along


def _needed(posterior: Collapsed) -> NDArray[np.bool_]:
    """Coefficients that cannot be integrated out beforehand, shape (P,)."""
    needed: NDArray[np.bool_] = posterior.priors.mean != 0
    if posterior.sums.known is not None:
        needed = needed | np.any(np.asarray(posterior.sums.known.matrix) != 0, axis=0)
    return needed

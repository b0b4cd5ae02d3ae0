"""A cheaper posterior of the same hyperparameters, for a sampler to walk.

Of the coefficients of every function, those of high frequency are ones of which the data say
next to nothing wherever the hyperparameters are likely to be. Integrated out beforehand, each
with a prior standard deviation that stays in proportion to the noise, they change the density
of the hyperparameters hardly at all, while a gradient costs the cube of what is left. Nor is it
changed much where what is left is factorised in single precision, which takes two thirds of the
time. A sampler walks the cheaper posterior, and accepts or refuses where it arrives by the exact
one: delayed acceptance (Christen and Fox, "Markov chain Monte Carlo using an approximation", JCGS
2005).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.condense import Condensed
from bayes_intgen.conditional import Conditional
from bayes_intgen.targets import Target

# With fewer coefficients than this, compiling the second step costs what single precision saves.
LEAST_SIZE = 200
# What has to be saved of a gradient for another size to be worth compiling, in cubes of
# coefficients factorised in double precision; and what single precision takes of that.
LEAST_SAVED = 200**3
SINGLE = 2 / 3
# Share of its prior variance that the data may take from a coefficient that is left out, at any
# of the draws that are looked at: the boldest first.
SHARES = (0.1, 0.05, 0.02)
# Draws to choose by, and as many others to tell by whether the exact density would accept enough.
DRAWS = 48
LEAST_ACCEPTED = 0.9


class Coarse(NamedTuple):
    """A posterior that is close to the exact one, over the same hyperparameters.

    Attributes
    ----------
    posterior : Collapsed
        With fewer coefficients, or the same.
    in_single : bool
        Whether to factorise in single precision.
    """

    posterior: Collapsed
    in_single: bool

    @property
    def target(self) -> Target:
        """What to walk."""
        return self.posterior.single if self.in_single else self.posterior.target

    @property
    def work(self) -> float:
        """What a gradient takes, in cubes of coefficients factorised in double precision."""
        return self.posterior.size**3 * (SINGLE if self.in_single else 1)


def coarse(posterior: Collapsed, draws: Array) -> Coarse | None:
    """A cheaper posterior that is close to the exact one, where there is one.

    Parameters
    ----------
    posterior : Collapsed
    draws : ndarray, shape (draw, D)
        First draws of it.

    Returns
    -------
    Coarse or None
        None where it would not save time.
    """
    if posterior.size < LEAST_SIZE:
        return None
    some = draws[np.linspace(0, len(draws) - 1, min(2 * DRAWS, len(draws))).astype(int)]
    chosen_by, told_by = some[::2], some[1::2]
    share = np.max(_of_each(posterior, chosen_by, lambda given: given.share), axis=0)
    log_ratio = _of_each(posterior, chosen_by, lambda given: np.log(given.sd / given.noise_sd))
    ratio = np.exp(np.mean(log_ratio, axis=0))
    needed = _needed(posterior)
    exact = _log_evidence(posterior, told_by, np.float64)
    same = Coarse(posterior, in_single=True)
    best = same if _is_close(same, told_by, exact) else None
    allowed = (posterior.size**3 if best is None else best.work) - LEAST_SAVED
    for least in SHARES:
        dropped = np.flatnonzero((share < least) & ~needed)
        smaller = without(posterior, dropped, ratio[dropped])
        for found in (Coarse(smaller, in_single=True), Coarse(smaller, in_single=False)):
            if found.work < allowed and _is_close(found, told_by, exact):
                return found
    return best


def rounded(posterior: Collapsed, points: Array) -> Coarse | None:
    """The posterior in single precision, where that saves time and is close to the exact one.

    Parameters
    ----------
    posterior : Collapsed
    points : ndarray, shape (point, D)
        Scattered as its draws are expected to be.
    """
    same = Coarse(posterior, in_single=True)
    if posterior.size < LEAST_SIZE:
        return None
    exact = _log_evidence(posterior, points, np.float64)
    return same if _is_close(same, points, exact) else None


def _is_close(found: Coarse, draws: Array, exact: Array) -> bool:
    """Whether the exact density, of which the logarithm is known, would accept most draws."""
    dtype = np.float32 if found.in_single else np.float64
    close = _log_evidence(found.posterior, draws, dtype)
    return expected_acceptance(exact - close) > LEAST_ACCEPTED


def expected_acceptance(log_ratio: Array) -> float:
    """How often a draw would be accepted whose density is known at others, on average.

    Parameters
    ----------
    log_ratio : ndarray, shape (draw,)
        Log of the exact density over the one that is walked, up to a constant.
    """
    change = np.subtract.outer(log_ratio, log_ratio)
    return float(np.mean(np.exp(np.minimum(change, 0)), where=~np.eye(len(change), dtype=bool)))


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


def _of_each[T](
    posterior: Collapsed,
    draws: Array,
    what: Callable[[Conditional], T],
    dtype: DTypeLike = np.float64,
) -> list[T]:
    """Something of the coefficients given each of several draws of the hyperparameters."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda at: what(posterior.given(posterior.sites(at), dtype)), draws))


def _log_evidence(posterior: Collapsed, draws: Array, dtype: DTypeLike) -> Array:
    return np.array(_of_each(posterior, draws, lambda given: given.log_evidence, dtype))


def _needed(posterior: Collapsed) -> NDArray[np.bool_]:
    """Coefficients that cannot be integrated out beforehand, shape (P,)."""
    needed: NDArray[np.bool_] = posterior.priors.mean != 0
    if posterior.sums.known is not None:
        needed = needed | np.any(np.asarray(posterior.sums.known.matrix) != 0, axis=0)
    return needed

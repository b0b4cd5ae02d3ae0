"""Search for the modes of a marginal posterior, and their posterior probabilities.

Modes differ in how the functions of one action are explained: as small and rough, for example, or
as large and smooth. From the nearest mode the scales of each action in turn are moved far up, then
its lengthscales far up and far down, and a search starts from there. A search is abandoned once it
returns to a known mode. Probabilities are those of the Laplace approximation.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from bayes_intgen._progress import stage
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import (
    MAX_DISTANCE,
    QUICK_TOLERANCE,
    MarginalPosterior,
    labels_of,
)
from bayes_intgen.inference.density.minimise import minimise

# Distance by which the scales or lengthscales of an action are moved, in prior standard deviations.
MOVE = 4
# Tolerance in the log density of the search that refines a mode.
REFINED_TOLERANCE = 1e-6
# A search has returned to a known mode if its squared distance, in units of the posterior
# covariance, is below RETURN_DISTANCE, and its log density differs from the mode's quadratic
# approximation by less than a share of the drop (RELATIVE_MISFIT) plus a constant (MISFIT).
RETURN_DISTANCE, RELATIVE_MISFIT, MISFIT = 9.0, 0.5, 0.1
# Minimum squared distances, in the same units, between two modes, and between two modes from which
# chains start: draws are farther from their mode than that.
MODE_DISTANCE, START_DISTANCE = 1.0, 9.0
# Minimum log probability of a mode, relative to the most probable one, for a chain to start from
# it: a hundredth. A chain that stayed in a smaller mode would represent far too much.
MIN_LOG_SHARE = -4.6
# Maximum difference between modes that log determinants may add to that of the log densities.
MAX_LOG_DET_DIFFERENCE = 4.0


class Mode(NamedTuple):
    """Mode of the posterior over the logarithms of the hyperparameters.

    Attributes
    ----------
    point : ndarray, shape (D,)
    potential : float
        Minus the log density.
    covariance : ndarray, shape (D, D)
        Inverse Hessian of the potential.
    """

    point: Array
    potential: float
    covariance: Array

    @classmethod
    def at(
        cls, posterior: MarginalPosterior, point: Array, potential: float | None = None
    ) -> "Mode":
        """Compute the Laplace approximation at a mode."""
        value = posterior.value(point) if potential is None else potential
        return cls(point, value, posterior.covariance(point))

    @property
    def log_mass(self) -> float:
        """Log probability by the Laplace approximation, up to a constant."""
        return 0.5 * float(np.linalg.slogdet(self.covariance)[1]) - self.potential


def find_modes(
    posterior: MarginalPosterior,
    start: Array,
    max_modes: int,
    progress: bool,
    several: bool = True,
) -> list[Mode]:
    """Search for the modes from which chains should start.

    Parameters
    ----------
    posterior : MarginalPosterior
    start : ndarray, shape (D,)
        Start of the first search.
    max_modes : int
        Maximum number of modes.
    progress : bool
    several : bool
        Whether to search beyond the nearest one.

    Returns
    -------
    list of Mode
        The most probable first, and those within ``MIN_LOG_SHARE`` of it.
    """
    with stage("Search for modes", progress, "steps") as bar, ThreadPoolExecutor() as pool:
        nearest = Mode.at(posterior, posterior.mode(start, progress=False))
        if not several:
            return [nearest]
        searches = _Searches(posterior, nearest, bar)
        ends = [_End(np.zeros(len(start)), nearest.potential)]
        for moves in _moves(posterior):
            highest = min(ends, key=_by_potential)
            starts = [highest.at + searches.whiten(move) for move in moves]
            search = partial(searches.search, known=tuple(ends), tolerance=QUICK_TOLERANCE)
            ends += [end for end in pool.map(search, starts) if end is not None]
        first = ends[0]
        ends.sort(key=_by_potential)
        limit = ends[0].potential - MIN_LOG_SHARE + MAX_LOG_DET_DIFFERENCE
        probable = [end for end in _distinct(ends, MODE_DISTANCE) if end.potential < limit]
        refined = sorted(pool.map(searches.refine, probable[: 2 * max_modes]), key=_by_potential)
    modes = [
        nearest if end is first else Mode.at(posterior, searches.point(end.at), end.potential)
        for end in _distinct(refined, START_DISTANCE)[:max_modes]
    ]
    modes.sort(key=lambda mode: -mode.log_mass)
    minimum = modes[0].log_mass + MIN_LOG_SHARE
    return [mode for mode in modes if mode.log_mass >= minimum]


def chains_of_modes(modes: list[Mode], chains: int) -> list[int]:
    """Assign a mode to each chain, by index: one chain each, the rest in proportion.

    Examples
    --------
    >>> one = Mode(np.zeros(1), 0.0, np.eye(1))
    >>> chains_of_modes([one, one._replace(potential=2.0)], 4)
    [0, 0, 0, 1]
    """
    log_mass = np.array([mode.log_mass for mode in modes])
    share = np.exp(log_mass - log_mass.max())
    counts = (np.arange(len(modes)) < chains).astype(int)
    while counts.sum() < chains:
        # The next chain starts from the mode with the fewest chains for its share.
        counts[np.argmax(share / counts)] += 1
    return [i for i, count in enumerate(counts.tolist()) for _ in range(count)]


class _End(NamedTuple):
    """End of a search, in coordinates about the nearest mode."""

    at: Array
    potential: float


def _by_potential(end: _End) -> float:
    return end.potential


class _Searches:
    """Searches in coordinates in which the covariance at one mode is the identity.

    They take half the steps of searches in units of the prior.
    """

    def __init__(self, posterior: MarginalPosterior, mode: Mode, bar: Any) -> None:
        self.posterior, self.centre, self.bar = posterior, mode.point, bar
        self.root = np.linalg.cholesky(mode.covariance)

    def whiten(self, change: Array) -> Array:
        return np.asarray(solve_triangular(self.root, change, lower=True))

    def point(self, at: Array) -> Array:
        # Farther out numbers overflow.
        distance = MAX_DISTANCE * self.posterior.prior_sd
        low, high = self.posterior.start - distance, self.posterior.start + distance
        return np.clip(self.centre + self.root @ at, low, high)

    def search(self, start: Array, known: tuple[_End, ...], tolerance: float) -> _End | None:
        """Search for another mode; return None if the search returns to a known one."""
        returned = False

        def abandon(at: Array, potential: float) -> bool:
            nonlocal returned
            for mode in known:
                change = at - mode.at
                drop = 0.5 * float(change @ change)
                misfit = abs(potential - mode.potential - drop)
                if drop < RETURN_DISTANCE / 2 and misfit < RELATIVE_MISFIT * drop + MISFIT:
                    returned = True
            return returned

        end = _End(*minimise(self._value_and_grad, start, tolerance, abandon=abandon))
        return None if returned or not np.isfinite(end.potential) else end

    def refine(self, end: _End) -> _End:
        # The first search for the nearest mode, at the origin, had this tolerance already.
        if not end.at.any():
            return end
        return _End(*minimise(self._value_and_grad, end.at, REFINED_TOLERANCE))

    def _value_and_grad(self, at: Array) -> tuple[float, Array]:
        self.bar.update()
        value, gradient = self.posterior.value_and_grad(self.point(at))
        return value, self.root.T @ gradient


def _distinct(ends: list[_End], squared_distance: float) -> list[_End]:
    """Drop ends that are closer than a squared distance to an earlier one."""
    distinct: list[_End] = []
    for end in ends:
        if all(np.sum((end.at - other.at) ** 2) > squared_distance for other in distinct):
            distinct.append(end)
    return distinct


def _moves(posterior: MarginalPosterior) -> Iterator[list[Array]]:
    """Moves away from a mode, per action, to the starts of further searches."""
    terms, labels = posterior.terms, labels_of(posterior.terms)

    def move(site: str, moved: set[str | None]) -> Array:
        sites = {name: np.zeros(shape) for name, shape in posterior.layout.shapes}
        if site in sites:
            sites[site] = np.array([float(label in moved) for label in labels[site]])
        return MOVE * posterior.prior_sd * posterior.layout.flat(sites)

    for action in sorted({term.action for term in terms.terms if term.action is not None}):
        own = {term.name for term in terms.terms if term.action == action}
        scales = move("scale", {*own})
        lengthscales = move("lengthscale", {terms.lengthscale_of.get(name) for name in own})
        if lengthscales.any():
            # Searches from smaller scales take twice the steps, and in fifteen data sets only one
            # of ten modes was found by them alone.
            yield [scales, lengthscales, -lengthscales]
        else:
            yield [scales, -scales]

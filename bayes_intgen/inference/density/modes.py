"""The modes of a marginal posterior that chains should start from, and their shares of it.

Modes differ in how the functions of one action are explained: as small and rough, say, or as large
and smooth. From the nearest mode the scales of each action in turn are moved far up, and then its
lengthscales far up and far down, and a search goes on from there. It is given up as soon as it has
come back to a mode that is known. Shares are those of the Laplace approximation.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import (
    NEAR,
    REACH,
    MarginalPosterior,
    labels_of,
    progress_bar,
)
from bayes_intgen.inference.density.minimise import minimise

# How far the scales or lengthscales of an action are moved, in prior standard deviations.
FAR = 4
# Log density by which a mode is refined further at most, where it is one to start from.
EXACT = 1e-6
# Squared distance from a known mode below which a search may have come back to it, in units of the
# posterior covariance; and how far its log density may be from the mode's quadratic approximation,
# as a share of that and beyond it.
BACK, UNLIKE, UNLIKE_AT_LEAST = 9.0, 0.5, 0.1
# Squared distance between two ends of searches that are one mode, and between two modes of which
# chains need to start from one alone: draws are farther from their mode than that.
SAME, CLOSE = 1.0, 9.0
# Log of the share of the posterior, relative to the largest mode's, below which no chain starts
# from a mode: a hundredth. A chain that stayed in a smaller one would stand for far too much.
LEAST_LOG_SHARE = -4.6
# What the logarithms of determinants may add to differences between log densities of modes.
DETERMINANTS = 4.0


class Mode(NamedTuple):
    """A mode of the posterior, over the logarithms of the hyperparameters.

    Attributes
    ----------
    point : ndarray, shape (D,)
    energy : float
        Minus the log density.
    covariance : ndarray, shape (D, D)
        Inverse curvature.
    """

    point: Array
    energy: float
    covariance: Array

    @classmethod
    def at(cls, posterior: MarginalPosterior, point: Array, energy: float | None = None) -> "Mode":
        """With its Laplace approximation."""
        value = posterior.value(point) if energy is None else energy
        return cls(point, value, posterior.covariance(point))

    @property
    def log_mass(self) -> float:
        """Log of the probability by the Laplace approximation, up to a constant."""
        return 0.5 * float(np.linalg.slogdet(self.covariance)[1]) - self.energy


def find_modes(posterior: MarginalPosterior, start: Array, most: int, progress: bool) -> list[Mode]:
    """Modes to start chains from, the one with the largest share of the posterior first.

    Parameters
    ----------
    posterior : MarginalPosterior
    start : ndarray, shape (D,)
        Where the first search starts.
    most : int
        Largest number of modes.
    progress : bool

    Returns
    -------
    list of Mode
        Those with a share within ``LEAST_LOG_SHARE`` of the largest.
    """
    nearest = Mode.at(posterior, posterior.mode(start, progress))
    with progress_bar(progress) as bar, ThreadPoolExecutor() as pool:
        around = _Around(posterior, nearest, bar)
        known = [_End(np.zeros(len(start)), nearest.energy)]
        for moves in _moves(posterior):
            highest = min(known, key=_End.height)
            begun = [highest.at + around.whitened(move) for move in moves]
            ended = pool.map(partial(around.search, known=tuple(known), tolerance=NEAR), begun)
            known += [end for end in ended if end is not None]
        ends = sorted(known, key=_End.height)
        worth = ends[0].energy - LEAST_LOG_SHARE + DETERMINANTS
        within = [end for end in _distinct(ends, [], SAME) if end.energy < worth]
        refined = sorted(pool.map(around.refined, within[: 2 * most]), key=_End.height)
    chosen = _distinct(refined, [], CLOSE)[:most]
    modes = [
        nearest if end is known[0] else Mode.at(posterior, around.point(end.at), end.energy)
        for end in chosen
    ]
    modes.sort(key=lambda mode: -mode.log_mass)
    least = modes[0].log_mass + LEAST_LOG_SHARE
    return [mode for mode in modes if mode.log_mass >= least]


def chains_of_modes(modes: list[Mode], chains: int) -> list[int]:
    """The mode that each chain starts from, by number: one each, the rest by their shares.

    Examples
    --------
    >>> one = Mode(np.zeros(1), 0.0, np.eye(1))
    >>> chains_of_modes([one, one._replace(energy=2.0)], 4)
    [0, 0, 0, 1]
    """
    log_mass = np.array([mode.log_mass for mode in modes])
    share = np.exp(log_mass - log_mass.max())
    counts = (np.arange(len(modes)) < chains).astype(int)
    while counts.sum() < chains:
        # Each further chain to where there are fewest for the share.
        counts[np.argmax(share / counts)] += 1
    return [i for i, count in enumerate(counts.tolist()) for _ in range(count)]


class _End(NamedTuple):
    """Where a search ended, in coordinates about the nearest mode."""

    at: Array
    energy: float

    def height(self) -> float:
        return self.energy


class _Around:
    """Searches in coordinates in which the covariance at one mode is the identity.

    In those a search takes half the steps that it takes in units of the prior.
    """

    def __init__(self, posterior: MarginalPosterior, mode: Mode, bar: Any) -> None:
        self.posterior, self.centre, self.bar = posterior, mode.point, bar
        self.root = np.linalg.cholesky(mode.covariance)

    def whitened(self, change: Array) -> Array:
        return np.asarray(solve_triangular(self.root, change, lower=True))

    def point(self, at: Array) -> Array:
        # Farther out numbers overflow.
        reach = REACH * self.posterior.prior_sd
        return np.clip(
            self.centre + self.root @ at, self.posterior.start - reach, self.posterior.start + reach
        )

    def search(self, start: Array, known: tuple[_End, ...], tolerance: float) -> _End | None:
        """Where a search ends; None where it comes back to a known mode."""
        back = False

        def abandon(at: Array, energy: float) -> bool:
            nonlocal back
            for mode in known:
                change = at - mode.at
                half = 0.5 * float(change @ change)
                beyond = abs(energy - mode.energy - half)
                if half < BACK / 2 and beyond < UNLIKE * half + UNLIKE_AT_LEAST:
                    back = True
            return back

        end = _End(*minimise(self._energy, start, tolerance, abandon=abandon))
        return None if back or not np.isfinite(end.energy) else end

    def refined(self, end: _End) -> _End:
        if not end.at.any():
            # The nearest mode is as exact as it will be.
            return end
        return _End(*minimise(self._energy, end.at, EXACT))

    def _energy(self, at: Array) -> tuple[float, Array]:
        self.bar.update()
        value, gradient = self.posterior.energy(self.point(at))
        return value, self.root.T @ gradient


def _distinct(ends: list[_End], known: list[_End], apart: float) -> list[_End]:
    """The ends that are apart, in squared distance, from known modes and from earlier ends."""
    new: list[_End] = []
    for end in ends:
        if all(np.sum((end.at - other.at) ** 2) > apart for other in (*known, *new)):
            new.append(end)
    return new


def _moves(posterior: MarginalPosterior) -> Iterator[list[Array]]:
    """Per action, the changes from which searches for other modes start."""
    terms, labels = posterior.terms, labels_of(posterior.terms)

    def marked(site: str, chosen: set[str | None]) -> Array:
        sites = {name: np.zeros(shape) for name, shape in posterior.layout.shapes}
        if site in sites:
            sites[site] = np.array([float(label in chosen) for label in labels[site]])
        return FAR * posterior.prior_sd * posterior.layout.flat(sites)

    for action in sorted({term.action for term in terms.terms if term.action is not None}):
        own = {term.name for term in terms.terms if term.action == action}
        stretched = {terms.lengthscale_of.get(name) for name in own}
        ways = marked("scale", {*own}), marked("lengthscale", stretched)
        scales, lengthscales = ways
        if lengthscales.any():
            # Searches from smaller scales take twice the steps, and found, over fifteen data sets,
            # one mode of ten that the others did not.
            yield [scales, lengthscales, -lengthscales]
        else:
            yield [scales, -scales]

"""Warmup of NUTS: the step size, the covariance, and whether the surrogate is good enough."""

import math
from typing import NamedTuple

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.sampling.chain_runner import ChainRunner
from bayes_intgen.inference.sampling.checkpoint import Collected
from bayes_intgen.inference.sampling.kernel import ChainState, NUTSKernel
from bayes_intgen.inference.settings import SamplerSettings

# Acceptance rate of delayed acceptance below which a surrogate costs more than it saves.
MIN_ACCEPTANCE_RATE = 0.5
# Log density by which a draw may exceed the mode: rounding, and a search that ended a little early.
MODE_TOLERANCE = 1.0


class HigherModeError(Exception):
    """A chain reached a higher density than that of the supposed mode.

    Attributes
    ----------
    point : ndarray, shape (D,)
        Unconstrained sites with that density.
    """

    def __init__(self, point: Array) -> None:
        super().__init__("there is a higher mode")
        self.point = point


class Warmup(NamedTuple):
    """Result of a warmup: the kernel, the state of each chain, and the step size of all."""

    walk: NUTSKernel
    states: list[ChainState]
    step_size: float


def warm_up(
    runner: ChainRunner,
    density: LogDensity,
    surrogate: LogDensity | None,
    starts: Array,
    covariance: Array,
    settings: SamplerSettings,
    mode_energy: float,
) -> Warmup:
    """Adapt step size and covariance, and drop a surrogate that is refused too often.

    In the first half of the warmup the step size adapts to the initial covariance. The draws of
    all chains then improve the covariance, to which the step size adapts in the second half. All
    chains take the geometric mean of their step sizes.

    Parameters are those of :func:`bayes_intgen.inference.sampling.nuts.nuts`.
    """
    half = settings.warmup // 2
    sampled = density if surrogate is None else surrogate

    def kernel(root: Array) -> NUTSKernel:
        corrected = sampled is not density or density.given is not None
        return NUTSKernel(sampled, density if corrected else None, root, settings.target_accept)

    walk = kernel(np.linalg.cholesky(covariance))
    initial = _initial_draws(density, starts, settings.seed)
    _, first = runner.run(walk, "steps", list(map(walk.begin, starts, initial)), half)
    refuse_higher_mode(first, mode_energy)
    if min_acceptance_rate(first) < MIN_ACCEPTANCE_RATE:
        sampled = density

    learned = first["flat"][:, half // 3 :].reshape(-1, starts.shape[1])
    root = np.linalg.cholesky(_shrunk_covariance(learned, covariance))
    walk = kernel(root)
    states, second = runner.run(walk, "covariance", _restarted(walk, first), settings.warmup - half)
    refuse_higher_mode(second, mode_energy)
    step_size = math.exp(sum(state.log_step for state in states) / len(states))
    if min_acceptance_rate(second) < MIN_ACCEPTANCE_RATE:
        sampled = density
        walk = kernel(root)
        states = _restarted(walk, second)
    return Warmup(walk, states, step_size)


def _initial_draws(density: LogDensity, starts: Array, seed: int) -> list[Array]:
    """Draw what the density has integrated out, at the start of each chain."""
    if density.given is None:
        return [np.zeros(0)] * len(starts)
    if density.draw is None:
        raise ValueError("a density that integrates numbers out must say how to draw them")
    normal = [
        generator(seed, "initial", chain).standard_normal(density.given_size)
        for chain in range(len(starts))
    ]
    return list(map(density.draw, starts, normal))


def _restarted(walk: NUTSKernel, collected: Collected) -> list[ChainState]:
    """Start every chain of a kernel at its last draw of another one."""
    return list(map(walk.begin, collected["flat"][:, -1], collected["given"][:, -1]))


def min_acceptance_rate(collected: Collected) -> float:
    """Share of draws that delayed acceptance accepted, in the chain with the smallest."""
    return float(collected["accepted"].mean(axis=1).min())


def refuse_higher_mode(collected: Collected, mode_energy: float) -> None:
    """Raise HigherModeError if a draw has a higher density than the mode."""
    log_density = np.nan_to_num(collected["lp"], nan=-np.inf)
    highest = np.unravel_index(np.argmax(log_density), log_density.shape)
    if log_density[highest] > MODE_TOLERANCE - mode_energy:
        raise HigherModeError(collected["flat"][highest])


def _shrunk_covariance(draws: Array, first: Array) -> Array:
    """Covariance of draws (draw, D), shrunk towards an initial estimate.

    The initial estimate counts as much as two draws per dimension. About as few draws as there
    are dimensions would otherwise give a covariance that is nearly singular.
    """
    weight = len(draws) / (len(draws) + 2 * draws.shape[1])
    return np.asarray(weight * np.cov(draws, rowvar=False) + (1 - weight) * first)

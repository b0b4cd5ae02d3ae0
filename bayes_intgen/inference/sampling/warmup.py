"""Warmup of NUTS: step size, covariance, and whether to use the surrogate."""

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import LogDensity, MarginalDensity
from bayes_intgen.inference.sampling.chain_runner import ChainRunner
from bayes_intgen.inference.sampling.kernel import ChainState, Collected, NUTSKernel
from bayes_intgen.inference.settings import SamplerSettings

# Minimum acceptance rate of a surrogate, below which it costs more than it saves.
MIN_ACCEPTANCE_RATE = 0.5


# Step size at which the warmup begins.
INITIAL_STEP_SIZE = 0.5


def parts_of_warmup(iterations: int) -> tuple[int, int]:
    """Split a warmup into iterations for the covariance and, half as many, for the step size.

    Examples
    --------
    >>> parts_of_warmup(75), parts_of_warmup(100)
    ((50, 25), (70, 30))
    """
    # Multiples of five, so that blocks of as many iterations fit into both parts.
    second = 5 * (iterations // 15) if iterations >= 15 else max(iterations // 3, 1)
    return iterations - second, second


def warm_up(
    runner: ChainRunner,
    density: MarginalDensity,
    surrogate: LogDensity | None,
    starts: Array,
    covariance: Array,
    settings: SamplerSettings,
) -> tuple[NUTSKernel, list[ChainState]]:
    """Adapt step size and covariance, and drop a surrogate that is rejected too often.

    In the first part of the warmup the step size adapts to the initial covariance. The draws of
    all chains then improve the covariance, to which the step size adapts further in the second
    part. All chains take the geometric mean of their step sizes, so that none is slower.

    Parameters are those of :func:`bayes_intgen.inference.sampling.nuts.nuts`.
    """
    first_part, second_part = parts_of_warmup(settings.warmup)
    sampled = density if surrogate is None else surrogate

    def kernel_with(root: Array) -> NUTSKernel:
        return NUTSKernel(sampled, density, root, settings.target_accept)

    kernel = kernel_with(np.linalg.cholesky(covariance))
    states = [
        kernel.begin(
            start, density.draw(start, generator(settings.seed, "initial", i)), INITIAL_STEP_SIZE
        )
        for i, start in enumerate(starts)
    ]
    _, first = runner.run_stage("Warmup, first part", kernel, states, first_part)
    if min_acceptance_rate(first) < MIN_ACCEPTANCE_RATE:
        sampled = density

    draws = first["flat"][:, first_part // 3 :].reshape(-1, starts.shape[1])
    root = np.linalg.cholesky(_shrunk_covariance(draws, covariance))
    kernel = kernel_with(root)
    half = first["step_size"][:, first_part // 2 :]
    states = _restarted(kernel, first, float(np.exp(np.mean(np.log(half)))))
    states, second = runner.run_stage("Warmup, second part", kernel, states, second_part)
    step_size = float(np.exp(np.mean([state.step_size.average for state in states])))
    if min_acceptance_rate(second) < MIN_ACCEPTANCE_RATE:
        sampled = density
        kernel = kernel_with(root)
    return kernel, _restarted(kernel, second, step_size)


def _restarted(kernel: NUTSKernel, collected: Collected, step_size: float) -> list[ChainState]:
    """Start every chain of a kernel at its last draw with another kernel."""
    last = zip(collected["flat"][:, -1], collected["coefficients"][:, -1], strict=True)
    return [kernel.begin(flat, coefficients, step_size) for flat, coefficients in last]


def min_acceptance_rate(collected: Collected) -> float:
    """Smallest acceptance rate of delayed acceptance in any chain."""
    return float(collected["accepted"].mean(axis=1).min())


def _shrunk_covariance(draws: Array, initial: Array) -> Array:
    """Covariance of draws (draw, D), shrunk towards an initial estimate.

    The initial estimate has the weight of two draws per dimension. Without it the covariance of
    about as many draws as dimensions would be nearly singular.
    """
    weight = len(draws) / (len(draws) + 2 * draws.shape[1])
    return np.asarray(weight * np.cov(draws, rowvar=False) + (1 - weight) * initial)

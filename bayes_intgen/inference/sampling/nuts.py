"""NUTS with delayed acceptance: parallel chains, warmup, draws, and stopping rule.

Each chain has a thread, which needs no choice of devices before JAX starts, and runs in blocks of
iterations. Progress is reported between the blocks, without callbacks from compiled code.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from threading import Event

import numpy as np

from bayes_intgen._progress import Share, share_of_stage
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.approximation import Approximation
from bayes_intgen.inference.density.marginal_posterior import Density, Target
from bayes_intgen.inference.sampled_model import Draws
from bayes_intgen.inference.sampling.convergence import (
    MAX_DRAWS,
    MIN_DRAWS,
    StoppingRule,
    additional_draws,
)
from bayes_intgen.inference.sampling.kernel import MAX_TREE_DEPTH, ChainState, Collected, NUTSKernel
from bayes_intgen.inference.settings import SamplerSettings

MAX_BLOCK_SIZE = 25
# An interrupt just before the main thread waits for the chains does not end that wait.
WAIT_SECONDS = 0.1
# Minimum acceptance rate of a surrogate, below which it costs more than it saves.
MIN_ACCEPTANCE_RATE = 0.5
# Step size at which the warmup begins.
INITIAL_STEP_SIZE = 0.5


# From unconstrained sites (chain, draw, D) and coefficients (chain, draw, P) to the quantities
# (chain, draw, Q) that must converge.
Quantities = Callable[[Array, Array], Array]


class ChainRunner:
    """Run all chains through one stage of sampling after another.

    Parameters
    ----------
    seed, chains : int
        The keys of a chain do not depend on the size of the blocks.
    block_size : int
        Number of iterations compiled and run at once.
    progress : bool
        Whether to report compilation.
    """

    def __init__(self, seed: int, chains: int, block_size: int, progress: bool) -> None:
        self.block_size, self.progress = block_size, progress
        self._rng = [generator(seed, "trajectories", chain) for chain in range(chains)]
        self._stopped = Event()

    def run(
        self,
        kernel: NUTSKernel,
        states: list[ChainState],
        iterations: int,
        share: Share,
        adapts: bool,
    ) -> tuple[list[ChainState], Collected]:
        """Run every chain through a stage, in which step sizes adapt or stay.

        ``share`` counts the iterations of all chains.

        Returns
        -------
        states : list of ChainState
        collected : dict of ndarray, each (chain, iteration, ...)
        """
        # Before the threads start, each of which would compile the same program.
        self.compile(kernel, states, iterations)
        run_chain = partial(self._run_chain, kernel, iterations, adapts, share)
        with ThreadPoolExecutor(min(len(states), os.cpu_count() or 1)) as pool:
            try:
                running = [pool.submit(run_chain, i, state) for i, state in enumerate(states)]
                unfinished = set(running)
                while unfinished:
                    done, unfinished = wait(unfinished, WAIT_SECONDS, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
            except BaseException:
                # An interrupt or the failure of one chain must not wait for the other chains.
                self._stopped.set()
                raise
        last, pieces = zip(*(future.result() for future in running), strict=True)
        return list(last), {name: np.stack([p[name] for p in pieces]) for name in pieces[0]}

    def run_stage(
        self,
        title: str,
        kernel: NUTSKernel,
        states: list[ChainState],
        iterations: int,
    ) -> tuple[list[ChainState], Collected]:
        """Run every chain through a stage of adaptation, and report its progress."""
        self.compile(kernel, states, iterations)
        with share_of_stage(title, self.progress, len(states) * iterations) as share:
            return self.run(kernel, states, iterations, share, adapts=True)

    def compile(self, kernel: NUTSKernel, states: list[ChainState], iterations: int) -> None:
        """Compile what a stage of so many iterations needs."""
        for count in {min(self.block_size, iterations), iterations % self.block_size} - {0}:
            kernel.compile(states[0], count, self.progress)

    def _run_chain(
        self,
        kernel: NUTSKernel,
        iterations: int,
        adapts: bool,
        share: Share,
        chain: int,
        state: ChainState,
    ) -> tuple[ChainState, Collected]:
        """Run one chain through a stage."""
        pieces: list[Collected] = []
        for begin in range(0, iterations, self.block_size):
            if self._stopped.is_set():
                break
            count = min(self.block_size, iterations - begin)
            keys = self._rng[chain].integers(2**32, size=(count, 2), dtype=np.uint32)
            state, piece = kernel.advance(state, keys, adapts)
            pieces.append(piece)
            share.update(count)
        return state, concatenated(pieces)


def concatenated(pieces: list[Collected], axis: int = 0) -> Collected:
    """Concatenate draws and statistics of successive iterations."""
    return {name: np.concatenate([piece[name] for piece in pieces], axis) for name in pieces[0]}


def common_block_size(*stages: int) -> int:
    """Choose a number of iterations per block that divides the length of every stage.

    Every other length needs a compilation of its own.

    Examples
    --------
    >>> common_block_size(50, 50, 60)
    10
    """
    common = math.gcd(*stages)
    largest = max(size for size in range(1, MAX_BLOCK_SIZE + 1) if common % size == 0)
    return largest if largest >= MAX_BLOCK_SIZE // 5 else MAX_BLOCK_SIZE


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
    target: Target,
    approximation: Approximation,
    settings: SamplerSettings,
) -> tuple[NUTSKernel, list[ChainState]]:
    """Adapt step size and covariance, and drop a cheaper density that is rejected too often.

    In the first part of the warmup the step size adapts to the initial covariance. The draws of
    all chains then improve the covariance, to which the step size adapts further in the second
    part. All chains take the geometric mean of their step sizes, so that none is slower.

    Parameters are those of :func:`nuts`.
    """
    first_part, second_part = parts_of_warmup(settings.warmup)
    density: Density = approximation.density

    def kernel_with(root: Array) -> NUTSKernel:
        return NUTSKernel(density, target, root, settings.target_accept)

    def rejects(collected: Collected) -> bool:
        """Whether any chain rejects too many proposals."""
        return bool((collected["accepted"].mean(axis=1) < MIN_ACCEPTANCE_RATE).any())

    starts = approximation.points(settings.chains, generator(settings.seed, "starts"))
    # A chain could not leave a point at which rounding makes the density NaN.
    starts[[not np.isfinite(target.value(start)) for start in starts]] = approximation.point
    kernel = kernel_with(np.linalg.cholesky(approximation.covariance))
    coefficients = (
        target.draw(start, generator(settings.seed, "initial", i)) for i, start in enumerate(starts)
    )
    states = [
        kernel.begin(*start, INITIAL_STEP_SIZE) for start in zip(starts, coefficients, strict=True)
    ]
    _, first = runner.run_stage("Warmup, first part", kernel, states, first_part)
    if rejects(first):
        density = target

    draws = first["flat"][:, first_part // 3 :].reshape(-1, starts.shape[1])
    root = np.linalg.cholesky(_shrunk_covariance(draws, approximation.covariance))
    kernel = kernel_with(root)
    half = first["step_size"][:, first_part // 2 :]
    states = _restarted(kernel, first, float(np.exp(np.mean(np.log(half)))))
    states, second = runner.run_stage("Warmup, second part", kernel, states, second_part)
    step_size = float(np.exp(np.mean([state.step_size.average for state in states])))
    if rejects(second):
        density = target
        kernel = kernel_with(root)
    return kernel, _restarted(kernel, second, step_size)


def _restarted(kernel: NUTSKernel, collected: Collected, step_size: float) -> list[ChainState]:
    """Start every chain of a kernel at its last draw with another kernel."""
    last = zip(collected["flat"][:, -1], collected["coefficients"][:, -1], strict=True)
    return [kernel.begin(flat, coefficients, step_size) for flat, coefficients in last]


def _shrunk_covariance(draws: Array, initial: Array) -> Array:
    """Covariance of draws (draw, D), shrunk towards an initial estimate.

    The initial estimate has the weight of two draws per dimension. Without it the covariance of
    about as many draws as dimensions would be nearly singular.
    """
    weight = len(draws) / (len(draws) + 2 * draws.shape[1])
    return np.asarray(weight * np.cov(draws, rowvar=False) + (1 - weight) * initial)


def nuts(
    target: Target,
    approximation: Approximation,
    settings: SamplerSettings,
    quantities: Quantities = lambda flat, coefficients: flat,
) -> Draws:
    """Run NUTS chains from points about the mode.

    With a density cheaper than the target, NUTS proposes from that, and a Metropolis step with the
    ratio of both densities corrects the proposal (delayed acceptance; Christen and Fox 2005,
    section 2). The correction is exact because NUTS is reversible under the density that it
    samples.

    Parameters
    ----------
    target : Target
        The coefficients that it has integrated out are drawn at each start and with every accepted
        proposal.
    approximation : Approximation
        Its covariance is the initial estimate of that of the draws. Its density is dropped if few
        proposals of a chain are accepted in either half of the warmup.
    settings : SamplerSettings
        Without a number of draws, chains run for ``MIN_DRAWS`` to ``MAX_DRAWS`` iterations, until
        all quantities have converged.
    quantities : callable
        Quantities that must converge.
    """
    chains = settings.chains
    count = MIN_DRAWS if settings.draws is None else settings.draws
    block_size = common_block_size(*parts_of_warmup(settings.warmup), count)
    runner = ChainRunner(settings.seed, chains, block_size, settings.progress)
    kernel, states = warm_up(runner, target, approximation, settings)
    # Without a number of draws, about twice the minimum.
    expected = 2 * count if settings.draws is None else count
    runner.compile(kernel, states, count)
    title, rule = f"Draws of {chains} chains", StoppingRule()
    with share_of_stage(title, settings.progress, chains * expected, leave=True) as share:
        states, collected = runner.run(kernel, states, count, share, adapts=False)
        while settings.draws is None:
            done = collected["flat"].shape[1]
            every = quantities(collected["flat"], collected["coefficients"])
            short = rule.shortfall(every)
            more = additional_draws(short, done, block_size)
            share.expect(chains * min(short * done, MAX_DRAWS), f"{done} draws per chain")
            if not more:
                break
            states, further = runner.run(kernel, states, more, share, adapts=False)
            collected = concatenated([collected, further], axis=1)

    flat, coefficients = collected.pop("flat"), collected.pop("coefficients")
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(np.int64)
    collected["reached_max_treedepth"] = collected["tree_depth"] >= MAX_TREE_DEPTH
    return Draws(flat, coefficients, collected)

"""NUTS with delayed acceptance: compiled iterations, parallel chains, warmup, and stopping rule.

Trajectories are those of NumPyro's documented ``hmc``. Each chain has a thread, which needs no
choice of devices before JAX starts, and runs in blocks of iterations. Progress is reported between
the blocks, without callbacks from compiled code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray
from numpyro.infer.hmc import hmc
from scipy.linalg import block_diag, solve_triangular

from bayes_intgen._random import Purpose, generator
from bayes_intgen._typing import Array
from bayes_intgen._work import Share, share_of_stage, stage
from bayes_intgen.inference.density.approximation import Approximation
from bayes_intgen.inference.density.marginal_posterior import (
    CompiledDensity,
    Density,
    MarginalPosterior,
    on_cpu,
)
from bayes_intgen.inference.sampling.convergence import (
    MAX_DRAWS,
    MIN_DRAWS,
    additional_draws,
    shortfalls,
)
from bayes_intgen.inference.settings import Draws, SamplerSettings

Collected = dict[str, NDArray[Any]]
# Of each chain, one for each of the purposes below.
RandomGenerators = Sequence[Sequence[np.random.Generator]]

MAX_TREE_DEPTH = 10

# Dual averaging (Hoffman and Gelman, JMLR 2014, section 3.2): regularisation, stabilisation of the
# first iterations, and decay of the weights of the average. With the usual regularisation of 0.05
# step sizes vary so much over a warmup of 75 iterations that trajectories have 12 steps instead of
# 7. The usual shrinkage towards ten times the first step size is for first step sizes that may be
# far too small.
GAMMA, T0, KAPPA = 0.2, 10, 0.75

# Statistics of every iteration, in the order of the compiled program, and their types.
STATISTICS = {
    "diverging": bool,
    "energy": float,
    "lp": float,
    "n_steps": int,
    "acceptance_rate": float,
    "step_size": float,
    "accepted": bool,
}
# Of the random numbers of a chain, in the order of :class:`RandomNumbers`.
PURPOSES: tuple[Purpose, ...] = ("trajectories", "accepted", "momenta", "coefficients")
# Number of iterations that are compiled and run at once.
BLOCK_SIZE = 25
# An interrupt just before the main thread waits for the chains does not end that wait.
WAIT_SECONDS = 0.1
# Minimum acceptance rate of a surrogate, below which it costs more than it saves.
MIN_ACCEPTANCE_RATE = 0.5
# Step size at which the warmup begins.
INITIAL_STEP_SIZE = 0.5


# From unconstrained sites (chain, draw, D) and coefficients (chain, draw, P) to the quantities
# (chain, draw, Q) that must converge.
Quantities = Callable[[Array, Array], Array]


class StepSize(NamedTuple):
    """State of dual averaging, each an array of shape ().

    Attributes
    ----------
    log, average : ()
        Log step size of the next iteration, and average of the past ones.
    centre : ()
        Log step size towards which it shrinks.
    error : ()
        Average of the target minus the acceptance rate.
    count : ()
        Number of past iterations.
    """

    log: Any
    average: Any
    centre: Any
    error: Any
    count: Any

    def adapted(self, error: jax.Array) -> Self:
        """Update by the target minus the acceptance rate of an iteration."""
        count = self.count + 1
        error = self.error + (error - self.error) / (count + T0)
        log = self.centre - jnp.sqrt(count) / GAMMA * error
        weight = count**-KAPPA
        average = (1 - weight) * self.average + weight * log
        return self._replace(log=log, average=average, error=error, count=count)


class KernelState(NamedTuple):
    """Current draw of a chain, in coordinates with about unit posterior covariance.

    Attributes
    ----------
    z, gradient : (D,)
        Position, and gradient of the surrogate potential.
    potential, energy : ()
        Surrogate potential, and its sum with the kinetic energy at the end of the trajectory.
    potential_correction : ()
        Exact minus surrogate potential.
    coefficients : (P,)
        Draw of the coefficients that the exact density has marginalised.
    """

    z: Any
    gradient: Any
    potential: Any
    energy: Any
    potential_correction: Any
    coefficients: Any


class ChainState(NamedTuple):
    """State of a chain: its current draw, and its step size."""

    current: KernelState
    step_size: StepSize


class RandomNumbers(NamedTuple):
    """Random numbers of the n iterations of a block, from NumPy: JAX's take longer to compile.

    Attributes
    ----------
    keys : (n, 2) of uint32
        Threefry keys of the trajectories.
    log_uniform : (n,)
        Logarithms of uniform numbers, for the acceptance.
    momentum : (n, D), normal : (n, P)
        Standard normal numbers.
    """

    keys: Any
    log_uniform: Any
    momentum: Any
    normal: Any


class NUTSKernel:
    """NUTS on a density, with a Metropolis correction by the exact one.

    Parameters
    ----------
    density : Density
        Density that NUTS samples; the target if nothing cheaper is used.
    target : MarginalPosterior
        Density of the draws.
    root : ndarray, shape (D, D)
        Lower Cholesky factor of an estimate of the covariance: NUTS samples z, with flat vector
        ``root @ z``. This is equivalent to a dense mass matrix, and compiles faster.
    target_accept : float
    """

    def __init__(
        self, density: Density, target: MarginalPosterior, root: Array, target_accept: float
    ) -> None:
        self.density, self.target, self.root = density, target, root
        self.target_accept = target_accept
        # Padding stays at zero, where its gradient is zero, as its momenta are: trajectories are
        # those of the other sites alone, whose step sizes are larger.
        self._padding = density.compiled.size - len(root)
        padded_root = block_diag(root, np.eye(self._padding))
        constant = jax.tree.map(np.asarray, ((density.compiled, target.compiled), padded_root))
        with on_cpu():
            # Arrays of JAX, which need not be copied for every block.
            self._constant = jax.device_put(constant)

    def begin(self, flat: Array, coefficients: Array, step_size: float) -> ChainState:
        """Start a chain at a flat vector, shape (D,).

        ``coefficients``, a draw at that vector of those that the target has integrated out, are
        repeated until a proposal is accepted.
        """
        potential, gradient = self.density.value_and_grad(flat)
        padding = (0, self._padding)
        current = KernelState(
            np.pad(solve_triangular(self.root, flat, lower=True), padding),
            np.pad(self.root.T @ gradient, padding),
            np.asarray(potential),
            np.asarray(potential),
            np.asarray(self.target.value(flat) - potential),
            np.pad(coefficients, (0, len(self.target.compiled.mean) - len(coefficients))),
        )
        log, zero = np.asarray(np.log(step_size)), np.zeros(())
        return ChainState(current, StepSize(log, log, log, zero, zero))

    def compile(self, chain: ChainState) -> None:
        """Compile :meth:`advance` for such chains, before threads that would each compile it."""
        with on_cpu():
            advance.lower(*self._arguments(chain, [np.random.default_rng(0)] * 4, False)).compile()

    def advance(
        self, chain: ChainState, rngs: Sequence[np.random.Generator], adapts: bool
    ) -> tuple[ChainState, Collected]:
        """Run the iterations of a block, and collect the draws; the step size adapts, or stays."""
        with on_cpu():
            advanced = advance(*self._arguments(chain, rngs, adapts))
            chain, rows = jax.tree.map(np.asarray, advanced)
        size = len(self.root) + self._padding
        z, columns, coefficients = np.split(rows, [size, size + len(STATISTICS)], axis=1)
        named = zip(STATISTICS.items(), columns.T, strict=True)
        statistics = {name: values.astype(dtype) for (name, dtype), values in named}
        flat = z[:, : len(self.root)] @ self.root.T
        return chain, {"flat": flat, "coefficients": coefficients, **statistics}

    def _arguments(
        self, chain: ChainState, rngs: Sequence[np.random.Generator], adapts: bool
    ) -> tuple[Any, ...]:
        """Arguments of :func:`advance`, with random numbers from a generator for each purpose."""
        settings, count = (self.target_accept, adapts), BLOCK_SIZE
        of_keys, of_acceptance, of_momentum, of_draw = rngs
        momentum = of_momentum.standard_normal((count, len(self.root)))
        random = RandomNumbers(
            of_keys.integers(2**32, size=(count, 2), dtype=np.uint32),
            -of_acceptance.standard_exponential(count),
            np.pad(momentum, ((0, 0), (0, self._padding))),
            of_draw.standard_normal((count, len(chain.current.coefficients))),
        )
        # JAX takes plain numbers for other types than arrays.
        chain, settings, random = jax.tree.map(np.asarray, (chain, settings, random))
        return chain, *self._constant, settings, random


# Compiled for each kind of densities and shapes of their arrays.
@jax.jit
def advance(
    chain: ChainState,
    densities: tuple[CompiledDensity, CompiledDensity],
    root: jax.Array,
    settings: tuple[jax.Array, jax.Array],
    random: RandomNumbers,
) -> tuple[ChainState, jax.Array]:
    """Advance a chain by an iteration for each of the random numbers, in JAX."""
    (density, target), (target_accept, adapts) = densities, settings
    first_key = jax.random.wrap_key_data(random.keys[0], impl="threefry2x32")
    trajectory = _trajectory(lambda z: density.potential(root @ z), chain.current.z, first_key)

    def iterate(chain: ChainState, own: RandomNumbers) -> tuple[ChainState, jax.Array]:
        current, step_size = chain
        key = jax.random.wrap_key_data(own.keys, impl="threefry2x32")
        end = trajectory(current, own.momentum, jnp.exp(step_size.log), key)
        exact_potential, coefficients = target.potential_and_draw(root @ end.z, own.normal)
        proposal = KernelState(
            end.z,
            end.z_grad,
            end.potential_energy,
            end.energy,
            exact_potential - end.potential_energy,
            coefficients,
        )
        log_acceptance = current.potential_correction - proposal.potential_correction
        accepted = own.log_uniform < log_acceptance
        new = jax.tree.map(partial(jnp.where, accepted), proposal, current)
        statistics = (
            end.diverging,
            new.energy + new.potential_correction,
            -(new.potential + new.potential_correction),
            end.num_steps,
            end.accept_prob,
            jnp.exp(step_size.log),
            accepted,
        )
        # One array: each array that is stacked over iterations is compiled separately.
        numbers = jnp.stack([jnp.asarray(number, current.z.dtype) for number in statistics])
        adapted = step_size.adapted(target_accept - end.accept_prob)
        step_size = jax.tree.map(partial(jnp.where, adapts), adapted, step_size)
        row = jnp.concatenate([new.z, numbers, new.coefficients])
        return ChainState(new, step_size), row

    return lax.scan(iterate, chain, random)


def _trajectory(
    potential: Callable[[jax.Array], jax.Array], start: jax.Array, key: jax.Array
) -> Callable[[KernelState, jax.Array, jax.Array, jax.Array], Any]:
    """NumPyro's trajectories: from a state, momentum, step size and key to the end."""
    init, sample = hmc(potential, algo="NUTS")
    # Without warmup of its own, and with a unit mass matrix.
    initial = init(
        start,
        num_warmup=0,
        adapt_step_size=False,
        adapt_mass_matrix=False,
        max_tree_depth=MAX_TREE_DEPTH,
        rng_key=key,
    )

    def trajectory(
        current: KernelState, momentum: jax.Array, step_size: jax.Array, key: jax.Array
    ) -> Any:
        return sample(
            initial._replace(
                z=current.z,
                z_grad=current.gradient,
                potential_energy=current.potential,
                r=momentum,
                adapt_state=initial.adapt_state._replace(step_size=step_size),
                rng_key=key,
            )
        )

    return trajectory


def run_chains(
    kernel: NUTSKernel,
    states: list[ChainState],
    rngs: RandomGenerators,
    iterations: int,
    share: Share,
    adapts: bool,
) -> tuple[list[ChainState], Collected]:
    """Run every chain through a stage of sampling, in which step sizes adapt or stay.

    The stage ends with a whole block, whatever the number of iterations that are collected.
    ``share`` counts the iterations of all chains.

    Returns
    -------
    states : list of ChainState
    collected : dict of ndarray, each (chain, iteration, ...)
    """
    stopped = Event()

    def run(
        state: ChainState, of_chain: Sequence[np.random.Generator]
    ) -> tuple[ChainState, Collected]:
        pieces: list[Collected] = []
        for begin in range(0, iterations, BLOCK_SIZE):
            if stopped.is_set():
                break
            state, piece = kernel.advance(state, of_chain, adapts)
            pieces.append(piece)
            share.update(min(BLOCK_SIZE, iterations - begin))
        return state, concatenated(pieces)

    with ThreadPoolExecutor(min(len(states), os.cpu_count() or 1)) as pool:
        try:
            running = [pool.submit(run, *chain) for chain in zip(states, rngs, strict=True)]
            unfinished = set(running)
            while unfinished:
                done, unfinished = wait(unfinished, WAIT_SECONDS, FIRST_EXCEPTION)
                for future in done:
                    future.result()
        except BaseException:
            # An interrupt or the failure of one chain must not wait for the other chains.
            stopped.set()
            raise
    last, pieces = zip(*(future.result() for future in running), strict=True)
    names = pieces[0]
    return list(last), {n: np.stack([p[n][:iterations] for p in pieces]) for n in names}


def concatenated(pieces: list[Collected], axis: int = 0) -> Collected:
    """Concatenate draws and statistics of successive iterations."""
    return {name: np.concatenate([piece[name] for piece in pieces], axis) for name in pieces[0]}


def warm_up(
    rngs: RandomGenerators,
    target: MarginalPosterior,
    approximation: Approximation,
    settings: SamplerSettings,
) -> tuple[NUTSKernel, list[ChainState]]:
    """Adapt step size and covariance, and drop a cheaper density that is rejected too often.

    In the first part of the warmup the step size adapts to the initial covariance. The draws of
    all chains then improve the covariance, to which the step size adapts further in the second
    part. All chains take the geometric mean of their step sizes, so that none is slower.

    Parameters are those of :func:`nuts`, and the generators of :func:`run_chains`.
    """
    # Twice as many iterations for the covariance as for the step size.
    whole = settings.warmup
    second_part = 5 * (whole // 15) if whole >= 15 else max(whole // 3, 1)
    first_part = whole - second_part
    density: Density = approximation.density

    def rejects(collected: Collected) -> bool:
        """Whether any chain rejects too many proposals."""
        return bool((collected["accepted"].mean(axis=1) < MIN_ACCEPTANCE_RATE).any())

    def run(
        title: str, kernel: NUTSKernel, states: list[ChainState], iterations: int
    ) -> tuple[list[ChainState], Collected]:
        steps = settings.chains * iterations
        with share_of_stage(title, settings.progress, steps) as share:
            return run_chains(kernel, states, rngs, iterations, share, adapts=True)

    starts = approximation.points(settings.chains, generator(settings.seed, "starts"))
    # A chain could not leave a point at which rounding makes the density NaN.
    starts[[not np.isfinite(target.value(start)) for start in starts]] = approximation.point
    root = np.linalg.cholesky(approximation.covariance)
    kernel = NUTSKernel(density, target, root, settings.target_accept)
    ones, rng = np.ones(len(starts), dtype=int), generator(settings.seed, "initial")
    coefficients = target.evaluate(starts, ones, rng)[1][:, 0]
    states = [
        kernel.begin(*start, INITIAL_STEP_SIZE) for start in zip(starts, coefficients, strict=True)
    ]
    with stage("Compilation", settings.progress):
        kernel.compile(states[0])
    _, first = run("Warmup, first part", kernel, states, first_part)
    if rejects(first):
        density = target

    draws = first["flat"][:, first_part // 3 :].reshape(-1, starts.shape[1])
    # Shrunk towards the initial covariance, with a weight of two draws per dimension: that of about
    # as many draws as dimensions would be nearly singular.
    weight = len(draws) / (len(draws) + 2 * draws.shape[1])
    covariance = weight * np.cov(draws, rowvar=False) + (1 - weight) * approximation.covariance
    root = np.linalg.cholesky(covariance)
    kernel = NUTSKernel(density, target, root, settings.target_accept)
    if density is not approximation.density:
        kernel.compile(states[0])
    half = first["step_size"][:, first_part // 2 :]
    states = _restarted(kernel, first, float(np.exp(np.mean(np.log(half)))))
    states, second = run("Warmup, second part", kernel, states, second_part)
    step_size = float(np.exp(np.mean([state.step_size.average for state in states])))
    if rejects(second):
        kernel = NUTSKernel(target, target, root, settings.target_accept)
        kernel.compile(states[0])
    return kernel, _restarted(kernel, second, step_size)


def _restarted(kernel: NUTSKernel, collected: Collected, step_size: float) -> list[ChainState]:
    """Start every chain of a kernel at its last draw with another kernel."""
    last = zip(collected["flat"][:, -1], collected["coefficients"][:, -1], strict=True)
    return [kernel.begin(flat, coefficients, step_size) for flat, coefficients in last]


def nuts(
    target: MarginalPosterior,
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
    target : MarginalPosterior
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
    rngs = [[generator(settings.seed, own, chain) for own in PURPOSES] for chain in range(chains)]
    kernel, states = warm_up(rngs, target, approximation, settings)
    # Without a number of draws, about twice the minimum.
    expected = 2 * count if settings.draws is None else count
    title = f"Draws of {chains} chains"
    with share_of_stage(title, settings.progress, chains * expected, leave=True) as share:
        states, collected = run_chains(kernel, states, rngs, count, share, adapts=False)
        while settings.draws is None:
            done = collected["flat"].shape[1]
            every = quantities(collected["flat"], collected["coefficients"])
            short = float(shortfalls(every).max())
            more = additional_draws(short, done, BLOCK_SIZE)
            share.expect(chains * min(short * done, MAX_DRAWS), f"{done} draws per chain")
            if not more:
                break
            states, further = run_chains(kernel, states, rngs, more, share, adapts=False)
            collected = concatenated([collected, further], axis=1)

    flat, coefficients = collected.pop("flat"), collected.pop("coefficients")
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(np.int64)
    collected["reached_max_treedepth"] = collected["tree_depth"] >= MAX_TREE_DEPTH
    return Draws(flat, coefficients, collected)

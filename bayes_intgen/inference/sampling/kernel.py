"""NUTS kernel with delayed acceptance, compiled once for the shapes of its data.

Trajectories are those of NumPyro's documented ``hmc``, which is imported where a program is
compiled. JAX takes seconds for that, or one with the programs of earlier processes in the folder
``JAX_COMPILATION_CACHE_DIR``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray
from scipy.linalg import block_diag, solve_triangular

from bayes_intgen._jax import cpu_device, double_precision
from bayes_intgen._progress import stage
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import Density, Target

Collected = dict[str, NDArray[Any]]

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
# Compiled programs, by the kinds of densities and the shapes of their arrays.
PROGRAMS: dict[Any, jax.stages.Compiled] = {}


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

    @classmethod
    def at(cls, step_size: float) -> Self:
        """Start at a step size."""
        log, zero = np.asarray(np.log(step_size)), np.zeros(())
        return cls(log, log, log, zero, zero)

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


class NUTSKernel:
    """NUTS on a density, with a Metropolis correction by the exact one.

    Parameters
    ----------
    density : Density
        Density that NUTS samples; the target if nothing cheaper is used.
    target : Target
        Density of the draws.
    root : ndarray, shape (D, D)
        Lower Cholesky factor of an estimate of the covariance: NUTS samples z, with flat vector
        ``root @ z``. This is equivalent to a dense mass matrix, and compiles faster.
    target_accept : float
    """

    def __init__(self, density: Density, target: Target, root: Array, target_accept: float) -> None:
        self.density, self.target, self.root = density, target, root
        self.target_accept = target_accept
        # Padding stays at zero, where its gradient is zero, as its momenta are: trajectories are
        # those of the other sites alone, whose step sizes are larger.
        self._padding = density.compiled.size - len(root)
        self._padded_root = block_diag(root, np.eye(self._padding))
        self._moves = np.arange(len(self._padded_root)) < len(root)

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
            coefficients,
        )
        return ChainState(current, StepSize.at(step_size))

    def compile(self, chain: ChainState, count: int, progress: bool) -> None:
        """Compile :meth:`advance` for ``count`` iterations of such a chain."""
        arguments = self._arguments(chain, np.zeros((count, 2), dtype=np.uint32), False)
        if _shapes(arguments) not in PROGRAMS:
            with stage("Compilation", progress), _on_cpu():
                PROGRAMS[_shapes(arguments)] = jax.jit(advance).lower(*arguments).compile()

    def advance(
        self, chain: ChainState, keys: NDArray[np.uint32], adapts: bool
    ) -> tuple[ChainState, Collected]:
        """Run an iteration of a chain for each Threefry key (count, 2), and collect the draws.

        The step size adapts, or stays.
        """
        arguments = self._arguments(chain, keys, adapts)
        with _on_cpu():
            results = PROGRAMS[_shapes(arguments)](*arguments)
            chain, rows = jax.tree.map(np.asarray, results)
        size = len(self._moves)
        z, columns, coefficients = np.split(rows, [size, size + len(STATISTICS)], axis=1)
        named = zip(STATISTICS.items(), columns.T, strict=True)
        statistics = {name: values.astype(dtype) for (name, dtype), values in named}
        flat = z[:, : len(self.root)] @ self.root.T
        return chain, {"flat": flat, "coefficients": coefficients, **statistics}

    def _arguments(
        self, chain: ChainState, keys: NDArray[np.uint32], adapts: bool
    ) -> tuple[Any, ...]:
        densities = self.density.compiled, self.target.compiled
        coordinates, settings = (self._padded_root, self._moves), (self.target_accept, adapts)
        arguments = chain, densities, coordinates, settings, keys
        # JAX takes plain numbers for other types than arrays.
        arrays: tuple[Any, ...] = jax.tree.map(np.asarray, arguments)
        return arrays


def advance(
    chain: ChainState,
    densities: tuple[Density, Target],
    coordinates: tuple[jax.Array, jax.Array],
    settings: tuple[jax.Array, jax.Array],
    keys: jax.Array,
) -> tuple[ChainState, jax.Array]:
    """Advance a chain by an iteration for each key, in JAX."""
    (density, target), (root, moves), (target_accept, adapts) = densities, coordinates, settings
    first_key = jax.random.wrap_key_data(keys[0], impl="threefry2x32")
    trajectory = _trajectory(lambda z: density.potential(root @ z), chain.current.z, first_key)

    def iterate(chain: ChainState, key_data: jax.Array) -> tuple[ChainState, jax.Array]:
        current, step_size = chain
        key = jax.random.wrap_key_data(key_data, impl="threefry2x32")
        of_momentum, of_trajectory, of_acceptance, of_draw = jax.random.split(key, 4)
        momentum = moves * jax.random.normal(of_momentum, moves.shape)
        end = trajectory(current, momentum, jnp.exp(step_size.log), of_trajectory)
        normal = jax.random.normal(of_draw, current.coefficients.shape)
        exact_potential, coefficients = target.potential_and_draw(root @ end.z, normal)
        proposal = KernelState(
            end.z,
            end.z_grad,
            end.potential_energy,
            end.energy,
            exact_potential - end.potential_energy,
            coefficients,
        )
        log_acceptance = current.potential_correction - proposal.potential_correction
        accepted = jnp.log(jax.random.uniform(of_acceptance)) < log_acceptance
        new = _either(accepted, proposal, current)
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
        row = jnp.concatenate([new.z, numbers, new.coefficients])
        return ChainState(new, _either(adapts, adapted, step_size)), row

    return lax.scan(iterate, chain, keys)


def _trajectory(
    potential: Callable[[jax.Array], jax.Array], start: jax.Array, key: jax.Array
) -> Callable[[KernelState, jax.Array, jax.Array, jax.Array], Any]:
    """NumPyro's trajectories: from a state, momentum, step size and key to the end."""
    from numpyro.infer.hmc import hmc

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


def _either[T](condition: jax.Array, one: T, other: T) -> T:
    """Choose one of two nested arrays of the same structure."""
    chosen: T = jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)
    return chosen


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    """Compute in double precision on the CPU; on another device if JAX has no CPU.

    An accelerator would be idle between the steps most of the time.
    """
    with double_precision():
        device = cpu_device()
        with contextlib.nullcontext() if device is None else jax.default_device(device):
            yield


def _shapes(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    leaves, structure = jax.tree.flatten(arguments)
    return structure, *((leaf.shape, leaf.dtype) for leaf in leaves)

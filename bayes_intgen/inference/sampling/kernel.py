"""NUTS kernel with delayed acceptance, compiled once for a program and the shapes of its data.

Trajectories and dual averaging are NumPyro's. Random numbers come from NumPy: less needs to be
compiled, and draws do not depend on the size of the blocks of iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import LogDensity, Potential, PotentialAndDraw
from bayes_intgen.inference.density.numpyro_adapter import (
    adapted_step_size,
    initial_step_size,
    nuts_trajectory,
)
from bayes_intgen.inference.sampling.program_cache import CompiledProgram

Collected = dict[str, NDArray[Any]]

INITIAL_STEP_SIZE = 0.5

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


class Innovations(NamedTuple):
    """Random numbers of n iterations of a chain.

    Attributes
    ----------
    momentum : (n, D)
        Standard normal.
    key_data : (n, 2) of uint32
        Keys of the random numbers within a trajectory.
    uniform : (n,)
        For the Metropolis correction.
    normal : (n, P)
        Standard normal, for the draws of the coefficients.
    """

    momentum: Any
    key_data: Any
    uniform: Any
    normal: Any

    @classmethod
    def zeros(cls, count: int, size: int, n_coefficients: int) -> Self:
        """Zeros of the shapes of ``count`` iterations in ``size`` dimensions."""
        key_data = np.zeros((count, 2), dtype=np.uint32)
        normal = np.zeros((count, n_coefficients))
        return cls(np.zeros((count, size)), key_data, np.zeros(count), normal)


class ChainRandomness:
    """Random numbers of one chain; the sequence does not depend on the size of the blocks.

    Parameters
    ----------
    seed, chain : int
    size : int
        Number of sites that move.
    n_coefficients : int
    padding : int
        Number of sites after them, whose momenta are zero.
    """

    def __init__(
        self, seed: int, chain: int, size: int, n_coefficients: int = 0, padding: int = 0
    ) -> None:
        self._size, self._n_coefficients, self._padding = size, n_coefficients, padding
        self._momentum = generator(seed, "momenta", chain)
        self._normal = generator(seed, "coefficients", chain)
        self._key_data = generator(seed, "trajectories", chain)
        self._uniform = generator(seed, "accepted", chain)

    def next(self, count: int) -> Innovations:
        """Draw the random numbers of the next ``count`` iterations."""
        momentum = self._momentum.standard_normal((count, self._size))
        return Innovations(
            np.pad(momentum, ((0, 0), (0, self._padding))),
            self._key_data.integers(2**32, size=(count, 2), dtype=np.uint32),
            self._uniform.random(count),
            self._normal.standard_normal((count, self._n_coefficients)),
        )


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
    """State of a chain: its current draw, and the adaptation of its step size.

    Attributes
    ----------
    current : KernelState
    adaptation : tuple
        State of dual averaging: log step size, its average, and the internal state.
    """

    current: KernelState
    adaptation: Any


class NUTSKernel:
    """NUTS on a surrogate density, with a Metropolis correction by the exact one.

    Parameters
    ----------
    surrogate : LogDensity
        Density that NUTS samples; the exact one if nothing cheaper is used.
    exact : LogDensity, optional
        Density of the draws; NUTS alone if None.
    root : ndarray, shape (D, D)
        Lower Cholesky factor of an estimate of the covariance: NUTS samples z, with flat vector
        ``root @ z``. This is equivalent to a dense mass matrix, and compiles faster.
    target_accept : float
    """

    def __init__(
        self,
        surrogate: LogDensity,
        exact: LogDensity | None,
        root: Array,
        target_accept: float,
    ) -> None:
        self.surrogate, self.exact, self.root = surrogate, exact, root
        self.target_accept = target_accept
        self._n_coefficients = 0 if exact is None else exact.n_coefficients
        self._program = _compiled_program(surrogate.potential, exact and _potential_and_draw(exact))

    def begin(
        self,
        flat: Array,
        coefficients: Array | None = None,
        step_size: float = INITIAL_STEP_SIZE,
    ) -> ChainState:
        """Start a chain with an adapting step size at a flat vector.

        Parameters
        ----------
        flat : ndarray, shape (D,)
        coefficients : ndarray, shape (P,), optional
            Draw at that vector of the coefficients that the exact density has marginalised. The
            chain repeats it until it accepts a proposal.
        step_size : float
            At which adaptation begins.
        """
        potential, gradient = self.surrogate.value_and_grad(flat)
        z = solve_triangular(self.root, flat, lower=True)
        coefficients = np.zeros(0) if coefficients is None else coefficients
        correction = 0.0
        if self.exact is not None and self.exact is not self.surrogate:
            correction = self.exact.value_and_grad(flat)[0] - potential
        if len(coefficients) != self._n_coefficients:
            raise ValueError(
                f"a chain begins with {self._n_coefficients} coefficients, not {len(coefficients)}"
            )
        numbers = z, self.root.T @ gradient, potential, potential, correction, coefficients
        adaptation = map(np.asarray, initial_step_size(step_size))
        return ChainState(KernelState(*map(np.asarray, numbers)), tuple(adaptation))

    def is_compiled(self, chain: ChainState, count: int) -> bool:
        """Whether :meth:`advance` is compiled for ``count`` iterations of such a chain."""
        return self._program.is_compiled(self._arguments(chain, self._zeros(count), None))

    def compile(self, chain: ChainState, count: int) -> None:
        """Compile :meth:`advance` for ``count`` iterations of such a chain."""
        self._program.compile(self._arguments(chain, self._zeros(count), None))

    def advance(
        self, chain: ChainState, innovations: Innovations, step_size: float | None
    ) -> tuple[ChainState, Collected]:
        """Run iterations of a chain, and collect draws and statistics of each.

        The step size adapts if it is None.
        """
        chain, rows = self._program(self._arguments(chain, innovations, step_size))
        return chain, collected(rows, self.root)

    def _zeros(self, count: int) -> Innovations:
        return Innovations.zeros(count, len(self.root), self._n_coefficients)

    def _arguments(
        self, chain: ChainState, innovations: Innovations, step_size: float | None
    ) -> tuple[Any, ...]:
        data = self.surrogate.data, self.exact and self.exact.data
        step = np.nan if step_size is None else step_size, self.target_accept
        return chain, data, self.root, np.array(step), innovations


def collected(rows: Any, root: Array) -> Collected:
    """Split the rows of :func:`iterations` into draws and statistics."""
    ends = [len(root), len(root) + len(STATISTICS)]
    z, columns, coefficients = np.split(np.asarray(rows), ends, axis=1)
    named = zip(STATISTICS.items(), columns.T, strict=True)
    statistics = {name: values.astype(dtype) for (name, dtype), values in named}
    return {"flat": z @ root.T, "coefficients": coefficients, **statistics}


@lru_cache(maxsize=16)
def _compiled_program(potential: Potential, exact: PotentialAndDraw | None) -> CompiledProgram:
    return CompiledProgram(iterations(potential, exact), (potential, exact))


def _potential_and_draw(exact: LogDensity) -> PotentialAndDraw:
    if exact.potential_and_draw is None:
        return _WithoutCoefficients(exact.potential)
    return exact.potential_and_draw


@dataclass(frozen=True)
class _WithoutCoefficients:
    """Potential that passes the numbers on from which others draw coefficients."""

    potential: Potential

    def __call__(self, data: Any) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        return lambda flat, normal: (self.potential(data)(flat), normal)


def iterations(potential: Potential, exact: PotentialAndDraw | None) -> Callable[..., Any]:
    """Function that advances a chain by several iterations, for compilation."""

    def advance(
        chain: ChainState, data: Any, root: jax.Array, step: jax.Array, innovations: Innovations
    ) -> tuple[ChainState, jax.Array]:
        fixed_step_size, target_accept = step

        def iterate(chain: ChainState, random: Innovations) -> tuple[ChainState, jax.Array]:
            current, adaptation = chain
            step_size = jnp.where(
                jnp.isnan(fixed_step_size), jnp.exp(adaptation[0]), fixed_step_size
            )

            def of_z(z: jax.Array) -> jax.Array:
                return potential(data[0])(root @ z)

            start = current.z, random.momentum, current.potential, current.gradient
            trajectory = nuts_trajectory(of_z, start, step_size, random.key_data)
            z, value = trajectory.position, trajectory.potential
            correction, coefficients = current.potential_correction, current.coefficients
            if exact is not None:
                exact_potential, coefficients = exact(data[1])(root @ z, random.normal)
                correction = exact_potential - value
            proposal = KernelState(
                z, trajectory.gradient, value, trajectory.energy, correction, coefficients
            )
            log_acceptance = current.potential_correction - proposal.potential_correction
            accepted = jnp.log(random.uniform) < log_acceptance
            new: KernelState = jax.tree.map(
                lambda one, other: jnp.where(accepted, one, other), proposal, current
            )
            statistics = (
                trajectory.diverging,
                new.energy + new.potential_correction,
                -(new.potential + new.potential_correction),
                trajectory.n_steps,
                trajectory.acceptance_rate,
                step_size,
                accepted,
            )
            # One array: each array that is stacked over iterations is compiled separately.
            numbers = jnp.stack([jnp.asarray(number, current.z.dtype) for number in statistics])
            adaptation = adapted_step_size(target_accept - trajectory.acceptance_rate, adaptation)
            row = jnp.concatenate([new.z, numbers, new.coefficients])
            return ChainState(new, adaptation), row

        return lax.scan(iterate, chain, innovations)

    return advance

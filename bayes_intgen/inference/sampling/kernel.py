"""Chains of NUTS, compiled once for a program and the shapes of its data.

Trajectories and the rule by which step sizes adapt are NumPyro's. What is random in them is drawn
with NumPy: that leaves less to compile, and draws that do not depend on how they are cut in blocks.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import Given, LogDensity, Potential
from bayes_intgen.inference.density.numpyro_adapter import (
    adapted_step_size,
    initial_step_size,
    nuts_trajectory,
)
from bayes_intgen.inference.sampling.checkpoint import Collected

# From which the step size adapts.
FIRST_STEP = 0.5

# Numbers that are reported of every iteration, in their order, and what they are.
REPORTED = {
    "diverging": bool,
    "energy": float,
    "lp": float,
    "n_steps": int,
    "acceptance_rate": float,
    "step_size": float,
    "accepted": bool,
}


class Innovations(NamedTuple):
    """What is random in n iterations of a chain.

    Attributes
    ----------
    momentum : (n, D)
        Standard normal.
    words : (n, 2) of uint32
        Keys of what is random within a trajectory.
    accepting : (n,)
        Uniform numbers that decide which draws are accepted.
    normal : (n, P)
        Standard normal, for what is drawn given the sites.
    """

    momentum: Any
    words: Any
    accepting: Any
    normal: Any

    @classmethod
    def none(cls, count: int, size: int, given: int) -> Self:
        """Zeros, of the shapes of ``count`` iterations in ``size`` dimensions, with P given."""
        words = np.zeros((count, 2), dtype=np.uint32)
        return cls(np.zeros((count, size)), words, np.zeros(count), np.zeros((count, given)))


class ChainRandomness:
    """All that is random in one chain: the same for a seed however many iterations come at once."""

    def __init__(self, seed: int, chain: int, size: int, given: int = 0) -> None:
        self._size, self._count = size, given
        self._momenta = generator(seed, "momenta", chain)
        self._given = generator(seed, "coefficients", chain)
        self._words = generator(seed, "trajectories", chain)
        self._accepting = generator(seed, "accepted", chain)

    def next(self, count: int) -> Innovations:
        """Of the next ``count`` iterations."""
        return Innovations(
            self._momenta.standard_normal((count, self._size)),
            self._words.integers(2**32, size=(count, 2), dtype=np.uint32),
            self._accepting.random(count),
            self._given.standard_normal((count, self._count)),
        )


class KernelState(NamedTuple):
    """Where a chain is, in coordinates in which the posterior's covariance is expected to be one.

    Attributes
    ----------
    z, gradient : (D,)
        Of the potential that is walked.
    potential, energy : ()
        That, and with the kinetic energy with which the chain came here.
    excess : ()
        By how much the exact potential exceeds it.
    given : (P,)
        What was drawn here of what the exact density has integrated out.
    """

    z: jax.Array
    gradient: jax.Array
    potential: jax.Array
    energy: jax.Array
    excess: jax.Array
    given: jax.Array


class ChainState(NamedTuple):
    """A chain: where it is, and what it has learned of its step size.

    Attributes
    ----------
    point : KernelState
    adaptation : tuple
        NumPyro's, by dual averaging: the logarithm of the step comes first, its average second.
    """

    point: KernelState
    adaptation: Any

    @property
    def log_step(self) -> float:
        """Logarithm of the step size that was found."""
        return float(self.adaptation[1])


class NUTSKernel:
    """A density for chains to walk, in coordinates that fit it.

    Parameters
    ----------
    density : LogDensity
        That is walked.
    exact : LogDensity, optional
        By which what is walked is corrected, where that is another.
    root : ndarray, shape (D, D)
        Lower Cholesky factor of the covariance that is expected: NUTS walks over z, where the flat
        vector is ``root @ z``. A mass matrix would do the same, and take longer to compile.
    target_accept : float
    """

    def __init__(
        self, density: LogDensity, exact: LogDensity | None, root: Array, target_accept: float
    ) -> None:
        self.density, self.exact, self.root = density, exact, root
        self.target_accept = target_accept
        self._count = 0 if exact is None else exact.given_size
        self._kernel = _kernel(density.potential, exact and _evaluated(exact))

    def begin(self, flat: Array, given: Array | None = None) -> ChainState:
        """A chain at a flat vector, with a step size that is to adapt.

        Parameters
        ----------
        flat : ndarray, shape (D,)
        given : ndarray, shape (P,), optional
            A draw at that vector of what the exact density has integrated out. The chain repeats it
            for as long as every proposal is refused.
        """
        value, gradient = self.density.energy(flat)
        z = solve_triangular(self.root, flat, lower=True)
        excess = 0.0
        if self.exact is not None and self.exact is not self.density:
            excess = self.exact.energy(flat)[0] - value
        given = np.zeros(0) if given is None else given
        if len(given) != self._count:
            raise ValueError(f"a chain begins with {self._count} drawn numbers, not {len(given)}")
        numbers = z, self.root.T @ gradient, value, value, excess, given
        adaptation = tuple(map(jnp.asarray, initial_step_size(FIRST_STEP)))
        return ChainState(KernelState(*map(jnp.asarray, numbers)), adaptation)

    def compile(self, chain: ChainState, count: int) -> None:
        """Make :meth:`advance` ready for so many iterations of such a chain."""
        chances = Innovations.none(count, len(self.root), self._count)
        self._kernel.compile(self._arguments(chain, chances, None))

    def advance(
        self, chain: ChainState, chances: Innovations, step: float | None
    ) -> tuple[ChainState, Collected]:
        """Iterations of a chain, and what is reported of each.

        With a given step size, or one that adapts if that is None.
        """
        chain, reported = self._kernel(self._arguments(chain, chances, step))
        size = len(self.root)
        z, numbers, given = np.split(np.asarray(reported), [size, size + len(REPORTED)], axis=1)
        collected = zip(REPORTED.items(), numbers.T, strict=True)
        statistics = {name: values.astype(dtype) for (name, dtype), values in collected}
        return chain, {"flat": z @ self.root.T, "given": given, **statistics}

    def _arguments(
        self, chain: ChainState, chances: Innovations, step: float | None
    ) -> tuple[Any, ...]:
        data = self.density.data, self.exact and self.exact.data
        pace = np.nan if step is None else step, self.target_accept
        return chain, data, self.root, np.array(pace), chances


class _Kernel:
    """NUTS for one potential, compiled once for every shape of the data."""

    def __init__(self, potential: Potential, exact: Given | None) -> None:
        self._advance = jax.jit(_program(potential, exact))
        self._compiled: dict[Any, Any] = {}

    def compile(self, arguments: tuple[Any, ...]) -> None:
        """Make a call ready for arguments of these shapes."""
        key = self._key(arguments)
        if key not in self._compiled:
            self._compiled[key] = self._advance.lower(*arguments).compile()

    def __call__(self, arguments: tuple[Any, ...]) -> tuple[ChainState, jax.Array]:
        found: tuple[ChainState, jax.Array] = self._compiled[self._key(arguments)](*arguments)
        return found

    @staticmethod
    def _key(arguments: tuple[Any, ...]) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        return structure, tuple((leaf.shape, leaf.dtype.name) for leaf in leaves)


@lru_cache(maxsize=16)
def _kernel(potential: Potential, exact: Given | None) -> _Kernel:
    return _Kernel(potential, exact)


def _evaluated(exact: LogDensity) -> Given:
    return _without_draws(exact.potential) if exact.given is None else exact.given


@lru_cache(maxsize=16)
def _without_draws(potential: Potential) -> Given:
    return lambda data: lambda flat, normal: (potential(data)(flat), normal)


def _program(potential: Potential, exact: Given | None) -> Callable[..., Any]:
    """What is compiled: iterations of a chain, from its state to that and what is reported."""

    def advance(
        chain: ChainState, data: Any, root: jax.Array, pace: jax.Array, chances: Innovations
    ) -> tuple[ChainState, jax.Array]:
        fixed, target_accept = pace

        def one(chain: ChainState, chance: Innovations) -> tuple[ChainState, jax.Array]:
            here, adaptation = chain
            step = jnp.where(jnp.isnan(fixed), jnp.exp(adaptation[0]), fixed)
            proposal = nuts_trajectory(
                lambda z: potential(data[0])(root @ z),
                (here.z, chance.momentum, here.potential, here.gradient),
                step,
                chance.words,
            )
            excess, given = here.excess, here.given
            if exact is not None:
                value, given = exact(data[1])(root @ proposal.position, chance.normal)
                excess = value - proposal.potential
            there = KernelState(*proposal[:4], excess, given)
            accepted = jnp.log(chance.accepting) < here.excess - there.excess
            now: KernelState = jax.tree.map(
                lambda new, old: jnp.where(accepted, new, old), there, here
            )
            reported = (
                proposal.diverging,
                now.energy + now.excess,
                -(now.potential + now.excess),
                proposal.n_steps,
                proposal.acceptance_rate,
                step,
                accepted,
            )
            # As one array: each that is stacked over iterations is compiled by itself.
            numbers = jnp.stack([jnp.asarray(number, here.z.dtype) for number in reported])
            adapted = adapted_step_size(target_accept - proposal.acceptance_rate, adaptation)
            return ChainState(now, adapted), jnp.concatenate([now.z, numbers, now.given])

        return jax.lax.scan(one, chain, chances)

    return advance

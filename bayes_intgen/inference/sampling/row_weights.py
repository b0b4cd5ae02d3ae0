"""Gibbs sampler of Student-t noise: a Gaussian scale mixture with a weight per row.

Given weights, Student-t rows are Gaussian, so that all coefficients integrate out. Each sweep draws
(1) scale and degrees of freedom given the residuals, with the weights integrated out, (2) the
weights, (3) the hyperparameters given the weights, with the coefficients integrated out, by one
trajectory of NUTS, and (4) the coefficients given all else. It is a partially collapsed Gibbs
sampler (van Dyk and Park, JASA 2008): what a step integrates out is drawn anew before it is used.
Far rows make it slower by a factor of about (df + 3) / 2, the inverse of the share of information
about the mean that the weights do not hide.
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.log_density import Potential, PotentialAndDraw
from bayes_intgen.inference.sampling.chain_runner import concatenated
from bayes_intgen.inference.sampling.checkpoint import Collected
from bayes_intgen.inference.sampling.kernel import (
    ChainState,
    CompiledProgram,
    Innovations,
    NUTSKernel,
    collected,
    iterations,
)
from bayes_intgen.inference.sampling.student_t_rows import StudentTRows

# Probability that a sweep draws all coefficients with fixed scales, also those that are hardly
# informed by rows: products of their many columns take long.
FULL_SWEEP_PROBABILITY = 0.05


class RowWeightKernel:
    """Sweeps of the Gibbs sampler; an alternative to :class:`NUTSKernel`.

    The coefficients of its states are those of all columns, and log df at the end. Statistics of
    an iteration are those of its trajectory, given the weights.

    Parameters
    ----------
    rows : StudentTRows
    root : ndarray, shape (D, D)
    target_accept : float
    """

    def __init__(self, rows: StudentTRows, root: Array, target_accept: float) -> None:
        self.rows, self.root, self.target_accept = rows, root, target_accept
        density = rows.posterior.density
        assert density.potential_and_draw is not None
        self._trajectory = _trajectory(density.potential, density.potential_and_draw)

    def begin(self, flat: Array, coefficients: Array) -> ChainState:
        """Start a chain with an adapting step size at a flat vector, as :class:`NUTSKernel`."""
        density = self.rows.posterior.density
        kernel = NUTSKernel(density, density, self.root, self.target_accept)
        chain = kernel.begin(flat, np.zeros(self.rows.size))
        return _with_coefficients(chain, coefficients)

    def is_compiled(self, chain: ChainState, count: int) -> bool:
        """Whether a trajectory is compiled."""
        return self._trajectory.is_compiled(self._example(chain))

    def compile(self, chain: ChainState, count: int) -> None:
        """Compile a trajectory; sweeps run in Python."""
        self._trajectory.compile(self._example(chain))

    def advance(
        self, chain: ChainState, innovations: Innovations, step_size: float | None
    ) -> tuple[ChainState, Collected]:
        """Run sweeps, and collect draws and statistics of each."""
        pieces = []
        for i in range(len(innovations.uniform)):
            one = Innovations(*(values[i : i + 1] for values in innovations))
            chain, piece = self._sweep(chain, one, step_size)
            pieces.append(piece)
        return chain, concatenated(pieces)

    def _sweep(
        self, chain: ChainState, innovations: Innovations, step_size: float | None
    ) -> tuple[ChainState, Collected]:
        rows = self.rows
        first, second = map(int, innovations.key_data[0])
        rng = generator(first, "row weights", second)
        flat = self.root @ np.asarray(chain.current.z)
        state = np.array(chain.current.coefficients)
        own, fixed = rows.deviations(state)
        noise = rows.posterior.layout.positions["noise_sd"][0]
        log_noise = np.array([flat[noise], state[-1]])
        residual, outcome = rows.residual(own, fixed)
        (flat[noise], state[-1]), weights = rows.draw_noise(residual, log_noise, fixed, rng)
        full = rng.random() < FULL_SWEEP_PROBABILITY
        count = len(fixed) if full else rows.fixed.informed
        reduced = rows.statistics(weights, outcome, fixed[count:])

        prior, priors, statistics = rows.data
        data = prior, priors, reduced.sums._replace(known=statistics.known)
        z = solve_triangular(self.root, flat, lower=True)
        start = chain._replace(current=chain.current._replace(z=z))
        start = _with_coefficients(start, own)
        normal = np.zeros((1, rows.size))
        normal[0, : len(rows.columns)] = innovations.normal[0, rows.columns]
        chain, piece = self._run(start, data, innovations._replace(normal=normal), step_size)

        drawn = piece["coefficients"][0]
        state[rows.columns] = drawn[: len(rows.columns)]
        own[: len(rows.columns)] = state[rows.columns] - rows.posterior.priors.mean
        scale = np.exp(piece["flat"][:1, noise])
        fixed[:count] = reduced.complete(own[None, None], scale[None], rng)[0, 0, rows.size :]
        state[rows.fixed.columns] = rows.fixed.root @ fixed
        return _with_coefficients(chain, state), {**piece, "coefficients": state[None]}

    def _run(
        self, chain: ChainState, data: Any, innovations: Innovations, step_size: float | None
    ) -> tuple[ChainState, Collected]:
        """Run one trajectory of NUTS under given statistics."""
        chain, row = self._trajectory(self._arguments(chain, data, innovations, step_size))
        return chain, collected(row, self.root)

    def _example(self, chain: ChainState) -> tuple[Any, ...]:
        """Arguments of a trajectory, for their shapes."""
        own = np.zeros(self.rows.size)
        random = Innovations.zeros(1, len(self.root), self.rows.size)
        return self._arguments(_with_coefficients(chain, own), self.rows.data, random, None)

    def _arguments(
        self, chain: ChainState, data: Any, innovations: Innovations, step_size: float | None
    ) -> tuple[Any, ...]:
        step = np.array([np.nan if step_size is None else step_size, self.target_accept])
        # Python's numbers have no shape.
        chain, data = jax.tree.map(np.asarray, (chain, data))
        return chain, data, self.root, step, innovations


@lru_cache(maxsize=16)
def _trajectory(potential: Potential, exact: PotentialAndDraw) -> CompiledProgram:
    """Compiled iteration of NUTS from a state of another density."""
    advance = iterations(potential, exact)

    def run(
        chain: ChainState, data: Any, root: jax.Array, step: jax.Array, innovations: Innovations
    ) -> tuple[ChainState, jax.Array]:
        current = chain.current
        value, gradient = jax.value_and_grad(lambda z: potential(data)(root @ z))(current.z)
        current = current._replace(
            potential=value, gradient=gradient, potential_correction=jnp.zeros_like(value)
        )
        chain = chain._replace(current=current)
        moved: tuple[ChainState, jax.Array] = advance(chain, (data, data), root, step, innovations)
        return moved

    return CompiledProgram(run)


def _with_coefficients(chain: ChainState, coefficients: Array) -> ChainState:
    state: Any = np.asarray(coefficients)
    return chain._replace(current=chain.current._replace(coefficients=state))

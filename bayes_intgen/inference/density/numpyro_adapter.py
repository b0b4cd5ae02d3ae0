"""Adapter to the parts of NumPyro that may change between releases.

Because of them ``pyproject.toml`` has an upper bound on the version of NumPyro. Functions import
what they need: a process that loads its compiled programs does without NumPyro, 0.1 s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

MAX_TREE_DEPTH = 10

# State of dual averaging: log step size, its average, and the internal state of the scheme.
StepSizeState = tuple[Any, ...]

# Regularisation of dual averaging. With NumPyro's default of 0.05 step sizes vary so much over a
# warmup of 75 iterations that its trajectories have 12 steps instead of 7.
GAMMA = 0.2


class Trajectory(NamedTuple):
    """Proposal and statistics of one NUTS trajectory.

    Attributes
    ----------
    position, gradient : (D,)
        Of the proposal; ``gradient`` is that of the potential.
    potential, energy : ()
        Of the proposal; ``energy`` includes the kinetic energy.
    diverging : ()
    n_steps : ()
        Number of leapfrog steps.
    acceptance_rate : ()
        Mean acceptance probability along the trajectory.
    """

    position: jax.Array
    gradient: jax.Array
    potential: jax.Array
    energy: jax.Array
    diverging: jax.Array
    n_steps: jax.Array
    acceptance_rate: jax.Array


def nuts_trajectory(
    potential: Callable[[jax.Array], jax.Array],
    start: tuple[jax.Array, jax.Array, jax.Array, jax.Array],
    step_size: jax.Array,
    key_data: jax.Array,
) -> Trajectory:
    """Run one trajectory of the No-U-Turn Sampler with a unit mass matrix.

    Parameters
    ----------
    potential : callable
        Minus the log density.
    start : tuple
        Position, momentum, potential and its gradient.
    step_size : Array, shape ()
    key_data : Array of uint32, shape (2,)
        Data of a Threefry key.
    """
    from numpyro.infer.hmc_util import build_tree, euclidean_kinetic_energy, velocity_verlet

    _, leapfrog = velocity_verlet(potential, euclidean_kinetic_energy)
    tree = build_tree(
        leapfrog,
        euclidean_kinetic_energy,
        start,
        jnp.ones(len(start[0])),
        step_size,
        jax.random.wrap_key_data(key_data, impl="threefry2x32"),
        max_tree_depth=MAX_TREE_DEPTH,
    )
    return Trajectory(
        tree.z_proposal,
        tree.z_proposal_grad,
        tree.z_proposal_pe,
        tree.z_proposal_energy,
        tree.diverging,
        tree.num_proposals,
        tree.sum_accept_probs / tree.num_proposals,
    )


def initial_step_size(step_size: float) -> StepSizeState:
    """Initial state of dual averaging, which shrinks towards the first step size.

    The usual ten times as much is for first step sizes that may be far too small.
    """
    return np.log(step_size), 0.0, 0.0, 0, np.log(step_size)


def adapted_step_size(error: jax.Array, state: StepSizeState) -> StepSizeState:
    """Update dual averaging by the target minus the observed acceptance probability."""
    from numpyro.infer.hmc_util import dual_averaging

    _, update = dual_averaging(gamma=GAMMA)
    updated: StepSizeState = update(error, state)
    return updated

"""NumPyro's NUTS, driven in blocks: chains side by side, with progress and statistics.

The kernel and its adaptation are NumPyro's. Driving it block by block from one thread a
chain lets chains run in parallel without a choice of devices before JAX starts, and
reports progress without a callback from compiled code.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.util import ParamInfo
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from bayes_intgen.bases import Array

Sites = Mapping[str, jax.Array]
# A potential is a function of the data that gives a function of the unconstrained sites,
# so that the data are arguments of the compiled program and not constants within it.
Potential = Callable[[Any], Callable[[Any], jax.Array]]

BLOCK = 25
MAX_TREE_DEPTH = 10


class Draws(NamedTuple):
    """Draws of the unconstrained sites and statistics of every step.

    Attributes
    ----------
    flat : ndarray, shape (chain, draw, D)
        Unconstrained sites, raveled as ``jax.flatten_util.ravel_pytree`` does.
    statistics : dict of ndarray, each (chain, draw)
        Named as in ArviZ's schema.
    """

    flat: Array
    statistics: dict[str, NDArray[Any]]


def nuts(
    potential: Potential,
    data: Any,
    starts: Array,
    unravel: Callable[[jax.Array], Any],
    inverse_mass: Array,
    *,
    warmup: int,
    draws: int,
    seed: int,
    target_accept: float = 0.85,
    progress: bool = True,
) -> Draws:
    """Run one NUTS chain from each start.

    Parameters
    ----------
    potential : Potential
    data : pytree of arrays
        Argument of ``potential``.
    starts : ndarray, shape (chain, D)
        Unconstrained starting points.
    unravel : callable
        From a flat vector to the sites.
    inverse_mass : ndarray, shape (D, D)
        Estimate of the posterior covariance; the step size adapts, this does not.
    warmup, draws : int
        Iterations to adapt the step size and to keep, per chain.
    seed : int
    target_accept : float
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Draws
    """
    chains = len(starts)
    workers = min(chains, os.cpu_count() or 1)
    keys = jax.random.split(jax.random.key(seed), chains)
    bar = tqdm(
        total=chains * (warmup + draws),
        desc=f"NUTS, {chains} chains",
        unit="it",
        disable=not progress,
    )

    value_and_grad = jax.jit(lambda data, z: jax.value_and_grad(potential(data))(z))
    init, step = hmc(potential_fn_gen=potential, algo="NUTS")

    @partial(jax.jit, static_argnames="count")
    def advance(state: HMCState, data: Any, count: int) -> tuple[HMCState, dict[str, jax.Array]]:
        def one(state: HMCState, _: None) -> tuple[HMCState, dict[str, jax.Array]]:
            state = step(state, (data,))
            return state, {
                "flat": ravel_pytree(state.z)[0],
                "diverging": state.diverging,
                "energy": state.energy,
                "lp": -state.potential_energy,
                "n_steps": state.num_steps,
                "acceptance_rate": state.accept_prob,
                "step_size": state.adapt_state.step_size,
            }

        return jax.lax.scan(one, state, None, length=count)

    def start_state(chain: int) -> HMCState:
        z = unravel(jnp.asarray(starts[chain]))
        value, gradient = value_and_grad(data, z)
        return init(
            ParamInfo(z, value, gradient),
            num_warmup=warmup,
            inverse_mass_matrix=jnp.asarray(inverse_mass),
            dense_mass=True,
            adapt_mass_matrix=False,
            target_accept_prob=target_accept,
            step_size=0.5,
            trajectory_length=None,
            max_tree_depth=MAX_TREE_DEPTH,
            model_args=(data,),
            rng_key=keys[chain],
        )

    def run(state: HMCState) -> dict[str, NDArray[Any]]:
        pieces = []
        # Settings of JAX are those of a thread.
        with jax.enable_x64(True):
            for begin in range(0, warmup + draws, BLOCK):
                count = min(BLOCK, warmup + draws - begin)
                state, piece = advance(state, data, count)
                pieces.append(jax.tree.map(np.asarray, piece))
                bar.update(count)
        return {name: np.concatenate([p[name] for p in pieces])[warmup:] for name in pieces[0]}

    with jax.enable_x64(True), bar, threadpool_limits(1 if workers > 1 else None, "blas"):
        # The kernel keeps its settings in closures, so chains start one after another.
        states = [start_state(chain) for chain in range(chains)]
        with ThreadPoolExecutor(workers) as pool:
            results = list(pool.map(run, states))

    collected = {name: np.stack([result[name] for result in results]) for name in results[0]}
    flat = collected.pop("flat")
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(np.int64)
    collected["reached_max_treedepth"] = collected["tree_depth"] >= MAX_TREE_DEPTH
    return Draws(flat, collected)

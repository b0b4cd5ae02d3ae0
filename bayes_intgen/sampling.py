"""NumPyro's NUTS, driven in blocks: chains side by side, with progress and statistics.

The kernel and its adaptation are NumPyro's. Driving it block by block from one thread a
chain lets chains run in parallel without a choice of devices before JAX starts, and
reports progress without a callback from compiled code.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.util import ParamInfo
from tqdm.auto import tqdm

from bayes_intgen.bases import Array

# A potential is a function of the data that gives a function of the unconstrained sites,
# so that the data are arguments of the compiled program and not constants within it.
Potential = Callable[[Any], Callable[[Any], jax.Array]]

Collected = dict[str, NDArray[Any]]

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
    target_accept: float,
    progress: bool,
) -> Draws:
    """Run one NUTS chain from each start; to be called in the caller's 64-bit scope.

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
        First estimate of the posterior covariance.
    warmup, draws : int
        Iterations to adapt and to keep, per chain. In the first half of the warmup the
        step size adapts to the given covariance; what all chains saw then improves the
        covariance, and in the second half the step size adapts to that.
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
    adapting = warmup // 2
    stopped = Event()
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

    def begin(chain: int, start: Array, inverse_mass: Array, stage: int) -> HMCState:
        z = unravel(jnp.asarray(start))
        value, gradient = value_and_grad(data, z)
        return init(
            ParamInfo(z, value, gradient),
            num_warmup=adapting,
            inverse_mass_matrix=jnp.asarray(inverse_mass),
            dense_mass=True,
            adapt_mass_matrix=False,
            target_accept_prob=target_accept,
            step_size=0.5,
            trajectory_length=None,
            max_tree_depth=MAX_TREE_DEPTH,
            model_args=(data,),
            rng_key=jax.random.fold_in(keys[chain], stage),
        )

    def run(state: HMCState, iterations: int) -> dict[str, NDArray[Any]]:
        pieces = []
        # Settings of JAX are those of a thread.
        with jax.enable_x64(True):
            for done in range(0, iterations, BLOCK):
                if stopped.is_set():
                    break
                count = min(BLOCK, iterations - done)
                state, piece = advance(state, data, count)
                pieces.append(jax.tree.map(np.asarray, piece))
                bar.update(count)
        return {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}

    def run_all(starts: Array, inverse_mass: Array, stage: int, iterations: int) -> Collected:
        # The kernel keeps its settings in closures, so chains start one after another.
        states = [begin(chain, starts[chain], inverse_mass, stage) for chain in range(chains)]
        with ThreadPoolExecutor(workers) as pool:
            try:
                results = list(pool.map(run, states, [iterations] * chains))
            except BaseException:
                # An interrupt must not wait for chains to run to their end.
                stopped.set()
                raise
        return {name: np.stack([result[name] for result in results]) for name in results[0]}

    with bar:
        first = run_all(starts, inverse_mass, 0, adapting)["flat"]
        pooled = _pooled_covariance(first[:, adapting // 3 :], inverse_mass)
        second = run_all(first[:, -1], pooled, 1, warmup - adapting + draws)

    collected = {name: values[:, warmup - adapting :] for name, values in second.items()}
    flat = collected.pop("flat")
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(np.int64)
    collected["reached_max_treedepth"] = collected["tree_depth"] >= MAX_TREE_DEPTH
    return Draws(flat, collected)


def _pooled_covariance(flat: Array, first: Array) -> Array:
    """Covariance of draws (chain, draw, D), drawn towards a first estimate of it.

    The first estimate counts as much as two draws a dimension: as few draws as there are
    dimensions would otherwise give a covariance that is singular or nearly so.
    """
    draws = flat.reshape(-1, flat.shape[-1])
    trust = len(draws) / (len(draws) + 2 * draws.shape[1])
    return np.asarray(trust * np.cov(draws, rowvar=False) + (1 - trust) * first)

"""NumPyro's NUTS, driven in blocks: chains side by side, with progress and statistics.

The kernel and its adaptation are NumPyro's. Driving it block by block from one thread a
chain lets chains run in parallel without a choice of devices before JAX starts, and
reports progress without a callback from compiled code.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from threading import Event
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from numpyro.infer.hmc import HMCState, hmc
from numpyro.infer.hmc_util import build_adaptation_schedule
from numpyro.infer.util import ParamInfo
from tqdm.auto import tqdm

from bayes_intgen.bases import Array
from bayes_intgen.checkpoint import Checkpoint, Collected
from bayes_intgen.diagnostics import shortage
from bayes_intgen.streams import generator
from bayes_intgen.targets import Potential

Energy = Callable[[Array], tuple[float, Array]]

BLOCK = 25
MAX_TREE_DEPTH = 10
# With fewer draws accepted, an approximation costs more than it saves.
LEAST_ACCEPTED = 0.5
# Draws of each chain, where it is for them to say how many are enough.
FEWEST_DRAWS, MOST_DRAWS = 200, 2000
# By how much the log density of a draw may exceed that of the mode: rounding, and a search that
# ended a little early.
HIGHER = 1.0


class NotTheModeError(Exception):
    """A chain came upon a density higher than that of what was taken for the mode.

    Attributes
    ----------
    point : ndarray, shape (D,)
        Where that was.
    """

    def __init__(self, point: Array) -> None:
        super().__init__("there is a higher mode")
        self.point = point


class Density(NamedTuple):
    """A density over flat vectors of unconstrained sites.

    Attributes
    ----------
    potential : Potential
        Minus its logarithm, for NUTS to differentiate.
    data : pytree of arrays
        Argument of ``potential``.
    energy : callable
        The same with its gradient, by whatever means: for starting points alone.
    """

    potential: Potential
    data: Any
    energy: Energy


class Draws(NamedTuple):
    """Draws of the unconstrained sites and statistics of every step.

    Attributes
    ----------
    flat : ndarray, shape (chain, draw, D)
        Unconstrained sites.
    statistics : dict of ndarray, each (chain, draw)
        Named as in ArviZ's schema.
    """

    flat: Array
    statistics: dict[str, NDArray[Any]]


def nuts(
    density: Density,
    starts: Array,
    inverse_mass: Array,
    *,
    warmup: int,
    draws: int | None,
    seed: int,
    target_accept: float,
    progress: bool,
    reported: Callable[[Array], Array] = np.asarray,
    walked: Density | None = None,
    least_energy: float = -math.inf,
    checkpoint: Checkpoint | None = None,
    label: str = "",
) -> Draws:
    """Run one NUTS chain from each start; to be called in the caller's 64-bit scope.

    Where there is a cheaper density that is close to the one that is meant, NUTS walks that, and
    every draw that it makes is accepted or refused so that the chain is the exact one's: NUTS is
    reversible under the density that it walks, so a Metropolis step with the ratio of both
    densities does (delayed acceptance; Christen and Fox 2005, section 2).

    Parameters
    ----------
    density : Density
    starts : ndarray, shape (chain, D)
        Unconstrained starting points.
    inverse_mass : ndarray, shape (D, D)
        First estimate of the posterior covariance.
    warmup : int
        Iterations to adapt, per chain. In the first half of the warmup the step size adapts to
        the given covariance; what all chains saw then improves the covariance, and in the second
        half the step size adapts to that. All chains then take the geometric mean of the steps
        that they have found.
    draws : int or None
        Iterations to keep, per chain. None for as many as it takes until the chains agree and
        have enough effective draws of every quantity: ``FEWEST_DRAWS`` to ``MOST_DRAWS``.
    seed : int
    target_accept : float
    progress : bool
        Whether to show a progress bar.
    reported : callable
        The quantities that are to have enough, of unconstrained sites (chain, draw, D).
    walked : Density, optional
        A cheaper density to walk. Where too few draws are accepted in either half of the warmup,
        the walk goes back to the density that is meant.
    least_energy : float
        Minus the log density at the mode.
    checkpoint : Checkpoint, optional
        Keeps every block of iterations that is done, and has those of an earlier run.
    label : str
        What the checkpoint calls this run.

    Returns
    -------
    Draws

    Raises
    ------
    NotTheModeError
        Where the density was higher in the warmup than at the mode. Chains that start from a lower
        mode seldom reach the highest one, and those that do bring what they learned of another.
    """
    chains = len(starts)
    workers = min(chains, os.cpu_count() or 1)
    adapting = warmup // 2
    first_draws = FEWEST_DRAWS if draws is None else draws
    block = _block(adapting, warmup - adapting, first_draws)
    stopped = Event()
    bar = tqdm(
        total=chains * (warmup + first_draws),
        desc=f"NUTS, {chains} chains",
        unit="it",
        disable=not progress,
    )

    def walking(on: Density) -> _Walk:
        exact = None if on is density else density
        potential, data = (None, None) if exact is None else exact[:2]
        kernel = _kernel(on.potential, potential, adapting, target_accept)
        return _Walk(kernel, on, jax.tree.map(jnp.asarray, (on.data, data)))

    def begun(walk: _Walk, starts: Array, inverse_mass: Array, stage: int) -> list[HMCState]:
        # JAX would have to compile what makes keys of a seed.
        words = generator(seed, "chains", stage).integers(2**32, size=(chains, 2), dtype=np.uint32)
        return [
            walk.begin(start, inverse_mass, key) for start, key in zip(starts, words, strict=True)
        ]

    def run(
        walk: _Walk, stage: str, chain: int, state: HMCState, iterations: int
    ) -> tuple[HMCState, Collected]:
        pieces: list[Collected] = []
        # Settings of JAX are those of a thread.
        with jax.enable_x64(True):
            found = checkpoint and checkpoint.read(stage, chain, state)
            if found:
                state, earlier = found
                pieces.append(earlier)
                bar.update(len(earlier["flat"]))
            already = sum(len(piece["flat"]) for piece in pieces)
            for done in range(already, iterations, block):
                if stopped.is_set():
                    break
                count = min(block, iterations - done)
                state, piece = walk.advance(state, count)
                pieces.append(jax.tree.map(np.asarray, piece))
                if checkpoint is not None:
                    pieces = [_concatenated(pieces)]
                    checkpoint.write(stage, chain, state, pieces[0])
                bar.update(count)
        return state, _concatenated(pieces)

    def run_all(
        walk: _Walk, stage: str, states: list[HMCState], iterations: int
    ) -> tuple[list[HMCState], Collected]:
        # NumPyro's kernel keeps what it traces in closures: it is traced by one thread alone.
        for count in {min(block, iterations), iterations % block} - {0}:
            walk.compile(states[0], count)
        stage = label + stage
        with ThreadPoolExecutor(workers) as pool:
            try:
                every = range(chains), states, [iterations] * chains
                results = list(pool.map(partial(run, walk, stage), *every))
            except BaseException:
                # An interrupt must not wait for chains to run to their end.
                stopped.set()
                raise
        ended, collected = zip(*results, strict=True)
        return list(ended), {name: np.stack([c[name] for c in collected]) for name in collected[0]}

    with bar:
        meant = walking(density)
        walk = meant if walked is None else walking(walked)
        _, first = run_all(walk, "steps", begun(walk, starts, inverse_mass, 0), adapting)
        _refuse_higher(first, least_energy)
        flat = first["flat"]
        learned = flat[:, adapting // 3 :].reshape(-1, flat.shape[-1])
        if first["accepted"].mean() < LEAST_ACCEPTED:
            walk = meant
        pooled = _pooled_covariance(learned, inverse_mass)
        states = begun(walk, flat[:, -1], pooled, 1)
        states, second = run_all(walk, "covariance", states, warmup - adapting)
        _refuse_higher(second, least_energy)
        states = _in_step(states)
        if second["accepted"].mean() < LEAST_ACCEPTED:
            walk, states = meant, [meant.joined(state) for state in states]
        states, collected = run_all(walk, "draws", states, first_draws)
        while draws is None and (more := _more(reported(collected["flat"]), block)):
            bar.total += chains * more
            done = collected["flat"].shape[1]
            states, further = run_all(walk, f"draws{done}", states, more)
            collected = _concatenated([collected, further], axis=1)

    flat = collected.pop("flat")
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(np.int64)
    collected["reached_max_treedepth"] = collected["tree_depth"] >= MAX_TREE_DEPTH
    return Draws(flat, collected)


def _refuse_higher(collected: Collected, least_energy: float) -> None:
    """Raise NotTheModeError where a draw's density is higher than the mode's."""
    highest = np.unravel_index(np.argmax(collected["lp"]), collected["lp"].shape)
    if collected["lp"][highest] > HIGHER - least_energy:
        raise NotTheModeError(collected["flat"][highest])


def _concatenated(pieces: list[Collected], axis: int = 0) -> Collected:
    return {name: np.concatenate([piece[name] for piece in pieces], axis) for name in pieces[0]}


def _more(quantities: Array, block: int) -> int:
    """How many more draws of each chain to make after these (chain, draw, Q): whole blocks."""
    done = quantities.shape[1]
    short = shortage(quantities)
    if short <= 1:
        return 0
    # Both are estimates: a little more than they say, but never so many that most may be in vain.
    blocks = math.ceil((min(1.1 * short, 2) - 1) * done / block)
    return int(max(min(blocks * block, MOST_DRAWS - done), 0))


def _block(*stages: int) -> int:
    """Iterations that are run at once: such that all stages are made of whole blocks.

    A block of another length would be compiled once more.
    """
    common = math.gcd(*stages)
    whole = max(size for size in range(1, BLOCK + 1) if common % size == 0)
    return whole if whole >= BLOCK // 5 else BLOCK


def _in_step(states: list[HMCState]) -> list[HMCState]:
    """The chains with one step size: each alone has found it from few iterations."""
    step = np.exp(np.mean([np.log(state.adapt_state.step_size) for state in states]))
    return [
        state._replace(adapt_state=state.adapt_state._replace(step_size=jnp.asarray(step)))
        for state in states
    ]


class _Kernel:
    """NumPyro's NUTS kernel for one potential, compiled once for every shape of the data.

    The data are those of the potential and those of the exact one, if there is one.
    """

    def __init__(
        self, potential: Potential, exact: Potential | None, adapting: int, target_accept: float
    ) -> None:
        init, step = hmc(potential_fn_gen=potential, algo="NUTS")
        last_window = len(build_adaptation_schedule(adapting)) - 1
        self._compiled: dict[Any, Any] = {}

        @jax.jit
        def begin(
            start: ParamInfo, inverse_mass: jax.Array, words: jax.Array, data: Any
        ) -> HMCState:
            state: HMCState = init(
                start,
                num_warmup=adapting,
                inverse_mass_matrix=inverse_mass,
                dense_mass=True,
                adapt_mass_matrix=False,
                target_accept_prob=target_accept,
                step_size=0.5,
                trajectory_length=None,
                max_tree_depth=MAX_TREE_DEPTH,
                model_args=data[:1],
                rng_key=jax.random.wrap_key_data(words, impl="threefry2x32"),
            )
            # At the end of a window NumPyro begins to adapt the step size anew, from ten times as
            # large a one: for a mass matrix that has changed. Here none does: this is the last.
            adapt = state.adapt_state
            last = jnp.full_like(adapt.window_idx, last_window)
            return state._replace(adapt_state=adapt._replace(window_idx=last))

        def advance(
            state: HMCState, data: Any, count: int
        ) -> tuple[HMCState, dict[str, jax.Array]]:
            def one(
                carry: tuple[HMCState, jax.Array], _: None
            ) -> tuple[tuple[HMCState, jax.Array], dict[str, jax.Array]]:
                here, excess = carry
                moved = step(here, data[:1])
                moved, excess, accepted = correct(here, moved, excess)
                return (moved, excess), {
                    "flat": moved.z,
                    "diverging": moved.diverging,
                    "energy": moved.energy + excess,
                    "lp": -(moved.potential_energy + excess),
                    "n_steps": moved.num_steps,
                    "acceptance_rate": moved.accept_prob,
                    "step_size": moved.adapt_state.step_size,
                    "accepted": accepted,
                }

            def excess_of(state: HMCState) -> jax.Array:
                """The exact potential less that which is walked."""
                if exact is None:
                    return jnp.zeros(())
                return jnp.asarray(exact(data[1])(state.z) - state.potential_energy)

            def correct(
                here: HMCState, moved: HMCState, excess: jax.Array
            ) -> tuple[HMCState, jax.Array, jax.Array]:
                if exact is None:
                    return moved, excess, jnp.ones((), dtype=bool)
                there = excess_of(moved)
                chance = jax.random.uniform(jax.random.fold_in(moved.rng_key, 1))
                accepted = jnp.log(chance) < excess - there
                chosen = {
                    name: jnp.where(accepted, getattr(moved, name), getattr(here, name))
                    for name in ("z", "z_grad", "potential_energy", "energy")
                }
                moved = moved._replace(**chosen)
                return moved, jnp.where(accepted, there, excess), accepted

            (state, _), collected = jax.lax.scan(one, (state, excess_of(state)), None, length=count)
            return state, collected

        self.begin = begin
        self._advance = jax.jit(advance, static_argnames="count")

    def compile(self, state: HMCState, data: Any, count: int) -> None:
        """Make :meth:`advance` ready for arguments of these shapes."""
        key = self._key(state, data, count)
        if key not in self._compiled:
            self._compiled[key] = self._advance.lower(state, data, count=count).compile()

    def advance(
        self, state: HMCState, data: Any, count: int
    ) -> tuple[HMCState, dict[str, jax.Array]]:
        """Iterations of one chain, and what is reported of each."""
        out: tuple[HMCState, dict[str, jax.Array]] = self._compiled[self._key(state, data, count)](
            state, data
        )
        return out

    @staticmethod
    def _key(state: HMCState, data: Any, count: int) -> Any:
        leaves, structure = jax.tree.flatten((state.z, data))
        return structure, tuple((leaf.shape, leaf.dtype.name) for leaf in leaves), count


@lru_cache(maxsize=16)
def _kernel(
    potential: Potential, exact: Potential | None, adapting: int, target_accept: float
) -> _Kernel:
    return _Kernel(potential, exact, adapting, target_accept)


class _Walk(NamedTuple):
    """A kernel with the density that it walks, and the data of that and of the exact one."""

    kernel: _Kernel
    density: Density
    data: Any

    def begin(self, start: Array, inverse_mass: Array, words: NDArray[np.uint32]) -> HMCState:
        at = ParamInfo(start, *self.density.energy(start))
        state: HMCState = self.kernel.begin(at, inverse_mass, words, self.data)
        return state

    def joined(self, state: HMCState) -> HMCState:
        """The state of a chain that walked another density, as one of this."""
        value, gradient = self.density.energy(np.asarray(state.z))
        return state._replace(potential_energy=jnp.asarray(value), z_grad=jnp.asarray(gradient))

    def compile(self, state: HMCState, count: int) -> None:
        self.kernel.compile(state, self.data, count)

    def advance(self, state: HMCState, count: int) -> tuple[HMCState, dict[str, jax.Array]]:
        return self.kernel.advance(state, self.data, count)


def _pooled_covariance(draws: Array, first: Array) -> Array:
    """Covariance of draws (draw, D), drawn towards a first estimate of it.

    The first estimate counts as much as two draws a dimension: as few draws as there are
    dimensions would otherwise give a covariance that is singular or nearly so.
    """
    trust = len(draws) / (len(draws) + 2 * draws.shape[1])
    return np.asarray(trust * np.cov(draws, rowvar=False) + (1 - trust) * first)

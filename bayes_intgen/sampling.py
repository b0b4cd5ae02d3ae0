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
from scipy.linalg import solve_triangular
from tqdm.auto import tqdm

from bayes_intgen.bases import Array
from bayes_intgen.checkpoint import Checkpoint, Collected
from bayes_intgen.diagnostics import shortage
from bayes_intgen.streams import generator
from bayes_intgen.targets import Potential

Energy = Callable[[Array], tuple[float, Array]]

BLOCK = 25
MAX_TREE_DEPTH = 10
# From which the step size adapts.
FIRST_STEP = 0.5
# With fewer draws accepted, an approximation costs more than it saves.
LEAST_ACCEPTED = 0.5
# Draws of each chain, where it is for them to say how many are enough.
FEWEST_DRAWS, MOST_DRAWS = 200, 2000
# By how much their number grows at most before they are looked at again.
MOST_AT_ONCE = 1.25
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
    covariance: Array,
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
    covariance : ndarray, shape (D, D)
        First estimate of that of the posterior.
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
        Where the density was higher, in the warmup or the first draws, than at the mode. Chains
        that start from a lower mode seldom reach the highest one, and those that do bring what
        they learned of another.
    """
    chains = len(starts)
    workers = min(chains, os.cpu_count() or 1)
    adapting = warmup // 2
    first_draws = FEWEST_DRAWS if draws is None else draws
    block = _block(adapting, warmup - adapting, first_draws)
    accepting = [generator(seed, "accepted", chain) for chain in range(chains)]
    stopped = Event()
    bar = tqdm(
        total=chains * (warmup + first_draws),
        desc=f"NUTS, {chains} chains",
        unit="it",
        disable=not progress,
    )

    def walking(on: Density, covariance: Array) -> _Walk:
        exact = None if on is density else density
        potential, data = (None, None) if exact is None else exact[:2]
        kernel = _kernel(on.potential, potential, adapting, target_accept)
        both = jax.tree.map(jnp.asarray, (on.data, data))
        return _Walk(kernel, on, exact, both, np.linalg.cholesky(covariance))

    def begun(walk: _Walk, starts: Array, stage: int) -> list[_Chain]:
        # JAX would have to compile what makes keys of a seed.
        words = generator(seed, "chains", stage).integers(2**32, size=(chains, 2), dtype=np.uint32)
        return [walk.begin(start, key) for start, key in zip(starts, words, strict=True)]

    def run(
        walk: _Walk, stage: str, chain: int, state: _Chain, iterations: int
    ) -> tuple[_Chain, Collected]:
        pieces: list[Collected] = []
        # Settings of JAX are those of a thread.
        with jax.enable_x64(True):
            found = checkpoint and checkpoint.read(stage, chain, state)
            if found:
                state, earlier = found
                pieces.append(earlier)
                bar.update(len(earlier["flat"]))
            already = sum(len(piece["flat"]) for piece in pieces)
            chances = accepting[chain].random(iterations)
            for done in range(already, iterations, block):
                if stopped.is_set():
                    break
                count = min(block, iterations - done)
                state, piece = walk.advance(state, chances[done : done + count])
                pieces.append(piece)
                if checkpoint is not None:
                    pieces = [_concatenated(pieces)]
                    checkpoint.write(stage, chain, state, pieces[0])
                bar.update(count)
        return state, _concatenated(pieces)

    def run_all(
        walk: _Walk, stage: str, states: list[_Chain], iterations: int
    ) -> tuple[list[_Chain], Collected]:
        # NumPyro's kernel keeps what it traces in closures: it is traced by one thread alone.
        for count in {min(block, iterations), iterations % block} - {0}:
            walk.compile(states[0], np.zeros(count))
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
        chosen = density if walked is None else walked
        walk = walking(chosen, covariance)
        _, first = run_all(walk, "steps", begun(walk, starts, 0), adapting)
        _refuse_higher(first, least_energy)
        flat = first["flat"]
        learned = flat[:, adapting // 3 :].reshape(-1, flat.shape[-1])
        pooled = _pooled_covariance(learned, covariance)
        if first["accepted"].mean() < LEAST_ACCEPTED:
            chosen = density
        walk = walking(chosen, pooled)
        states, second = run_all(walk, "covariance", begun(walk, flat[:, -1], 1), warmup - adapting)
        _refuse_higher(second, least_energy)
        states = _in_step(states)
        if second["accepted"].mean() < LEAST_ACCEPTED:
            walk = walking(density, pooled)
            states = [walk.joined(state) for state in states]
        states, collected = run_all(walk, "draws", states, first_draws)
        _refuse_higher(collected, least_energy)
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
    # Few draws exaggerate: one excursion of one chain may count as a hundred draws.
    blocks = math.ceil((min(short, MOST_AT_ONCE) - 1) * done / block)
    return int(max(min(blocks * block, MOST_DRAWS - done), 0))


def _block(*stages: int) -> int:
    """Iterations that are run at once: such that all stages are made of whole blocks.

    A block of another length would be compiled once more.
    """
    common = math.gcd(*stages)
    whole = max(size for size in range(1, BLOCK + 1) if common % size == 0)
    return whole if whole >= BLOCK // 5 else BLOCK


class _Chain(NamedTuple):
    """Where a chain is.

    Attributes
    ----------
    state : HMCState
        In coordinates in which the posterior's covariance is estimated to be the unit matrix.
    excess : Array, shape ()
        By how much the exact potential exceeds there the one that is walked.
    """

    state: HMCState
    excess: jax.Array


def _in_step(chains: list[_Chain]) -> list[_Chain]:
    """The chains with one step size: each alone has found it from few iterations."""
    step = np.exp(np.mean([np.log(chain.state.adapt_state.step_size) for chain in chains]))

    def with_step(state: HMCState) -> HMCState:
        return state._replace(adapt_state=state.adapt_state._replace(step_size=jnp.asarray(step)))

    return [chain._replace(state=with_step(chain.state)) for chain in chains]


class _Kernel:
    """NumPyro's NUTS kernel for one potential, compiled once for every shape of the data.

    The data are those of the potential, those of the exact one, if there is one, and the root of
    the covariance: z is what NUTS sees of the flat vector ``root @ z``.
    """

    def __init__(
        self, potential: Potential, exact: Potential | None, adapting: int, target_accept: float
    ) -> None:
        # Coordinates of unit covariance, where a mass matrix would do the same: less to compile.
        def whitened(data: Any, root: jax.Array) -> Callable[[jax.Array], jax.Array]:
            return lambda z: potential(data)(root @ z)

        init, step = hmc(potential_fn_gen=whitened, algo="NUTS")
        self._compiled: dict[Any, Any] = {}
        self._last_window = len(build_adaptation_schedule(adapting)) - 1

        def initial(start: ParamInfo, key: jax.Array, data: Any, root: jax.Array) -> HMCState:
            state: HMCState = init(
                start,
                num_warmup=adapting,
                adapt_mass_matrix=False,
                target_accept_prob=target_accept,
                step_size=FIRST_STEP,
                trajectory_length=None,
                max_tree_depth=MAX_TREE_DEPTH,
                model_args=(data[0], root),
                rng_key=key,
            )
            return state

        def advance(
            chain: _Chain, data: Any, root: jax.Array, chances: jax.Array
        ) -> tuple[_Chain, dict[str, jax.Array]]:
            def one(here: _Chain, chance: jax.Array) -> tuple[_Chain, dict[str, jax.Array]]:
                moved, accepted = correct(here, step(here.state, (data[0], root)), chance)
                state, excess = moved
                return moved, {
                    "z": state.z,
                    "diverging": state.diverging,
                    "energy": state.energy + excess,
                    "lp": -(state.potential_energy + excess),
                    "n_steps": state.num_steps,
                    "acceptance_rate": state.accept_prob,
                    "step_size": state.adapt_state.step_size,
                    "accepted": accepted,
                }

            def correct(
                here: _Chain, moved: HMCState, chance: jax.Array
            ) -> tuple[_Chain, jax.Array]:
                if exact is None:
                    return _Chain(moved, here.excess), jnp.ones((), dtype=bool)
                there = exact(data[1])(root @ moved.z) - moved.potential_energy
                accepted = jnp.log(chance) < here.excess - there
                chosen = {
                    name: jnp.where(accepted, getattr(moved, name), getattr(here.state, name))
                    for name in ("z", "z_grad", "potential_energy", "energy")
                }
                excess = jnp.where(accepted, there, here.excess)
                return _Chain(moved._replace(**chosen), excess), accepted

            return jax.lax.scan(one, chain, chances)

        self._initial = initial
        self._advance = jax.jit(advance)

    def begin(
        self, start: ParamInfo, words: NDArray[np.uint32], data: Any, root: Array
    ) -> HMCState:
        """The state of a chain that is to adapt its step size, its random key made of two words.

        As NumPyro's, but in its last window: at the end of every other, NumPyro begins anew to
        adapt the step size, from ten times as large a one, for a mass matrix that has changed.
        """
        key = jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32")
        like = jax.eval_shape(self._initial, start, key, data, root)
        # By hand: to compile what NumPyro does here would take a quarter of a second.
        without_keys = like._replace(
            rng_key=None, adapt_state=like.adapt_state._replace(rng_key=None)
        )
        state: HMCState = jax.tree.map(lambda of: np.zeros(of.shape, of.dtype), without_keys)
        unit = np.ones_like(state.z)
        adapt = state.adapt_state._replace(
            step_size=np.array(FIRST_STEP),
            inverse_mass_matrix=unit,
            mass_matrix_sqrt=unit,
            mass_matrix_sqrt_inv=unit,
            ss_state=(*state.adapt_state.ss_state[:-1], np.log(10 * FIRST_STEP)),
            window_idx=np.full_like(state.adapt_state.window_idx, self._last_window),
        )
        value = np.array(start.potential_energy)
        return state._replace(
            z=start.z,
            z_grad=start.z_grad,
            potential_energy=value,
            energy=value,
            adapt_state=adapt,
            rng_key=key,
        )

    def compile(self, chain: _Chain, data: Any, root: Array, chances: Array) -> None:
        """Make :meth:`advance` ready for arguments of these shapes."""
        key = self._key(data, root, chances)
        if key not in self._compiled:
            self._compiled[key] = self._advance.lower(chain, data, root, chances).compile()

    def advance(
        self, chain: _Chain, data: Any, root: Array, chances: Array
    ) -> tuple[_Chain, dict[str, jax.Array]]:
        """Iterations of one chain, and what is reported of each.

        ``chances``, uniform numbers of shape (iterations,), decide which draws are accepted.
        """
        compiled = self._compiled[self._key(data, root, chances)]
        out: tuple[_Chain, dict[str, jax.Array]] = compiled(chain, data, root, chances)
        return out

    @staticmethod
    def _key(*arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        return structure, tuple((leaf.shape, leaf.dtype.name) for leaf in leaves)


@lru_cache(maxsize=16)
def _kernel(
    potential: Potential, exact: Potential | None, adapting: int, target_accept: float
) -> _Kernel:
    return _Kernel(potential, exact, adapting, target_accept)


class _Walk(NamedTuple):
    """A kernel with what it walks.

    Attributes
    ----------
    kernel : _Kernel
    density : Density
        That is walked.
    exact : Density, optional
        By which what is walked is corrected, where that is another.
    data : tuple
        Those of both.
    root : ndarray, shape (D, D)
        Lower Cholesky factor of the covariance that is expected.
    """

    kernel: _Kernel
    density: Density
    exact: Density | None
    data: Any
    root: Array

    def begin(self, start: Array, words: NDArray[np.uint32]) -> _Chain:
        """A chain at a flat vector, its random key made of two words."""
        value, gradient = self.density.energy(start)
        z = solve_triangular(self.root, start, lower=True)
        at = ParamInfo(z, value, self.root.T @ gradient)
        state = self.kernel.begin(at, words, self.data, self.root)
        excess = 0.0 if self.exact is None else self.exact.energy(start)[0] - value
        return _Chain(state, jnp.asarray(excess))

    def joined(self, chain: _Chain) -> _Chain:
        """A chain that walked another density, as one of this."""
        state = chain.state
        value, gradient = self.density.energy(self.root @ np.asarray(state.z))
        here = {"potential_energy": value, "z_grad": self.root.T @ gradient}
        return _Chain(state._replace(**jax.tree.map(jnp.asarray, here)), jnp.zeros(()))

    def compile(self, chain: _Chain, chances: Array) -> None:
        self.kernel.compile(chain, self.data, self.root, chances)

    def advance(self, chain: _Chain, chances: Array) -> tuple[_Chain, Collected]:
        """Iterations of a chain, and what is reported of each."""
        chain, reported = self.kernel.advance(chain, self.data, self.root, chances)
        collected = {name: np.asarray(values) for name, values in reported.items()}
        return chain, {"flat": collected.pop("z") @ self.root.T, **collected}


def _pooled_covariance(draws: Array, first: Array) -> Array:
    """Covariance of draws (draw, D), drawn towards a first estimate of it.

    The first estimate counts as much as two draws a dimension: as few draws as there are
    dimensions would otherwise give a covariance that is singular or nearly so.
    """
    trust = len(draws) / (len(draws) + 2 * draws.shape[1])
    return np.asarray(trust * np.cov(draws, rowvar=False) + (1 - trust) * first)

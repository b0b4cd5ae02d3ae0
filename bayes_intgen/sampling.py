"""NUTS, driven in blocks: chains side by side, with progress and statistics.

Driving chains block by block, each from a thread of its own, lets them run in parallel without a
choice of devices before JAX starts, and reports progress without a callback from compiled code.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from bayes_intgen.bases import Array
from bayes_intgen.checkpoint import Checkpoint, Collected
from bayes_intgen.diagnostics import shortage
from bayes_intgen.numpyro_adapter import MAX_TREE_DEPTH
from bayes_intgen.streams import generator
from bayes_intgen.targets import Density
from bayes_intgen.walk import Chain, Chance, Walk

BLOCK = 25
# With fewer draws accepted, an approximation costs more than it saves.
LEAST_ACCEPTED = 0.5
# Draws of each chain, where it is for them to say how many are enough.
FEWEST_DRAWS, MOST_DRAWS = 200, 2000
# By how much their number grows at most before they are looked at again.
MOST_AT_ONCE = 1.25
# By how much the log density of a draw may exceed that of the mode: rounding, and a search that
# ended a little early.
HIGHER = 1.0

# Quantities (chain, draw, Q), of unconstrained sites (chain, draw, D) and of what was drawn with
# them (chain, draw, P).
Reported = Callable[[Array, Array], Array]


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


class Draws(NamedTuple):
    """Draws of the unconstrained sites and statistics of every step.

    Attributes
    ----------
    flat : ndarray, shape (chain, draw, D)
        Unconstrained sites.
    given : ndarray, shape (chain, draw, P)
        What was drawn with them of what the density has integrated out.
    statistics : dict of ndarray, each (chain, draw)
        Named as in ArviZ's schema.
    """

    flat: Array
    given: Array
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
    reported: Reported = lambda flat, given: flat,
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
        Where it integrates something out, that is drawn where a chain starts, and with every draw
        that is accepted.
    starts : ndarray, shape (chain, D)
        Unconstrained starting points, of finite density.
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
        The quantities that are to have enough.
    walked : Density, optional
        A cheaper density to walk. Where too few draws of a chain are accepted in either half of the
        warmup, the walk goes back to the density that is meant.
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
    chains, size = starts.shape
    workers = min(chains, os.cpu_count() or 1)
    adapting = warmup // 2
    first_draws = FEWEST_DRAWS if draws is None else draws
    block = _block(adapting, warmup - adapting, first_draws)
    chance = [Chance(seed, chain, size, density.given_size) for chain in range(chains)]
    stopped = Event()
    bar = tqdm(
        total=chains * (warmup + first_draws),
        desc=f"NUTS, {chains} chains",
        unit="it",
        disable=not progress,
    )

    def walking(on: Density, root: Array) -> Walk:
        corrected = on is not density or density.given is not None
        return Walk(on, density if corrected else None, root, target_accept)

    def run(
        walk: Walk, stage: str, iterations: int, step: float | None, chain: int, state: Chain
    ) -> tuple[Chain, Collected]:
        pieces: list[Collected] = []
        # Settings of JAX are those of a thread.
        with jax.enable_x64(True):
            found = checkpoint and checkpoint.read(stage, chain, state)
            if found:
                state, earlier = found
                pieces.append(earlier)
                bar.update(len(earlier["flat"]))
            already = sum(len(piece["flat"]) for piece in pieces)
            chance[chain].next(already)
            for done in range(already, iterations, block):
                if stopped.is_set():
                    break
                count = min(block, iterations - done)
                state, piece = walk.advance(state, chance[chain].next(count), step)
                pieces.append(piece)
                if checkpoint is not None:
                    pieces = [_concatenated(pieces)]
                    checkpoint.write(stage, chain, state, pieces[0])
                bar.update(count)
        return state, _concatenated(pieces)

    def run_all(
        walk: Walk, stage: str, states: list[Chain], iterations: int, step: float | None = None
    ) -> tuple[list[Chain], Collected]:
        # One thread alone compiles what all of them run.
        for count in {min(block, iterations), iterations % block} - {0}:
            walk.compile(states[0], count)
        one = partial(run, walk, label + stage, iterations, step)
        with ThreadPoolExecutor(workers) as pool:
            running = [pool.submit(one, chain, state) for chain, state in enumerate(states)]
            try:
                for ended in as_completed(running):
                    ended.result()
            except BaseException:
                # Neither an interrupt nor one chain's failure must wait for chains to run to their
                # end.
                stopped.set()
                raise
        last, collected = zip(*(chain.result() for chain in running), strict=True)
        return list(last), {name: np.stack([c[name] for c in collected]) for name in collected[0]}

    with bar:
        chosen = density if walked is None else walked
        walk = walking(chosen, np.linalg.cholesky(covariance))
        begun = list(map(walk.begin, starts, _drawn_at(density, starts, seed)))
        _, first = run_all(walk, "steps", begun, adapting)
        _refuse_higher(first, least_energy)
        flat = first["flat"]
        learned = flat[:, adapting // 3 :].reshape(-1, size)
        root = np.linalg.cholesky(_pooled_covariance(learned, covariance))
        if _least_accepted(first) < LEAST_ACCEPTED:
            chosen = density
        walk = walking(chosen, root)
        begun = list(map(walk.begin, flat[:, -1], first["given"][:, -1]))
        states, second = run_all(walk, "covariance", begun, warmup - adapting)
        _refuse_higher(second, least_energy)
        # Each chain alone has found its step size from few iterations.
        step = math.exp(sum(state.log_step for state in states) / chains)
        if _least_accepted(second) < LEAST_ACCEPTED:
            walk = walking(density, root)
            states = list(map(walk.begin, second["flat"][:, -1], second["given"][:, -1]))
        states, collected = run_all(walk, "draws", states, first_draws, step)
        _refuse_higher(collected, least_energy)
        while draws is None and (
            more := _more(reported(collected["flat"], collected["given"]), block)
        ):
            bar.total += chains * more
            done = collected["flat"].shape[1]
            states, further = run_all(walk, f"draws{done}", states, more, step)
            collected = _concatenated([collected, further], axis=1)

    flat, given = collected.pop("flat"), collected.pop("given")
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(np.int64)
    collected["reached_max_treedepth"] = collected["tree_depth"] >= MAX_TREE_DEPTH
    return Draws(flat, given, collected)


def _drawn_at(density: Density, starts: Array, seed: int) -> list[Array]:
    """What the density has integrated out, drawn where each chain starts."""
    if density.given is None:
        return [np.zeros(0)] * len(starts)
    if density.draw is None:
        raise ValueError("a density that integrates numbers out must say how to draw them")
    normal = [
        generator(seed, "initial", chain).standard_normal(density.given_size)
        for chain in range(len(starts))
    ]
    return list(map(density.draw, starts, normal))


def _least_accepted(collected: Collected) -> float:
    """Share of accepted draws, of the chain that has fewest."""
    return float(collected["accepted"].mean(axis=1).min())


def _refuse_higher(collected: Collected, least_energy: float) -> None:
    """Raise NotTheModeError where a draw's density is higher than the mode's."""
    log_density = np.nan_to_num(collected["lp"], nan=-np.inf)
    highest = np.unravel_index(np.argmax(log_density), log_density.shape)
    if log_density[highest] > HIGHER - least_energy:
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


def _pooled_covariance(draws: Array, first: Array) -> Array:
    """Covariance of draws (draw, D), drawn towards a first estimate of it.

    The first estimate counts as much as two draws a dimension: as few draws as there are
    dimensions would otherwise give a covariance that is singular or nearly so.
    """
    trust = len(draws) / (len(draws) + 2 * draws.shape[1])
    return np.asarray(trust * np.cov(draws, rowvar=False) + (1 - trust) * first)

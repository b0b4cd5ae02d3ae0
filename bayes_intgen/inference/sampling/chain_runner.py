"""Parallel chains of NUTS, in blocks of iterations.

Each chain has a thread, which needs no choice of devices before JAX starts. Progress is reported
between the blocks, without callbacks from compiled code.
"""

import math
import os
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from threading import Event

import numpy as np

from bayes_intgen._progress import Share, share_of_stage
from bayes_intgen._progress import stage as progress_stage
from bayes_intgen._random import generator
from bayes_intgen.inference.sampling.kernel import ChainState, Collected, NUTSKernel

MAX_BLOCK_SIZE = 25
# An interrupt just before the main thread waits for the chains does not end that wait.
WAIT_SECONDS = 0.1


class ChainRunner:
    """Run all chains through one stage of sampling after another.

    Parameters
    ----------
    seed, chains : int
        The keys of a chain do not depend on the size of the blocks.
    block_size : int
        Number of iterations compiled and run at once.
    progress : bool
        Whether to report compilation.
    """

    def __init__(self, seed: int, chains: int, block_size: int, progress: bool) -> None:
        self.block_size, self.progress = block_size, progress
        self._rng = [generator(seed, "trajectories", chain) for chain in range(chains)]
        self._stopped = Event()

    def run(
        self,
        kernel: NUTSKernel,
        states: list[ChainState],
        iterations: int,
        share: Share,
        adapts: bool,
    ) -> tuple[list[ChainState], Collected]:
        """Run every chain through a stage, in which step sizes adapt or stay.

        ``share`` counts the iterations of all chains.

        Returns
        -------
        states : list of ChainState
        collected : dict of ndarray, each (chain, iteration, ...)
        """
        # Before the threads start, each of which would compile the same program.
        self.compile(kernel, states, iterations)
        run_chain = partial(self._run_chain, kernel, iterations, adapts, share)
        with ThreadPoolExecutor(min(len(states), os.cpu_count() or 1)) as pool:
            try:
                running = [pool.submit(run_chain, i, state) for i, state in enumerate(states)]
                unfinished = set(running)
                while unfinished:
                    done, unfinished = wait(unfinished, WAIT_SECONDS, FIRST_EXCEPTION)
                    for future in done:
                        future.result()
            except BaseException:
                # An interrupt or the failure of one chain must not wait for the other chains.
                self._stopped.set()
                raise
        last, pieces = zip(*(future.result() for future in running), strict=True)
        return list(last), {name: np.stack([p[name] for p in pieces]) for name in pieces[0]}

    def run_stage(
        self,
        title: str,
        kernel: NUTSKernel,
        states: list[ChainState],
        iterations: int,
    ) -> tuple[list[ChainState], Collected]:
        """Run every chain through a stage of adaptation, and report its progress."""
        self.compile(kernel, states, iterations)
        with share_of_stage(title, self.progress, len(states) * iterations) as share:
            return self.run(kernel, states, iterations, share, adapts=True)

    def compile(self, kernel: NUTSKernel, states: list[ChainState], iterations: int) -> None:
        """Compile what a stage of so many iterations needs."""
        for count in {min(self.block_size, iterations), iterations % self.block_size} - {0}:
            if not kernel.is_compiled(states[0], count):
                with progress_stage("Compilation", self.progress):
                    kernel.compile(states[0], count)

    def _run_chain(
        self,
        kernel: NUTSKernel,
        iterations: int,
        adapts: bool,
        share: Share,
        chain: int,
        state: ChainState,
    ) -> tuple[ChainState, Collected]:
        """Run one chain through a stage."""
        pieces: list[Collected] = []
        for begin in range(0, iterations, self.block_size):
            if self._stopped.is_set():
                break
            count = min(self.block_size, iterations - begin)
            keys = self._rng[chain].integers(2**32, size=(count, 2), dtype=np.uint32)
            state, piece = kernel.advance(state, keys, adapts)
            pieces.append(piece)
            share.update(count)
        return state, concatenated(pieces)


def concatenated(pieces: list[Collected], axis: int = 0) -> Collected:
    """Concatenate draws and statistics of successive iterations."""
    return {name: np.concatenate([piece[name] for piece in pieces], axis) for name in pieces[0]}


def common_block_size(*stages: int) -> int:
    """Choose a number of iterations per block that divides the length of every stage.

    Every other length needs a compilation of its own.

    Examples
    --------
    >>> common_block_size(50, 50, 60)
    10
    """
    common = math.gcd(*stages)
    largest = max(size for size in range(1, MAX_BLOCK_SIZE + 1) if common % size == 0)
    return largest if largest >= MAX_BLOCK_SIZE // 5 else MAX_BLOCK_SIZE

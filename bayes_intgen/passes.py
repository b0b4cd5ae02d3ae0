"""Passes over the rows, batch by batch: all that fitting needs of them."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial, reduce

import numpy as np
from numpy.typing import DTypeLike
from tqdm.auto import tqdm

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.decomposition import Decomposition, Term
from bayes_intgen.distributed import DistributedData
from bayes_intgen.gram import CandidateSums, KnownRows, Sums
from bayes_intgen.noise import ConstantSpread, Spread
from bayes_intgen.regimes import RegimeData
from bayes_intgen.streamed import Rows

ROWS_PER_BATCH = 4096


def of_batches[T](
    data: Rows, what: Callable[[RegimeData], T], label: str, progress: bool
) -> Iterator[T]:
    """What a function gives of each batch of the data, in order, with a bar that counts rows.

    On all cores, a few batches ahead of the order: NumPy lets other threads run.
    """
    workers = os.cpu_count() or 1
    waiting: deque[tuple[int, Future[T]]] = deque()
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(
            total=len(data),
            desc=label,
            unit=" rows",
            unit_scale=True,
            leave=False,
            disable=not progress,
        ) as bar,
    ):

        def first() -> T:
            rows, future = waiting.popleft()
            found = future.result()
            bar.update(rows)
            return found

        for batch in data.batches(ROWS_PER_BATCH):
            waiting.append((len(batch), pool.submit(what, batch)))
            if len(waiting) > workers:
                yield first()
        while waiting:
            yield first()


def sums_over(
    data: Rows,
    terms: Decomposition,
    spread: Spread | ConstantSpread,
    progress: bool,
) -> Sums:
    """Sums over all rows, each weighted by the inverse of its relative variance.

    Beside them stand the lift tests, if there are any.
    """
    label, of_batch = "Sums over rows", partial(weighted, terms, spread)
    # Before a pass that may take long: it raises where the model has no place for lift tests.
    known = known_rows(data, terms)
    if isinstance(data, DistributedData):
        sums = data.sums(of_batch, ROWS_PER_BATCH, label, progress)
    else:
        parts = of_batches(data, lambda batch: Sums.over([of_batch(batch)]), label, progress)
        sums = reduce(Sums.joined, parts)
    return sums._replace(known=known)


def candidate_sums(
    data: RegimeData,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: Spread | ConstantSpread,
    progress: bool,
    dtype: DTypeLike = np.float32,
    whole: bool = True,
) -> CandidateSums:
    """As :func:`sums_over`, and beside them what the rows say of candidates, in ``dtype``.

    Without the sums that are of the terms alone, unless they are to be ``whole``.
    """
    wider, sizes = terms.and_terms(candidates), [term.part.basis.size for term in candidates]

    def of_batch(batch: RegimeData) -> CandidateSums:
        return CandidateSums.over(*weighted(wider, spread, batch), sizes, dtype, whole)

    parts = of_batches(data, of_batch, "Sums over rows", progress)
    found = reduce(CandidateSums.joined, parts)
    return found._replace(sums=found.sums._replace(known=known_rows(data, terms)))


def products(
    data: RegimeData,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: Spread | ConstantSpread,
    progress: bool,
    which: int,
    others: Sequence[int],
) -> Array:
    """Weighted sums of one candidate's columns times those of others, in their order, (q, Q)."""
    every = replace(terms, terms=tuple(candidates[i] for i in others))
    own = every.columns[candidates[which].name]

    def of_batch(batch: RegimeData) -> Array:
        matrix, _, weights = weighted(every, spread, batch)
        return (matrix[:, own].T * weights) @ matrix

    return np.asarray(sum(of_batches(data, of_batch, "Sums over rows", progress)))


def known_rows(data: Rows, terms: Decomposition) -> KnownRows | None:
    """The lift tests of the data as rows of known variance; None where there are none."""
    if not data.lift_tests:
        return None
    effect, se = np.array([(test.effect, test.se) for test in data.lift_tests]).T
    return KnownRows(terms.differences(data.lift_tests) / se[:, None], effect / se, np.log(se))


def weighted(
    terms: Decomposition, spread: Spread | ConstantSpread, batch: RegimeData
) -> tuple[Array, Array, Array]:
    """The matrix of a batch, shape (n, P), its outcome and its weights, (n,) each."""
    return (
        terms.matrix(batch.actions, batch.intervened),
        batch.outcome - terms.centre,
        1.0 / spread(batch.actions, batch.intervened),
    )


def residuals(
    data: RegimeData, posterior: Collapsed, sites: dict[str, Array], progress: bool
) -> Array:
    """Residuals of a fit with constant spread, as wide as the noise is, shape (N,).

    A row pulls the fit towards itself by its leverage h: its residual's variance is 1 - h of
    its noise's (MacKinnon and White 1985, HC2).
    """
    terms = posterior.terms
    given = posterior.given(sites)
    # Of leverages a few digits will do, in half the time.
    root = (given.root / given.noise_sd).astype(np.float32)

    def of_batch(batch: RegimeData) -> Array:
        design = terms.matrix(batch.actions, batch.intervened)
        leverage = np.sum((design.astype(np.float32) @ root) ** 2, axis=1)
        residual = batch.outcome - terms.centre - design @ given.mean
        return np.asarray(residual / np.sqrt(np.clip(1 - leverage, 0.05, 1)))

    return np.concatenate(list(of_batches(data, of_batch, "Residuals", progress)))

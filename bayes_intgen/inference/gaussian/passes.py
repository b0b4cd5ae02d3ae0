"""Passes over the rows for the sufficient statistics of a fit."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import map_batches, map_reduce
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.gaussian.sufficient_statistics import (
    CandidateStatistics,
    PseudoObservations,
    SufficientStatistics,
)
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction


def sufficient_statistics(
    data: Rows,
    terms: Decomposition,
    spread: VarianceFunction | Homoscedastic,
    progress: bool,
) -> SufficientStatistics:
    """Sums over all rows, each weighted by the inverse of its relative variance.

    Beside them stand the lift tests, if there are any.
    """
    of_batch = partial(weighted_design, terms, spread)
    # Before a pass that may take long: it raises where the model has no place for lift tests.
    known = pseudo_observations(data, terms)
    sums = data.map_reduce(
        partial(_batch_sums, of_batch), SufficientStatistics.merge, "Sums over rows", progress
    )
    return sums._replace(known=known)


def _batch_sums(
    of_batch: Callable[[Observations], tuple[Array, Array, Array]], batch: Observations
) -> SufficientStatistics:
    return SufficientStatistics.over([of_batch(batch)])


def candidate_statistics(
    data: Observations,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: VarianceFunction | Homoscedastic,
    progress: bool,
    dtype: DTypeLike = np.float32,
    whole: bool = True,
) -> CandidateStatistics:
    """Sum as :func:`sufficient_statistics`, with the cross products of candidates in ``dtype``.

    The sums of the terms alone are left out unless ``whole``.
    """
    wider, sizes = terms.and_terms(candidates), [term.component.basis.size for term in candidates]

    def of_batch(batch: Observations) -> CandidateStatistics:
        return CandidateStatistics.over(*weighted_design(wider, spread, batch), sizes, dtype, whole)

    found = map_reduce(data, of_batch, CandidateStatistics.merge, "Sums over rows", progress)
    return found._replace(sums=found.sums._replace(known=pseudo_observations(data, terms)))


def products(
    data: Observations,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: VarianceFunction | Homoscedastic,
    progress: bool,
    which: int,
    others: Sequence[int],
) -> Array:
    """Weighted sums of one candidate's columns times those of others, in their order, (q, Q)."""
    every = replace(terms, terms=tuple(candidates[i] for i in others))
    own = every.columns[candidates[which].name]

    def of_batch(batch: Observations) -> Array:
        matrix, _, weights = weighted_design(every, spread, batch)
        return (matrix[:, own].T * weights) @ matrix

    return np.asarray(sum(map_batches(data, of_batch, "Sums over rows", progress)))


def pseudo_observations(data: Rows, terms: Decomposition) -> PseudoObservations | None:
    """The lift tests of the data as rows of known variance; None where there are none."""
    if not data.lift_tests:
        return None
    effect, se = np.array([(test.effect, test.se) for test in data.lift_tests]).T
    return PseudoObservations(
        terms.differences(data.lift_tests) / se[:, None], effect / se, np.log(se)
    )


def weighted_design(
    terms: Decomposition, spread: VarianceFunction | Homoscedastic, batch: Observations
) -> tuple[Array, Array, Array]:
    """The matrix of a batch, shape (n, P), its outcome and its weights, (n,) each."""
    return (
        terms.matrix(batch.actions, batch.intervened),
        batch.outcome - terms.centre,
        1.0 / spread(batch.actions, batch.intervened),
    )

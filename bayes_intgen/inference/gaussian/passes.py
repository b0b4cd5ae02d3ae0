"""Passes over the rows that accumulate sufficient statistics."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import map_batches, map_reduce
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.gaussian.sufficient_statistics import (
    CandidateStatistics,
    SufficientStatistics,
)
from bayes_intgen.models.pseudo_observations import PseudoObservations
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction


def sufficient_statistics(
    data: Rows,
    terms: Decomposition,
    spread: VarianceFunction | Homoscedastic,
    progress: bool,
) -> SufficientStatistics:
    """Sufficient statistics of all rows, weighted by inverse relative variance.

    Lift tests are included as pseudo-observations.
    """
    # Before the pass, which may take long: raises if the model does not support lift tests.
    known = pseudo_observations(data, terms)
    statistics = data.map_reduce(
        partial(_batch_statistics, terms, spread),
        SufficientStatistics.merge,
        "Sums over rows",
        progress,
    )
    return statistics._replace(known=known)


def _batch_statistics(
    terms: Decomposition, spread: VarianceFunction | Homoscedastic, batch: Observations
) -> SufficientStatistics:
    return SufficientStatistics.over([weighted_design(terms, spread, batch)])


def candidate_statistics(
    data: Observations,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: VarianceFunction | Homoscedastic,
    progress: bool,
    dtype: DTypeLike = np.float32,
    whole: bool = True,
) -> CandidateStatistics:
    """Sufficient statistics of a model and its candidates, the latter accumulated in ``dtype``.

    Unless ``whole``, the statistics of the model itself are empty.
    """
    wider, sizes = terms.and_terms(candidates), [term.component.basis.size for term in candidates]

    def of_batch(batch: Observations) -> CandidateStatistics:
        return CandidateStatistics.over(*weighted_design(wider, spread, batch), sizes, dtype, whole)

    statistics = map_reduce(data, of_batch, CandidateStatistics.merge, "Sums over rows", progress)
    known = pseudo_observations(data, terms)
    return statistics._replace(sums=statistics.sums._replace(known=known))


def products(
    data: Observations,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: VarianceFunction | Homoscedastic,
    progress: bool,
    which: int,
    others: Sequence[int],
) -> Array:
    """Weighted cross products of one candidate's columns with those of others, shape (q, Q)."""
    every = replace(terms, terms=tuple(candidates[i] for i in others))
    own = every.columns[candidates[which].name]

    def of_batch(batch: Observations) -> Array:
        matrix, _, weights = weighted_design(every, spread, batch)
        return (matrix[:, own].T * weights) @ matrix

    return np.asarray(sum(map_batches(data, of_batch, "Sums over rows", progress)))


def pseudo_observations(data: Rows, terms: Decomposition) -> PseudoObservations | None:
    """Lift tests of the data as pseudo-observations, or None if there are none."""
    if not data.lift_tests:
        return None
    effect, se = np.array([(test.effect, test.se) for test in data.lift_tests]).T
    return PseudoObservations(
        terms.differences(data.lift_tests) / se[:, None], effect / se, np.log(se)
    )


def weighted_design(
    terms: Decomposition, spread: VarianceFunction | Homoscedastic, batch: Observations
) -> tuple[Array, Array, Array]:
    """Design matrix (n, P), centred outcome (n,) and weights (n,) of a batch."""
    return (
        terms.matrix(batch.actions, batch.intervened),
        batch.outcome - terms.centre,
        1.0 / spread(batch.actions, batch.intervened),
    )

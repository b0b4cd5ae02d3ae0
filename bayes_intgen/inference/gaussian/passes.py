"""Passes over the rows that accumulate sufficient statistics."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import map_batches, map_reduce
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.gaussian.group_sums import GroupSums
from bayes_intgen.inference.gaussian.sufficient_statistics import (
    CandidateStatistics,
    SufficientStatistics,
)
from bayes_intgen.models.pseudo_observations import PseudoObservations
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.variance_function import VarianceFunction, effective_units


def sufficient_statistics(
    data: Rows, terms: Decomposition, spread: VarianceFunction, progress: bool
) -> SufficientStatistics:
    """Sufficient statistics of all rows, weighted by inverse relative variance.

    Lift tests are included as pseudo-observations.
    """
    # Before the pass, which may take long: raises if the model does not support lift tests.
    known = pseudo_observations(data, terms)
    if terms.random_effects is None:
        statistics = data.map_reduce(
            partial(_batch_statistics, terms, spread),
            SufficientStatistics.merge,
            "Sums over rows",
            progress,
        )
        return statistics._replace(known=known)
    ratio = np.array(terms.random_effects.ratio)
    if isinstance(data, Observations):
        # Batches contain whole groups, so that sums per group need not be carried along.
        def integrated(batch: Observations) -> SufficientStatistics:
            statistics, groups = _grouped_statistics(terms, spread, batch)
            return groups.integrate(statistics, ratio)

        merge = SufficientStatistics.merge
        statistics = map_reduce(data.by_unit(), integrated, merge, "Sums over rows", progress)
        return statistics._replace(known=known)
    statistics, groups = data.map_reduce(
        partial(_grouped_statistics, terms, spread), _merge_grouped, "Sums over rows", progress
    )
    return groups.integrate(statistics, ratio)._replace(known=known)


def _batch_statistics(
    terms: Decomposition, spread: VarianceFunction, batch: Observations
) -> SufficientStatistics:
    statistics = SufficientStatistics.over(*weighted_design(terms, spread, batch))
    return _with_units(statistics, batch, spread)


def _with_units(
    statistics: SufficientStatistics, batch: Observations, spread: VarianceFunction
) -> SufficientStatistics:
    if batch.weights is None or batch.within is None:
        return statistics
    return statistics.with_units(batch.weights, batch.within, unit_precision(spread, batch))


def _grouped_statistics(
    terms: Decomposition, spread: VarianceFunction, batch: Observations
) -> tuple[SufficientStatistics, GroupSums]:
    """Statistics of a batch without random effects, and sums per group."""
    matrix, outcome, weights = weighted_design(terms, spread, batch)
    statistics = SufficientStatistics.over(matrix, outcome, weights)
    groups = group_sums(terms, batch, matrix, outcome, weights)
    return _with_units(statistics, batch, spread), groups


def group_sums(
    terms: Decomposition, batch: Observations, matrix: Array, outcome: Array, weights: Array
) -> GroupSums:
    """Sums per group of a batch, for the random effects of a decomposition."""
    assert terms.random_effects is not None
    inputs = batch.inputs
    effects = terms.random_effects.functions(inputs)
    codes = inputs[:, terms.random_effects.grouping].astype(int)
    return GroupSums.over(codes, effects, matrix, outcome, weights)


def _merge_grouped(
    before: tuple[SufficientStatistics, GroupSums], after: tuple[SufficientStatistics, GroupSums]
) -> tuple[SufficientStatistics, GroupSums]:
    return before[0].merge(after[0]), before[1].merge(after[1])


def candidate_statistics(
    data: Observations,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: VarianceFunction,
    progress: bool,
    dtype: DTypeLike = np.float32,
    whole: bool = True,
) -> CandidateStatistics:
    """Sufficient statistics of a model and its candidates, the latter accumulated in ``dtype``.

    Unless ``whole``, the statistics of the model itself are empty.
    """
    wider, sizes = terms.and_terms(candidates), [term.component.basis.size for term in candidates]

    def of_batch(batch: Observations) -> CandidateStatistics:
        matrix, outcome, weights = weighted_design(wider, spread, batch)
        statistics = CandidateStatistics.over(matrix, outcome, weights, sizes, dtype, whole)
        if terms.random_effects is not None:
            groups = group_sums(terms, batch, matrix, outcome, weights)
            return _integrated(statistics, groups, np.array(terms.random_effects.ratio), whole)
        return statistics._replace(sums=_with_units(statistics.sums, batch, spread))

    statistics = map_reduce(
        data.by_unit(), of_batch, CandidateStatistics.merge, "Sums over rows", progress
    )
    known = pseudo_observations(data, terms)
    return statistics._replace(sums=statistics.sums._replace(known=known))


def _integrated(
    statistics: CandidateStatistics, groups: GroupSums, ratio: Array, whole: bool
) -> CandidateStatistics:
    """Integrate random effects out of the statistics of whole groups."""
    half, log_det = groups.half(ratio)
    flat = half.reshape(-1, half.shape[-1])
    first = flat.shape[1] - 1 - sum(map(len, statistics.own))
    x, z, y = flat[:, :first], flat[:, first:-1], flat[:, -1]
    sums = statistics.sums
    if whole:
        sums = sums._replace(
            xx=np.asarray(sums.xx) - x.T @ x,
            xy=np.asarray(sums.xy) - x.T @ y,
            yy=float(np.asarray(sums.yy)) - float(y @ y),
            log_weight=float(np.asarray(sums.log_weight)) - log_det,
        )
    own = tuple(
        block - z[:, at].T @ z[:, at]
        for block, at in zip(statistics.own, statistics.columns, strict=True)
    )
    return CandidateStatistics(sums, statistics.cross - z.T @ x, statistics.xy - z.T @ y, own)


def products(
    data: Observations,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: VarianceFunction,
    progress: bool,
    which: int,
    others: Sequence[int],
) -> Array:
    """Weighted cross products of one candidate's columns with those of others, shape (q, Q)."""
    every = replace(terms, terms=tuple(candidates[i] for i in others))
    own = every.columns[candidates[which].name]

    def of_batch(batch: Observations) -> Array:
        matrix, outcome, weights = weighted_design(every, spread, batch)
        cross = (matrix[:, own].T * weights) @ matrix
        if terms.random_effects is not None:
            groups = group_sums(terms, batch, matrix, outcome, weights)
            half, _ = groups.half(np.array(terms.random_effects.ratio))
            flat = half.reshape(-1, half.shape[-1])[:, :-1]
            cross = cross - flat[:, own].T @ flat
        return cross

    return np.asarray(sum(map_batches(data.by_unit(), of_batch, "Sums over rows", progress)))


def pseudo_observations(data: Rows, terms: Decomposition) -> PseudoObservations | None:
    """Lift tests of the data as pseudo-observations, or None if there are none."""
    if not data.lift_tests:
        return None
    effect, se = np.array([(test.effect, test.se) for test in data.lift_tests]).T
    return PseudoObservations(
        terms.differences(data.lift_tests) / se[:, None], effect / se, np.log(se)
    )


def relative_noise_sd(spread: VarianceFunction, rows: Observations) -> Array:
    """Noise standard deviation of each row, relative to that of a single unit, shape (n,)."""
    return np.sqrt(_relative_variance(spread, rows))


def row_weights(spread: VarianceFunction, rows: Observations) -> Array:
    """Inverse noise variance of each row, relative to that of a single unit, shape (n,)."""
    return 1.0 / _relative_variance(spread, rows)


def _relative_variance(spread: VarianceFunction, rows: Observations) -> Array:
    units = effective_units(rows.weights, spread.intraclass_correlation)
    return spread(rows.actions, rows.intervened) / units


def unit_precision(spread: VarianceFunction, rows: Observations) -> Array:
    """Inverse relative variance of units about what the units of their row share, shape (n,)."""
    return 1.0 / (spread(rows.actions, rows.intervened) * (1 - spread.intraclass_correlation))


def weighted_design(
    terms: Decomposition, spread: VarianceFunction, batch: Observations
) -> tuple[Array, Array, Array]:
    """Design matrix (n, P), centred outcome (n,) and weights (n,) of a batch."""
    return (
        terms.matrix(batch.inputs, batch.intervened),
        batch.outcome - terms.centre,
        row_weights(spread, batch),
    )

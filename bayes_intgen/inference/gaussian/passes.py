"""Passes over the rows that accumulate sufficient statistics."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array

from bayes_intgen._typing import Array
from bayes_intgen.basis.combined import KarhunenLoeveBasis
from bayes_intgen.basis.control import ControlBasis
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import ModelError
from bayes_intgen.inference.gaussian.bins import Batch, Bins
from bayes_intgen.inference.gaussian.sufficient_statistics import (
    CandidateStatistics,
    GroupSums,
    Precision,
    SufficientStatistics,
)
from bayes_intgen.models.terms import Decomposition, PseudoObservations, Term
from bayes_intgen.models.variance_function import VarianceFunction, effective_units

# Minimum number of rows whose sums are taken from bins, and number of them in a batch. With 60,000
# rows and some 1,500 columns they take a fifth of the time of exact sums.
MIN_BINNED_ROWS, BINNED_ROWS_PER_BATCH = 50_000, 8_000
# Maximum number of columns of such sums, whose products take 0.3 GB, and of actions and covariates,
# whose tables of nodes take up to 0.8 GB.
MAX_BINNED_COLUMNS, MAX_BINNED_INPUTS = 6_000, 16
# Minimum share of the squares of the outcome that the terms leave for sums in single precision, by
# which a share is wrong by up to 1e-7, and that of a column's largest multiple by as much of it.
MIN_UNEXPLAINED = 1e-3


def sufficient_statistics(
    data: Rows,
    terms: Decomposition,
    spread: VarianceFunction,
    progress: bool,
    binned: bool = True,
) -> SufficientStatistics:
    """Sufficient statistics of all rows, weighted by inverse relative variance.

    Lift tests are included as pseudo-observations. Sums are exact unless they may be ``binned``.
    """
    # Before the pass, which may take long: raises if the model does not support lift tests.
    known = pseudo_observations(data, terms)
    if binned and are_binned(data, terms):
        return binned_sums(data, terms, spread, progress)
    over = SufficientStatistics.over
    return _sums_over_rows(data, terms, spread, over, progress)._replace(known=known)


def candidate_statistics(
    data: Rows,
    terms: Decomposition,
    candidates: Sequence[Term],
    spread: VarianceFunction,
    progress: bool,
) -> CandidateStatistics:
    """Sufficient statistics of a model and candidates, not of these with each other.

    Sums of candidates are in single precision, unless next to nothing of the outcome is noise.
    """
    known, wider = pseudo_observations(data, terms), terms.and_terms(candidates)
    sizes = [term.component.basis.size for term in candidates]

    def over(dtype: Precision) -> CandidateStatistics:
        sums = partial(CandidateStatistics.over, sizes=sizes, dtype=dtype)
        return _sums_over_rows(data, wider, spread, sums, progress)

    statistics = over(np.float32)
    if statistics.sums.unexplained < MIN_UNEXPLAINED:
        statistics = over(np.float64)
    return statistics._replace(sums=statistics.sums._replace(known=known))


def candidate_sums(
    data: Rows,
    terms: Decomposition,
    every: Decomposition,
    candidates: Sequence[Term],
    spread: VarianceFunction,
    progress: bool,
    binned: bool = True,
) -> "tuple[CandidateStatistics, Callable[[Decomposition], TermSums]]":
    """Statistics of a model and its candidates, and a function that gives the sums of some terms.

    With bins both are from one pass, over ``every`` term. Otherwise the function takes another
    pass, since products of all candidates with each other would be most of the sums.
    """
    if binned and are_binned(data, every):
        sums = TermSums(every, binned_sums(data, every, spread, progress))
        return sums.of_candidates(terms, candidates), sums.only
    statistics = candidate_statistics(data, terms, candidates, spread, progress)

    def sums_of(some: Decomposition) -> TermSums:
        return TermSums(some, sufficient_statistics(data, some, spread, progress, binned))

    return statistics, sums_of


def _sums_over_rows[Sums: (SufficientStatistics, CandidateStatistics)](
    data: Rows,
    terms: Decomposition,
    spread: VarianceFunction,
    over: Callable[[Array, Array, Array], Sums],
    progress: bool,
) -> Sums:
    """Sums of the columns of all rows, with random effects integrated out.

    ``over`` sums over rows with a matrix, outcomes and weights.
    """
    data = data.joined
    effects, in_memory = terms.random_effects, isinstance(data, Observations)
    ratio = np.array(effects.ratio if effects is not None else ())
    if effects is not None and isinstance(data, Observations):
        # Batches then contain whole groups, so that sums per group need not be carried along.
        data = data.by_fine_group()

    def of_batch(batch: Observations) -> tuple[Sums, GroupSums | None]:
        matrix, outcome = terms.design(batch), batch.outcome - terms.centre
        weights = row_weights(spread, batch)
        sums = over(matrix, outcome, weights)
        if batch.weights is not None and batch.within is not None:
            sums = sums.with_units(batch.weights, batch.within, unit_precision(spread, batch))
        if effects is None:
            return sums, None
        groups = GroupSums.over(*effects.of_rows(batch.inputs), matrix, outcome, weights)
        return (sums.integrate(groups.regression(ratio)), None) if in_memory else (sums, groups)

    def merge(
        before: tuple[Sums, GroupSums | None], after: tuple[Sums, GroupSums | None]
    ) -> tuple[Sums, GroupSums | None]:
        groups = None if before[1] is None or after[1] is None else before[1].merge(after[1])
        return before[0].merge(after[0]), groups

    sums, groups = data.map_reduce(of_batch, merge, "Sums over rows", progress)
    return sums if groups is None else sums.integrate(groups.regression(ratio))


def are_binned(data: Rows, terms: Decomposition) -> bool:
    """Whether rows are many, and each adds to the sums by itself."""
    separate = terms.random_effects is None and not terms.carryover
    many = len(data) >= MIN_BINNED_ROWS
    few = len(data.names) + len(terms.covariates.every) <= MAX_BINNED_INPUTS
    return separate and many and few and terms.size <= MAX_BINNED_COLUMNS


def binned_sums(
    data: Rows, terms: Decomposition, spread: VarianceFunction, progress: bool
) -> SufficientStatistics:
    """Sums of the columns of all rows, most of them from bins.

    Those within a batch are in single precision, in half the time, unless next to nothing of the
    outcome is noise: a second pass is in double precision then. Those of few different rows are
    exact.
    """
    if len(data.joined) < len(data):
        return sufficient_statistics(data.joined, terms, spread, progress, binned=False)
    known, bins = pseudo_observations(data, terms), Bins(data, terms)

    def of_batch(rows: Observations, dtype: Precision) -> Batch:
        batch = bins.batch(rows, row_weights(spread, rows), dtype)
        if rows.weights is None or rows.within is None:
            return batch
        exact = batch.exact.with_units(rows.weights, rows.within, unit_precision(spread, rows))
        return batch._replace(exact=exact)

    merge, label, rows = SufficientStatistics.merge, "Sums over rows", BINNED_ROWS_PER_BATCH

    def over(dtype: Precision) -> SufficientStatistics:
        batch = partial(of_batch, dtype=dtype)
        return data.map_reduce(batch, merge, label, progress, bins.sums, rows)

    sums = over(np.float32)
    if sums.unexplained < MIN_UNEXPLAINED:
        sums = over(np.float64)
    return sums._replace(known=known)


class TermSums(NamedTuple):
    """Sufficient statistics of more terms than a model has, from one pass over the rows.

    Attributes
    ----------
    terms : Decomposition
        All of these terms.
    sums : SufficientStatistics
    """

    terms: Decomposition
    sums: SufficientStatistics

    def of(self, terms: Decomposition) -> SufficientStatistics:
        """Statistics of a model with some of these terms, or with directions of their functions."""
        return self.sums.combine(self._weights(terms))

    def only(self, terms: Decomposition) -> Self:
        """Restrict to some of these terms."""
        return type(self)(terms, self.of(terms))

    def of_candidates(
        self, terms: Decomposition, candidates: Sequence[Term]
    ) -> CandidateStatistics:
        """Statistics of such a model, and of candidates among the other terms."""
        matrix, weights = np.asarray(self.sums.factor.matrix), self._weights(terms)
        columns = [self.terms.columns[term.name] for term in candidates]
        return CandidateStatistics(
            self.sums.combine(weights),
            matrix[self.terms.columns_of(candidates)] @ weights,
            tuple(matrix[own, own] for own in columns),
        )

    def _weights(self, terms: Decomposition) -> csr_array:
        """Weights of columns and outcome in those of other terms, shape (C + 1, P + 1)."""
        entries = [(np.array([self.terms.size]), np.array([terms.size]), np.ones(1))]
        bases = {term.name: term.component.basis for term in self.terms.terms}
        before, after = np.arange(self.terms.size), np.arange(terms.size)
        for term in terms.terms:
            basis = term.component.basis
            rows, columns = before[self.terms.columns[term.name]], after[terms.columns[term.name]]
            if basis is bases[term.name]:
                entries.append((rows, columns, np.ones(basis.size)))
                continue
            rotated = basis.basis if isinstance(basis, ControlBasis) else basis
            assert isinstance(rotated, KarhunenLoeveBasis)
            at = np.repeat(rows, len(columns)), np.tile(columns, len(rows))
            entries.append((*at, rotated.weights.ravel()))
        rows, columns, values = map(np.concatenate, zip(*entries, strict=True))
        shape = self.terms.size + 1, terms.size + 1
        return csr_array((values, (rows, columns)), shape=shape)


def pseudo_observations(data: Rows, terms: Decomposition) -> PseudoObservations | None:
    """Lift tests of the data, changes phi_k(x_to) - phi_k(x_from); None if there are none.

    Raises
    ------
    ModelError
        If the model has no term for an action's unconfounded contribution.
    """
    if not data.lift_tests:
        return None
    effect, se = np.array([(test.effect, test.se) for test in data.lift_tests]).T
    matrix = np.zeros((len(se), terms.size))
    for row, test in zip(matrix, data.lift_tests, strict=True):
        k = terms.names.index(test.action)
        own = [t for t in terms.summands if t.role == "unconfounded" and t.action == k]
        if not own:
            raise ModelError(
                "lift tests measure an action's own contribution, which only "
                "models.additive() has; omit them from the data for other models"
            )
        ends = np.array([[test.x_from], [test.x_to]])
        for term in own:
            before, after = term.component.basis.matrix(ends)
            row[terms.columns[term.name]] = after - before
    return PseudoObservations(matrix / se[:, None], effect / se, np.log(se))


def relative_noise_sd(spread: VarianceFunction, rows: Observations) -> Array:
    """Noise standard deviation of each row, relative to that of a single unit, shape (n,)."""
    return row_weights(spread, rows) ** -0.5


def row_weights(spread: VarianceFunction, rows: Observations) -> Array:
    """Inverse noise variance of each row, relative to that of a single unit, shape (n,)."""
    units = effective_units(rows.weights, spread.intraclass_correlation)
    return units / relative_variance(spread, rows)


def unit_precision(spread: VarianceFunction, rows: Observations) -> Array:
    """Inverse relative variance of units about what the units of their row share, shape (n,)."""
    return 1.0 / (relative_variance(spread, rows) * (1 - spread.intraclass_correlation))


def relative_variance(spread: VarianceFunction, rows: Observations) -> Array:
    """Variance of single units of each row, relative to that of others, shape (n,)."""
    return spread(rows.actions, rows.intervened) * spread.factor(rows.inputs)

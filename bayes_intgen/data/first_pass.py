"""Results of a pass over rows: a digest, counts, and a sample of every regime.

The sample is a bottom-k reservoir (Cohen and Kaplan 2007). Each row has a random priority,
determined by its position, or by its unit where a grouping has many groups. The rows of smallest
priority form the sample, independently of how rows are split into batches and of the machines that
read them. By the digest a later pass notices that the source has changed.
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import at_most_three
from bayes_intgen.data.batches import even_shares, priorities, priorities_of_units
from bayes_intgen.data.missing import MissingCells
from bayes_intgen.data.outcome_kind import decisive_values
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.schema import SAME_ROWS, Batch, Schema
from bayes_intgen.data.validation import check_finite, check_weights
from bayes_intgen.errors import DataError
from bayes_intgen.identification.masks import Mask, in_regime_order

# Maximum number of rows per regime in the sample, from which fits determine scales and knots.
SAMPLE_ROWS = 30_000


class Content(NamedTuple):
    """Number of rows and digest of their cells, for any order and batches.

    Attributes
    ----------
    rows : int
    digest : int
        Sum of a 64-bit hash of each row, modulo 2**64.
    """

    rows: int = 0
    digest: int = 0

    @classmethod
    def of(cls, rows: Observations) -> Self:
        """Digest rows.

        Examples
        --------
        >>> Content.of(data) == Content.of(data.take(np.arange(len(data))[::-1]))
        True
        """
        # Adding zero removes the sign of negative zeros.
        units = [values for values in (rows.weights, rows.within) if values is not None]
        columns = np.column_stack([rows.inputs, rows.outcome, *units])
        cells = (columns + 0.0).view(np.uint64)
        count = cells.shape[1]
        every = count + len(rows.names)
        factors = _mixed(np.arange(1, every + 1, dtype=np.uint64)) | np.uint64(1)
        sums = (cells * factors[:count]).sum(axis=1)
        sums += rows.intervened.astype(np.uint64) @ factors[count:]
        return cls(len(rows), int(_mixed(sums).sum()))

    def merge(self, other: Self) -> Self:
        """Digest two sets of rows together."""
        return type(self)(self.rows + other.rows, (self.digest + other.digest) % 2**64)

    def refuse_other(self, now: Self) -> None:
        """Raise DataError unless a later pass has read the same rows."""
        if now.rows != self.rows:
            raise DataError(
                f"the source held {self.rows} rows when it was first read and {now.rows} now; "
                f"{SAME_ROWS}"
            )
        if now != self:
            raise DataError(
                f"the source held other values when it was first read than now; {SAME_ROWS}"
            )


def refuse_new_nonfinite(rows: Observations) -> None:
    """Raise DataError on cells that are not finite in a later pass."""
    if not (np.isfinite(rows.inputs).all() and np.isfinite(rows.outcome).all()):
        raise DataError(
            "the source now holds cells that are NaN or infinite, which it did not when it was "
            f"first read; {SAME_ROWS}"
        )


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of each value: the finaliser of SplitMix64 (Steele et al. 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


class ExtremeRow(NamedTuple):
    """Row at the minimum or maximum of a column, or the first row at one of its levels.

    Attributes
    ----------
    value : float
        Value of the column, negated for a maximum; zero for a level.
    mask : mask
        Mask of the row.
    row : ndarray, shape (width,)
        As in :class:`Reservoir`.
    """

    value: float
    mask: Mask
    row: Array


class Reservoir(NamedTuple):
    """Counts, a sample of every regime, and rows at the extremes and levels of each column.

    Attributes
    ----------
    counts : dict from mask to int
        Number of rows per regime, fewest interventions first.
    rows : dict from mask to ndarray, shape (n, width)
        Sample of each regime; columns: priority, position, actions, covariates, groups, outcome,
        then weights and squares within rows if the source has them.
    extremes : dict from (column, "low", "high" or level) to ExtremeRow
        Rows at the lowest and highest value of each action and covariate, and the first row at
        each level.
    missing : MissingCells
    values : tuple of tuples of float, length K + C
        Distinct values of each action and covariate, at most three of them.
    outcome : tuple of float
        Outcomes that decide the kind of all.
    content : Content
        Digest of all rows.
    """

    counts: dict[Mask, int]
    rows: dict[Mask, Array]
    extremes: dict[tuple[int, str | float], ExtremeRow]
    missing: MissingCells
    values: tuple[tuple[float, ...], ...] = ()
    outcome: tuple[float, ...] = ()
    content: Content = Content()

    @classmethod
    def over(cls, batches: Iterable[Batch]) -> Self:
        """Sample consecutive batches.

        Raises
        ------
        DataError
            On the first cell that is not finite, or unusable weight.
        """

        def each() -> Iterator[Self]:
            for rows, numbers, missing in batches:
                check_finite(rows, numbers)
                check_weights(rows, numbers)
                yield cls.of(rows, numbers, missing)

        none = cls({}, {}, {}, MissingCells.none())
        return reduce(lambda before, after: before.merge(after), each(), none)

    @classmethod
    def of(
        cls, batch: Observations, numbers: NDArray[np.int_], missing: MissingCells | None = None
    ) -> Self:
        """Sample one batch, whose rows have these numbers in the source."""
        missing = MissingCells.none() if missing is None else missing
        if not len(batch):
            return cls({}, {}, {}, missing)
        unit = batch.unit
        priority = (
            priorities(int(numbers[0]), int(np.ptp(numbers)) + 1)[numbers - numbers[0]]
            if unit is None
            else priorities_of_units(unit)
        )
        of_units = [column for column in (batch.weights, batch.within) if column is not None]
        rows = np.column_stack([priority, numbers, batch.inputs, batch.outcome, *of_units])
        regimes = batch.regimes
        return cls(
            regimes,
            {mask: _bottom_k(rows[(batch.intervened == mask).all(axis=1)]) for mask in regimes},
            _extremes(batch, rows),
            missing,
            tuple(map(at_most_three, batch.smooth_columns.T)),
            decisive_values(batch.outcome, batch.weights),
            Content.of(batch),
        )

    def merge(self, other: Self) -> Self:
        """Combine with the sample of rows that follow these."""
        masks = dict.fromkeys([*self.counts, *other.counts])
        return type(self)(
            in_regime_order({m: self.counts.get(m, 0) + other.counts.get(m, 0) for m in masks}),
            {
                m: _bottom_k(
                    np.concatenate([part.rows[m] for part in (self, other) if m in part.rows])
                )
                for m in masks
            },
            _merged_extremes(self.extremes, other.extremes),
            self.missing.merge(other.missing),
            _merged_values(self.values, other.values),
            decisive_values(np.array([*self.outcome, *other.outcome]), None),
            self.content.merge(other.content),
        )

    def sample(self, rows: int, schema: Schema) -> Observations:
        """Select about ``rows`` rows, balanced over the regimes, in the order of reading."""
        total = sum(self.counts.values())
        shares = (
            [SAMPLE_ROWS] * len(self.counts)
            if total <= rows
            else even_shares(list(self.counts.values()), rows)
        )
        by_position: dict[float, tuple[Mask, Array]] = {}
        for mask, share in zip(self.counts, shares, strict=True):
            by_position.update({row[1]: (mask, row) for row in self.rows[mask][:share]})
        by_position.update({row[1]: (mask, row) for _, mask, row in self.extremes.values()})
        ordered = [by_position[position] for position in sorted(by_position)]
        values = np.array([row for _, row in ordered])
        ends = np.cumsum([2, len(schema.actions), len(schema.columns)])
        _, actions, covariates, others = map(np.ascontiguousarray, np.split(values, ends, axis=1))
        return Observations(
            schema.actions,
            schema.outcome,
            actions,
            np.ascontiguousarray(others[:, 0]),
            np.array([mask for mask, _ in ordered], dtype=bool),
            categories=schema.categories,
            columns=schema.columns,
            covariates=covariates,
            weights=np.ascontiguousarray(others[:, 1]) if others.shape[1] > 1 else None,
            within=np.ascontiguousarray(others[:, 2]) if others.shape[1] > 2 else None,
        )


def _bottom_k(rows: Array) -> Array:
    """Rows of smallest priority, sorted by priority."""
    return rows[np.argsort(rows[:, 0], kind="stable")[:SAMPLE_ROWS]]


def _extremes(batch: Observations, rows: Array) -> dict[tuple[int, str | float], ExtremeRow]:
    """First rows at the ends and levels of each action and covariate."""
    extremes: dict[tuple[int, str | float], ExtremeRow] = {}

    def add(key: tuple[int, str | float], value: float, at: int) -> None:
        mask = tuple(batch.intervened[at].tolist())
        extremes[key] = ExtremeRow(value, mask, rows[at].copy())

    levels = (*batch.categories, *batch.columns.categories)
    for i, (column, own) in enumerate(zip(batch.smooth_columns.T, levels, strict=True)):
        for end, values in (("low", column), ("high", -column)):
            at = int(np.argmin(values))
            add((i, end), float(values[at]), at)
        if own is not None:
            for code, at in zip(*np.unique(column, return_index=True), strict=True):
                add((i, float(code)), 0.0, int(at))
    return extremes


def _merged_extremes(
    before: dict[tuple[int, str | float], ExtremeRow],
    after: dict[tuple[int, str | float], ExtremeRow],
) -> dict[tuple[int, str | float], ExtremeRow]:
    """Lower one of two rows per column and end, the earlier one in case of ties."""
    merged = {**before}
    for key, row in after.items():
        if key not in merged or row.value < merged[key].value:
            merged[key] = row
    return merged


def _merged_values(
    before: tuple[tuple[float, ...], ...], after: tuple[tuple[float, ...], ...]
) -> tuple[tuple[float, ...], ...]:
    """At most three distinct values per action in two sets of rows."""
    if not (before and after):
        return before or after
    return tuple(
        tuple(sorted({*one, *other})[:3]) for one, other in zip(before, after, strict=True)
    )

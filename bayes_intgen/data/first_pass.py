"""Results of a pass over rows: a digest, counts, and a sample of every regime.

The sample is a bottom-k reservoir (Cohen and Kaplan 2007). Each row has a random priority,
determined by its position, or by its unit where a grouping has many groups. The rows of smallest
priority form the sample, independently of how rows are split into batches and of the machines that
read them. By the digest a later pass notices that the source has changed.
"""

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import at_most_three
from bayes_intgen.data.batches import even_shares, priorities, priorities_of_units
from bayes_intgen.data.missing import MissingCells, summed
from bayes_intgen.data.outcome_kind import decisive_values
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.schema import SAME_ROWS, Batch, Schema
from bayes_intgen.data.validation import check_finite, check_weights
from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import Mask

# Maximum number of rows per regime in the sample, from which fits determine scales and knots.
SAMPLE_ROWS = 30_000


class Digest(NamedTuple):
    """Number of rows and digest of their cells, for any order and batches.

    Attributes
    ----------
    rows : int
    hash : int
        Sum of a 64-bit hash of each row, modulo 2**64.
    """

    rows: int = 0
    hash: int = 0

    @classmethod
    def of(cls, rows: Observations) -> Self:
        """Digest rows.

        Examples
        --------
        >>> Digest.of(data) == Digest.of(data.take(np.arange(len(data))[::-1]))
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
        return type(self)(self.rows + other.rows, (self.hash + other.hash) % 2**64)

    def after(self, piece: Observations) -> Self:
        """Add rows of a later pass; raises DataError if some of their cells are not finite."""
        if not (np.isfinite(piece.inputs).all() and np.isfinite(piece.outcome).all()):
            raise DataError(
                "the source now holds cells that are NaN or infinite, which it did not when it was "
                f"first read; {SAME_ROWS}"
            )
        return self.merge(self.of(piece))

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


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the bits of each value: the finaliser of SplitMix64 (Steele et al. 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


class Reservoir(NamedTuple):
    """Counts, a sample of every regime, and rows at the extremes and levels of each column.

    Rows are arrays of priority, position, actions, covariates, groups, mask and outcome, then
    weights and squares within rows if the source has them.

    Attributes
    ----------
    counts : dict from mask to int
        Number of rows per regime, fewest interventions first.
    rows : dict from mask to ndarray, shape (n, width)
        Sample of each regime.
    extremes : dict from (column, "low", "high" or level) to ndarray, shape (width,)
        Rows at the lowest and highest value of each action and covariate, and the first row at
        each level.
    missing : MissingCells
    values : tuple of tuples of float, length K + C
        Distinct values of each action and covariate, at most three of them.
    outcome : tuple of float
        Outcomes that decide the kind of all.
    digest : Digest
    """

    counts: dict[Mask, int]
    rows: dict[Mask, Array]
    extremes: dict[tuple[int, str | float], Array]
    missing: MissingCells
    values: tuple[tuple[float, ...], ...] = ()
    outcome: tuple[float, ...] = ()
    digest: Digest = Digest()

    @classmethod
    def over(cls, batches: Iterable[Batch]) -> Self:
        """Sample consecutive batches.

        Raises
        ------
        DataError
            On the first cell that is not finite, or unusable weight.
        """
        none = cls({}, {}, {}, MissingCells.none())
        return reduce(cls.merge, map(cls.of, batches), none)

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Sample one batch."""
        data, numbers, missing = batch
        check_finite(data, numbers)
        check_weights(data, numbers)
        if not len(data):
            return cls({}, {}, {}, missing)
        unit = data.unit
        priority = (
            priorities(int(numbers[0]), int(np.ptp(numbers)) + 1)[numbers - numbers[0]]
            if unit is None
            else priorities_of_units(unit)
        )
        units = [column for column in (data.weights, data.within) if column is not None]
        rows = np.column_stack(
            [priority, numbers, data.inputs, data.intervened, data.outcome, *units]
        )
        return cls(
            data.regimes,
            {mask: _bottom_k(rows[(data.intervened == mask).all(axis=1)]) for mask in data.regimes},
            _extremes(data, rows),
            missing,
            tuple(map(at_most_three, data.smooth_columns.T)),
            decisive_values(data.outcome, data.weights),
            Digest.of(data),
        )

    def merge(self, other: Self) -> Self:
        """Combine with the sample of rows that follow these."""
        counts = summed(self.counts, other.counts)
        samples = {
            mask: [part.rows[mask] for part in (self, other) if mask in part.rows]
            for mask in counts
        }
        values = self.values or other.values
        if self.values and other.values:
            both = zip(self.values, other.values, strict=True)
            values = tuple(tuple(sorted({*one, *more})[:3]) for one, more in both)
        return type(self)(
            counts,
            {mask: _bottom_k(np.concatenate(parts)) for mask, parts in samples.items()},
            _merged_extremes(self.extremes, other.extremes),
            self.missing.merge(other.missing),
            values,
            decisive_values(np.array([*self.outcome, *other.outcome]), None),
            self.digest.merge(other.digest),
        )

    def sample(self, rows: int, schema: Schema) -> Observations:
        """Select about ``rows`` rows, balanced over the regimes, in the order of reading."""
        counts = list(self.counts.values())
        shares = [SAMPLE_ROWS] * len(counts) if sum(counts) <= rows else even_shares(counts, rows)
        samples = zip(self.counts, shares, strict=True)
        sampled = [row for mask, share in samples for row in self.rows[mask][:share]]
        by_position = {row[1]: row for row in (*sampled, *self.extremes.values())}
        values = np.array([by_position[position] for position in sorted(by_position)])
        count = len(schema.actions)
        ends = np.cumsum([2, count, len(schema.columns), count])
        _, actions, covariates, masks, others = map(
            np.ascontiguousarray, np.split(values, ends, axis=1)
        )
        outcome, *units = map(np.ascontiguousarray, others.T)
        return Observations(
            schema.actions,
            schema.outcome,
            actions,
            outcome,
            masks.astype(bool),
            categories=schema.categories,
            columns=schema.columns,
            covariates=covariates,
            weights=units[0] if units else None,
            within=units[1] if len(units) > 1 else None,
        )


def _bottom_k(rows: Array) -> Array:
    """Rows of smallest priority, sorted by priority."""
    return rows[np.argsort(rows[:, 0], kind="stable")[:SAMPLE_ROWS]]


def _extremes(data: Observations, rows: Array) -> dict[tuple[int, str | float], Array]:
    """First rows at the ends and levels of each action and covariate."""
    first: dict[tuple[int, str | float], int] = {}
    categories = (*data.categories, *data.columns.categories)
    for i, (column, levels) in enumerate(zip(data.smooth_columns.T, categories, strict=True)):
        first[i, "low"], first[i, "high"] = int(column.argmin()), int(column.argmax())
        if levels is not None:
            codes, at_code = np.unique(column, return_index=True)
            first |= {(i, code): at for code, at in zip(codes.tolist(), at_code, strict=True)}
    return {key: rows[at].copy() for key, at in first.items()}


def _merged_extremes(
    before: dict[tuple[int, str | float], Array], after: dict[tuple[int, str | float], Array]
) -> dict[tuple[int, str | float], Array]:
    """Lower or higher one of two rows per column and end, the earlier one in case of ties."""
    merged = {**after, **before}
    for (column, end), row in after.items():
        # Columns follow the priority and position.
        value, earlier = row[2 + column], merged[column, end][2 + column]
        if (end == "low" and value < earlier) or (end == "high" and value > earlier):
            merged[column, end] = row
    return merged

"""Bottom-k reservoir sampling of the rows of each regime in one pass (Cohen and Kaplan 2007).

Each row has a random priority, determined by its position. The rows of smallest priority form the
sample, independently of how rows are split into batches and of the machines that read them.
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import NamedTuple, Self, cast

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import at_most_three
from bayes_intgen.data.columns import Columns
from bayes_intgen.data.content import Content
from bayes_intgen.data.rows import Observations, even_shares
from bayes_intgen.data.validation import check_finite
from bayes_intgen.identification.masks import Mask, in_regime_order

# Maximum number of rows per regime in the sample, from which fits determine scales and structure.
SAMPLE_ROWS = 30_000


class ExtremeRow(NamedTuple):
    """Row at the minimum or maximum of an action.

    Attributes
    ----------
    value : float
        Value of the action, negated for a maximum.
    mask : mask
        Mask of the row.
    row : ndarray, shape (K + 3,)
        As in :class:`Reservoir`.
    """

    value: float
    mask: Mask
    row: Array


class Reservoir(NamedTuple):
    """Counts, a sample of every regime, and the rows at the extremes of each action.

    Attributes
    ----------
    counts : dict from mask to int
        Number of rows per regime, fewest interventions first.
    rows : dict from mask to ndarray, shape (n, K + 3)
        Sample of each regime; columns: priority, position, actions, outcome.
    lowest, highest : tuple of ExtremeRow, length K
        Extreme rows of each action; empty without rows.
    values : tuple of tuples of float, length K
        Distinct values of each action, at most three of them.
    content : Content
        Digest of all rows.
    """

    counts: dict[Mask, int]
    rows: dict[Mask, Array]
    lowest: tuple[ExtremeRow, ...]
    highest: tuple[ExtremeRow, ...]
    values: tuple[tuple[float, ...], ...] = ()
    content: Content = Content()

    @classmethod
    def over(cls, batches: Iterable[Observations], first_row: int = 0) -> Self:
        """Sample consecutive batches, the first of which starts at row ``first_row``.

        Raises
        ------
        DataError
            On the first cell that is not finite.
        """

        def each() -> Iterator[Self]:
            row = first_row
            for batch in batches:
                check_finite(batch, row)
                yield cls.of(batch, row)
                row += len(batch)

        return reduce(lambda before, after: before.merge(after), each(), cls({}, {}, (), ()))

    @classmethod
    def of(cls, batch: Observations, first_row: int) -> Self:
        """Sample one nonempty batch."""
        position = np.arange(first_row, first_row + len(batch), dtype=np.float64)
        priority = priorities(first_row, len(batch))
        rows = np.column_stack([priority, position, batch.actions, batch.outcome])
        regimes = batch.regimes
        return cls(
            regimes,
            {mask: _bottom_k(rows[(batch.intervened == mask).all(axis=1)]) for mask in regimes},
            _extremes(batch, rows, 1),
            _extremes(batch, rows, -1),
            tuple(map(at_most_three, batch.actions.T)),
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
            _merged_extremes(self.lowest, other.lowest),
            _merged_extremes(self.highest, other.highest),
            _merged_values(self.values, other.values),
            self.content.merge(other.content),
        )

    def sample(self, rows: int, columns: Columns) -> Observations:
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
        extremes = (*self.lowest, *self.highest)
        by_position.update({row[1]: (mask, row) for _, mask, row in extremes})
        ordered = [by_position[position] for position in sorted(by_position)]
        values = np.array([row for _, row in ordered])
        return Observations(
            columns.actions,
            columns.outcome,
            np.ascontiguousarray(values[:, 2:-1]),
            np.ascontiguousarray(values[:, -1]),
            np.array([mask for mask, _ in ordered], dtype=bool),
            categories=columns.categories,
        )


def priorities(first_row: int, rows: int) -> Array:
    """Random priorities of consecutive rows, shape (rows,), the same in batches of any size."""
    rng = generator(0, "sample")
    # Each random number is one step of PCG64, NumPy's default.
    cast(np.random.PCG64, rng.bit_generator).advance(first_row)
    return rng.random(rows)


def _bottom_k(rows: Array) -> Array:
    """Rows of smallest priority, sorted by priority."""
    return rows[np.argsort(rows[:, 0], kind="stable")[:SAMPLE_ROWS]]


def _extremes(batch: Observations, rows: Array, sign: int) -> tuple[ExtremeRow, ...]:
    """First row with the smallest value of each action times ``sign``."""
    extremes = []
    for values in sign * batch.actions.T:
        at = int(np.argmin(values))
        mask = tuple(batch.intervened[at].tolist())
        extremes.append(ExtremeRow(float(values[at]), mask, rows[at].copy()))
    return tuple(extremes)


def _merged_extremes(
    before: tuple[ExtremeRow, ...], after: tuple[ExtremeRow, ...]
) -> tuple[ExtremeRow, ...]:
    """Lower one of two rows per action, the earlier one in case of ties."""
    if not (before and after):
        return before or after
    return tuple(
        one if one.value <= other.value else other for one, other in zip(before, after, strict=True)
    )


def _merged_values(
    before: tuple[tuple[float, ...], ...], after: tuple[tuple[float, ...], ...]
) -> tuple[tuple[float, ...], ...]:
    """At most three distinct values per action in two sets of rows."""
    if not (before and after):
        return before or after
    return tuple(
        tuple(sorted({*one, *other})[:3]) for one, other in zip(before, after, strict=True)
    )

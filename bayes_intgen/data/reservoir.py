"""Bottom-k reservoir sample of the rows of each regime, from one pass.

Each row has a random priority that its position determines. The rows of smallest priority are
the sample, whatever batches the rows came in and whichever machine read them (Cohen and Kaplan
2007, bottom-k sketches).
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import NamedTuple, Self, cast

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import at_most_three
from bayes_intgen.data.columns import Columns
from bayes_intgen.data.rows import Observations, even_shares, in_order
from bayes_intgen.data.validation import refuse_cells_that_are_not_finite
from bayes_intgen.identification.masks import Mask

# Rows of each regime that are kept, and rows from which fits learn scales and structure.
SAMPLE_ROWS = 30_000


class ExtremeRow(NamedTuple):
    """A row at which an action is lowest, or highest.

    Attributes
    ----------
    value : float
        The action, its sign turned where the highest is sought.
    mask : mask
        Of the row.
    row : ndarray, shape (K + 3,)
        As in :class:`Reservoir`.
    """

    value: float
    mask: Mask
    row: Array


class Reservoir(NamedTuple):
    """What a pass keeps: counts, a sample of every regime, and the rows at the extremes.

    Each row has a random key that its position gives it; those of the smallest keys are kept,
    whatever pieces the rows came in and whichever machine read them.

    Attributes
    ----------
    counts : dict from mask to int
        Rows of each regime; fewest interventions first.
    rows : dict from mask to ndarray, shape (n, K + 3)
        Columns: key, position, actions, outcome.
    lowest, highest : tuple of ExtremeRow, length K
        Of each action; empty where there are no rows.
    values : tuple of tuples of float, length K
        The distinct values of each action, at most three of them.
    """

    counts: dict[Mask, int]
    rows: dict[Mask, Array]
    lowest: tuple[ExtremeRow, ...]
    highest: tuple[ExtremeRow, ...]
    values: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def over(cls, batches: Iterable[Observations], first_row: int = 0) -> Self:
        """What is kept of consecutive batches, the first of which starts at row ``first_row``.

        Raises DataError on the first batch with a cell that is not finite.
        """

        def each() -> Iterator[Self]:
            row = first_row
            for batch in batches:
                refuse_cells_that_are_not_finite(batch, row)
                yield cls.of(batch, row)
                row += len(batch)

        return reduce(lambda before, after: before.merge(after), each(), cls({}, {}, (), ()))

    @classmethod
    def of(cls, batch: Observations, first_row: int) -> Self:
        """What is kept of one batch that is not empty."""
        position = np.arange(first_row, first_row + len(batch), dtype=np.float64)
        keys = priorities(first_row, len(batch))
        rows = np.column_stack([keys, position, batch.actions, batch.outcome])
        regimes = batch.regimes
        return cls(
            regimes,
            {mask: _smallest(rows[(batch.intervened == mask).all(axis=1)]) for mask in regimes},
            _extremes(batch, rows, 1),
            _extremes(batch, rows, -1),
            tuple(map(at_most_three, batch.actions.T)),
        )

    def merge(self, other: Self) -> Self:
        """What is kept of these rows and of others that come after them."""
        masks = dict.fromkeys([*self.counts, *other.counts])
        return type(self)(
            in_order({m: self.counts.get(m, 0) + other.counts.get(m, 0) for m in masks}),
            {
                m: _smallest(
                    np.concatenate([kept.rows[m] for kept in (self, other) if m in kept.rows])
                )
                for m in masks
            },
            _further(self.lowest, other.lowest),
            _further(self.highest, other.highest),
            _merged_values(self.values, other.values),
        )

    def sample(self, rows: int, columns: Columns) -> Observations:
        """Some of the rows, in the order in which they were read."""
        total = sum(self.counts.values())
        shares = (
            [SAMPLE_ROWS] * len(self.counts)
            if total <= rows
            else even_shares(list(self.counts.values()), rows)
        )
        chosen: dict[float, tuple[Mask, Array]] = {}
        for mask, share in zip(self.counts, shares, strict=True):
            chosen.update({row[1]: (mask, row) for row in self.rows[mask][:share]})
        chosen.update({row[1]: (mask, row) for _, mask, row in (*self.lowest, *self.highest)})
        ordered = [chosen[position] for position in sorted(chosen)]
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
    """The random keys of consecutive rows, shape (rows,): those that all rows at once get."""
    keys = generator(0, "sample")
    # A number drawn is one step of the generator, which is NumPy's default.
    cast(np.random.PCG64, keys.bit_generator).advance(first_row)
    return keys.random(rows)


def _smallest(rows: Array) -> Array:
    """The rows of the smallest keys, in their order."""
    return rows[np.argsort(rows[:, 0], kind="stable")[:SAMPLE_ROWS]]


def _extremes(batch: Observations, rows: Array, sign: int) -> tuple[ExtremeRow, ...]:
    """The first row with the lowest value of each action, times ``sign``."""
    found = []
    for values in sign * batch.actions.T:
        at = int(np.argmin(values))
        found.append(
            ExtremeRow(float(values[at]), tuple(batch.intervened[at].tolist()), rows[at].copy())
        )
    return tuple(found)


def _further(
    before: tuple[ExtremeRow, ...], after: tuple[ExtremeRow, ...]
) -> tuple[ExtremeRow, ...]:
    """The lower of two rows for each action; the earlier one where they are equal."""
    if not (before and after):
        return before or after
    return tuple(
        one if one.value <= other.value else other for one, other in zip(before, after, strict=True)
    )


def _merged_values(
    before: tuple[tuple[float, ...], ...], after: tuple[tuple[float, ...], ...]
) -> tuple[tuple[float, ...], ...]:
    """At most three distinct values of each action in two parts of the rows."""
    if not (before and after):
        return before or after
    return tuple(
        tuple(sorted({*one, *other})[:3]) for one, other in zip(before, after, strict=True)
    )

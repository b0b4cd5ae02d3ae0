"""Results of a pass over rows: a digest, counts, and a sample of every regime.

The sample is a bottom-k reservoir (Cohen and Kaplan 2007). Each row has a random priority,
determined by its position, or by its unit where a grouping has many groups. The rows of smallest
priority form the sample, independently of how rows are split into batches and of the machines that
read them. By the digest a later pass notices that the source has changed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from typing import Any, NamedTuple, Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import at_most_three
from bayes_intgen.data.in_time import Order, WithPast, opening_of
from bayes_intgen.data.missing import MissingCells, summed
from bayes_intgen.data.rows import SAME_ROWS, Observations, decisive_values, even_shares
from bayes_intgen.data.schema import Batch, Each, Schema, numbered_tables
from bayes_intgen.data.validation import check_cells
from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import Mask

# Maximum number of rows per regime in the sample, from which fits determine scales and knots.
SAMPLE_ROWS = 30_000
# Maximum number of rows beyond the sample that wait until they are left out. To leave them out
# takes a sort of all rows, too long after every batch.
MAX_WAITING = 4 * SAMPLE_ROWS


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

    def followed_by(self, rows: Observations) -> Self:
        """Digest further rows together with these."""
        return self.merge(type(self)(len(rows), rows.digest))

    def merge(self, other: Self) -> Self:
        """Digest two sets of rows together."""
        return type(self)(self.rows + other.rows, (self.hash + other.hash) % 2**64)

    def refuse_other(self, now: Self) -> None:
        """Raise DataError unless a later pass has read the same rows."""
        if now.rows != self.rows:
            raise DataError(
                f"the source held {self.rows} rows when it was first read and {now.rows} now; "
                f"{SAME_ROWS}"
            )
        if now != self:
            raise DataError(f"the source held other values when it was first read; {SAME_ROWS}")


class Reservoir(NamedTuple):
    """Counts, and a sample of every regime with the extremes and levels of each column.

    Attributes
    ----------
    rows : Observations
        The sample, in the order of reading, and perhaps further rows.
    priority : ndarray, shape (n,)
        Priorities of these rows.
    counts : dict from mask to int
        Number of rows per regime, fewest interventions first; empty without rows.
    missing : MissingCells
    values : tuple of tuples of float, length K + C
        Distinct values of each action and covariate, at most three of them.
    outcome : tuple of float
        Outcomes that decide the kind of all.
    digest : Digest
    opening : Observations
        As :attr:`Rows.opening`.
    order : Order
    """

    rows: Observations
    priority: Array
    counts: dict[Mask, int]
    missing: MissingCells
    values: tuple[tuple[float, ...], ...]
    outcome: tuple[float, ...]
    digest: Digest
    opening: Observations
    order: Order

    @classmethod
    def over(
        cls,
        schema: Schema,
        tables: Iterable[Any],
        first_row: int = 0,
        steps: Iterable[WithPast] = (),
        each: Each = map,
    ) -> Self:
        """Sample the rows of consecutive tables; parameters as in :meth:`Schema.contents_of`.

        ``steps`` are applied to the rows one after the other; rows that remain are numbered again.

        Raises
        ------
        DataError
            On the first cell that is not finite, unusable weight, or row that comes too late.
        """
        nothing = np.empty((0, 0))
        none = Observations((), "", nothing, np.empty(0), nothing.astype(bool))
        empty = cls._empty(none, MissingCells())
        numbered = numbered_tables(tables, first_row)
        if not steps:
            samples = each(lambda table: cls.of(schema.read(*table)), numbered)
        else:
            pieces: Iterable[Observations] = each(schema.reread, numbered)
            pieces = applied(steps, pieces)
            samples = map(cls.of, _numbered(pieces, first_row))
        return reduce(cls.merge, samples, empty)

    @classmethod
    def _empty(cls, rows: Observations, missing: MissingCells) -> Self:
        order = Order.of(rows)
        return cls(rows, np.empty(0), {}, missing, (), (), Digest(), rows, order)

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Sample one batch."""
        rows, numbers, missing = batch
        check_cells(rows, numbers)
        if not len(rows):
            return cls._empty(rows, missing)
        return cls(
            rows,
            rows.priorities(numbers),
            rows.regimes,
            missing,
            tuple(map(at_most_three, rows.smooth_columns.T)),
            decisive_values(rows.outcome, rows.weights),
            Digest().followed_by(rows),
            rows.opening,
            Order.of(rows),
        )._thinned()

    def merge(self, other: Self) -> Self:
        """Combine with the sample of rows that follow these."""
        missing = self.missing.merge(other.missing)
        if not (self.counts and other.counts):
            return (self if self.counts else other)._replace(missing=missing)
        counts = summed(self.counts, other.counts)
        values = zip(self.values, other.values, strict=True)
        return type(self)(
            self.rows.followed_by(other.rows),
            np.concatenate([self.priority, other.priority]),
            counts,
            missing,
            tuple(tuple(sorted({*one, *more})[:3]) for one, more in values),
            decisive_values(np.array([*self.outcome, *other.outcome]), None),
            self.digest.merge(other.digest),
            opening_of(self.opening, other.opening),
            self.order.followed_by(other.order),
        )._thinned()

    def beside(self, other: Self) -> Self:
        """Combine with the sample of another partition; raises DataError if they share a unit."""
        self.order.refuse_units_of(other.order)
        return self.merge(other)

    def sample(self, rows: int) -> Observations:
        """Select about ``rows`` rows, balanced over the regimes, in the order of reading."""
        return self._selected(even_shares(self.counts, rows)).rows

    def _thinned(self) -> Self:
        """Leave out rows beyond the sample once there are many."""
        sampled = sum(min(count, SAMPLE_ROWS) for count in self.counts.values())
        if len(self.rows) <= sampled + min(sampled, MAX_WAITING):
            return self
        return self._selected(dict.fromkeys(self.counts, SAMPLE_ROWS))

    def _selected(self, shares: Mapping[Mask, int]) -> Self:
        """Keep so many rows of each regime, with extremes and levels."""
        kept = self.rows.sampled(self.priority, shares)
        return self._replace(rows=self.rows.take(kept), priority=self.priority[kept])


def applied[T](functions: Iterable[Callable[[T], T]], value: T) -> T:
    """Apply functions one after the other: steps to pieces, or transformations to rows."""
    return reduce(lambda value, function: function(value), functions, value)


def _numbered(pieces: Iterable[Observations], first_row: int) -> Iterator[Batch]:
    """Number the rows of pieces."""
    for piece in pieces:
        yield Batch(piece, first_row + np.arange(len(piece)), MissingCells())
        first_row += len(piece)

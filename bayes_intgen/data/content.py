"""Digest of rows, by which a later pass notices that the source has changed."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen.data.rows import Observations
from bayes_intgen.data.schema import SAME_ROWS
from bayes_intgen.errors import DataError


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

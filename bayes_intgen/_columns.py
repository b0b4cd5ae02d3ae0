"""Columns of large tables whose rows are contiguous in memory, in blocks that fit the caches."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array

COLUMNS_PER_BLOCK = 16
ROWS_PER_BLOCK = 512


def columns_of[T: np.generic](table: NDArray[T]) -> Iterator[NDArray[T]]:
    """Yield the columns of a table, shape (n, K), each contiguous in memory.

    A pass along one column of a wide table reads nearly the whole table from memory.

    Examples
    --------
    >>> [column.tolist() for column in columns_of(np.array([[1, 2], [3, 4]]))]
    [[1, 3], [2, 4]]
    """
    for first in range(0, table.shape[1], COLUMNS_PER_BLOCK):
        yield from np.ascontiguousarray(table[:, first : first + COLUMNS_PER_BLOCK].T)


def side_by_side(columns: Sequence[Array]) -> Array:
    """Stack columns, each of shape (n,), to a table of shape (n, K).

    Examples
    --------
    >>> side_by_side([np.array([1.0, 3.0]), np.array([2.0, 4.0])]).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    table = np.empty((len(columns[0]), len(columns)))
    for first in range(0, len(table), ROWS_PER_BLOCK):
        rows = slice(first, first + ROWS_PER_BLOCK)
        np.stack([column[rows] for column in columns], axis=1, out=table[rows])
    return table

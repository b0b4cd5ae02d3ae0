"""Columns of large tables, contiguous in memory."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

COLUMNS_PER_BLOCK = 16
ROWS_PER_BLOCK = 512


def columns_of[T: np.generic](table: NDArray[T]) -> Iterator[NDArray[T]]:
    """Yield the columns of a table, shape (n, K), each contiguous in memory.

    Columns of a column-major table are views. In others a pass along one column reads nearly the
    whole table from memory, so that blocks of columns are copied.

    Examples
    --------
    >>> [column.tolist() for column in columns_of(np.array([[1, 2], [3, 4]]))]
    [[1, 3], [2, 4]]
    """
    for first in range(0, table.shape[1], COLUMNS_PER_BLOCK):
        yield from np.ascontiguousarray(table[:, first : first + COLUMNS_PER_BLOCK].T)


def side_by_side[T: np.generic](columns: Sequence[NDArray[T]]) -> NDArray[T]:
    """Stack columns, each of shape (n,), to a column-major table of shape (n, K).

    Examples
    --------
    >>> side_by_side([np.array([1.0, 3.0]), np.array([2.0, 4.0])]).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    table = np.empty((len(columns), len(columns[0])), dtype=columns[0].dtype)
    # Columns of a row-major table are read together, in blocks of rows that fit the caches.
    strided = any(not column.flags.c_contiguous for column in columns)
    step = ROWS_PER_BLOCK if strided else max(len(columns[0]), 1)
    for first in range(0, table.shape[1], step):
        rows = slice(first, first + step)
        np.stack([column[rows] for column in columns], out=table[:, rows])
    return table.T


def take_rows[T: np.generic](
    table: NDArray[T], rows: slice | NDArray[np.bool_] | NDArray[np.intp]
) -> NDArray[T]:
    """Select rows of a table, by column: a view for a slice, else a column-major table.

    Examples
    --------
    >>> take_rows(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([False, True]))
    array([[3., 4.]])
    """
    if isinstance(rows, slice):
        return table[rows]
    return side_by_side([column[rows] for column in columns_of(table)])

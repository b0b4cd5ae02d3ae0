"""Sparse matrix with the same few nonzero elements in every row, for regressions on it."""

from functools import cached_property
from typing import Any, cast

import numpy as np
import scipy
from numpy.typing import NDArray

from bayes_intgen._typing import Array


class SparseFeatures:
    """Features of rows, of which few differ from zero.

    Parameters
    ----------
    values : ndarray, shape (n, m)
        Nonzero features of each row.
    columns : ndarray of int, shape (n, m)
        Their columns; those of a row may coincide, and their features then add up.
    size : int
        Number of features H.

    Examples
    --------
    >>> features = SparseFeatures(np.array([[1.0, 2.0]]), np.array([[0, 2]]), 3)
    >>> features @ np.array([1.0, 1.0, 1.0])
    array([3.])
    >>> features.gram(np.ones(1))
    array([[1., 0., 2.],
           [0., 0., 0.],
           [2., 0., 4.]])
    """

    def __init__(self, values: Array, columns: NDArray[np.int_], size: int) -> None:
        self._values, self._columns = values, columns
        self.shape = len(values), size
        self._matrix = _with_rows(values, columns, size)

    def __matmul__[T: np.inexact[Any]](self, coefficients: NDArray[T]) -> NDArray[T]:
        """Product with coefficients, shape (H, ...)."""
        return cast(NDArray[T], _product(self._matrix, coefficients))

    def transposed_times[T: np.inexact[Any]](self, values: NDArray[T]) -> NDArray[T]:
        """Product of the transpose with one value per row, or several, shape (n, ...)."""
        return cast(NDArray[T], _product(self._matrix.T, values))

    def gram(self, weights: Array) -> Array:
        """Weighted cross products of all features, shape (H, H), with weights of shape (n,)."""
        size = self.shape[1]
        upper = np.asarray(self._products.T @ weights).reshape(size, size)
        return np.asarray(upper + upper.T - np.diag(np.diag(upper)))

    @cached_property
    def _products(self) -> "scipy.sparse.csr_array":
        """Products of any two features of a row, shape (n, H^2): a Gram matrix is linear in them.

        That takes a tenth of the time of a product of three sparse matrices.
        """
        size, (one, other) = self.shape[1], np.triu_indices(self._values.shape[1])
        order = np.argsort(self._columns, axis=1)
        columns = np.take_along_axis(self._columns, order, axis=1)
        values = np.take_along_axis(self._values, order, axis=1)
        products, first, second = (
            values[:, one] * values[:, other],
            columns[:, one],
            columns[:, other],
        )
        # A product of two features of one column belongs to the diagonal twice.
        products[(first == second) & (one != other)] *= 2
        return _with_rows(products, first * size + second, size**2)


def _product(matrix: Any, values: Any) -> Any:
    """Product of a real matrix, without a complex copy of it."""
    if not np.iscomplexobj(values):
        return np.asarray(matrix @ values)
    return np.asarray(matrix @ values.real) + 1j * np.asarray(matrix @ values.imag)


def _with_rows(values: Array, columns: NDArray[np.int_], size: int) -> "scipy.sparse.csr_array":
    pointers = np.arange(len(values) + 1) * values.shape[1]
    return scipy.sparse.csr_array(
        (values.ravel(), columns.ravel(), pointers), shape=(len(values), size)
    )

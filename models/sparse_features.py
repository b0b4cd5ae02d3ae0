"""Sparse matrix with the same few nonzero elements in every row, for regressions on it."""

from typing import Any

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
        self.shape = len(values), size
        pointers = np.arange(len(values) + 1) * values.shape[1]
        self._matrix = scipy.sparse.csr_array(
            (values.ravel(), columns.ravel(), pointers), shape=self.shape
        )

    def __matmul__[T: np.inexact[Any]](self, coefficients: NDArray[T]) -> NDArray[T]:
        """Product with coefficients, shape (H, ...)."""
        return np.asarray(self._matrix @ coefficients)

    def transposed_times[T: np.inexact[Any]](self, values: NDArray[T]) -> NDArray[T]:
        """Product of the transpose with one value per row, or several, shape (n, ...)."""
        return np.asarray(self._matrix.T @ values)

    def gram(self, weights: Array) -> Array:
        """Weighted cross products of all features, shape (H, H), with weights of shape (n,)."""
        weighted = self._matrix.multiply(weights[:, None])
        return np.asarray((self._matrix.T @ weighted).toarray())

"""Leading functions of a random function: its Karhunen-Loeve basis at the rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis


@dataclass(frozen=True, eq=False)
class KarhunenLoeveBasis:
    """The leading functions of a random function, in the metric of the data.

    Given a basis and prior standard deviations of its coefficients, the prior covariance
    is diagonalised under the data's density (a discrete Karhunen-Loève expansion): a few
    functions, each as large as the prior expects it to be, stand for the whole.

    Attributes
    ----------
    basis : Basis
    weights : ndarray, shape (basis.size, size)
    """

    basis: Basis
    weights: Array

    @classmethod
    def of(cls, actions: Array, basis: Basis, sd: Array, size: int) -> Self:
        scaled = basis.matrix(actions) * sd
        values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
        order = np.argsort(values)[::-1][:size]
        chosen = vectors[:, order]
        # Fix the signs, which an eigensolver leaves open.
        chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
        return cls(basis, sd[:, None] * chosen)

    @property
    def size(self) -> int:
        return int(self.weights.shape[1])

    def matrix(self, actions: Array) -> Array:
        return self.basis.matrix(actions) @ self.weights

"""Evaluation of many bases at the same rows."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.basis.tensor_product import ConcatenatedBasis, TensorProductBasis


class Evaluation:
    """Values of bases at the same rows: each function of one action is evaluated once.

    Many terms multiply the same few functions of an action.

    Parameters
    ----------
    actions : ndarray, shape (n, K)
    """

    def __init__(self, actions: Array) -> None:
        self._actions = actions
        self._known: dict[tuple[Basis, tuple[int, ...]], Array] = {}

    def __call__(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        """Values of a basis of some actions, shape (size, n): a function a row."""
        key = (basis, inputs)
        if key not in self._known:
            self._known[key] = self._evaluated(basis, inputs)
        return self._known[key]

    def products(self, basis: TensorProductBasis, inputs: tuple[int, ...]) -> Array:
        """As a call, but not kept: no two terms share their products."""
        return basis.multiplied([self(f, (k,)) for f, k in zip(basis.factors, inputs, strict=True)])

    def _evaluated(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        if isinstance(basis, KarhunenLoeveBasis):
            return np.asarray(basis.weights.T @ self(basis.basis, inputs))
        if isinstance(basis, ConcatenatedBasis):
            return np.concatenate([self(basis.first, inputs), self(basis.second, inputs)])
        if isinstance(basis, TensorProductBasis):
            return self.products(basis, inputs)
        return basis.matrix(self._actions[:, inputs]).T

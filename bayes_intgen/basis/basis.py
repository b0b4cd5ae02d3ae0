"""Basis functions of actions: frozen values that know nothing of priors or sampling.

A basis turns columns of actions into a matrix with one column per basis function. It is learned
from the data once. Everything here is plain NumPy: it can be saved as numbers and evaluated
again to the last bit.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bayes_intgen._typing import Array


class Basis(Protocol):
    """Basis functions of one or several actions."""

    @property
    def size(self) -> int:
        """Number of basis functions."""
        ...

    def matrix(self, actions: Array) -> Array:
        """Values at ``actions``, shape (n, inputs), as a matrix of shape (n, size)."""
        ...


@dataclass(frozen=True)
class Constant:
    """A single function that is one everywhere."""

    size: int = 1

    def matrix(self, actions: Array) -> Array:
        return np.ones((len(actions), 1))

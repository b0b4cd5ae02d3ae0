"""Protocol of basis functions: frozen values, independent of priors and sampling.

A basis turns columns of actions into a matrix with one column per basis function. Its constants
are computed once from the data. Bases are plain NumPy, so that a saved fit evaluates them again
to the last bit.
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
        """Evaluate the functions at ``actions``, shape (n, inputs); result of shape (n, size)."""
        ...


@dataclass(frozen=True)
class Constant:
    """Constant function one."""

    size: int = 1

    def matrix(self, actions: Array) -> Array:
        return np.ones((len(actions), 1))

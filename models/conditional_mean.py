"""Means of the functions of a confounding bias given the parents of its action.

The hidden cause of action k is independent of the parents of the action. Given the parents, the
bias therefore averages

    E[delta_k(A_k, A_pa) | A_pa] = E[f_k(A_k, C_k) - phi_k(A_k) | A_pa],

which is zero if the cause shifts the outcome by the same amount at every action,
f_k(a, c) = phi_k(a) + b(c), and small if it hardly changes the effect of the action. The prior
expresses this: functions of a_k in delta_k are taken less their means given the parents, and
functions of the parents alone, whose scale the data determine, carry the rest. A mean is estimated
by regression on functions of the parents, and then fixed: the functions of a model span the same
space whatever it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.evaluation import Evaluation


@dataclass(frozen=True, eq=False)
class ConditionalMean:
    """Regression of the functions of a bias on functions of the parents of its action.

    Attributes
    ----------
    bases : tuple of Basis
        Functions of one parent, and products of functions of two.
    inputs : tuple of tuple of int
        Arguments of each basis.
    terms : tuple of str
        Names of the terms that have this mean.
    coefficients : tuple of ndarray, shape (1 + M, size of the term)
        Per term; the first row is the intercept, and M the number of functions of parents.

    Raises
    ------
    ValueError
        If the lengths or shapes of the attributes do not match.
    """

    bases: tuple[Basis, ...]
    inputs: tuple[tuple[int, ...], ...]
    terms: tuple[str, ...]
    coefficients: tuple[Array, ...]

    def __post_init__(self) -> None:
        rows = 1 + sum(basis.size for basis in self.bases)
        if len(self.bases) != len(self.inputs) or len(self.terms) != len(self.coefficients):
            raise ValueError("the numbers of functions and coefficients do not match")
        if any(own.ndim != 2 or len(own) != rows for own in self.coefficients):
            raise ValueError(f"coefficients of a conditional mean need {rows} rows")

    def check(self, sizes: Mapping[str, int], actions: int) -> None:
        """Raise ValueError if coefficients do not match terms of these sizes, or inputs actions."""
        for name, own in zip(self.terms, self.coefficients, strict=True):
            if own.shape[1] != sizes.get(name, own.shape[1]):
                raise ValueError(f"the conditional mean of {name!r} has {own.shape[1]} columns")
        if not all(0 <= i < actions for inputs in self.inputs for i in inputs):
            raise ValueError("a conditional mean depends on an action that does not exist")

    def functions_of_parents(self, evaluation: Evaluation) -> Array:
        """Functions of the parents with a constant first, shape (1 + M, n)."""
        own = [
            evaluation(basis, inputs) for basis, inputs in zip(self.bases, self.inputs, strict=True)
        ]
        return np.concatenate([np.ones((1, own[0].shape[1])), *own])

    def subtract_from(
        self, functions: Array, evaluation: Evaluation, columns: Mapping[str, slice]
    ) -> None:
        """Subtract the mean from the functions of its terms, shape (P, n), in place."""
        present = [i for i, name in enumerate(self.terms) if name in columns]
        if present:
            of_parents = self.functions_of_parents(evaluation)
            for i in present:
                functions[columns[self.terms[i]]] -= self.coefficients[i].T @ of_parents

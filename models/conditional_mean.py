"""Means of the functions of a confounding bias given the observed causes of its action.

Observed causes are the parents of action k and covariates x. Given covariates, the hidden cause of
the action is independent of its parents. The bias therefore averages

    E[delta_k(A_k, A_pa, x) | A_pa, x] = E[f_k(A_k, C_k) - phi_k(A_k) | A_pa, x],

which is a function of x alone if the cause shifts the outcome by the same amount at every action,
f_k(a, c) = phi_k(a) + b(c), zero if the cause does not depend on x either, and small if it hardly
changes the effect of the action. The prior expresses this: functions of a_k in delta_k are taken
less their means given the observed causes, and functions of these alone, whose scale the data
determine, carry the rest. A mean is estimated by regression, and then fixed: the functions of a
model span nearly the same space whatever it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis

# Values of a basis of some inputs, shape (size, n).
Values = Callable[[Basis, tuple[int, ...]], Array]


@dataclass(frozen=True, eq=False)
class ConditionalMean:
    """Regression of the functions of a bias on functions of the observed causes of its action.

    Attributes
    ----------
    bases : tuple of Basis
        Functions of one parent or covariate, and products of functions of two parents. Those of
        covariates average zero over the observational rows.
    inputs : tuple of tuple of int
        Arguments of each basis, among actions and covariates.
    terms : tuple of str
        Names of the terms that have this mean.
    coefficients : tuple of ndarray, shape (1 + M, size of the term)
        Per term; the first row is the intercept, and M the number of functions of causes.

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

    def check(self, sizes: Mapping[str, int], inputs: int) -> None:
        """Raise ValueError if coefficients do not match these sizes, or an input is missing."""
        for name, own in zip(self.terms, self.coefficients, strict=True):
            if own.shape[1] != sizes.get(name, own.shape[1]):
                raise ValueError(f"the conditional mean of {name!r} has {own.shape[1]} columns")
        if not all(0 <= i < inputs for own in self.inputs for i in own):
            raise ValueError("a conditional mean depends on a column that does not exist")

    def functions_of_causes(self, values: Values) -> Array:
        """Functions of the observed causes with a constant first, shape (1 + M, n)."""
        own = [values(basis, inputs) for basis, inputs in zip(self.bases, self.inputs, strict=True)]
        return np.concatenate([np.ones((1, own[0].shape[1])), *own])

    def subtract_from(self, functions: Array, values: Values, columns: Mapping[str, slice]) -> None:
        """Subtract the mean from the functions of its terms, shape (P, n), in place."""
        present = [i for i, name in enumerate(self.terms) if name in columns]
        if present:
            of_causes = self.functions_of_causes(values)
            for i in present:
                functions[columns[self.terms[i]]] -= self.coefficients[i].T @ of_causes

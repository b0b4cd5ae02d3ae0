"""Functions of an action's control variable: its standardised residual given observed causes.

If an action is increasing in a scalar index of hidden causes that is independent of its observed
causes, the hidden cause depends on these only through the rank of the action among rows with the
same observed causes (Imbens and Newey, Econometrica 2009). In location-scale families the
standardised residual says the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import ndtri

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis, HSGPBasis
from bayes_intgen.basis.combined import SumBasis, TensorProductBasis
from bayes_intgen.basis.coordinate import Coordinate

# Position of the control variable among the arguments of a basis.
CONTROL = -1
# Step of the numerical derivative in the control variable, which has unit standard deviation.
STEP = 0.05
# Maximum number of values of an action whose normal scores are kept.
MAX_SCORES = 200
# Maximum difference of the log variance of residuals from its constant.
MAX_LOG_RATIO = 4.0


@dataclass(frozen=True, eq=False)
class NormalScores:
    """Normal scores of the mid-ranks of an action, linear between some of its values.

    They are the same for any increasing transform of the action. A value that many rows share, such
    as no spend at all, is in the middle of their ranks.

    Attributes
    ----------
    values, scores : ndarray, shape (n,)
    """

    values: Array
    scores: Array

    @classmethod
    def of(cls, values: Array, weights: Array) -> Self:
        """Compute the scores of values with weights, shape (n,) each."""
        distinct, which = np.unique(values, return_inverse=True)
        of_distinct = np.bincount(which, weights)
        ranks = (np.cumsum(of_distinct) - of_distinct / 2) / of_distinct.sum()
        at = np.unique(np.searchsorted(ranks, np.linspace(0, ranks[-1], MAX_SCORES)))
        return cls(distinct[at], ndtri(ranks[at]))

    def __call__(self, values: Array) -> Array:
        return np.interp(values, self.values, self.scores)


@dataclass(frozen=True, eq=False)
class ControlVariable:
    """Standardised residual of an action given its observed causes, a function of both.

    Attributes
    ----------
    scale : Coordinate or NormalScores
        Scale of the action on which the regression is linear.
    bases : tuple of Basis
        Functions of the causes.
    arguments : tuple of tuple of int
        Arguments of each basis, positions among the inputs; the action has position 0.
    coefficients : ndarray, shape (1 + M,)
        Of the regression of the action on its scale on a constant and these functions.
    log_variance : ndarray, shape (1 + M,)
        Coefficients of the log variance of the residuals.
    root : ndarray, shape (1 + M, q)
        Of the posterior covariance of ``coefficients``, ``root @ root.T``.
    """

    scale: Coordinate | NormalScores
    bases: tuple[Basis, ...]
    arguments: tuple[tuple[int, ...], ...]
    coefficients: Array
    log_variance: Array
    root: Array

    @property
    def size(self) -> int:
        return 1

    def functions_of_causes(self, inputs: Array) -> Array:
        """Constant and functions of the causes, shape (n, 1 + M), from inputs, (n, 1 + causes)."""
        return functions_of_causes(self.bases, self.arguments, inputs)

    @property
    def mean_by_input(self) -> Iterator[tuple[int, Basis, Array]]:
        """Functions of single causes in the mean: position of the input, basis, coefficients."""
        end = 1
        for basis, arguments in zip(self.bases, self.arguments, strict=True):
            start, end = end, end + basis.size
            if len(arguments) == 1:
                yield arguments[0], basis, self.coefficients[start:end]

    def matrix(self, inputs: Array) -> Array:
        return self.residual(inputs, self.functions_of_causes(inputs))[:, None]

    def residual(self, inputs: Array, functions: Array) -> Array:
        """Standardised residual, shape (n,), given the functions of the causes."""
        residual = self.scale(inputs[:, 0]) - functions @ self.coefficients
        return np.asarray(residual / sd_of_residuals(functions, self.log_variance))


def sd_of_residuals(functions: Array, log_variance: Array) -> Array:
    """Standard deviation of residuals, shape (n,), from a constant and functions of causes."""
    ratio = functions[:, 1:] @ log_variance[1:]
    ratio = np.clip(ratio, -MAX_LOG_RATIO, MAX_LOG_RATIO)
    return np.asarray(np.exp((log_variance[0] + ratio) / 2))


def functions_of_causes(
    bases: tuple[Basis, ...], arguments: tuple[tuple[int, ...], ...], inputs: Array
) -> Array:
    """Constant and functions of some of the inputs, shape (n, 1 + M)."""
    known: dict[tuple[Basis, int], Array] = {}

    def of_one(basis: Basis, i: int) -> Array:
        if (basis, i) not in known:
            known[basis, i] = basis.matrix(inputs[:, [i]])
        return known[basis, i]

    columns = [np.ones((len(inputs), 1))]
    for basis, own in zip(bases, arguments, strict=True):
        if isinstance(basis, TensorProductBasis):
            # Products share their factors.
            factors = zip(basis.factors, own, strict=True)
            columns.append(basis.multiplied([of_one(*factor).T for factor in factors]).T)
        elif len(own) == 1:
            columns.append(of_one(basis, *own))
        else:
            columns.append(basis.matrix(inputs[:, list(own)]))
    return np.concatenate(columns, axis=1)


@dataclass(frozen=True, eq=False)
class ControlBasis:
    """Functions of a control variable, alone or in products with the action or one of its causes.

    Attributes
    ----------
    control : ControlVariable
        Its inputs are those of the basis.
    basis : Basis
    arguments : tuple of int
        Arguments of ``basis``: positions among the inputs, or ``CONTROL``.
    """

    control: ControlVariable
    basis: Basis
    arguments: tuple[int, ...] = (CONTROL,)

    @property
    def size(self) -> int:
        return self.basis.size

    def at(self, inputs: Array, control: Array) -> Array:
        """Functions at values of the control variable, shape (n,): an array (n, size)."""
        columns = [control if i == CONTROL else inputs[:, i] for i in self.arguments]
        return self.basis.matrix(np.stack(columns, axis=1))

    def matrix(self, inputs: Array) -> Array:
        return self.at(inputs, self.control.matrix(inputs)[:, 0])


def frequencies_of(basis: Basis) -> Array:
    """Frequencies of a Hilbert-space GP, which may be centred or summed, shape (size,)."""
    while not isinstance(basis, HSGPBasis):
        assert isinstance(basis, CentredBasis | ControlBasis | SumBasis)
        basis = basis.parts[0] if isinstance(basis, SumBasis) else basis.basis
    return basis.frequencies


@dataclass(frozen=True, eq=False)
class ControlError:
    """What errors of a control variable's regression add to a bias, to first order.

    The product of the bias' derivative in the control variable and of the control variable's
    derivatives along the principal axes of the regression's posterior. The coefficients are
    standard normal before outcomes are seen.

    Attributes
    ----------
    terms : tuple of ControlBasis
        Functions in the bias, all of the same control variable.
    coefficients : tuple of ndarray
        Estimated coefficients of each of them.
    """

    terms: tuple[ControlBasis, ...]
    coefficients: tuple[Array, ...]

    @property
    def control(self) -> ControlVariable:
        """The control variable."""
        return self.terms[0].control

    @property
    def size(self) -> int:
        return int(self.control.root.shape[1])

    def matrix(self, inputs: Array) -> Array:
        functions = self.control.functions_of_causes(inputs)
        return self.at(inputs, functions, self.control.residual(inputs, functions))

    def at(self, inputs: Array, functions: Array, control: Array) -> Array:
        """Functions at values of the control variable (n,) and functions of its causes (n, q)."""
        slope = np.zeros(len(inputs))
        for own, coefficients in zip(self.terms, self.coefficients, strict=True):
            after, before = (own.at(inputs, control + step) for step in (STEP / 2, -STEP / 2))
            slope += (after - before) @ coefficients / STEP
        sd = sd_of_residuals(functions, self.control.log_variance)
        return np.asarray((functions @ self.control.root) * (-slope / sd)[:, None])

"""Functions of an action's control variable: its standardised residual given observed causes.

If an action is increasing in a scalar index of hidden causes that is independent of its observed
causes, the hidden cause depends on these only through the rank of the action among rows with the
same observed causes (Imbens and Newey, Econometrica 2009). In location-scale families the
standardised residual says the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from scipy.special import ndtr, ndtri

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import MIN_ATOM_SHARE, Basis
from bayes_intgen.basis.combined import KarhunenLoeveBasis, TensorProductBasis
from bayes_intgen.basis.coordinate import Coordinate

# Position of the control variable among the arguments of a basis.
CONTROL = -1
# Step of the numerical derivative in the control variable, which has unit standard deviation.
STEP = 0.05
# Maximum number of values of an action whose normal scores are kept.
MAX_SCORES = 200
# Probability of an interval of residuals below which it is taken for a point, and minimum
# information of one about the mean.
MIN_MASS, MIN_INFORMATION = 1e-10, 1e-6
# Maximum difference of the log variance of residuals from its constant.
MAX_LOG_RATIO = 4.0


@dataclass(frozen=True, eq=False)
class NormalScores:
    """Intervals of normal scores for which the values of an action stand.

    They are the same for any increasing transform of the action. A value that many rows share, such
    as a level or no spend at all, stands for all scores from the rank of the next smaller value to
    its own. Between the kept values scores are linear.

    Attributes
    ----------
    values : ndarray, shape (n,)
        Some of the values, all those that more than a few rows share among them.
    below, up_to : ndarray, shape (n,)
        Shares of rows with smaller values, and with values up to this one.
    """

    values: Array
    below: Array
    up_to: Array

    @classmethod
    def of(cls, values: Array, weights: Array) -> Self | None:
        """Compute the scores of values with weights, (n,) each; None if no value is frequent."""
        distinct, which = np.unique(values, return_inverse=True)
        of_values, total = np.bincount(which, weights), weights.sum()
        if of_values.max() < MIN_ATOM_SHARE * total:
            return None
        up_to = np.cumsum(of_values / total)
        # Rounding must not leave anything above the last value.
        up_to = up_to / up_to[-1]
        below = np.concatenate([[0.0], up_to[:-1]])
        middles = (below + up_to) / 2
        at = np.unique(np.searchsorted(middles, np.linspace(0, middles[-1], MAX_SCORES)))
        return cls(distinct[at], below[at], up_to[at])

    def interval(self, values: Array) -> tuple[Array, Array]:
        """Lower and upper ends of the scores of values, shape (n,)."""
        values = np.clip(values, self.values[0], self.values[-1])
        ends = ndtri(np.stack([self.below, self.up_to], axis=1))
        between = np.interp(values, np.repeat(self.values, 2), ends.ravel())
        at = np.searchsorted(self.values, values)
        kept = self.values[at] == values
        return np.where(kept, ends[at, 0], between), np.where(kept, ends[at, 1], between)


def functions_of_causes(
    bases: Sequence[Basis], arguments: Sequence[tuple[int, ...]], inputs: Array
) -> Array:
    """Constant and functions of some inputs, shape (n, 1 + M), from all inputs of an action."""
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
    def rows_of_bases(self) -> list[slice]:
        """Coefficients of each basis in the regression."""
        ends = np.cumsum([1, *(basis.size for basis in self.bases)]).tolist()
        return [slice(start, end) for start, end in pairwise(ends)]

    def matrix(self, inputs: Array) -> Array:
        return self.standardised(inputs[:, 0], self.functions_of_causes(inputs))[0][:, None]

    def sd(self, functions: Array) -> Array:
        """Standard deviation of residuals, shape (n,), given the functions of the causes."""
        ratio = functions[:, 1:] @ self.log_variance[1:]
        ratio = np.clip(ratio, -MAX_LOG_RATIO, MAX_LOG_RATIO)
        return np.asarray(np.exp((self.log_variance[0] + ratio) / 2))

    def standardised(self, actions: Array, functions: Array) -> tuple[Array, Array]:
        """Standardised residual of an action, and the information about the mean, (n,) each.

        A value that stands for an interval of scores has the generalised residual (Gourieroux,
        Monfort, Renault and Trognon, Journal of Econometrics 1987): the expectation of the standard
        normal residual given that it lies in the interval. Given the causes it averages zero, like
        any residual. The information is one minus its variance, relative to that of a number.

        Parameters
        ----------
        actions : ndarray, shape (n,)
        functions : ndarray, shape (n, 1 + M)
            Functions of the causes.
        """
        mean, sd = functions @ self.coefficients, self.sd(functions)
        if isinstance(self.scale, Coordinate):
            return np.asarray((self.scale(actions) - mean) / sd), np.ones(len(actions))
        low, high = ((end - mean) / sd for end in self.scale.interval(actions))
        # Differences of tail probabilities are exact on the left.
        sign = np.where(low > 0, -1.0, 1.0)
        low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
        mass = ndtr(high) - ndtr(low)
        is_interval = mass > MIN_MASS
        mass = np.where(is_interval, mass, 1.0)
        at_ends = np.exp(-np.square([low, high]) / 2) / np.sqrt(2 * np.pi) / mass
        moved = np.where(np.isfinite([low, high]), [low, high], 0.0) * at_ends
        mean = at_ends[0] - at_ends[1]
        information = np.clip(mean**2 - moved[0] + moved[1], MIN_INFORMATION, 1.0)
        return (
            sign * np.where(is_interval, mean, np.clip(0.0, low, high)),
            np.where(is_interval, information, 1.0),
        )


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


@dataclass(frozen=True, eq=False)
class ResidualBasis:
    """Functions of an action without an order, less their means given its observed causes.

    They take the place of functions of a control variable, which needs an order.

    Attributes
    ----------
    basis : Basis
        Functions of the action, or of it and a parent.
    arguments : tuple of int
        Their arguments, positions among the inputs; the action has position 0.
    of_causes : tuple of Basis
        Functions of the causes.
    causes : tuple of tuple of int
        Arguments of each of these.
    coefficients : ndarray, shape (1 + M, basis.size)
        Of the regressions on a constant and the functions of the causes.
    """

    basis: Basis
    arguments: tuple[int, ...]
    of_causes: tuple[Basis, ...]
    causes: tuple[tuple[int, ...], ...]
    coefficients: Array

    @property
    def size(self) -> int:
        return self.basis.size

    def matrix(self, inputs: Array) -> Array:
        means = functions_of_causes(self.of_causes, self.causes, inputs) @ self.coefficients
        return np.asarray(self.basis.matrix(inputs[:, list(self.arguments)]) - means)


@dataclass(frozen=True, eq=False)
class ControlError:
    """What errors of a control variable's regression add to the mean, to first order.

    To the bias: the product of its derivative in the control variable and of the control variable's
    derivatives along the principal axes of the regression's posterior. To the parts of covariates
    and groups in the usual action, in every regime: these parts' errors times their slopes. The
    coefficients, which both share, are standard normal before outcomes are seen.

    Attributes
    ----------
    terms : tuple of ControlBasis
        Functions in the bias, all of the same control variable.
    coefficients : tuple of ndarray
        Estimated coefficients of each of them.
    slopes : tuple of float
        Slope of the outcome in the part of each basis of the control variable in the usual action;
        empty if the outcome does not depend on the usual action.
    """

    terms: tuple[ControlBasis, ...]
    coefficients: tuple[Array, ...]
    slopes: tuple[float, ...] = ()

    @property
    def control(self) -> ControlVariable:
        """The control variable."""
        return self.terms[0].control

    @property
    def size(self) -> int:
        return int(self.control.root.shape[1])

    @property
    def of_usual(self) -> Iterator[tuple[tuple[int, ...], Basis]]:
        """Errors of the parts in the usual action: positions of their inputs, and functions."""
        control = self.control
        each = control.bases, control.arguments, control.rows_of_bases, self.slopes
        for basis, own, rows, slope in zip(*each, strict=True):
            if slope:
                yield own, KarhunenLoeveBasis(basis, slope * control.root[rows])

    def matrix(self, inputs: Array) -> Array:
        return self.at(inputs, self.control.functions_of_causes(inputs))

    def at(self, inputs: Array, functions: Array) -> Array:
        """Functions at inputs and functions of the causes, (n, q), among them."""
        control, information = self.control.standardised(inputs[:, 0], functions)
        slope = np.zeros(len(inputs))
        for own, coefficients in zip(self.terms, self.coefficients, strict=True):
            after, before = (own.at(inputs, control + step) for step in (STEP / 2, -STEP / 2))
            slope += (after - before) @ coefficients / STEP
        slope *= -information / self.control.sd(functions)
        return np.asarray((functions @ self.control.root) * slope[:, None])

"""Functions of an action's control variable, its standardised residual given observed causes.

If an action is increasing in a scalar index of hidden causes that is independent of its observed
causes, the hidden cause depends on these through the rank of the action among rows with the same
observed causes alone (Imbens and Newey, Econometrica 2009). In location-scale families the
standardised residual says the same.
"""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.group_indicators import CentredBasis
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.basis.tensor_product import TensorProductBasis

# Step of the numerical derivative in the control variable, in standard deviations of it.
STEP = 0.05


@dataclass(frozen=True, eq=False)
class ControlVariable:
    """Standardised residual of an action given its observed causes, as one function of both.

    Attributes
    ----------
    coordinate : Coordinate
        Scale of the action on which the regression is linear.
    bases : tuple of Basis
        Functions of the causes.
    arguments : tuple of tuple of int
        Arguments of each basis, positions among the inputs: 0 is the action.
    coefficients : ndarray, shape (1 + M,)
        Of the regression of the action's coordinate on a constant and these functions.
    root : ndarray, shape (1 + M, q)
        ``root @ root.T`` is their posterior covariance.
    log_sd : ndarray, shape (1 + M,)
        Coefficients of the logarithm of the standard deviation of the residuals.
    low, high : float
        Range of that logarithm over the rows.
    """

    coordinate: Coordinate
    bases: tuple[Basis, ...]
    arguments: tuple[tuple[int, ...], ...]
    coefficients: Array
    root: Array
    log_sd: Array
    low: float
    high: float

    @property
    def size(self) -> int:
        return 1

    def functions_of_causes(self, inputs: Array) -> Array:
        """Constant and functions of the causes, shape (n, 1 + M), from inputs, (n, 1 + causes)."""
        own = [b.matrix(inputs[:, list(i)]) for b, i in zip(self.bases, self.arguments, strict=True)]
        return np.concatenate([np.ones((len(inputs), 1)), *own], axis=1)

    def sd(self, of_causes: Array) -> Array:
        """Standard deviation of the residuals, shape (n,), from functions of the causes."""
        return np.exp(np.clip(of_causes @ self.log_sd, self.low, self.high))

    def matrix(self, inputs: Array) -> Array:
        of_causes = self.functions_of_causes(inputs)
        residual = self.coordinate(inputs[:, 0]) - of_causes @ self.coefficients
        return (residual / self.sd(of_causes))[:, None]


@dataclass(frozen=True, eq=False)
class ControlBasis:
    """Functions of a control variable, or products of functions of its action and of it.

    Attributes
    ----------
    control : ControlVariable
        Its inputs are those of the basis.
    basis : Basis
        Of the control variable, or a tensor product of functions of the action and of it.
    """

    control: ControlVariable
    basis: Basis

    @property
    def size(self) -> int:
        return self.basis.size

    @property
    def frequencies(self) -> Array:
        """Frequencies of an :class:`HSGPBasis`, shape (size,)."""
        assert isinstance(self.basis, HSGPBasis | CentredBasis)
        return self.basis.frequencies

    @property
    def with_action(self) -> bool:
        """Whether the functions are products with functions of the action."""
        return isinstance(self.basis, TensorProductBasis)

    def at(self, action: Array, control: Array) -> Array:
        """Functions at values of both, shape (n,) each: an array (n, size)."""
        columns = [action, control] if self.with_action else [control]
        return self.basis.matrix(np.column_stack(columns))

    def matrix(self, inputs: Array) -> Array:
        return self.at(inputs[:, 0], self.control.matrix(inputs)[:, 0])


@dataclass(frozen=True, eq=False)
class ControlError:
    """What errors of a control variable's regression add to a bias, to first order.

    The product of the bias' derivative in the control variable and of the derivatives of the
    control variable along the principal axes of the regression's posterior. Coefficients are
    standard normal before the outcomes are seen.

    Attributes
    ----------
    functions : tuple of ControlBasis
        Terms of the bias, all with the same control variable.
    coefficients : tuple of ndarray
        Estimated coefficients of each term.
    """

    functions: tuple[ControlBasis, ...]
    coefficients: tuple[Array, ...]

    @property
    def control(self) -> ControlVariable:
        return self.functions[0].control

    @property
    def size(self) -> int:
        return int(self.control.root.shape[1])

    def matrix(self, inputs: Array) -> Array:
        action, control = inputs[:, 0], self.control.matrix(inputs)[:, 0]
        slope = np.zeros(len(inputs))
        for own, coefficients in zip(self.functions, self.coefficients, strict=True):
            change = own.at(action, control + STEP / 2) - own.at(action, control - STEP / 2)
            slope += change @ coefficients / STEP
        of_causes = self.control.functions_of_causes(inputs)
        return np.asarray((of_causes @ self.control.root) * (-slope / self.control.sd(of_causes))[:, None])


@dataclass(frozen=True, eq=False)
class ControlProduct:
    control: ControlVariable
    of_control: Basis
    of_cause: Basis
    position: int
    order: int

    @property
    def product(self):
        return TensorProductBasis((self.of_control, self.of_cause), self.order)

    @property
    def size(self):
        return self.product.size

    def matrix(self, inputs):
        r = self.control.matrix(inputs)[:, 0]
        return self.product.matrix(np.column_stack([r, inputs[:, self.position]]))

"""Values of many bases at the same rows."""

from typing import Any

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, CentredBasis
from bayes_intgen.basis.combined import (
    ConcatenatedBasis,
    KarhunenLoeveBasis,
    TensorProductBasis,
)
from bayes_intgen.basis.control import CONTROL, ControlBasis, ControlError, ControlVariable

# Rows of points and units whose functions are evaluated at once.
ROWS_AT_ONCE = 100_000


class Evaluation:
    """Values of bases at the same rows, where each function of one input is evaluated once.

    Products are not kept: terms do not share them, and there are many.

    Many terms are products of the same few functions of an action.

    Parameters
    ----------
    inputs : ndarray, shape (n, number of inputs)
    population : (ndarray, shape (R, number of inputs), ndarray, shape (R,)), optional
        Rows over which functions of the inputs from ``first`` on are averaged, and their shares.
    first : int
        Number of inputs that are not averaged.
    dtype : data type
        Of the values. Single functions are computed in double precision, and products in this.
    """

    def __init__(
        self,
        inputs: Array,
        population: tuple[Array, Array] | None = None,
        first: int = 0,
        dtype: type[np.floating[Any]] = np.float64,
    ) -> None:
        self.inputs, self._population, self._first = inputs, population, first
        self._cache: dict[tuple[object, ...], Array] = {}
        self.dtype = dtype

    def __call__(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        """Values of a basis of some actions, shape (size, n), one function per row."""
        if isinstance(basis, TensorProductBasis):
            factors = zip(basis.factors, inputs, strict=True)
            return basis.multiplied([self(factor, (k,)) for factor, k in factors])
        key = basis, inputs
        if key not in self._cache:
            # A control variable is an argument of other functions.
            dtype = np.float64 if isinstance(basis, ControlVariable) else self.dtype
            self._cache[key] = self._evaluate(basis, inputs).astype(dtype, copy=False)
        return self._cache[key]

    def _evaluate(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        if isinstance(basis, KarhunenLoeveBasis):
            return np.asarray(basis.weights.T @ self(basis.basis, inputs))
        if isinstance(basis, ConcatenatedBasis):
            return np.concatenate([self(basis.first, inputs), self(basis.second, inputs)])
        if isinstance(basis, CentredBasis):
            return self(basis.basis, inputs) - basis.centres[:, None]
        averaged = self._population is not None and max(inputs, default=-1) >= self._first
        if averaged and min(inputs) < self._first:
            return self._average(basis, inputs)
        if isinstance(basis, ControlBasis):
            return self._of_control(basis, inputs)
        if isinstance(basis, ControlVariable):
            causes = self._of_causes(basis, inputs)
            return basis.standardised(self.inputs[:, inputs[0]], causes)[0][None]
        if isinstance(basis, ControlError):
            return basis.at(self.inputs[:, inputs], self._of_causes(basis.control, inputs)).T
        if self._population is not None and averaged:
            # Factors of products have at most one such input, so that averages factorise.
            values, shares = self._population
            mean = shares @ basis.matrix(values[:, inputs])
            return np.repeat(mean[:, None], len(self.inputs), axis=1)
        return basis.matrix(self.inputs[:, inputs]).T

    def _of_causes(self, control: ControlVariable, inputs: tuple[int, ...]) -> Array:
        """Functions of the observed causes of an action, shape (n, q)."""
        key = "causes", control, inputs
        if key not in self._cache:
            self._cache[key] = control.functions_of_causes(self.inputs[:, inputs])
        return self._cache[key]

    def _of_control(self, basis: ControlBasis, inputs: tuple[int, ...]) -> Array:
        """Values of functions of a control variable, of which products share the factors."""
        control, functions = self(basis.control, inputs)[0], basis.basis
        if not isinstance(functions, TensorProductBasis):
            return basis.at(self.inputs[:, inputs], control).T

        def of_factor(factor: Basis, i: int) -> Array:
            if i != CONTROL:
                return self(factor, (inputs[i],))
            key = factor, basis.control, inputs
            if key not in self._cache:
                values = factor.matrix(control[:, None]).T
                self._cache[key] = values.astype(self.dtype, copy=False)
            return self._cache[key]

        factors = zip(functions.factors, basis.arguments, strict=True)
        return functions.multiplied([of_factor(*factor) for factor in factors])

    def _average(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        """Averages over the population of functions of both kinds of inputs, shape (size, n)."""
        assert self._population is not None
        values, shares = self._population
        out = np.empty((basis.size, len(self.inputs)))
        step = max(1, ROWS_AT_ONCE // len(values))
        for start in range(0, len(self.inputs), step):
            points = self.inputs[start : start + step]
            rows = np.tile(values, (len(points), 1))
            rows[:, : self._first] = np.repeat(points[:, : self._first], len(values), axis=0)
            of_rows = basis.matrix(rows[:, inputs]).reshape(len(points), len(values), -1)
            out[:, start : start + step] = np.einsum("nus,u->sn", of_rows, shares)
        return out


class PointEvaluation(Evaluation):
    """Values of bases at rows that share the values of their first inputs.

    Parameters
    ----------
    rows : Evaluation
        At the same rows with any values of the first inputs.
    point : ndarray, shape (first,)
        Values of the first inputs.
    """

    def __init__(self, rows: Evaluation, point: Array) -> None:
        inputs = rows.inputs.copy()
        inputs[:, : len(point)] = point
        super().__init__(inputs)
        self._rows, self._shared, self._split = rows, Evaluation(inputs[:1]), len(point)

    def __call__(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        """Values of a basis of some inputs, shape (size, n), one function per row."""
        if min(inputs) >= self._split:
            return self._rows(basis, inputs)
        if max(inputs) < self._split:
            return np.repeat(self._shared(basis, inputs), len(self.inputs), axis=1)
        return super().__call__(basis, inputs)

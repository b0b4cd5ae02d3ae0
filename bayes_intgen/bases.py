"""Deterministic basis functions: learned from the data once, then frozen.

A basis turns columns of actions into a matrix with one column a basis function. It
knows nothing of priors or sampling. Everything here is plain NumPy and a frozen value:
it can be saved as numbers and evaluated again to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from bayes_intgen.coordinate import MIN_DISTINCT, Coordinate
from bayes_intgen.coordinate import Array as Array
from bayes_intgen.errors import ModelError
from bayes_intgen.piecewise import PiecewiseLinear

# As a share of the range.
CLOSEST_KNOTS = 1e-3
# Least share of the rows at a value, and of those elsewhere, for a coefficient of its own, and
# how often another value may repeat, as a share of that.
MIN_ATOM, MAX_REPEATED = 0.05, 0.25


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


@dataclass(frozen=True, eq=False)
class Powers:
    """Powers of a standardised action from the first on, each centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    centres : tuple of float
        Means of the powers over the data, one for each.
    """

    coordinate: Coordinate
    centres: tuple[float, ...]

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate, degree: int) -> Self:
        raw = cls(coordinate, (0.0,) * degree).matrix(actions)
        return cls(coordinate, tuple(raw.mean(axis=0).tolist()))

    @property
    def size(self) -> int:
        return len(self.centres)

    def matrix(self, actions: Array) -> Array:
        x = self.coordinate.standardise(actions[:, :1])
        return np.asarray(x ** np.arange(1, self.size + 1) - np.array(self.centres))


@dataclass(frozen=True, eq=False)
class Slope:
    """The squashed coordinate itself, centred over the data."""

    coordinate: Coordinate
    centre: float
    size: int = 1

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate) -> Self:
        return cls(coordinate, float(coordinate(actions[:, 0]).mean()))

    def matrix(self, actions: Array) -> Array:
        return np.asarray(self.coordinate(actions[:, :1]) - self.centre)


@dataclass(frozen=True, eq=False)
class Line:
    """The action itself, standardised and held at the observed range, centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    centre : float
        Mean over the data.
    """

    coordinate: Coordinate
    centre: float
    size: int = 1

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate) -> Self:
        return cls(coordinate, float(cls(coordinate, 0.0).matrix(actions).mean()))

    def matrix(self, actions: Array) -> Array:
        held = np.clip(actions[:, :1], self.coordinate.low, self.coordinate.high)
        return np.asarray(self.coordinate.standardise(held) - self.centre)


@dataclass(frozen=True, eq=False)
class Atom:
    """Indicator of one value, centred over the data.

    Attributes
    ----------
    value : float
        In the action's own units.
    centre : float
        Share of the rows with that value.
    """

    value: float
    centre: float
    size: int = 1

    @classmethod
    def of(cls, actions: Array) -> Self | None:
        """Indicator of the value that many rows share while the others hardly repeat.

        None where there is no such value.
        """
        distinct, counts = np.unique(actions[:, 0], return_counts=True)
        most, share = int(counts.argmax()), counts.max() / len(actions)
        if len(distinct) < MIN_DISTINCT or not MIN_ATOM <= share <= 1 - MIN_ATOM:
            return None
        if np.delete(counts, most).max() > MAX_REPEATED * counts[most]:
            return None
        return cls(float(distinct[most]), float(share))

    def matrix(self, actions: Array) -> Array:
        return np.asarray((actions[:, :1] == self.value) - self.centre)


@dataclass(frozen=True, eq=False)
class Sines:
    """Eigenfunctions of the Laplacian on a box around the data (Hilbert-space GP).

    Solin and Särkkä (2020), eq. 56, centred over the data so that a level is left to
    the intercepts.

    Attributes
    ----------
    coordinate : Coordinate
    box : float
        Half the width of the box, in the squashed coordinate.
    centres : tuple of float
        Mean of each eigenfunction over the data.
    """

    coordinate: Coordinate
    box: float
    centres: tuple[float, ...]

    @classmethod
    def of(
        cls,
        actions: Array,
        coordinate: Coordinate,
        longest: float,
        shortest: float,
        size: int | None = None,
    ) -> Self:
        """Box and number of functions for lengthscales from ``shortest`` to ``longest``.

        Riutort-Mayol et al. (2023, section 4.2), the rules for the squared exponential: the
        half width is 3.2 times the longest lengthscale or more, and the number of functions
        1.75 half widths over the shortest. The box also exceeds the data by 1.5 times the
        longest, so that its edges, at which functions are zero, stay out of reach.
        """
        low, high = coordinate.ends
        box = max(3.2 * longest, (high - low) / 2 + 1.5 * longest)
        if size is None:
            size = int(np.clip(np.ceil(1.75 * box / shortest), 8, 24))
        raw = cls(coordinate, box, (0.0,) * size).matrix(actions)
        return cls(coordinate, box, tuple(raw.mean(axis=0).tolist()))

    @property
    def size(self) -> int:
        return len(self.centres)

    @property
    def frequencies(self) -> Array:
        """Square roots of the eigenvalues, shape (size,)."""
        return np.asarray(np.arange(1, self.size + 1) * (np.pi / (2 * self.box)))

    def matrix(self, actions: Array) -> Array:
        low, high = self.coordinate.ends
        z = self.coordinate(actions[:, 0]) - (low + high) / 2
        angle = (z + self.box) * (np.pi / (2 * self.box))
        # sin(i x) from the two before it: an addition theorem in place of a sine each.
        out = np.empty((self.size, len(angle)))
        before, twice = np.zeros_like(angle), 2 * np.cos(angle)
        out[0] = np.sin(angle) / np.sqrt(self.box)
        for i in range(1, self.size):
            out[i] = twice * out[i - 1] - before
            before = out[i - 1]
        return np.asarray((out - np.array(self.centres)[:, None]).T)


@dataclass(frozen=True, eq=False)
class PenalisedSpline:
    """B-splines with a second-difference penalty, as independent functions.

    The penalty leaves constants and straight lines alone; what it does penalise is
    rotated and scaled so that coefficients with equal variances have the penalised
    prior (Wood 2017, section 5.8, in its mixed-model form), and centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    knots : tuple of float
        Full knot vector in the squashed coordinate, from quantiles of the data.
    degree : int
    rotation : ndarray, shape (B-splines, size)
    centres : tuple of float
        Mean of each function over the data.
    """

    coordinate: Coordinate
    knots: tuple[float, ...]
    degree: int
    rotation: Array
    centres: tuple[float, ...]

    @classmethod
    def of(
        cls, actions: Array, coordinate: Coordinate, intervals: int = 12, degree: int = 3
    ) -> Self:
        z = coordinate(actions[:, 0])
        low, high = coordinate.ends
        # Knots that all but coincide would make the penalty blind to what lies between them.
        gap = CLOSEST_KNOTS * (high - low)
        inner = np.quantile(z, np.linspace(0, 1, intervals + 1))
        inner = inner[np.diff(inner, prepend=-np.inf) > gap]
        inner = inner[(inner > low + gap) & (inner < high - gap)]
        inner = np.concatenate([[low], inner, [high]])
        if len(inner) + degree - 1 < 3:
            raise ModelError(
                f"a spline of degree {degree} needs an action with more distinct values; "
                "give that action the prior 'linear'"
            )
        knots = np.concatenate([[inner[0]] * degree, inner, [inner[-1]] * degree])
        # Divided differences at the Greville abscissae: with unequal knots, straight lines
        # have evenly rising coefficients only there.
        greville = np.array(
            [knots[i + 1 : i + 1 + degree].mean() for i in range(len(inner) + degree - 1)]
        )
        differences = _second_differences(greville)
        values, vectors = np.linalg.eigh(differences.T @ differences)
        wiggly = vectors[:, 2:] / np.sqrt(values[2:])
        at_knots = tuple(knots.tolist())
        columns = cls(coordinate, at_knots, degree, wiggly, (0.0,) * wiggly.shape[1]).matrix(
            actions
        )
        # Unit average variance over the data, so that one prior scale suits every action.
        size = np.sqrt(columns.var(axis=0).sum())
        centres = tuple((columns.mean(axis=0) / size).tolist())
        return cls(coordinate, at_knots, degree, wiggly / size, centres)

    @property
    def size(self) -> int:
        return len(self.centres)

    def matrix(self, actions: Array) -> Array:
        z = np.clip(self.coordinate(actions[:, 0]), self.knots[0], self.knots[-1])
        raw = BSpline.design_matrix(z, np.array(self.knots), self.degree)
        return np.asarray(raw @ self.rotation - np.array(self.centres))


def _second_differences(positions: Array) -> Array:
    """Second divided differences, scaled to unit mean spacing; shape (n - 2, n)."""
    h = np.diff(positions) / np.diff(positions).mean()
    count = len(positions)
    out = np.zeros((count - 2, count))
    for i in range(count - 2):
        out[i, i] = 1 / h[i]
        out[i, i + 1] = -1 / h[i] - 1 / h[i + 1]
        out[i, i + 2] = 1 / h[i + 1]
    return out


@dataclass(frozen=True, eq=False)
class Principal:
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


@dataclass(frozen=True, eq=False)
class Joined:
    """Two bases of the same action side by side."""

    first: Basis
    second: Basis

    @property
    def size(self) -> int:
        return self.first.size + self.second.size

    def matrix(self, actions: Array) -> Array:
        return np.concatenate([self.first.matrix(actions), self.second.matrix(actions)], axis=1)


@dataclass(frozen=True, eq=False)
class Products:
    """Products of functions of several actions, up to a total order.

    Function i of the first factor times function j of the second, and so on, for
    ``i + j + ... < order`` (counted from zero): the smooth products before the rough ones.
    Functions that are all alike, such as levels, count as zero each.

    Attributes
    ----------
    factors : tuple of Basis
        One for each input, with functions from smooth to rough.
    order : int
    """

    factors: tuple[Basis, ...]
    order: int

    @cached_property
    def kept(self) -> NDArray[np.int_]:
        """Which function of each factor enters each product, shape (factors, size)."""
        indices = np.indices([factor.size for factor in self.factors])
        degrees = [degrees_of(factor) for factor in self.factors]
        total = np.sum([d[i] for d, i in zip(degrees, indices, strict=True)], axis=0)
        return indices[:, total < self.order]

    @property
    def size(self) -> int:
        return int(self.kept.shape[1])

    def multiplied(self, values: Sequence[Array]) -> Array:
        """The products, shape (size, n), of the factors' functions, each (factor.size, n)."""
        out = values[0][self.kept[0]]
        for of_factor, chosen in zip(values[1:], self.kept[1:], strict=True):
            out *= of_factor[chosen]
        return np.asarray(out)

    def matrix(self, actions: Array) -> Array:
        values = [f.matrix(actions[:, [i]]).T for i, f in enumerate(self.factors)]
        return self.multiplied(values).T


def degrees_of(basis: Basis) -> NDArray[np.int_]:
    """How rough each function of a basis is, counted from zero, shape (size,)."""
    if isinstance(basis, PiecewiseLinear):
        return basis.degrees
    if isinstance(basis, Joined):
        first = degrees_of(basis.first)
        return np.concatenate([first, first.max() + 1 + degrees_of(basis.second)])
    return np.arange(basis.size)


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

    def products(self, basis: Products, inputs: tuple[int, ...]) -> Array:
        """As a call, but not kept: no two terms share their products."""
        return basis.multiplied([self(f, (k,)) for f, k in zip(basis.factors, inputs, strict=True)])

    def _evaluated(self, basis: Basis, inputs: tuple[int, ...]) -> Array:
        if isinstance(basis, Principal):
            return np.asarray(basis.weights.T @ self(basis.basis, inputs))
        if isinstance(basis, Joined):
            return np.concatenate([self(basis.first, inputs), self(basis.second, inputs)])
        if isinstance(basis, Products):
            return self.products(basis, inputs)
        return basis.matrix(self._actions[:, inputs]).T

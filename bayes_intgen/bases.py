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

from bayes_intgen.errors import ModelError

Array = NDArray[np.float64]

# As a share of the range.
CLOSEST_KNOTS = 1e-3


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
class Coordinate:
    """The scale on which an action enters: standardised, with long tails drawn in.

    ``z = squash * arcsinh((a - centre) / (spread * squash))`` is the robustly standardised
    action for values within a few spreads and grows like a logarithm beyond, so that a
    basis does not spend itself on a tail of twenty standard deviations.

    Attributes
    ----------
    centre, spread : float
        Median and normal-consistent interquartile range of the action over all rows,
        in its own units.
    low, high : float
        The observed range, in the action's own units; values outside are held at it.
    squash : float
        Distance from the centre, in spreads, at which squashing sets in.
    """

    centre: float
    spread: float
    low: float
    high: float
    squash: float = 4.0

    @classmethod
    def of(cls, values: Array) -> Self:
        """The coordinate of an action with the given values, shape (n,)."""
        lower, centre, upper = np.quantile(values, [0.25, 0.5, 0.75])
        # Many equal values (a budget that is mostly zero) leave no interquartile range.
        spread = max((upper - lower) / 1.349, 0.1 * float(np.std(values)))
        return cls(float(centre), float(spread), float(values.min()), float(values.max()))

    def standardise(self, values: Array) -> Array:
        """Robustly standardised values, neither squashed nor held at the range."""
        return (values - self.centre) / self.spread

    def __call__(self, values: Array) -> Array:
        """Squashed coordinate of ``values``, held at the observed range."""
        return self.squashed(np.clip(values, self.low, self.high))

    def squashed(self, values: Array) -> Array:
        """Squashed coordinate of ``values``, beyond the observed range too."""
        return np.asarray(self.squash * np.arcsinh(self.standardise(values) / self.squash))

    def unsquashed(self, z: Array) -> Array:
        """The values whose squashed coordinate is ``z``."""
        return np.asarray(self.centre + self.spread * self.squash * np.sinh(z / self.squash))

    @property
    def ends(self) -> tuple[float, float]:
        """The observed range in the squashed coordinate."""
        low, high = self(np.array([self.low, self.high]))
        return float(low), float(high)


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

    # The box exceeds the data by this factor, so that its pinned edges stay out of sight.
    MARGIN = 1.3
    # Shortest lengthscale, in the squashed coordinate, that the functions must resolve.
    RESOLUTION = 0.75

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate, size: int | None = None) -> Self:
        low, high = coordinate.ends
        half = (high - low) / 2
        if size is None:
            # Riutort-Mayol et al. (2023), the rule for the squared exponential.
            size = int(np.clip(np.ceil(1.75 * cls.MARGIN * half / cls.RESOLUTION), 8, 20))
        raw = cls(coordinate, cls.MARGIN * half, (0.0,) * size).matrix(actions)
        return cls(coordinate, cls.MARGIN * half, tuple(raw.mean(axis=0).tolist()))

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
        return indices[:, indices.sum(axis=0) < self.order]

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

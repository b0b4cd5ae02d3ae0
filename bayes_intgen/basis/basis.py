"""Basis functions: their protocol, and functions of one column.

They are frozen values, independent of priors and sampling.

A basis turns columns of actions into a matrix with one column per basis function. Its constants
are computed once from the data. Bases are plain NumPy, so that a saved fit evaluates them again
to the last bit.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import helmert

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import MIN_DISTINCT, Coordinate, interval_and_share
from bayes_intgen.errors import ModelError
from bayes_intgen.text.messages import option

# Minimum share of the rows at an atom, and of those elsewhere.
MIN_ATOM_SHARE = 0.05
# Maximum number of rows at any other value, as a share of those at the atom.
MAX_REPEATED_SHARE = 0.25
# Minimum distance between knots, as a share of the range.
CLOSEST_KNOTS = 1e-3


class Basis(Protocol):
    """Basis functions of one or several actions."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of basis functions."""
        ...

    @abstractmethod
    def matrix(self, actions: Array) -> Array:
        """Evaluate the functions at ``actions``, shape (n, inputs); result of shape (n, size)."""
        ...


@dataclass(frozen=True)
class Constant:
    """Constant function one."""

    size: int = 1

    def matrix(self, actions: Array) -> Array:
        return np.ones((len(actions), 1))


@dataclass(frozen=True, eq=False)
class _Centred(ABC):
    """Functions that are centred over the data, so that only the intercepts carry a level.

    Attributes
    ----------
    centres : tuple of float
        Mean of each function over the data.
    """

    centres: tuple[float, ...]

    @property
    def size(self) -> int:
        return len(self.centres)

    @abstractmethod
    def raw(self, actions: Array) -> Array:
        """Evaluate the functions before centring, shape (n, size)."""

    def matrix(self, actions: Array) -> Array:
        # In place: for thousands of rows new arrays take longer than their elements.
        out = self.raw(actions)
        out -= np.array(self.centres)
        return out

    def over(self, actions: Array) -> Self:
        """Centre functions over some data."""
        return replace(self, centres=tuple(self.raw(actions).mean(axis=0).tolist()))


@dataclass(frozen=True, eq=False)
class MonomialBasis(_Centred):
    """Powers 1, 2, ... of a standardised action, centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    """

    coordinate: Coordinate

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate, degree: int) -> Self:
        return cls((0.0,) * degree, coordinate).over(actions)

    def raw(self, actions: Array) -> Array:
        x = self.coordinate.standardise(actions[:, :1])
        return np.asarray(x ** np.arange(1, self.size + 1))


@dataclass(frozen=True, eq=False)
class LinearBasis(_Centred):
    """Linear function of the transformed action, centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    """

    coordinate: Coordinate

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate) -> Self:
        return cls((0.0,), coordinate).over(actions)

    def raw(self, actions: Array) -> Array:
        return self.coordinate(actions[:, :1])


class Line(LinearBasis):
    """Linear function of the standardised action, clipped to its range, centred over the data."""

    def raw(self, actions: Array) -> Array:
        clipped = np.clip(actions[:, :1], self.coordinate.low, self.coordinate.high)
        return self.coordinate.standardise(clipped)


class Parabola(LinearBasis):
    """Half the square of the transformed action, centred over the data.

    With the same prior as a line's slope: half and a quarter of it hardly differ (30 worlds of one
    action with U-shaped, hinged, steep and sine effects).
    """

    def raw(self, actions: Array) -> Array:
        return np.asarray(0.5 * self.coordinate(actions[:, :1]) ** 2)


@dataclass(frozen=True, eq=False)
class Atom(_Centred):
    """Indicator of one value that many rows share, centred over the data.

    Attributes
    ----------
    value : float
        In the action's own units.
    """

    value: float

    @classmethod
    def of(cls, actions: Array) -> Self | None:
        """Find the value that many rows share while others hardly repeat; None without one."""
        distinct, counts = np.unique(actions[:, 0], return_counts=True)
        most, share = int(counts.argmax()), counts.max() / len(actions)
        if len(distinct) < MIN_DISTINCT or not MIN_ATOM_SHARE <= share <= 1 - MIN_ATOM_SHARE:
            return None
        if np.delete(counts, most).max() > MAX_REPEATED_SHARE * counts[most]:
            return None
        return cls((0.0,), float(distinct[most])).over(actions)

    def raw(self, actions: Array) -> Array:
        return np.asarray(actions[:, :1] == self.value, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class HSGPBasis(_Centred):
    """Eigenfunctions of the Laplacian on a box around the data (Solin and Särkkä 2020, eq. 56).

    The functions are centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    box : float
        Half the width of the box, in the squashed coordinate.
    """

    coordinate: Coordinate
    box: float

    @classmethod
    def of(cls, actions: Array, coordinate: Coordinate, margin: float, size: int) -> Self:
        """Compute ``size`` functions on a box that exceeds the data by ``margin`` on either side.

        All functions vanish at the ends of the box: the margin is about a lengthscale.
        """
        low, high = coordinate.ends
        return cls((0.0,) * size, coordinate, (high - low) / 2 + margin).over(actions)

    @property
    def frequencies(self) -> Array:
        """Square roots of the eigenvalues, shape (size,)."""
        return np.asarray(np.arange(1, self.size + 1) * (np.pi / (2 * self.box)))

    def raw(self, actions: Array) -> Array:
        low, high = self.coordinate.ends
        z = self.coordinate(actions[:, 0]) - (low + high) / 2
        angle = (z + self.box) * (np.pi / (2 * self.box))
        # The recurrence sin(i x) = 2 cos(x) sin((i - 1) x) - sin((i - 2) x) replaces size sines.
        out = np.empty((self.size, len(angle)))
        before, twice = np.zeros_like(angle), 2 * np.cos(angle)
        out[0] = np.sin(angle) / np.sqrt(self.box)
        for i in range(1, self.size):
            np.multiply(twice, out[i - 1], out=out[i])
            out[i] -= before
            before = out[i - 1]
        return out.T


@dataclass(frozen=True, eq=False)
class PenalisedSpline(_Centred):
    """B-splines with a second-difference penalty, in mixed-model form.

    The penalised part, without constants and straight lines, is rotated and scaled so that
    independent coefficients of equal variance imply the penalty as their prior (Wood 2017,
    section 5.8). The functions are centred over the data.

    Attributes
    ----------
    coordinate : Coordinate
    knots : tuple of float
        Full knot vector in the coordinate of the action, from quantiles of the data.
    degree : int
    rotation : ndarray, shape (B-splines, size)
    """

    coordinate: Coordinate
    knots: tuple[float, ...]
    degree: int
    rotation: Array

    @classmethod
    def of(
        cls, actions: Array, coordinate: Coordinate, intervals: int = 12, degree: int = 3
    ) -> Self:
        """Place knots at quantiles of the data, and diagonalise the penalty.

        Raises
        ------
        ModelError
            If the action has too few distinct values.
        """
        knots = _knots(coordinate(actions[:, 0]), coordinate, intervals, degree)
        # Divided differences at the Greville abscissae: with unequal knots, only there do
        # straight lines have equally spaced coefficients.
        greville = np.lib.stride_tricks.sliding_window_view(knots[1:-1], degree).mean(axis=1)
        differences = _second_differences(greville)
        values, vectors = np.linalg.eigh(differences.T @ differences)
        penalised = vectors[:, 2:] / np.sqrt(values[2:])
        at = tuple(knots.tolist())
        nowhere = (0.0,) * penalised.shape[1]
        raw = cls(nowhere, coordinate, at, degree, penalised).raw(actions)
        # Unit average variance over the data, so that one prior scale suits every action.
        size = np.sqrt(raw.var(axis=0).sum())
        centres = tuple((raw.mean(axis=0) / size).tolist())
        return cls(centres, coordinate, at, degree, penalised / size)

    def raw(self, actions: Array) -> Array:
        z = np.clip(self.coordinate(actions[:, 0]), self.knots[0], self.knots[-1])
        return np.asarray(BSpline(np.array(self.knots), self.rotation, self.degree)(z))


def _knots(z: Array, coordinate: Coordinate, intervals: int, degree: int) -> Array:
    """Full knot vector at quantiles of transformed values, with repeated ends."""
    low, high = coordinate.ends
    # Nearly coincident knots would leave the function between them unpenalised.
    gap = CLOSEST_KNOTS * (high - low)
    inner = np.quantile(z, np.linspace(0, 1, intervals + 1))
    inner = inner[np.diff(inner, prepend=-np.inf) > gap]
    inner = inner[(inner > low + gap) & (inner < high - gap)]
    inner = np.concatenate([[low], inner, [high]])
    if len(inner) + degree - 1 < 3:
        raise ModelError(
            f"a spline of degree {degree} needs an action with more distinct values; "
            + option("give that action the prior 'linear'", command="use --prior linear")
        )
    return np.concatenate([[inner[0]] * degree, inner, [inner[-1]] * degree])


def _second_differences(positions: Array) -> Array:
    """Second divided differences, scaled to unit mean spacing; shape (n - 2, n)."""
    steps = np.diff(positions) / np.diff(positions).mean()
    first = np.diff(np.eye(len(positions)), axis=0) / steps[:, None]
    return np.diff(first, axis=0)


@dataclass(frozen=True, eq=False)
class FourierBasis:
    """Sines and cosines of one period, in pairs from slow to fast.

    Attributes
    ----------
    period : float
        In the units of the input.
    amplitudes : tuple of float
        Standard deviation of each pair of functions.

    Examples
    --------
    >>> FourierBasis(12.0, (1.0,)).matrix(np.array([[0.0], [3.0]])).round(3).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    period: float
    amplitudes: tuple[float, ...]

    @property
    def size(self) -> int:
        return 2 * len(self.amplitudes)

    def matrix(self, actions: Array) -> Array:
        harmonics = np.arange(1, len(self.amplitudes) + 1)
        angle = 2 * np.pi * actions[:, :1] / self.period * harmonics
        pairs = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        scaled = pairs * np.array(self.amplitudes)[:, None]
        return np.asarray(scaled.reshape(len(actions), self.size))


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(_Centred):
    """Linear interpolation between knots, as independent functions centred over the data.

    Attributes
    ----------
    knots : tuple of float
        Rising, in the action's own units.
    rotation : ndarray, shape (knots, size)
        Values of each function at the knots, before centring.
    graded : bool
        Whether the functions are ordered from smooth to rough; otherwise all are equally rough.

    Examples
    --------
    >>> levels = PiecewiseLinear.exchangeable(np.array([[0.0], [1.0]]), (0.0, 1.0))
    >>> levels.matrix(np.array([[0.0], [1.0]])).round(3).ravel().tolist()
    [-0.707, 0.707]
    """

    knots: tuple[float, ...]
    rotation: Array
    graded: bool

    @classmethod
    def exchangeable(cls, actions: Array, knots: tuple[float, ...]) -> Self:
        """Build Helmert contrasts: coefficients of equal variance make all knots exchangeable."""
        # An orthonormal basis of the functions that sum to zero over the knots.
        rotation = np.ascontiguousarray(-helmert(len(knots)).T)
        return cls((0.0,) * (len(knots) - 1), knots, rotation, False).over(actions)

    @classmethod
    def random_walk(cls, actions: Array, knots: tuple[float, ...]) -> Self:
        """Build the principal components of a random walk from knot to knot, largest first.

        With coefficients of unit variance the values at the knots have unit sample variance on
        average, as with :meth:`exchangeable`.
        """
        count = len(knots)
        walk = np.tril(np.ones((count, count - 1)), -1)
        walk -= walk.mean(axis=0)
        left, values, _ = np.linalg.svd(walk, full_matrices=False)
        left *= np.sign(left[0])
        size = np.sqrt(np.sum(values**2) / (count - 1))
        return cls((0.0,) * (count - 1), knots, left * values / size, True).over(actions)

    def raw(self, actions: Array) -> Array:
        before, share = interval_and_share(actions[:, 0], np.array(self.knots))
        # In place: for thousands of rows new arrays take longer than their elements.
        out, right = self.rotation[before], self.rotation[before + 1]
        out *= 1 - share[:, None]
        right *= share[:, None]
        out += right
        return out


@dataclass(frozen=True, eq=False)
class GroupIndicators:
    """Indicator of each group, from codes first, first + 1, ...; zero for other codes.

    Attributes
    ----------
    size : int
        Number of groups.
    first : float

    Examples
    --------
    >>> GroupIndicators(2).matrix(np.array([[1.0], [-1.0]]))
    array([[0., 1.],
           [0., 0.]])
    """

    size: int
    first: float = 0.0

    def matrix(self, actions: Array) -> Array:
        return np.asarray((actions[:, :1] == self.first + np.arange(self.size)).astype(float))


@dataclass(frozen=True, eq=False)
class CentredBasis:
    """Basis minus the mean of each function over a population of rows.

    Attributes
    ----------
    basis : Basis
    centres : ndarray, shape (size,)
    """

    basis: Basis
    centres: Array

    @property
    def size(self) -> int:
        return self.basis.size

    def matrix(self, actions: Array) -> Array:
        return np.asarray(self.basis.matrix(actions) - self.centres)

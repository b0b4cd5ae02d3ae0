"""Penalised B-splines (Wood 2017, section 5.8)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.interpolate import BSpline

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.errors import ModelError

# Minimum distance between knots, as a share of the range.
CLOSEST_KNOTS = 1e-3


@dataclass(frozen=True, eq=False)
class PenalisedSpline:
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
        """Place knots at quantiles of the data, and diagonalise the penalty.

        Raises
        ------
        ModelError
            If the action has too few distinct values.
        """
        knots = _knots(coordinate(actions[:, 0]), coordinate, intervals, degree)
        # Divided differences at the Greville abscissae: with unequal knots, only there do
        # straight lines have equally spaced coefficients.
        greville = np.array(
            [knots[i + 1 : i + 1 + degree].mean() for i in range(len(knots) - degree - 1)]
        )
        differences = _second_differences(greville)
        values, vectors = np.linalg.eigh(differences.T @ differences)
        penalised = vectors[:, 2:] / np.sqrt(values[2:])
        at = tuple(knots.tolist())
        raw = cls(coordinate, at, degree, penalised, (0.0,) * penalised.shape[1]).matrix(actions)
        # Unit average variance over the data, so that one prior scale suits every action.
        size = np.sqrt(raw.var(axis=0).sum())
        centres = tuple((raw.mean(axis=0) / size).tolist())
        return cls(coordinate, at, degree, penalised / size, centres)

    @property
    def size(self) -> int:
        return len(self.centres)

    def matrix(self, actions: Array) -> Array:
        z = np.clip(self.coordinate(actions[:, 0]), self.knots[0], self.knots[-1])
        spline = BSpline(np.array(self.knots), self.rotation, self.degree)
        return np.asarray(spline(z) - np.array(self.centres))


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
            "give that action the prior 'linear'"
        )
    return np.concatenate([[inner[0]] * degree, inner, [inner[-1]] * degree])


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

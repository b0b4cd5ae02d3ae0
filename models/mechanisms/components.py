"""Components shared by several mechanisms: lines, atoms, marginal bases, random walks."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate, balanced_quantiles
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.basis.monomials import Atom, Line, LinearBasis, Parabola
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear
from bayes_intgen.basis.spline import CLOSEST_KNOTS
from bayes_intgen.basis.tensor_product import ConcatenatedBasis
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal

SCALE = LogNormal(median=0.4, sigma=1.5)
# Scales of smooth functions, and of their lines. Outcomes drawn from the prior of five actions have
# 3.3 times the data's standard deviation in the median, instead of 7.6 with SCALE for both.
CURVE_SCALE = LogNormal(median=0.3, sigma=1.25)
LINE_SCALE = LogNormal(median=0.2, sigma=1.25)
LENGTHSCALE = LogNormal(median=1.5, sigma=0.5)
# Other actions usually contribute little or nothing to a bias, in some worlds a tenth of the
# outcome's standard deviation.
CROSS_ACTION_SCALE = LogNormal(median=0.2, sigma=2.0)
INTERACTION_SCALE = LogNormal(median=0.2, sigma=2.0)
# Resolution of products: number of functions of one action, and total order of products of two.
# Both grow with the number of rows, from MANY_ROWS on.
MARGIN_SIZE, PAIR_ORDER = 5, 4
MANY_ROWS = 100_000
# Prior standard deviations of the slope and of an atom's indicator in a marginal basis, relative
# to functions of unit marginal standard deviation. With a slope of 0.3, coverage of 90% intervals
# where two actions with a product are at their 1% or 99% quantiles is 0.69, with 1.0 it is 0.90.
MARGIN_SLOPE, MARGIN_ATOM = 1.0, 1.0
# Number of knots of finer functions at a thousand rows, and its maximum.
FINER_KNOTS, MAX_FINER_KNOTS = 30, 48
# Start of the label of finer functions.
FINER = "finer"
# Minimum number of rows that determine the knots and the centring of finer functions.
KNOT_ROWS = 4_000
FINER_SCALE = LogNormal(median=0.2, sigma=2.0)
# Number of knots of each factor of finer functions of two actions. More follow thresholds better,
# and the time of a fit with an interaction grows with their square.
PAIR_KNOTS = 12
# Prior standard deviation of the parabola's coefficient, relative to that of the slope. Half and a
# quarter hardly differ (30 worlds of one action with U-shaped, hinged, steep and sine effects).
CURVATURE = 0.5


def scaled_order(order: int, rows: int, start: int = MANY_ROWS) -> int:
    """Scale an order of resolution with the fifth root of the rows, from ``start`` on.

    Examples
    --------
    >>> [scaled_order(4, rows) for rows in (1_000, 100_000, 1_000_000)]
    [4, 4, 6]
    """
    growth = (rows / start) ** (1 / 5)
    return max(order, round(order * float(growth)))


def marginal_basis_size(rows: int) -> int:
    """Number of functions in a marginal basis."""
    return scaled_order(PAIR_ORDER, rows) + MARGIN_SIZE - PAIR_ORDER


def trend_basis(actions: Array, coordinate: Coordinate) -> Basis:
    """Line and parabola in the coordinate of one action and, with an edge, a line in the action.

    A random function alone reverts to a line beyond the bulk of the rows. Where few rows determine
    the ends of a curve that bends throughout, that biases them towards the line.
    """
    trend: Basis = LinearBasis.of(actions, coordinate)
    if coordinate.edge:
        trend = ConcatenatedBasis(trend, Line.of(actions, coordinate))
    return ConcatenatedBasis(trend, Parabola.of(actions, coordinate, CURVATURE))


def smooth_marginal_basis(
    actions: Array, coordinate: Coordinate, basis: Basis, sd: Array, slope: float, size: int
) -> Basis:
    """Karhunen-Loève basis of the sum of a random function, a line and any atom.

    Parameters
    ----------
    basis : Basis
        Basis of the random function.
    sd : ndarray, shape (basis.size,)
        Prior standard deviations of its coefficients.
    slope : float
        Prior standard deviation of the slope of the line in the action's coordinate.
    size : int
        Number of leading functions to retain.
    """
    basis = ConcatenatedBasis(LinearBasis.of(actions, coordinate), basis)
    sd = np.concatenate([[slope], sd])
    atom = Atom.of(actions)
    if atom is not None:
        basis, sd = ConcatenatedBasis(atom, basis), np.concatenate([[MARGIN_ATOM], sd])
    return KarhunenLoeveBasis.of(actions, basis, sd, size)


def atom_component(actions: Array, scale: LogNormal) -> tuple[Component, ...]:
    """Separate coefficient of a value that many rows share, such as no spend at all."""
    atom = Atom.of(actions)
    return () if atom is None else (Component("atom", atom, scale),)


def random_walk_component(actions: Array, coordinate: Coordinate, refinement: int = 1) -> Component:
    """Random walk along one action, for steps and rapid oscillations.

    ``refinement`` multiplies the number of knots.
    """
    rows = min(len(actions), KNOT_ROWS)
    count = refinement * min(round(FINER_KNOTS * (rows / 1000) ** (1 / 3)), MAX_FINER_KNOTS)
    walk = random_walk(actions, coordinate, count)
    return Component(finer_label(refinement), walk, FINER_SCALE)


def finer_label(refinement: int) -> str:
    """Label of the component of finer functions."""
    return "finer" if refinement == 1 else f"finer by {refinement}"


def random_walk(actions: Array, coordinate: Coordinate, count: int) -> PiecewiseLinear:
    """Random walk along one action, with at most ``count`` knots.

    Most knots are quantiles of the action, for resolution where rows are dense. The others are
    evenly spaced in its coordinate, for oscillations where rows are sparse.
    """
    # A few thousand rows determine the quantiles well enough.
    actions = actions[:: max(len(actions) // KNOT_ROWS, 1)]
    knots, counts = np.unique(actions[:, 0], return_counts=True)
    if len(knots) > count:
        most = round(0.6 * count)
        quantiles = balanced_quantiles(knots, counts, ((np.arange(most) + 0.5) / most).tolist())
        even = np.linspace(*coordinate.ends, count - most)
        z = np.sort(np.concatenate([coordinate(np.array(quantiles)), even]))
        gap = CLOSEST_KNOTS * (z[-1] - z[0])
        knots = coordinate.inverse_transform(z[np.diff(z, prepend=-np.inf) > gap])
    return PiecewiseLinear.random_walk(actions, tuple(knots.tolist()))

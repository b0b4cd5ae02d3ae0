"""Components that several mechanisms share: lines, atoms, margins, random walks."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate, balanced_quantiles
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.basis.monomials import Atom, Line, LinearBasis
from bayes_intgen.basis.piecewise_linear import PiecewiseLinear
from bayes_intgen.basis.spline import CLOSEST_KNOTS
from bayes_intgen.basis.tensor_product import ConcatenatedBasis
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal

SCALE = LogNormal(median=0.4, sigma=1.5)
LENGTHSCALE = LogNormal(median=1.5, sigma=0.5)
# Another action usually adds little or nothing to a bias, in some worlds a tenth of the outcome's
# standard deviation. Fits learn the medians (`condense`).
CROSS_ACTION_SCALE = LogNormal(median=0.2, sigma=2.0)
INTERACTION_SCALE = LogNormal(median=0.2, sigma=2.0)
# Resolution of what other actions add: number of functions of one action, and total order of
# products of two and of three. From MANY_ROWS rows on the first two grow.
MARGIN_SIZE, PAIR_ORDER, TRIPLE_ORDER = 5, 4, 3
MANY_ROWS = 100_000
# Prior standard deviations of a line and of an atom's indicator in a margin, beside functions
# whose marginal standard deviation is one.
MARGIN_SLOPE, MARGIN_ATOM = 0.3, 1.0
# Knots of finer functions: their number at a thousand rows, and the largest one.
FINER_KNOTS, MAX_FINER_KNOTS = 30, 48
# Rows from which the knots and the centring of finer functions come, up to twice as many.
WALK_ROWS = 4_000
FINER_SCALE = LogNormal(median=0.2, sigma=2.0)


def grown(order: int, rows: int) -> int:
    """Order of resolution, which grows as the fifth root of rows from ``MANY_ROWS`` on.

    Examples
    --------
    >>> [grown(4, rows) for rows in (1_000, 100_000, 1_000_000)]
    [4, 4, 6]
    """
    growth = (rows / MANY_ROWS) ** (1 / 5)
    return max(order, round(order * float(growth)))


def marginal_basis_size(rows: int) -> int:
    """Number of functions of one action in a margin."""
    return grown(PAIR_ORDER, rows) + MARGIN_SIZE - PAIR_ORDER


def line_basis(actions: Array, coordinate: Coordinate) -> Basis:
    """Straight lines of one action: in its squashed coordinate and, with an edge, in itself."""
    line = LinearBasis.of(actions, coordinate)
    return ConcatenatedBasis(line, Line.of(actions, coordinate)) if coordinate.edge else line


def smooth_marginal_basis(
    actions: Array, coordinate: Coordinate, basis: Basis, sd: Array, slope: float, size: int
) -> Basis:
    """Leading functions of the sum of a random function, a line and any atom.

    Parameters
    ----------
    basis : Basis
        Of the random function.
    sd : ndarray, shape (basis.size,)
        Prior standard deviations of its coefficients.
    slope : float
        Prior standard deviation of the slope of a line in the squashed coordinate.
    size : int
    """
    basis = ConcatenatedBasis(LinearBasis.of(actions, coordinate), basis)
    sd = np.concatenate([[slope], sd])
    atom = Atom.of(actions)
    if atom is not None:
        basis, sd = ConcatenatedBasis(atom, basis), np.concatenate([[MARGIN_ATOM], sd])
    return KarhunenLoeveBasis.of(actions, basis, sd, size)


def atom_component(actions: Array, scale: LogNormal) -> tuple[Component, ...]:
    """Separate coefficient for a value that many rows share, such as no spend at all."""
    atom = Atom.of(actions)
    return () if atom is None else (Component("atom", atom, scale),)


def random_walk_component(actions: Array, coordinate: Coordinate, more: int = 1) -> Component:
    """Random walk along one action, for steps and rapid oscillations.

    Most of its knots are quantiles, the others evenly spaced in the squashed coordinate: rows are
    many where the first lie close, and functions may oscillate where they are few.
    """
    # Some thousand rows determine the quantiles, however many there are.
    actions = actions[:: max(len(actions) // WALK_ROWS, 1)]
    distinct, counts = np.unique(actions[:, 0], return_counts=True)
    count = more * min(round(FINER_KNOTS * (len(actions) / 1000) ** (1 / 3)), MAX_FINER_KNOTS)
    if len(distinct) > count:
        most = round(0.6 * count)
        quantiles = balanced_quantiles(distinct, counts, ((np.arange(most) + 0.5) / most).tolist())
        even = np.linspace(*coordinate.ends, count - most)
        knots = np.sort(np.concatenate([coordinate(np.array(quantiles)), even]))
        gap = CLOSEST_KNOTS * (knots[-1] - knots[0])
        distinct = coordinate.inverse_transform(knots[np.diff(knots, prepend=-np.inf) > gap])
    walk = PiecewiseLinear.random_walk(actions, tuple(distinct.tolist()))
    return Component("finer" if more == 1 else f"finer by {more}", walk, FINER_SCALE)

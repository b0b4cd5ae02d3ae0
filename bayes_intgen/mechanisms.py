"""Priors over one mechanism: a random function of an action, or of several.

A mechanism here is a specification. For given data it consists of parts. Each part is a frozen
basis whose coefficients are normal with mean zero and with standard deviations that follow from
the part's hyperparameters. Scales are in units of the outcome's standard deviation, lengthscales
in units of the squashed coordinate (robust standard deviations of the action,
:class:`~bayes_intgen.coordinate.Coordinate`), so that the defaults follow the data's units.
"""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from bayes_intgen.bases import (
    CLOSEST_KNOTS,
    Array,
    Atom,
    Basis,
    Constant,
    Joined,
    Line,
    PenalisedSpline,
    Powers,
    Principal,
    Products,
    Sines,
    Slope,
)
from bayes_intgen.coordinate import Coordinate, balanced_quantiles
from bayes_intgen.errors import ModelError
from bayes_intgen.piecewise import PiecewiseLinear

KernelName = Literal["squared_exponential", "matern32", "matern52"]

# How often a process with the kernel can be differentiated: nu of the Matern family.
_SMOOTHNESS: dict[str, float] = {
    "squared_exponential": math.inf,
    "matern32": 1.5,
    "matern52": 2.5,
}


@dataclass(frozen=True)
class LogNormal:
    """Prior of a positive hyperparameter: its median, and the sd of its logarithm.

    Examples
    --------
    >>> LogNormal(median=0.4, sigma=1.5)
    LogNormal(median=0.4, sigma=1.5)
    """

    median: float
    sigma: float

    def __post_init__(self) -> None:
        if not (0 < self.median < np.inf and 0 < self.sigma < np.inf):
            raise ModelError(f"a log-normal needs a positive median and sigma, not {self}")


@dataclass(frozen=True)
class Part:
    """A basis with the prior of its coefficients.

    The coefficients' standard deviations are ``scale * shape``: one shape for all where
    ``kernel`` is None, the square root of the kernel's spectral density otherwise.

    Attributes
    ----------
    label : str
        The part's name, ``""`` for the body of the mechanism.
    basis : Basis
    scale : LogNormal
        In units of the outcome's standard deviation.
    inputs : tuple of int
        Arguments of the mechanism that the basis takes: 0 its own action, 1 and 2 others.
    kernel : str or None
    lengthscale : LogNormal or None
        In units of the squashed coordinate; None exactly where ``kernel`` is None.
    """

    label: str
    basis: Basis
    scale: LogNormal
    inputs: tuple[int, ...] = (0,)
    kernel: KernelName | None = None
    lengthscale: LogNormal | None = None


def log_spectral_sd(
    kernel: KernelName, frequency: Any, lengthscale: Any, xp: ModuleType = np
) -> Any:
    """Log coefficient standard deviations of a unit-scale Hilbert-space GP, elementwise.

    Half the log spectral density at the square root of each eigenvalue (Solin and Särkkä 2020,
    eq. 20; Rasmussen and Williams 2006, eqs. 4.11 and 4.15): a density may underflow where its
    logarithm does not.

    Parameters
    ----------
    kernel : str
    frequency, lengthscale : array_like
    xp : module
        ``numpy`` or ``jax.numpy``.
    """
    nu, square = _SMOOTHNESS[kernel], (frequency * lengthscale) ** 2
    if nu == math.inf:
        return 0.5 * (xp.log(lengthscale) + 0.5 * math.log(2 * math.pi)) - square / 4
    constant = 0.5 * math.log(2 * math.pi / nu) + math.lgamma(nu + 0.5) - math.lgamma(nu)
    decay = (nu + 0.5) * xp.log1p(square / (2 * nu))
    return 0.5 * (xp.log(lengthscale) + constant - decay)


def spectral_slope(kernel: KernelName, frequency: Array, lengthscale: ArrayLike) -> Array:
    """Derivative of :func:`log_spectral_sd` by the logarithm of the lengthscale, elementwise."""
    nu, square = _SMOOTHNESS[kernel], (frequency * np.asarray(lengthscale)) ** 2
    falling = square if nu == math.inf else (2 * nu + 1) * square / (2 * nu + square)
    return np.asarray(0.5 * (1 - falling))


class Mechanism(Protocol):
    """Interface of a prior over a mechanism.

    Attributes
    ----------
    borrowed, interaction : LogNormal
        Scales of what another action adds to a mechanism, by itself and in products.
    triple_order : int
        Total order up to which functions of three actions are multiplied.
    refines : bool
        Whether the functions of :meth:`finer` may join a fit by forward selection.
    """

    def __hash__(self) -> int: ...
    @property
    def borrowed(self) -> LogNormal: ...
    @property
    def interaction(self) -> LogNormal: ...
    @property
    def triple_order(self) -> int: ...
    @property
    def refines(self) -> bool: ...

    def alone(self, actions: Array, coordinate: Coordinate, rows: int) -> tuple[Part, ...]:
        """A function of one action; ``actions`` has shape (n, 1), a sample of ``rows`` rows."""
        ...

    def margin(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        """At most ``size`` functions of one action, smooth to rough, for use in products."""
        ...

    def pair_order(self, rows: int) -> int:
        """Total order up to which functions of two actions are multiplied."""
        ...

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Part | None:
        """Functions of one action that are finer than those of :meth:`alone`.

        None for levels, which nothing refines. ``more`` multiplies the number of functions.
        """
        ...


def paired(mechanism: Mechanism, own: Basis, other: Basis, rows: int) -> tuple[Part, ...]:
    """Parts that a second action adds to a function of the first, by itself and in products.

    Parameters
    ----------
    mechanism : Mechanism
    own, other : Basis
        Margins of the two actions.
    rows : int
    """
    parts = [Part("", other, mechanism.borrowed, inputs=(1,))]
    order = mechanism.pair_order(rows)
    if order:
        products = Products((own, other), order)
        parts.append(Part("interaction", products, mechanism.interaction, inputs=(0, 1)))
    return tuple(parts)


def tripled(mechanism: Mechanism, own: Basis, one: Basis, other: Basis) -> tuple[Part, ...]:
    """Parts that two other actions add to a function of the first only together.

    Products of functions of the two, by themselves and with functions of the first. Arguments
    as of :func:`paired`.
    """
    if not mechanism.triple_order:
        return ()
    products = Products((Joined(Constant(), own), one, other), mechanism.triple_order)
    return (Part("interaction", products, mechanism.interaction, inputs=(0, 1, 2)),)


SCALE = LogNormal(median=0.4, sigma=1.5)
LENGTHSCALE = LogNormal(median=1.5, sigma=0.5)
# Another action usually adds little or nothing to a bias, in some worlds a tenth of the outcome's
# standard deviation. Fits learn the medians (`condense`).
BORROWED_SCALE = LogNormal(median=0.2, sigma=2.0)
INTERACTION_SCALE = LogNormal(median=0.2, sigma=2.0)
# Resolution of what other actions add: number of functions of one action, and total order of
# products of two and of three. From MANY_ROWS rows on the first two grow.
MARGIN_SIZE, PAIR_ORDER, TRIPLE_ORDER = 5, 4, 3
MANY_ROWS = 100_000
# Prior standard deviations of a line and of an atom's indicator in a margin, beside functions
# whose marginal standard deviation is one.
MARGIN_SLOPE, MARGIN_ATOM = 0.3, 1.0
# Shortest lengthscale, in the squashed coordinate, that the functions of a process resolve.
RESOLUTION = 1.25
# Intervals between the knots of a spline.
INTERVALS = 12
# Knots of finer functions: their number at a thousand rows, and the largest one.
FINER_KNOTS, MAX_FINER_KNOTS = 30, 48
# Rows from which the knots and the centring of finer functions come, up to twice as many.
WALK_ROWS = 4_000
FINER_SCALE = LogNormal(median=0.2, sigma=2.0)
MAX_LEVELS = 50


def grown(order: int, rows: int) -> int:
    """Order of resolution, which grows as the fifth root of rows from ``MANY_ROWS`` on.

    Examples
    --------
    >>> [grown(4, rows) for rows in (1_000, 100_000, 1_000_000)]
    [4, 4, 6]
    """
    growth = (rows / MANY_ROWS) ** (1 / 5)
    return max(order, round(order * float(growth)))


def margin_size(rows: int) -> int:
    """Number of functions of one action in a margin."""
    return grown(PAIR_ORDER, rows) + MARGIN_SIZE - PAIR_ORDER


def slopes(actions: Array, coordinate: Coordinate) -> Basis:
    """Straight lines of one action: in its squashed coordinate and, with an edge, in itself."""
    line = Slope.of(actions, coordinate)
    return Joined(line, Line.of(actions, coordinate)) if coordinate.edge else line


def smooth_margin(
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
    basis = Joined(Slope.of(actions, coordinate), basis)
    sd = np.concatenate([[slope], sd])
    atom = Atom.of(actions)
    if atom is not None:
        basis, sd = Joined(atom, basis), np.concatenate([[MARGIN_ATOM], sd])
    return Principal.of(actions, basis, sd, size)


def at_atom(actions: Array, scale: LogNormal) -> tuple[Part, ...]:
    """Separate coefficient for a value that many rows share, such as no spend at all."""
    atom = Atom.of(actions)
    return () if atom is None else (Part("atom", atom, scale),)


def finer_walk(actions: Array, coordinate: Coordinate, more: int = 1) -> Part:
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
        distinct = coordinate.unsquashed(knots[np.diff(knots, prepend=-np.inf) > gap])
    walk = PiecewiseLinear.random_walk(actions, tuple(distinct.tolist()))
    return Part("finer" if more == 1 else f"finer by {more}", walk, FINER_SCALE)


@dataclass(frozen=True)
class GP:
    """Gaussian process in its Hilbert-space form, on top of a straight line.

    An action that starts at zero enters the process on a logarithmic scale, and there are two
    lines, one on that scale and one in the action itself. A value that many rows share has a
    coefficient of its own. Functions finer than the process join a fit where the data ask for
    them.

    Attributes
    ----------
    kernel : {"squared_exponential", "matern32", "matern52"}
    scale, slope : LogNormal
        Marginal standard deviation of the process, and standard deviation of the
        line's slope, in units of the outcome's standard deviation.
    lengthscale : LogNormal
        In units of the squashed coordinate.
    borrowed, interaction : LogNormal
        Scales of what another action adds, by itself and in products.
    interaction_lengthscale : float
        Fixed lengthscale of what another action adds.
    size : int or None
        Number of basis functions; None chooses it from the data's range and the prior of the
        lengthscale.

    Examples
    --------
    >>> GP(kernel="matern52").kernel
    'matern52'
    """

    kernel: KernelName = "squared_exponential"
    scale: LogNormal = SCALE
    slope: LogNormal = SCALE
    lengthscale: LogNormal = LENGTHSCALE
    borrowed: LogNormal = BORROWED_SCALE
    interaction: LogNormal = INTERACTION_SCALE
    interaction_lengthscale: float = 2.0
    size: int | None = None

    triple_order = TRIPLE_ORDER
    refines = True

    def __post_init__(self) -> None:
        if self.kernel not in _SMOOTHNESS:
            raise ModelError(
                f"kernel {self.kernel!r} is not known; choose from {', '.join(_SMOOTHNESS)}"
            )
        if self.size is not None and self.size < 2:
            raise ModelError(f"a GP needs at least 2 basis functions, not {self.size}")

    def alone(self, actions: Array, coordinate: Coordinate, rows: int) -> tuple[Part, ...]:
        prior = self.lengthscale
        # The upper quartile: longer ones are all but straight lines.
        longest = prior.median * math.exp(0.6745 * prior.sigma)
        shortest = RESOLUTION * prior.median / LENGTHSCALE.median
        sines = Sines.of(actions, coordinate, longest, shortest, self.size)
        return (
            Part("slope", slopes(actions, coordinate), self.slope),
            Part("", sines, self.scale, kernel=self.kernel, lengthscale=prior),
            *at_atom(actions, self.scale),
        )

    def margin(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        length = self.interaction_lengthscale
        sines = Sines.of(actions, coordinate, length, length / 2)
        sd = np.exp(log_spectral_sd(self.kernel, sines.frequencies, length))
        return smooth_margin(actions, coordinate, sines, sd, MARGIN_SLOPE, size)

    def pair_order(self, rows: int) -> int:
        return grown(PAIR_ORDER, rows)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Part | None:
        return finer_walk(actions, coordinate, more)


@dataclass(frozen=True)
class Spline:
    """Penalised cubic B-spline with knots at quantiles, on top of a straight line.

    Actions that start at zero, values that many rows share and finer functions are treated as
    in :class:`GP`.

    Attributes
    ----------
    intervals : int or None
        Number of intervals between knots; None for 12, and more from some 100,000 rows on.
    degree : int
        Degree of the pieces.
    scale, slope : LogNormal
        Average standard deviation of the curved part over the data, and standard
        deviation of the line's slope, in units of the outcome's standard deviation.
    borrowed, interaction : LogNormal
        Scales of what another action adds, by itself and in products.

    Examples
    --------
    >>> Spline(intervals=8).degree
    3
    """

    intervals: int | None = None
    degree: int = 3
    scale: LogNormal = SCALE
    slope: LogNormal = SCALE
    borrowed: LogNormal = BORROWED_SCALE
    interaction: LogNormal = INTERACTION_SCALE

    triple_order = TRIPLE_ORDER
    refines = True

    def __post_init__(self) -> None:
        if (self.intervals is not None and self.intervals < 2) or self.degree < 1:
            raise ModelError("a spline needs at least 2 intervals and degree 1")

    def alone(self, actions: Array, coordinate: Coordinate, rows: int) -> tuple[Part, ...]:
        intervals = self.intervals or grown(INTERVALS, rows)
        spline = PenalisedSpline.of(actions, coordinate, intervals, self.degree)
        return (
            Part("slope", slopes(actions, coordinate), self.slope),
            Part("", spline, self.scale),
            *at_atom(actions, self.scale),
        )

    def margin(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        intervals = self.intervals or INTERVALS
        spline = PenalisedSpline.of(actions, coordinate, intervals, self.degree)
        # A line and a curve of unit variance each, the line twice as large.
        line = 1 / float(Slope.of(actions, coordinate).matrix(actions).std())
        return smooth_margin(actions, coordinate, spline, np.full(spline.size, 0.5), line, size)

    def pair_order(self, rows: int) -> int:
        return grown(PAIR_ORDER, rows)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Part | None:
        return finer_walk(actions, coordinate, more)


@dataclass(frozen=True)
class Polynomial:
    """Polynomial in the standardised actions, as in the published estimator.

    Attributes
    ----------
    degree : int
        Total degree, 3 as published.
    scale : LogNormal
        Standard deviation of each coefficient.
    borrowed, interaction : LogNormal
        Standard deviations of the coefficients of another action, alone and in products.

    Examples
    --------
    >>> Polynomial().degree
    3
    """

    degree: int = 3
    scale: LogNormal = SCALE
    borrowed: LogNormal = BORROWED_SCALE
    interaction: LogNormal = INTERACTION_SCALE

    refines = False

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise ModelError(f"a polynomial needs degree 1 or more, not {self.degree}")

    @property
    def triple_order(self) -> int:
        return self.degree - 1

    def pair_order(self, rows: int) -> int:
        return self.degree - 1

    def alone(self, actions: Array, coordinate: Coordinate, rows: int) -> tuple[Part, ...]:
        return (Part("", self.margin(actions, coordinate, self.degree), self.scale),)

    def margin(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        return Powers.of(actions, coordinate, self.degree)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Part | None:
        return finer_walk(actions, coordinate, more)


@dataclass(frozen=True)
class Linear:
    """A straight line in each action.

    Attributes
    ----------
    scale : LogNormal
        Standard deviation of the slope, in outcome standard deviations for a robust
        standard deviation of the action.
    borrowed : LogNormal
        The same for the slope in another action.

    Examples
    --------
    >>> Linear().scale.median
    0.4
    """

    scale: LogNormal = SCALE
    borrowed: LogNormal = BORROWED_SCALE

    # No products, hence none with a scale either.
    interaction = INTERACTION_SCALE
    triple_order = 0
    refines = False

    def pair_order(self, rows: int) -> int:
        return 0

    def alone(self, actions: Array, coordinate: Coordinate, rows: int) -> tuple[Part, ...]:
        return (Part("", self.margin(actions, coordinate, 1), self.scale),)

    def margin(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        return Powers.of(actions, coordinate, 1)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Part | None:
        return finer_walk(actions, coordinate, more)


@dataclass(frozen=True)
class Levels:
    """One value for each level of an action, in place of a smooth function.

    The default for actions with two values and for columns of text, booleans or categories.
    Raises ModelError for an action with more than 50 distinct values.

    Attributes
    ----------
    ordered : bool
        True for a random walk from each level to the next, so that neighbours are alike. False
        for exchangeable levels.
    scale : LogNormal
        Standard deviation of the values, in units of the outcome's standard deviation.
    borrowed, interaction : LogNormal
        Scales of what another action adds, by itself and in products.

    Examples
    --------
    >>> Levels(ordered=False).scale.median
    0.4
    """

    ordered: bool = True
    scale: LogNormal = SCALE
    borrowed: LogNormal = BORROWED_SCALE
    interaction: LogNormal = INTERACTION_SCALE

    triple_order = TRIPLE_ORDER
    refines = False

    def pair_order(self, rows: int) -> int:
        return grown(PAIR_ORDER, rows)

    def alone(self, actions: Array, coordinate: Coordinate, rows: int) -> tuple[Part, ...]:
        return (Part("", self._basis(actions), self.scale),)

    def margin(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        basis = self._basis(actions)
        if not self.ordered or basis.size <= size:
            return basis
        return Principal.of(actions, basis, np.ones(basis.size), size)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Part | None:
        return None

    def _basis(self, actions: Array) -> PiecewiseLinear:
        levels = tuple(np.unique(actions).tolist())
        if len(levels) > MAX_LEVELS:
            raise ModelError(
                f"Levels() is for actions with at most {MAX_LEVELS} distinct values, and one has "
                f"{len(levels)}; give that action the prior 'gp' or 'spline'"
            )
        make = PiecewiseLinear.random_walk if self.ordered else PiecewiseLinear.exchangeable
        return make(actions, levels)

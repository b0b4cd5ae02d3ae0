"""Priors over one mechanism: a random function of an action, or of an action and another.

A mechanism here is a specification. Given data it is broken into parts, each a frozen
basis whose coefficients are normal with mean zero, and standard deviations that the
part's hyperparameters give. Scales are in units of the outcome's standard deviation and
lengthscales in units of the squashed coordinate (robust standard deviations of the
action, :class:`~bayes_intgen.bases.Coordinate`), so the defaults follow the data's units.
"""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from bayes_intgen.bases import (
    Array,
    Basis,
    Constant,
    Coordinate,
    Joined,
    PenalisedSpline,
    Powers,
    Principal,
    Products,
    Sines,
    Slope,
)
from bayes_intgen.errors import ModelError

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
        What the part adds, ``""`` for the body of the mechanism.
    basis : Basis
    scale : LogNormal
        In units of the outcome's standard deviation.
    inputs : tuple of int
        Which of the mechanism's arguments the basis takes: 0 its own action, 1 and 2 others.
    kernel : str or None
    lengthscale : LogNormal or None
        In units of the squashed coordinate; given exactly when ``kernel`` is.
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
    """What a prior over a mechanism has to offer.

    Attributes
    ----------
    borrowed, interaction : LogNormal
        Scales of what another action adds to a mechanism, by itself and in products.
    pair_order, triple_order : int
        Up to which total order functions of two, and of three, actions are multiplied.
    """

    def __hash__(self) -> int: ...
    @property
    def borrowed(self) -> LogNormal: ...
    @property
    def interaction(self) -> LogNormal: ...
    @property
    def pair_order(self) -> int: ...
    @property
    def triple_order(self) -> int: ...

    def alone(self, actions: Array, coordinate: Coordinate) -> tuple[Part, ...]:
        """A function of one action; ``actions`` has shape (n, 1)."""
        ...

    def margin(self, actions: Array, coordinate: Coordinate) -> Basis:
        """Few functions of one action, smooth to rough, as another mechanism borrows them."""
        ...


def paired(mechanism: Mechanism, own: Basis, other: Basis) -> tuple[Part, ...]:
    """What a second action adds to a function of the first: a function of its own, and products.

    Parameters
    ----------
    mechanism : Mechanism
    own, other : Basis
        Its margins of the two actions.
    """
    parts = [Part("", other, mechanism.borrowed, inputs=(1,))]
    if mechanism.pair_order:
        products = Products((own, other), mechanism.pair_order)
        parts.append(Part("interaction", products, mechanism.interaction, inputs=(0, 1)))
    return tuple(parts)


def tripled(mechanism: Mechanism, own: Basis, one: Basis, other: Basis) -> tuple[Part, ...]:
    """What two other actions add to a function of the first only together.

    Products of functions of the two, by themselves and with functions of the first; arguments
    as of :func:`paired`.
    """
    if not mechanism.triple_order:
        return ()
    products = Products((Joined(Constant(), own), one, other), mechanism.triple_order)
    return (Part("interaction", products, mechanism.interaction, inputs=(0, 1, 2)),)


SCALE = LogNormal(median=0.4, sigma=1.5)
# What another action adds to a bias, by itself and in products: usually little or nothing, in
# some worlds a tenth of the outcome's standard deviation. Fits learn the medians (`condense`).
BORROWED_SCALE = LogNormal(median=0.2, sigma=2.0)
INTERACTION_SCALE = LogNormal(median=0.2, sigma=2.0)
# How finely what other actions add is resolved.
MARGIN_SIZE, PAIR_ORDER, TRIPLE_ORDER = 5, 4, 3


@dataclass(frozen=True)
class GP:
    """Gaussian process in its Hilbert-space form, on top of a straight line.

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
        Number of basis functions; None lets the data's range decide.

    Examples
    --------
    >>> GP(kernel="matern52").kernel
    'matern52'
    """

    kernel: KernelName = "squared_exponential"
    scale: LogNormal = SCALE
    slope: LogNormal = SCALE
    lengthscale: LogNormal = LogNormal(median=1.5, sigma=0.5)
    borrowed: LogNormal = BORROWED_SCALE
    interaction: LogNormal = INTERACTION_SCALE
    interaction_lengthscale: float = 2.0
    size: int | None = None

    pair_order = PAIR_ORDER
    triple_order = TRIPLE_ORDER

    def __post_init__(self) -> None:
        if self.kernel not in _SMOOTHNESS:
            raise ModelError(
                f"kernel {self.kernel!r} is not known; choose from {', '.join(_SMOOTHNESS)}"
            )
        if self.size is not None and self.size < 2:
            raise ModelError(f"a GP needs at least 2 basis functions, not {self.size}")

    def alone(self, actions: Array, coordinate: Coordinate) -> tuple[Part, ...]:
        sines = Sines.of(actions, coordinate, self.size)
        return (
            Part("slope", Slope.of(actions, coordinate), self.slope),
            Part("", sines, self.scale, kernel=self.kernel, lengthscale=self.lengthscale),
        )

    def margin(self, actions: Array, coordinate: Coordinate) -> Basis:
        sines = Sines.of(actions, coordinate, 16)
        sd = np.exp(log_spectral_sd(self.kernel, sines.frequencies, self.interaction_lengthscale))
        return Principal.of(actions, sines, sd, MARGIN_SIZE)


@dataclass(frozen=True)
class Spline:
    """Penalised cubic B-spline with knots at quantiles, on top of a straight line.

    Attributes
    ----------
    intervals : int
        Number of intervals between knots.
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

    intervals: int = 12
    degree: int = 3
    scale: LogNormal = SCALE
    slope: LogNormal = SCALE
    borrowed: LogNormal = BORROWED_SCALE
    interaction: LogNormal = INTERACTION_SCALE

    pair_order = PAIR_ORDER
    triple_order = TRIPLE_ORDER

    def __post_init__(self) -> None:
        if self.intervals < 2 or self.degree < 1:
            raise ModelError("a spline needs at least 2 intervals and degree 1")

    def alone(self, actions: Array, coordinate: Coordinate) -> tuple[Part, ...]:
        spline = PenalisedSpline.of(actions, coordinate, self.intervals, self.degree)
        return (
            Part("slope", Slope.of(actions, coordinate), self.slope),
            Part("", spline, self.scale),
        )

    def margin(self, actions: Array, coordinate: Coordinate) -> Basis:
        slope = Slope.of(actions, coordinate)
        spline = PenalisedSpline.of(actions, coordinate, self.intervals, self.degree)
        # A line and a curve of unit variance each, the line twice as large.
        sd = np.concatenate([[1 / slope.matrix(actions).std()], np.full(spline.size, 0.5)])
        return Principal.of(actions, Joined(slope, spline), sd, MARGIN_SIZE)


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

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise ModelError(f"a polynomial needs degree 1 or more, not {self.degree}")

    @property
    def pair_order(self) -> int:
        return self.degree - 1

    @property
    def triple_order(self) -> int:
        return self.degree - 1

    def alone(self, actions: Array, coordinate: Coordinate) -> tuple[Part, ...]:
        return (Part("", self.margin(actions, coordinate), self.scale),)

    def margin(self, actions: Array, coordinate: Coordinate) -> Basis:
        return Powers.of(actions, coordinate, self.degree)


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
    pair_order = triple_order = 0

    def alone(self, actions: Array, coordinate: Coordinate) -> tuple[Part, ...]:
        return (Part("", self.margin(actions, coordinate), self.scale),)

    def margin(self, actions: Array, coordinate: Coordinate) -> Basis:
        return Powers.of(actions, coordinate, 1)

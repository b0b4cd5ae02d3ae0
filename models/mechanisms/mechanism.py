"""Mechanisms: priors of random functions of one or several actions, and their components.

A mechanism is a specification. For specific data it consists of components: frozen bases whose
coefficients are normal with mean zero and standard deviations that depend on hyperparameters.
Defaults adapt to the units of the data, because scales are in units of the outcome's standard
deviation, and lengthscales in units of the action's coordinate
(:class:`~bayes_intgen.basis.coordinate.Coordinate`).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from types import ModuleType
from typing import Any, Literal, NamedTuple, Self, cast, get_args

import numpy as np

from bayes_intgen._arguments import instance, one_of, real_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import (
    CLOSEST_KNOTS,
    Basis,
    CentredBasis,
    HSGPBasis,
    PiecewiseLinear,
)
from bayes_intgen.basis.combined import SumBasis, TensorProductBasis
from bayes_intgen.basis.control import ControlBasis
from bayes_intgen.basis.coordinate import Coordinate, balanced_quantiles
from bayes_intgen.errors import ModelError

KernelName = Literal["squared_exponential", "matern32", "matern52"]
# What is known beforehand of the effect of an action, in its own units.
Shape = Literal["free", "increasing", "decreasing", "concave", "increasing concave"]
# Smoothness nu of each kernel in the Matérn family.
SMOOTHNESS: dict[str, float] = {
    "squared_exponential": math.inf,
    "matern32": 1.5,
    "matern52": 2.5,
}


@dataclass(frozen=True)
class LogNormal:
    """Log-normal prior of a positive hyperparameter, by median and standard deviation of the log.

    Examples
    --------
    >>> LogNormal(median=0.4, sigma=1.5)
    LogNormal(median=0.4, sigma=1.5)
    """

    median: float
    sigma: float

    def __post_init__(self) -> None:
        median, sigma = real_number(self.median, "median"), real_number(self.sigma, "sigma")
        if not (median > 0 and sigma > 0):
            raise ModelError(f"a log-normal prior needs a positive median and sigma, not {self}")
        # NumPy takes large integers for objects.
        object.__setattr__(self, "median", median)
        object.__setattr__(self, "sigma", sigma)


def require_priors(mechanism: object) -> None:
    """Raise ModelError if a field for a log-normal prior holds something else."""
    for field in fields(cast(Any, mechanism)):
        if isinstance(field.default, LogNormal):
            remedy = f"LogNormal({field.default.median}, {field.default.sigma})"
            instance(getattr(mechanism, field.name), LogNormal, field.name, remedy, ModelError)


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
# Number of knots of finer functions at a thousand rows, and its maximum.
FINER_KNOTS, MAX_FINER_KNOTS = 30, 48
# Start of the label of finer functions.
FINER = "finer"
# Minimum number of rows that determine the knots and the centring of finer functions.
KNOT_ROWS = 4_000
FINER_SCALE = LogNormal(median=0.2, sigma=2.0)
# Number of knots of each factor of finer functions of two actions, before some are added at a
# threshold. The time of a fit with an interaction grows with their square.
PAIR_KNOTS = 10
# Size of a marginal basis with all functions of a mechanism, and maximum number of levels.
MAX_LEVELS = 50


@dataclass(frozen=True)
class Component:
    """A basis with the prior of its coefficients.

    The standard deviation of each coefficient is the scale, times the square root of the kernel's
    spectral density if there is a kernel.

    Attributes
    ----------
    label : str
        Name within the mechanism, ``""`` for its main component.
    basis : Basis
    scale : LogNormal
        In units of the outcome's standard deviation.
    inputs : tuple of int
        Arguments of the basis: 0 for the own action, 1 and 2 for others.
    kernel : str or None
    lengthscale : LogNormal or None
        In units of the action's coordinate; None if and only if ``kernel`` is None.
    shared_scale : str
        Name of a scale that terms share; empty for a scale of the term's own.
    """

    label: str
    basis: Basis
    scale: LogNormal
    inputs: tuple[int, ...] = (0,)
    kernel: KernelName | None = None
    lengthscale: LogNormal | None = None
    shared_scale: str = ""

    @property
    def frequencies(self) -> Array:
        """Frequencies of a Gaussian process, which may be centred or summed, shape (size,)."""
        basis = self.basis
        while not isinstance(basis, HSGPBasis):
            assert isinstance(basis, CentredBasis | ControlBasis | SumBasis)
            basis = basis.parts[0] if isinstance(basis, SumBasis) else basis.basis
        return basis.frequencies


class Column(NamedTuple):
    """Values of an action, which determine the functions of it.

    Attributes
    ----------
    values : ndarray, shape (n, 1)
    coordinate : Coordinate
    rows : int
        Number of rows of which these values may be a sample.
    """

    values: Array
    coordinate: Coordinate
    rows: int

    @classmethod
    def of(cls, values: Array, rows: int | None = None) -> Self:
        """Choose the coordinate of values, shape (n,), by default of all rows."""
        return cls(values[:, None], Coordinate.of(values), len(values) if rows is None else rows)


class Mechanism(ABC):
    """Prior of random functions of an action, of other actions, and of two together.

    Attributes
    ----------
    scale : LogNormal
        Standard deviation of the coefficients.
    cross_action, interaction : LogNormal
        Scales of functions of another action, alone and in products with the own action.
    refines : bool
        Whether the functions of :meth:`finer` are candidates of forward selection.
    shape : {"free", "increasing", "decreasing", "concave", "increasing concave"}
        Of the unconfounded contribution; biases and functions of covariates have none.
    """

    scale: LogNormal = SCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE
    refines = False
    shape: Shape = "free"

    def __post_init__(self) -> None:
        one_of(self.shape, "shape", get_args(Shape))
        require_priors(self)

    @abstractmethod
    def marginal_basis(self, column: Column, size: int) -> Basis:
        """At most ``size`` functions of one action, smooth to rough, as factors of products."""

    def main_effect(self, column: Column) -> tuple[Component, ...]:
        """Components of a function of the own action."""
        return (Component("", self.marginal_basis(column, MAX_LEVELS), self.scale),)

    def pair_order(self, rows: int) -> int:
        """Maximum total order of products of functions of two actions."""
        return scaled_order(PAIR_ORDER, rows)

    def finer(self, column: Column, refinement: int = 1) -> Component | None:
        """Random walk along one action, for steps and rapid oscillations.

        None for levels, which cannot be refined. ``refinement`` multiplies the number of knots.
        """
        rows = min(len(column.values), KNOT_ROWS)
        count = refinement * min(round(FINER_KNOTS * (rows / 1000) ** (1 / 3)), MAX_FINER_KNOTS)
        return Component(finer_label(refinement), random_walk(column, count), FINER_SCALE)


def without_shape(mechanism: Mechanism) -> Mechanism:
    """Replace the shape of a mechanism by none."""
    return mechanism if mechanism.shape == "free" else replace(cast(Any, mechanism), shape="free")


def refuse_shape(mechanism: Mechanism, where: str) -> None:
    """Raise ModelError if a function that is no unconfounded contribution has a shape."""
    if mechanism.shape != "free":
        raise ModelError(
            f"{where} cannot be {mechanism.shape}: only unconfounded contributions of actions have "
            "a shape; omit it there"
        )


def pairwise(mechanism: Mechanism, own: Basis, other: Basis, rows: int) -> tuple[Component, ...]:
    """Components of a second action: functions of it alone, and products with the first.

    Parameters
    ----------
    mechanism : Mechanism
    own, other : Basis
        Marginal bases of the two actions.
    rows : int
    """
    alone = Component("", other, mechanism.cross_action, inputs=(1,))
    order = mechanism.pair_order(rows)
    if not order:
        return (alone,)
    products = TensorProductBasis((own, other), order)
    return alone, Component("interaction", products, mechanism.interaction, inputs=(0, 1))


def log_spectral_sd(kernel: KernelName, frequency: Any, lengthscale: Any) -> Array:
    """Log standard deviations of the coefficients of a unit-scale Hilbert-space GP, elementwise.

    Parameters
    ----------
    kernel : str
    frequency : array_like
        Square roots of the Laplacian's eigenvalues.
    lengthscale : array_like

    Notes
    -----
    Half the log spectral density at each frequency (Solin and Särkkä 2020, eq. 20; Rasmussen and
    Williams 2006, eqs. 4.11 and 4.15). The density itself may underflow.
    """
    decay = spectral_decay(1 / SMOOTHNESS[kernel], (frequency * lengthscale) ** 2)
    return np.asarray(spectral_constant(kernel) + 0.5 * (np.log(lengthscale) - decay))


def spectral_constant(kernel: KernelName) -> float:
    """Half the log spectral density at frequency zero of a kernel with a lengthscale of one."""
    nu = SMOOTHNESS[kernel]
    if nu == math.inf:
        return 0.25 * math.log(2 * math.pi)
    return 0.25 * math.log(2 * math.pi / nu) + 0.5 * (math.lgamma(nu + 0.5) - math.lgamma(nu))


def spectral_decay(roughness: Any, square: Any, xp: ModuleType = np) -> Any:
    """Fall of the log spectral density from frequency zero, elementwise.

    Parameters
    ----------
    roughness : array_like
        Inverse of the smoothness nu, zero for the squared exponential kernel.
    square : array_like
        Square of frequency times lengthscale.
    xp : module
        ``numpy`` or ``jax.numpy``.
    """
    is_rough = roughness > 0
    finite = xp.where(is_rough, roughness, 1.0)
    falling = (1 / finite + 0.5) * xp.log1p(finite * square / 2)
    return xp.where(is_rough, falling, square / 2)


def spectral_slope(roughness: Array, square: Array) -> Array:
    """Derivative of :func:`log_spectral_sd` with respect to the log lengthscale, elementwise."""
    return np.asarray(0.5 * (1 - (2 + roughness) * square / (2 + roughness * square)))


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


def finer_label(refinement: int) -> str:
    """Label of the component of finer functions."""
    return "finer" if refinement == 1 else f"finer by {refinement}"


def random_walk(column: Column, count: int) -> PiecewiseLinear:
    """Random walk along one action, with at most ``count`` knots.

    Most knots are quantiles of the action, for resolution where rows are dense. The others are
    evenly spaced in its coordinate, for oscillations where rows are sparse.
    """
    # A few thousand rows determine the quantiles well enough.
    actions = column.values[:: max(len(column.values) // KNOT_ROWS, 1)]
    coordinate = column.coordinate
    knots, counts = np.unique(actions[:, 0], return_counts=True)
    if len(knots) > count:
        most = round(0.6 * count)
        quantiles = balanced_quantiles(knots, counts, ((np.arange(most) + 0.5) / most).tolist())
        even = np.linspace(*coordinate.ends, count - most)
        z = np.sort(np.concatenate([coordinate(np.array(quantiles)), even]))
        gap = CLOSEST_KNOTS * (z[-1] - z[0])
        knots = coordinate.inverse_transform(z[np.diff(z, prepend=-np.inf) > gap])
    return PiecewiseLinear.random_walk(actions, tuple(knots.tolist()))

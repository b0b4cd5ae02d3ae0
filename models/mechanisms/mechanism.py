"""Interface of mechanisms: priors of random functions of one or several actions.

A mechanism is a specification. For specific data it consists of components: frozen bases whose
coefficients are normal with mean zero and standard deviations that depend on hyperparameters.
Defaults adapt to the units of the data, because scales are in units of the outcome's standard
deviation, and lengthscales in units of the action's coordinate
(:class:`~bayes_intgen.basis.coordinate.Coordinate`).
"""

from dataclasses import dataclass, fields
from typing import Any, Protocol

from bayes_intgen._arguments import instance, real_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.kernels import KernelName


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
        median, sigma = (real_number(getattr(self, n), n) for n in ("median", "sigma"))
        if not (median > 0 and sigma > 0):
            raise ModelError(f"a log-normal prior needs a positive median and sigma, not {self}")
        # NumPy takes large integers for objects.
        object.__setattr__(self, "median", median)
        object.__setattr__(self, "sigma", sigma)


def check_priors(mechanism: Any) -> None:
    """Raise ModelError if a hyperparameter of a mechanism has another prior than a LogNormal."""
    for field in fields(mechanism):
        value = getattr(mechanism, field.name)
        if isinstance(field.default, LogNormal):
            remedy = f"LogNormal({field.default.median}, {field.default.sigma})"
            instance(value, LogNormal, field.name, remedy, ModelError)


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
    """

    label: str
    basis: Basis
    scale: LogNormal
    inputs: tuple[int, ...] = (0,)
    kernel: KernelName | None = None
    lengthscale: LogNormal | None = None


class Mechanism(Protocol):
    """Protocol of mechanisms.

    Attributes
    ----------
    cross_action, interaction : LogNormal
        Scales of functions of another action, alone and in products with the own action.
    refines : bool
        Whether the functions of :meth:`finer` are candidates of forward selection.
    """

    def __hash__(self) -> int: ...
    @property
    def cross_action(self) -> LogNormal: ...
    @property
    def interaction(self) -> LogNormal: ...
    @property
    def refines(self) -> bool: ...

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        """Components of a function of the own action.

        ``actions``, shape (n, 1), may be a sample of ``rows`` rows.
        """
        ...

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        """At most ``size`` functions of one action, smooth to rough, as factors of products."""
        ...

    def pair_order(self, rows: int) -> int:
        """Maximum total order of products of functions of two actions."""
        ...

    def finer(
        self, actions: Array, coordinate: Coordinate, refinement: int = 1
    ) -> Component | None:
        """Functions of one action that are finer than those of :meth:`main_effect`.

        None for levels, which cannot be refined. ``refinement`` multiplies the number of functions.
        """
        ...


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

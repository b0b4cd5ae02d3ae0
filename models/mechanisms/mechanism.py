"""Priors over one mechanism: a random function of one or several actions.

A mechanism is a specification. For given data it consists of components. Each component is a
frozen basis whose coefficients are normal with mean zero, and with standard deviations that
follow from its hyperparameters. Scales are in units of the outcome's standard deviation,
lengthscales in units of the transformed coordinate (robust standard deviations of the action,
:class:`~bayes_intgen.basis.coordinate.Coordinate`), so that the defaults follow the data's units.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, Constant
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.tensor_product import ConcatenatedBasis, TensorProductBasis
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.kernels import KernelName


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
class Component:
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
    def cross_action(self) -> LogNormal: ...
    @property
    def interaction(self) -> LogNormal: ...
    @property
    def triple_order(self) -> int: ...
    @property
    def refines(self) -> bool: ...

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        """A function of one action; ``actions`` has shape (n, 1), a sample of ``rows`` rows."""
        ...

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        """At most ``size`` functions of one action, smooth to rough, for use in products."""
        ...

    def pair_order(self, rows: int) -> int:
        """Total order up to which functions of two actions are multiplied."""
        ...

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Component | None:
        """Functions of one action that are finer than those of :meth:`main_effect`.

        None for levels, which nothing refines. ``more`` multiplies the number of functions.
        """
        ...


def pairwise(mechanism: Mechanism, own: Basis, other: Basis, rows: int) -> tuple[Component, ...]:
    """Parts that a second action adds to a function of the first, by itself and in products.

    Parameters
    ----------
    mechanism : Mechanism
    own, other : Basis
        Margins of the two actions.
    rows : int
    """
    parts = [Component("", other, mechanism.cross_action, inputs=(1,))]
    order = mechanism.pair_order(rows)
    if order:
        products = TensorProductBasis((own, other), order)
        parts.append(Component("interaction", products, mechanism.interaction, inputs=(0, 1)))
    return tuple(parts)


def three_way(mechanism: Mechanism, own: Basis, one: Basis, other: Basis) -> tuple[Component, ...]:
    """Parts that two other actions add to a function of the first only together.

    Products of functions of the two, by themselves and with functions of the first. Arguments
    as of :func:`pairwise`.
    """
    if not mechanism.triple_order:
        return ()
    products = TensorProductBasis(
        (ConcatenatedBasis(Constant(), own), one, other), mechanism.triple_order
    )
    return (Component("interaction", products, mechanism.interaction, inputs=(0, 1, 2)),)

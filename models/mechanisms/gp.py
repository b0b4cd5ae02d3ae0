"""Gaussian-process mechanisms."""

import math
from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.components import (
    CROSS_ACTION_SCALE,
    INTERACTION_SCALE,
    LENGTHSCALE,
    MARGIN_SLOPE,
    PAIR_ORDER,
    SCALE,
    TRIPLE_ORDER,
    atom_component,
    grown,
    line_basis,
    random_walk_component,
    smooth_marginal_basis,
)
from bayes_intgen.models.mechanisms.kernels import SMOOTHNESS, KernelName, log_spectral_sd
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal

# Shortest lengthscale, in the squashed coordinate, that the functions of a process resolve.
RESOLUTION = 1.25


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
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE
    interaction_lengthscale: float = 2.0
    size: int | None = None

    triple_order = TRIPLE_ORDER
    refines = True

    def __post_init__(self) -> None:
        if self.kernel not in SMOOTHNESS:
            raise ModelError(
                f"kernel {self.kernel!r} is not known; choose from {', '.join(SMOOTHNESS)}"
            )
        if self.size is not None and self.size < 2:
            raise ModelError(f"a GP needs at least 2 basis functions, not {self.size}")

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        prior = self.lengthscale
        # The upper quartile: longer ones are all but straight lines.
        longest = prior.median * math.exp(0.6745 * prior.sigma)
        shortest = RESOLUTION * prior.median / LENGTHSCALE.median
        sines = HSGPBasis.of(actions, coordinate, longest, shortest, self.size)
        return (
            Component("slope", line_basis(actions, coordinate), self.slope),
            Component("", sines, self.scale, kernel=self.kernel, lengthscale=prior),
            *atom_component(actions, self.scale),
        )

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        length = self.interaction_lengthscale
        sines = HSGPBasis.of(actions, coordinate, length, length / 2)
        sd = np.exp(log_spectral_sd(self.kernel, sines.frequencies, length))
        return smooth_marginal_basis(actions, coordinate, sines, sd, MARGIN_SLOPE, size)

    def pair_order(self, rows: int) -> int:
        return grown(PAIR_ORDER, rows)

    def finer(self, actions: Array, coordinate: Coordinate, more: int = 1) -> Component | None:
        return random_walk_component(actions, coordinate, more)

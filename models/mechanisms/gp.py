"""Gaussian-process mechanisms."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._arguments import one_of, real_number, whole_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.errors import ModelError
from bayes_intgen.models.mechanisms.components import (
    CROSS_ACTION_SCALE,
    CURVE_SCALE,
    INTERACTION_SCALE,
    LENGTHSCALE,
    LINE_SCALE,
    MARGIN_SLOPE,
    PAIR_ORDER,
    atom_component,
    random_walk_component,
    scaled_order,
    smooth_marginal_basis,
    trend_basis,
)
from bayes_intgen.models.mechanisms.kernels import SMOOTHNESS, KernelName, log_spectral_sd
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal, check_priors

# Number of basis functions, and its maximum, to which it grows from SIZE_ROWS rows on. With 9 to 12
# functions, errors in worlds of two sigmoids over actions set uniformly are 1.2 times as large at
# 60,000 rows, and coverage of 90% intervals is 0.78 instead of 0.88; at 750,000 rows 2.0 times, and
# 0.60 instead of 0.94.
SIZE, MAX_SIZE, SIZE_ROWS = 20, 32, 30_000
# Margin of the box around the data, in prior median lengthscales.
MARGIN = 0.8


@dataclass(frozen=True)
class GP:
    """Hilbert-space Gaussian process (HSGP) plus a line and a parabola.

    If an action starts at zero, the process takes it on a logarithmic scale, and there are two
    lines: one on that scale and one in the action itself. A value that many rows share has a
    separate coefficient. A default fit adds finer functions by forward selection.

    Attributes
    ----------
    kernel : {"matern52", "squared_exponential", "matern32"}
    scale, slope : LogNormal
        Marginal standard deviation of the process, and standard deviation of the slopes of lines,
        twice that of the parabola's coefficient, in units of the outcome's standard deviation.
    lengthscale : LogNormal
        In units of the action's coordinate.
    cross_action, interaction : LogNormal
        Scales of functions of another action, alone and in products with the own action.
    interaction_lengthscale : float
        Fixed lengthscale of these functions.
    size : int or None
        Number of basis functions; None for 20, and more from 30,000 rows on.

    Examples
    --------
    >>> GP(kernel="squared_exponential").kernel
    'squared_exponential'
    """

    kernel: KernelName = "matern52"
    scale: LogNormal = CURVE_SCALE
    slope: LogNormal = LINE_SCALE
    lengthscale: LogNormal = LENGTHSCALE
    cross_action: LogNormal = CROSS_ACTION_SCALE
    interaction: LogNormal = INTERACTION_SCALE
    interaction_lengthscale: float = 2.0
    size: int | None = None

    refines = True

    def __post_init__(self) -> None:
        check_priors(self)
        one_of(self.kernel, "kernel", SMOOTHNESS)
        if not real_number(self.interaction_lengthscale, "interaction_lengthscale") > 0:
            raise ModelError("interaction_lengthscale must be positive")
        if self.size is not None:
            whole_number(self.size, "size", 2)

    def main_effect(
        self, actions: Array, coordinate: Coordinate, rows: int
    ) -> tuple[Component, ...]:
        prior = self.lengthscale
        size = self.size or min(scaled_order(SIZE, rows, SIZE_ROWS), MAX_SIZE)
        process = HSGPBasis.of(actions, coordinate, MARGIN * prior.median, size)
        return (
            Component("slope", trend_basis(actions, coordinate), self.slope),
            Component("", process, self.scale, kernel=self.kernel, lengthscale=prior),
            *atom_component(actions, self.scale),
        )

    def marginal_basis(self, actions: Array, coordinate: Coordinate, size: int) -> Basis:
        length = self.interaction_lengthscale
        process = HSGPBasis.of(actions, coordinate, length, SIZE)
        sd = np.exp(log_spectral_sd(self.kernel, process.frequencies, length))
        return smooth_marginal_basis(actions, coordinate, process, sd, MARGIN_SLOPE, size)

    def pair_order(self, rows: int) -> int:
        return scaled_order(PAIR_ORDER, rows)

    def finer(
        self, actions: Array, coordinate: Coordinate, refinement: int = 1
    ) -> Component | None:
        return random_walk_component(actions, coordinate, refinement)

"""Models that violate one assumption each, with adjustable strength.

At strength zero, rows and true effects equal those of the wrapped model.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.random import Generator

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.base import StructuralCausalModel
from bayes_intgen.text.messages import quoted

# Rows, and their seed, for estimating the scale of settings.
SCALE_ROWS, SCALE_SEED = 100_000, 0


@dataclass(frozen=True, eq=False)
class Violation(StructuralCausalModel):
    """Wrapper of a model; subclasses change one part of it.

    Attributes
    ----------
    base : StructuralCausalModel
    strength : float
        Strength of the violation; zero for none.
    """

    base: StructuralCausalModel
    strength: float
    names: tuple[str, ...] = field(init=False, repr=False)
    graph: dict[str, tuple[str, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.strength) and self.strength >= 0):
            raise ModelError(f"strength must be a finite number from 0 up, not {self.strength!r}")
        object.__setattr__(self, "names", self.base.names)
        object.__setattr__(self, "graph", dict(self.base.graph))

    @cached_property
    def joint_points(self) -> Array:
        """Fixed sample of the base's actions under do(all), for estimating their scale."""
        actions, _ = self.base.sample(self.names, SCALE_ROWS, np.random.default_rng(SCALE_SEED))
        return actions

    def draw_causes(self, rows: int, rng: Generator) -> Array:
        return self.base.draw_causes(rows, rng)

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        return self.base.draw_action(action, causes, actions, rng)

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        return self.base.draw_setting(action, rows, rng)

    def contribution(self, action: int, values: Array, causes: Array) -> Array:
        return self.base.contribution(action, values, causes)

    def draw_noise(self, rows: int, rng: Generator) -> Array:
        return self.base.draw_noise(rows, rng)

    def unconfounded(self, action: int, values: Array) -> Array:
        return self.base.unconfounded(action, values)

    def interaction(self, actions: Array) -> Array:
        return self.base.interaction(actions)

    @property
    def cause_moments(self) -> tuple[Array, Array]:
        return self.base.cause_moments

    @property
    def noise_mean(self) -> float:
        return self.base.noise_mean


@dataclass(frozen=True, eq=False)
class Interacting(Violation):
    """Interaction of two actions: the outcome is not additive.

    A multiple of z_i z_j is added to the outcome, z the actions standardised by their mean and
    standard deviation under do. ``strength`` is the standard deviation of this product under
    do(all), relative to that of the base's joint effect: at 1 the product moves the outcome as
    much as all contributions together.

    Attributes
    ----------
    base : StructuralCausalModel
    strength : float
        Strength of the violation; zero for none.
    pair : tuple of two str, optional
        The actions that interact; by default the first two.

    Examples
    --------
    >>> base = bi.simulators.MediaMix.random(3, seed=0)
    >>> Interacting(base, strength=0.5).pair
    ('tv', 'radio')
    """

    pair: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        pair = tuple(self.names[:2] if self.pair is None else self.pair)
        if len(set(pair)) != 2 or not set(pair) <= set(self.names):
            raise ModelError(
                f"pair must name two different actions of {quoted(self.names)}, not {pair!r}"
            )
        object.__setattr__(self, "pair", pair)

    @cached_property
    def _scale(self) -> tuple[list[int], Array, Array, float]:
        """Positions of the pair, their means and standard deviations, and that of the effect."""
        points, positions = self.joint_points, [self.names.index(name) for name in self.pair or ()]
        pair = points[:, positions]
        unit = float(self.base.joint_effect(points).std())
        return positions, pair.mean(axis=0), pair.std(axis=0), unit

    def interaction(self, actions: Array) -> Array:
        positions, location, scale, unit = self._scale
        scaled = (actions[:, positions] - location) / scale
        return np.asarray(
            self.base.interaction(actions) + self.strength * unit * scaled.prod(axis=1)
        )


@dataclass(frozen=True, eq=False)
class SharedConfounder(Violation):
    """Shared component of the hidden causes of all actions.

    C_k becomes m_k + sqrt(1 - rho) (C_k - m_k) + sqrt(rho) s_k Z, with m_k and s_k the
    mean and standard deviation of C_k, and one standard normal Z for all. ``strength``,
    from 0 to below 1, is rho: the correlation of any two causes. The mean and
    variance of each cause are unchanged, and with them the joint effect, because the f_k of
    all models here are at most quadratic in the cause.

    Examples
    --------
    >>> base = bi.simulators.DoseResponse.random(2, seed=0)
    >>> causes = SharedConfounder(base, 0.5).draw_causes(10_000, np.random.default_rng(0))
    >>> float(np.corrcoef(causes.T)[0, 1].round(1))
    0.5
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength >= 1:
            raise ModelError(f"strength is a correlation below 1, not {self.strength!r}")

    def draw_causes(self, rows: int, rng: Generator) -> Array:
        causes = self.base.draw_causes(rows, rng)
        if self.strength == 0:
            return causes
        mean, sd = self.cause_moments
        shared = rng.normal(size=(rows, 1)) * sd
        own = causes - mean
        return np.asarray(mean + np.sqrt(1 - self.strength) * own + np.sqrt(self.strength) * shared)


@dataclass(frozen=True, eq=False)
class ShiftedSupport(Violation):
    """Experiments outside the range of the query points.

    Under do, each action is shifted upwards by ``strength`` standard deviations of its
    settings. The true effects are unchanged, and the base samples the original range.

    Examples
    --------
    >>> base = bi.simulators.MediaMix.random(2, seed=0)
    >>> model = ShiftedSupport(base, strength=3)
    >>> shifted, original = (m.sample(["tv", "radio"], 100, np.random.default_rng(0))[0]
    ...                      for m in (model, base))
    >>> bool((shifted > original).all())
    True
    """

    @cached_property
    def _steps(self) -> Array:
        return np.asarray(self.strength * self.joint_points.std(axis=0))

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        return np.asarray(self.base.draw_setting(action, rows, rng) + self._steps[action])

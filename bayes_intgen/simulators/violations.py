"""Models that violate one assumption each, with adjustable strength.

At strength zero, rows and true effects equal those of the wrapped model.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.base import Regime, StructuralCausalModel
from bayes_intgen.simulators.importance import Estimate

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

    def draw_causes(self, rows: int, rng: np.random.Generator) -> Array:
        return self.base.draw_causes(rows, rng)

    def draw_action(
        self, action: int, causes: Array, actions: Array, rng: np.random.Generator
    ) -> Array:
        return self.base.draw_action(action, causes, actions, rng)

    def action_density(self, action: int, values: Array, causes: Array, actions: Array) -> Array:
        return self.base.action_density(action, values, causes, actions)

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return self.base.draw_setting(action, rows, rng)

    def contribution(self, action: int, values: Array, causes: Array) -> Array:
        return self.base.contribution(action, values, causes)

    def draw_noise(self, rows: int, rng: np.random.Generator) -> Array:
        return self.base.draw_noise(rows, rng)

    def unconfounded(self, action: int, values: Array) -> Array:
        return self.base.unconfounded(action, values)

    def unconfounded_variance(self, action: int, values: Array) -> Array:
        return self.base.unconfounded_variance(action, values)

    def interaction(self, actions: Array) -> Array:
        return self.base.interaction(actions)

    @property
    def cause_moments(self) -> tuple[Array, Array]:
        return self.base.cause_moments

    @property
    def noise_mean(self) -> float:
        return self.base.noise_mean

    @property
    def noise_variance(self) -> float:
        return self.base.noise_variance

    # Delegated, not inherited: the base may violate an assumption itself.
    def outcome_variance(self, points: ArrayLike) -> Array:
        return self.base.outcome_variance(points)

    def confounding_bias(
        self, action: int, points: ArrayLike, draws: int = 20_000, seed: int = 0
    ) -> Estimate:
        return self.base.confounding_bias(action, points, draws, seed)

    def effect(
        self, points: ArrayLike, intervened: Regime, draws: int = 20_000, seed: int = 0
    ) -> Estimate:
        return self.base.effect(points, intervened, draws, seed)


@dataclass(frozen=True, eq=False)
class Interacting(Violation):
    """Interaction of two actions: the outcome is not additive.

    A multiple of z_i z_j is added to the outcome, z the actions standardised by their mean and
    standard deviation under do. ``strength`` is the standard deviation of this product under
    do(all), relative to that of the base's joint effect: at 1 the product moves the outcome as
    much as all contributions together.

    Attributes
    ----------
    base, strength
        As in :class:`Violation`.
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
                f"pair must name two different actions of {', '.join(map(repr, self.names))}, "
                f"not {pair!r}"
            )
        object.__setattr__(self, "pair", pair)

    @cached_property
    def _positions(self) -> list[int]:
        return [self.names.index(name) for name in self.pair or ()]

    @cached_property
    def _scale(self) -> tuple[Array, Array, float]:
        points = self.joint_points
        pair = points[:, self._positions]
        return pair.mean(axis=0), pair.std(axis=0), float(self.base.joint_effect(points).std())

    def _product(self, actions: Array) -> Array:
        location, scale, unit = self._scale
        scaled = (actions[:, self._positions] - location) / scale
        return np.asarray(self.strength * unit * scaled.prod(axis=1))

    def interaction(self, actions: Array) -> Array:
        return self.base.interaction(actions) + self._product(actions)

    def effect(
        self, points: ArrayLike, intervened: Regime, draws: int = 20_000, seed: int = 0
    ) -> Estimate:
        value, error = self.base.effect(points, intervened, draws, seed)
        return Estimate(value + self._product(self.check_points(points)), error)


@dataclass(frozen=True, eq=False)
class SharedConfounder(Violation):
    """Shared component of the hidden causes of all actions.

    C_k becomes m_k + sqrt(1 - rho) (C_k - m_k) + sqrt(rho) s_k Z, with m_k and s_k the
    mean and standard deviation of C_k, and one standard normal Z for all. ``strength``,
    from 0 to below 1, is rho: the correlation of any two causes. The mean and
    variance of each cause are unchanged, and with them the joint effect, because the f_k are
    quadratic in the cause (checked on construction).

    Notes
    -----
    The outcome variance assumes causes without skew where f_k has a squared term in the
    cause, as in all models here.

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
        inner: StructuralCausalModel = self.base
        while isinstance(inner, Violation):
            if isinstance(inner, SharedConfounder):
                raise ModelError("the causes are shared already; give the base a larger strength")
            inner = inner.base
        points, _ = self.base.sample(self.names, 5, np.random.default_rng(SCALE_SEED))
        for k, name in enumerate(self.names):
            level, slope, bend = self._in_cause(k, points[:, k])
            mean, sd = (moment[k] for moment in self.cause_moments)
            there = self.contribution(k, points[:, k], np.full(len(points), mean + 2 * sd))
            if not np.allclose(there, level + 2 * slope + 4 * bend):
                raise ModelError(
                    f"the contribution of {name!r} is not quadratic in its cause, so that sharing "
                    "causes would change the joint effect; choose another base"
                )

    def draw_causes(self, rows: int, rng: np.random.Generator) -> Array:
        causes = self.base.draw_causes(rows, rng)
        if self.strength == 0:
            return causes
        mean, sd = self.cause_moments
        shared = rng.normal(size=(rows, 1)) * sd
        own = causes - mean
        return np.asarray(mean + np.sqrt(1 - self.strength) * own + np.sqrt(self.strength) * shared)

    def _in_cause(self, action: int, values: Array) -> tuple[Array, Array, Array]:
        """Coefficients of f_k(a, m + s x) = level + slope x + bend x^2."""
        mean, sd = (moment[action] for moment in self.cause_moments)
        below, level, above = (
            self.contribution(action, values, np.full(len(values), mean + step * sd))
            for step in (-1, 0, 1)
        )
        return level, (above - below) / 2, (above + below) / 2 - level

    def unconfounded_variance(self, action: int, values: Array) -> Array:
        before = self.base.unconfounded_variance(action, values)
        if self.strength == 0:
            return before
        _, slope, bend = self._in_cause(action, values)
        rho, squares = self.strength, bend**2
        # Fourth moment of the cause times bend^2, before and after adding the shared normal.
        fourth = before - slope**2 + squares
        fourth = (1 - rho) ** 2 * fourth + (6 * rho - 3 * rho**2) * squares
        return np.asarray(slope**2 + fourth - squares)

    def outcome_variance(self, points: ArrayLike) -> Array:
        if self.strength == 0:
            return self.base.outcome_variance(points)
        values = self.check_points(points)
        total = np.full(len(values), self.noise_variance)
        slopes, bends = np.zeros_like(values), np.zeros_like(values)
        for k in range(len(self.names)):
            total = total + self.unconfounded_variance(k, values[:, k])
            _, slopes[:, k], bends[:, k] = self._in_cause(k, values[:, k])
        # Over pairs of causes: x_j and x_k have covariance rho, their squares 2 rho^2.
        rho = self.strength
        return np.asarray(total + rho * _over_pairs(slopes) + 2 * rho**2 * _over_pairs(bends))

    def confounding_bias(
        self, action: int, points: ArrayLike, draws: int = 20_000, seed: int = 0
    ) -> Estimate:
        if self.strength == 0:
            return self.base.confounding_bias(action, points, draws, seed)
        raise ModelError(
            "with shared causes the bias of an action depends on all actions and on which of them "
            "are intervened; use effect(points, intervened)"
        )

    def effect(
        self, points: ArrayLike, intervened: Regime, draws: int = 20_000, seed: int = 0
    ) -> Estimate:
        observed = [int(k) for k in np.flatnonzero(~self.mask(intervened))]
        if self.strength == 0 or not observed:
            return super().effect(points, intervened, draws, seed)
        values = self.check_points(points)
        causes = self.sample_causes(draws, seed, stream=len(self.names))
        # Each observed action is informative about the cause of every other.
        estimate = self.conditional_mean(values, causes, observed, range(len(self.names)))
        shift = self.noise_mean + self.interaction(values)
        return Estimate(estimate.value + shift, estimate.error)


@dataclass(frozen=True, eq=False)
class ShiftedSupport(Violation):
    """Experiments outside the range of the query points.

    Under do, each action is shifted upwards by ``strength`` standard deviations of its
    settings. The true effects are unchanged; :meth:`unshifted_points` samples the
    original range.

    Examples
    --------
    >>> base = bi.simulators.MediaMix.random(2, seed=0)
    >>> model = ShiftedSupport(base, strength=3)
    >>> shifted, _ = model.sample(["tv", "radio"], 100, np.random.default_rng(0))
    >>> original = model.unshifted_points(100, np.random.default_rng(0))
    >>> bool((shifted > original).all())
    True
    """

    @cached_property
    def _steps(self) -> Array:
        return np.asarray(self.strength * self.joint_points.std(axis=0))

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return np.asarray(self.base.draw_setting(action, rows, rng) + self._steps[action])

    def unshifted_points(self, rows: int, rng: np.random.Generator) -> Array:
        """Sample actions under do(all) in the base, shape (rows, K).

        Examples
        --------
        >>> base = bi.simulators.MediaMix.random(2, seed=0)
        >>> ShiftedSupport(base, 3).unshifted_points(5, np.random.default_rng(0)).shape
        (5, 2)
        """
        actions, _ = self.base.sample(self.names, rows, rng)
        return actions


def _over_pairs(values: Array) -> Array:
    """Sum of v_j v_k over ordered pairs of different columns."""
    return np.asarray(values.sum(axis=1) ** 2 - (values**2).sum(axis=1))

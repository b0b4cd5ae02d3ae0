"""Worlds of studies: few or uniform settings, steep and stepped effects, a typing error."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.base import Regime, RowCounts
from bayes_intgen.simulators.confounded import Confounded, Confounding, random_confounding, signed
from bayes_intgen.simulators.violations import Violation
from bayes_intgen.simulators.zero_inflated import ZeroInflated, pauses


@dataclass(frozen=True, eq=False)
class Mistyped(Violation):
    """Outlier in one cell of an action per data set; the true effects are unchanged.

    The cell, random given the data set's seed, is ``strength`` standard deviations of its action
    too high. The outcome follows from the value before the error.

    Attributes
    ----------
    base, strength
        As in :class:`Violation`.
    """

    def dataset(
        self, rows: RowCounts, seed: int, regimes: Iterable[Regime] | None = None
    ) -> RegimeData:
        data = self.base.dataset(rows, seed, regimes)
        # A stream of its own, because rows use the seed itself and fits use other streams.
        rng = generator(seed, "rows", stream=1)
        actions = data.actions.copy()
        row, action = rng.integers(len(actions)), rng.integers(len(self.names))
        actions[row, action] += self.strength * self.joint_points[:, action].std()
        return replace(data, actions=actions)


@dataclass(frozen=True, eq=False)
class NormalActions(Confounded):
    """A_k = eta_k + chance, normal with mean zero and variance one.

    Attributes
    ----------
    names, graph, hidden
        As in :class:`Confounded`.
    action_sd : ndarray, shape (K,)
        Standard deviation of chance.
    """

    action_sd: Array

    def draw_action(
        self, action: int, causes: Array, actions: Array, rng: np.random.Generator
    ) -> Array:
        chance = rng.normal(size=len(causes)) * self.action_sd[action]
        return np.asarray(self.linear_predictor(action, causes, actions) + chance)


def standard_actions(
    count: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], Confounding, Array]:
    """Names, graph, coefficients and chance's sd of a model whose actions have variance one."""
    names, graph, hidden = random_confounding(count, rng, pull=(0.6, 1), edge=(0.3, 0.5))
    pull, between, sd = hidden.pull.copy(), hidden.between.copy(), rng.uniform(0.5, 0.8, count)
    # Each action as a linear combination of all causes and all chances, parents first.
    loadings = np.zeros((count, 2 * count))
    for k in range(count):
        row = between[k] @ loadings
        row[[k, count + k]] += pull[k], sd[k]
        size = np.linalg.norm(row)
        loadings[k] = row / size
        pull[k], between[k], sd[k] = pull[k] / size, between[k] / size, sd[k] / size
    return names, graph, replace(hidden, pull=pull, between=between), sd


@dataclass(frozen=True, eq=False)
class FewDoses(NormalActions):
    """Normal actions with a few values under do.

        effect_k(a) = size_k tanh(slope_k (a - middle_k))

    Attributes
    ----------
    names, graph, hidden, action_sd
        As in :class:`NormalActions`.
    doses : ndarray, shape (K, D)
        Values under do, equally likely.
    size, slope, middle : ndarray, shape (K,)
        Half of the total change, its steepness, and the value at its midpoint.
    """

    doses: Array
    size: Array
    slope: Array
    middle: Array

    @classmethod
    def random(cls, count: int, seed: int, *, doses: int = 4) -> Self:
        """A random model with ``count`` actions.

        Parameters
        ----------
        count : int
        seed : int
        doses : int
            Values under do, at least two, about evenly spread over the mean +- 1.5 standard
            deviations.

        Raises
        ------
        ModelError
            For fewer than two doses.
        """
        if doses < 2:
            raise ModelError(f"doses must be at least 2, not {doses}")
        rng = np.random.default_rng(seed)
        names, graph, hidden, action_sd = standard_actions(count, rng)
        # Jitter of under half a step keeps the doses in order.
        jitter = rng.uniform(-1, 1, (count, doses)) / (doses - 1)
        return cls(
            names,
            graph,
            hidden,
            action_sd,
            doses=np.linspace(-1.5, 1.5, doses) + jitter,
            size=signed(0.7, 1.5, count, rng),
            slope=rng.uniform(0.5, 1.2, count),
            middle=rng.uniform(-0.5, 0.5, count),
        )

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.choice(self.doses[action], rows)

    def unconfounded(self, action: int, values: Array) -> Array:
        shape = np.tanh(self.slope[action] * (values - self.middle[action]))
        return np.asarray(self.size[action] * shape)


# Log odds per unit of the latent variable, and units of it across the interval.
SLOPE, WIDTH = 1.5, 4.0


@dataclass(frozen=True, eq=False)
class UniformDesign(NormalActions):
    """Actions in [0, 1]: a transformed normal latent variable, uniform under do.

        A_k = expit(1.5 latent_k), or latent_k / 4 + 1/2 clipped to [0, 1]
        effect_k(a) = size_k tanh(slope_k (a - middle_k))

    Clipped actions are exactly 0 or 1 in a few percent of the rows. Parents enter as
    sqrt(12) (A_j - 1/2).

    Attributes
    ----------
    names, graph, hidden, action_sd
        As in :class:`NormalActions`, for the latent variable.
    clipped : ndarray of bool, shape (K,)
        Whether the latent variable is clipped rather than transformed by expit.
    size, slope, middle : ndarray, shape (K,)
        Half of the total change, its steepness, and the value at its midpoint.
    """

    clipped: NDArray[np.bool_]
    size: Array
    slope: Array
    middle: Array

    @classmethod
    def random(cls, count: int, seed: int) -> Self:
        """A random model with ``count`` actions, some of them clipped."""
        rng = np.random.default_rng(seed)
        names, graph, hidden, action_sd = standard_actions(count, rng)
        return cls(
            names,
            graph,
            hidden,
            action_sd,
            clipped=rng.random(count) < 0.3,
            size=signed(0.7, 1.5, count, rng),
            slope=rng.uniform(1.5, 4, count),
            middle=rng.uniform(0.3, 0.7, count),
        )

    def standardised(self, action: int, values: Array) -> Array:
        return np.asarray(np.sqrt(12) * (values - 0.5))

    def draw_action(
        self, action: int, causes: Array, actions: Array, rng: np.random.Generator
    ) -> Array:
        latent = super().draw_action(action, causes, actions, rng)
        return np.asarray(
            np.clip(latent / WIDTH + 0.5, 0, 1) if self.clipped[action] else expit(SLOPE * latent)
        )

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.random(rows)

    def unconfounded(self, action: int, values: Array) -> Array:
        shape = np.tanh(self.slope[action] * (values - self.middle[action]))
        return np.asarray(self.size[action] * shape)


@dataclass(frozen=True, eq=False)
class Steep(ZeroInflated):
    """Non-negative actions with effects that rise steeply from zero.

    Half of an effect is reached at 5 to 20% of the usual dose. Observational doses are gamma
    distributed with mass close to zero; under do they are uniform up to twice the usual dose.
    In half of the random models 15 to 35% of the doses are exactly zero, in the others none.

    Attributes as in :class:`ZeroInflated`; ``set_sd`` is unused.
    """

    @classmethod
    def random(cls, count: int, seed: int, *, hill: bool = False) -> Self:
        """A random model with ``count`` actions.

        Parameters
        ----------
        count : int
        seed : int
        hill : bool
            Whether curves have exponents between 1.5 and 3 (Hill) rather than one (Emax).
        """
        rng = np.random.default_rng(seed)
        names, graph, hidden = random_confounding(count, rng, pull=(0.3, 0.5), edge=(0.1, 0.25))
        budget = np.exp(rng.uniform(np.log(10), np.log(100), count))
        switch = rng.uniform(2, 4, count)
        has_zeros = rng.random() < 0.5
        share = rng.uniform(0.15, 0.35, count)
        return cls(
            names,
            graph,
            hidden,
            budget=budget,
            pause=pauses(share, switch, hidden) if has_zeros else np.full(count, -np.inf),
            switch=switch,
            chance=rng.uniform(0.7, 1, count),
            gamma=np.ones(count, dtype=bool),
            set_pause=share if has_zeros else np.zeros(count),
            set_sd=np.zeros(count),
            size=signed(1, 2, count, rng),
            half=budget * rng.uniform(0.05, 0.2, count),
            steepness=rng.uniform(1.5, 3, count) if hill else np.ones(count),
        )

    def draw_set_amount(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.uniform(0, 2 * self.budget[action], rows)


Curve = Literal["hill", "log", "exponential"]
CURVES: tuple[Curve, ...] = get_args(Curve)


@dataclass(frozen=True, eq=False)
class Saturating(ZeroInflated):
    """Non-negative actions with effects that increase, each unit less than the one before.

    With x = a / half_k, effect_k is size_k times x / (1 + x), log(1 + x) or 1 - exp(-x). In half of
    the random models there are zeros.

    Attributes as in :class:`ZeroInflated`, whose ``steepness`` is one.
    """

    curve: Curve

    @classmethod
    def random(cls, count: int, seed: int, *, curve: Curve = "hill") -> Self:
        """A random model with ``count`` actions."""
        base = ZeroInflated.random(count, seed)
        common = {field.name: getattr(base, field.name) for field in fields(base)}
        common |= {"size": np.abs(base.size), "steepness": np.ones(count)}
        if seed % 2:
            common |= {"pause": np.full(count, -np.inf), "set_pause": np.zeros(count)}
        return cls(**common, curve=curve)

    def unconfounded(self, action: int, values: Array) -> Array:
        if self.curve == "hill":
            return super().unconfounded(action, values)
        x = values / self.half[action]
        share = np.log1p(x) if self.curve == "log" else -np.expm1(-x)
        return np.asarray(self.size[action] * share)


Shape = Literal["step", "sigmoid", "sine 1", "sine 2", "hinge", "u"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
# Slope of the sigmoid per standard deviation of an action.
SIGMOID_SLOPE = 12.0


@dataclass(frozen=True, eq=False)
class Stepped(NormalActions):
    """Normal actions whose effects share one shape.

    With z = a - turn_k, in standard deviations of the action, effect_k is size_k times

    - ``step``: 1 where z > 0, otherwise 0;
    - ``sigmoid``: expit(12 z);
    - ``sine 1``, ``sine 2``: sin(2 pi z / period) / 2, with a period of 1 or 2;
    - ``hinge``: max(z, 0), one bend;
    - ``u``: z^2 / 2, with its minimum at the turn.

    Under do an action is normal with mean zero and standard deviation set_sd_k.

    Attributes
    ----------
    names, graph, hidden, action_sd
        As in :class:`NormalActions`.
    shape : str
    size, turn : ndarray, shape (K,)
        Size of the effect, and the value of its step, turn or bend.
    set_sd : ndarray, shape (K,)
    """

    shape: Shape
    size: Array
    turn: Array
    set_sd: Array

    @classmethod
    def random(cls, count: int, seed: int, *, shape: Shape = "step") -> Self:
        """A random model with ``count`` actions, all of one shape.

        Raises
        ------
        ModelError
            For an unknown shape.
        """
        if shape not in SHAPES:
            raise ModelError(
                f"unknown shape {shape!r}; choose one of {', '.join(map(repr, SHAPES))}"
            )
        rng = np.random.default_rng(seed)
        names, graph, hidden, action_sd = standard_actions(count, rng)
        return cls(
            names,
            graph,
            hidden,
            action_sd,
            shape=shape,
            size=signed(1, 2, count, rng),
            turn=rng.uniform(-0.5, 0.5, count),
            set_sd=rng.uniform(0.8, 1.2, count),
        )

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return np.asarray(rng.normal(size=rows) * self.set_sd[action])

    def unconfounded(self, action: int, values: Array) -> Array:
        z = values - self.turn[action]
        if self.shape == "step":
            curve = np.where(z > 0, 1.0, 0.0)
        elif self.shape == "sigmoid":
            curve = expit(SIGMOID_SLOPE * z)
        elif self.shape == "hinge":
            curve = np.maximum(z, 0.0)
        elif self.shape == "u":
            curve = z**2 / 2
        else:
            curve = np.sin(2 * np.pi * z / float(self.shape.removeprefix("sine "))) / 2
        return np.asarray(self.size[action] * curve)

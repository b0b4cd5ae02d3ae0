"""Worlds with an exact joint effect, unlike the simulators of the package.

Each action has a hidden cause of its own that is -1 or 1 with equal probability. It moves the
action and adds to the outcome, so that its mean given the action is a ratio of two densities, and
every effect is exact, whatever the kind of action. Observed causes (covariates and groups) move
actions and the outcome as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
CAUSES = np.array([-1.0, 1.0])


@dataclass(frozen=True)
class Action:
    """Laws of an action, observed and set, and its contribution to the outcome.

    Attributes
    ----------
    draw : callable
        Draws values, given a generator and the shift of each row: hidden and observed causes.
    density : callable
        Density of values given the shift, up to a factor that does not depend on the shift.
    set : callable
        Draws values of an experiment, given a generator and the number of rows.
    effect : callable
        Contribution to the mean outcome at each value.
    values : sequence of three
        Ordinary values, at which questions are asked.
    """

    draw: Callable[[np.random.Generator, Array], np.ndarray]
    density: Callable[[np.ndarray, Array], Array]
    set: Callable[[np.random.Generator, int], np.ndarray]
    effect: Callable[[np.ndarray], Array]
    values: tuple[float | str, ...]


def numbers(effect: Callable[[Array], Array] = np.tanh) -> Action:
    """A smooth action; the default contribution saturates."""
    return Action(
        lambda rng, shift: shift + rng.normal(size=len(shift)),
        lambda a, shift: np.exp(-((a - shift) ** 2) / 2),
        lambda rng, n: 1.5 * rng.normal(size=n),
        effect,
        (-0.8, 0.2, 0.9),
    )


def switch(size: float = 0.8) -> Action:
    """An action that is 0 or 1."""

    def draw(rng: np.random.Generator, shift: Array) -> np.ndarray:
        return (rng.random(len(shift)) < 1 / (1 + np.exp(-shift))).astype(int)

    return Action(
        draw,
        lambda a, shift: 1 / (1 + np.exp(np.where(a == 1, -shift, shift))),
        lambda rng, n: rng.integers(0, 2, size=n),
        lambda a: size * np.asarray(a, dtype=float),
        (0, 1, 1),
    )


def named(effects: Mapping[str, float]) -> Action:
    """An action whose levels have names and no order."""
    labels = np.array(list(effects))
    place = {label: i - (len(labels) - 1) / 2 for i, label in enumerate(effects)}

    def shares(shift: Array) -> Array:
        odds = np.exp(np.outer(shift, list(place.values())))
        return odds / odds.sum(axis=1, keepdims=True)

    def draw(rng: np.random.Generator, shift: Array) -> np.ndarray:
        above = rng.random((len(shift), 1)) > shares(shift).cumsum(axis=1)
        return labels[np.minimum(above.sum(axis=1), len(labels) - 1)]

    def density(a: np.ndarray, shift: Array) -> Array:
        own = np.array([list(effects).index(str(label)) for label in a])
        return shares(np.broadcast_to(shift, len(own)))[np.arange(len(own)), own]

    return Action(
        draw,
        density,
        lambda rng, n: rng.choice(labels, size=n),
        lambda a: np.array([effects[str(label)] for label in a]),
        (*effects,)[:3],
    )


def counts(slope: float = 0.2) -> Action:
    """An action that counts something, such as the number of visits."""

    def rate(shift: Array) -> Array:
        return np.exp(1.6 + 0.3 * shift)

    return Action(
        lambda rng, shift: rng.poisson(rate(shift)),
        lambda a, shift: np.exp(a * 0.3 * shift - rate(shift)),
        lambda rng, n: rng.poisson(6.0, size=n),
        lambda a: slope * np.asarray(a, dtype=float),
        (4, 5, 7),
    )


def spend(size: float = 0.5) -> Action:
    """An action with many zeros, and a long tail above them."""

    def none(shift: Array) -> Array:
        return 1 / (1 + np.exp(1.0 + shift))

    def draw(rng: np.random.Generator, shift: Array) -> np.ndarray:
        positive = np.exp(0.5 + 0.3 * shift + 0.6 * rng.normal(size=len(shift)))
        return np.where(rng.random(len(shift)) < none(shift), 0.0, positive)

    def density(a: np.ndarray, shift: Array) -> Array:
        logs = np.log(np.where(a > 0, a, 1.0))
        tail = (1 - none(shift)) * np.exp(-((logs - 0.5 - 0.3 * shift) ** 2) / 2 / 0.36)
        return np.where(a > 0, tail, none(shift))

    def setting(rng: np.random.Generator, n: int) -> np.ndarray:
        return np.where(rng.random(n) < 0.25, 0.0, np.exp(0.5 + 0.7 * rng.normal(size=n)))

    effect = lambda a: size * np.asarray(a, dtype=float)  # noqa: E731
    return Action(draw, density, setting, effect, (1.0, 0.0, 2.5))


@dataclass(frozen=True)
class Cause:
    """An observed cause: a covariate or a grouping.

    ``draw`` draws the column, given a generator and the number of rows; ``score`` is the number of
    each cell. Per unit of it every action shifts by ``moves``, and ``adds`` is added to outcomes.
    """

    draw: Callable[[np.random.Generator, int], np.ndarray]
    score: Callable[[np.ndarray], Array]
    moves: float = 0.0
    adds: float = 0.0


@dataclass(frozen=True)
class World:
    """Mechanism of a table.

    Attributes
    ----------
    actions : mapping from name to Action
    causes : mapping from name to Cause
    weight : float
        Change of the outcome per unit of each hidden cause.
    scaled : (str, float), optional
        Observed cause, and the relative change of that weight per unit of its score.
    pull : float
        Shift of an action per unit of its hidden cause.
    base : float
        Mean outcome where all else is zero.
    noise : float
        Standard deviation of the noise; that of a logarithm under a log link.
    law : {"normal", "log", "binary", "count", "student_t"}
        Law of the outcome given its mean; ``"log"`` multiplies instead of adding up.
    together : callable, optional
        Interaction of the actions, given a table of them.
    moderated, crossed : (str, str, float), optional
        Action and cause, or two causes, and the change of the outcome per unit of their product.
    uneven : (str, float), optional
        Cause, and the change of the noise's log standard deviation per unit of its score.
    interacting : (float, float), optional
        Change of the outcome per unit of the product of the hidden causes of two actions, and of
        the product of their distances from what the actions tell of them, whose mean is zero where
        one of the actions is observed.
    """

    actions: Mapping[str, Action]
    causes: Mapping[str, Cause] = ()  # type: ignore[assignment]
    weight: float = 0.5
    scaled: tuple[str, float] | None = None
    pull: float = 0.8
    base: float = 5.0
    noise: float = 0.4
    law: Literal["normal", "log", "binary", "count", "student_t"] = "normal"
    together: Callable[[pd.DataFrame], Array] | None = None
    moderated: tuple[str, str, float] | None = None
    crossed: tuple[str, str, float] | None = None
    uneven: tuple[str, float] | None = None
    interacting: tuple[float, float] = (0.0, 0.0)

    @property
    def points(self) -> pd.DataFrame:
        """Three ordinary points."""
        values = [np.roll(np.array(own.values), k) for k, own in enumerate(self.actions.values())]
        return pd.DataFrame(dict(zip(self.actions, values, strict=True)))

    def table(self, rows: int, regimes: Sequence[str] | None = None, seed: int = 0) -> pd.DataFrame:
        """Rows of each regime, by default of history and an experiment on each action."""
        rng, parts = np.random.default_rng(seed), []
        for regime in ["", *self.actions] if regimes is None else regimes:
            own = pd.DataFrame({name: c.draw(rng, rows) for name, c in self._causes})
            shift, mean = self._scores(own, rows)
            hidden = {name: rng.choice(CAUSES, size=rows) for name in self.actions}
            for name, action in self.actions.items():
                own[name] = (
                    action.set(rng, rows)
                    if name in regime.split("+")
                    else action.draw(rng, self.pull * hidden[name] + shift)
                )
            mean = mean + self._contributions(own)
            mean = mean + self._weight(own) * sum(hidden.values())
            mean = mean + self._products(own, [*hidden.values()])
            own["y"] = self._outcome(rng, mean, own)
            parts.append(own.assign(regime=regime))
        return pd.concat(parts, ignore_index=True)

    def effect(self, points: pd.DataFrame, intervened: Sequence[str], units: pd.DataFrame) -> Array:
        """E[Y | do(intervened), the other actions], averaged over the causes of ``units``."""
        shift, level = self._scores(units, max(len(units), 1))
        out = []
        for i in range(len(points)):
            point = points.iloc[[i] * len(level)].reset_index(drop=True)
            mean = level + self._contributions(
                point.join(units[[*dict(self._causes)]].reset_index(drop=True))
            )
            factor, told = np.ones(len(level)), []
            for name in self.actions:
                share = np.full(len(level), 0.5)
                if name not in intervened:
                    share = self._share(name, point, shift)
                told.append(2 * share - 1)
                mean = mean + self._weight(units) * (2 * share - 1) * (self.law != "log")
                factor = factor * (share * np.exp(self.weight) + (1 - share) * np.exp(-self.weight))
            mean = mean + self._products(point, told)
            if self.law == "log":
                mean = np.exp(mean + self.noise**2 / 2) * factor
            out.append(mean.mean())
        return np.array(out)

    def quartiles(self, points: pd.DataFrame, units: pd.DataFrame) -> Array:
        """Quartiles of a single outcome with all actions set, shape (2, M), by simulation."""
        rng, draws, out = np.random.default_rng(1), 20_000, []
        for i in range(len(points)):
            own = units.iloc[rng.integers(0, max(len(units), 1), draws)].reset_index(drop=True)
            _, mean = self._scores(own, draws)
            point = points.iloc[[i] * draws].reset_index(drop=True)
            mean = mean + self._contributions(point.join(own[[*dict(self._causes)]]))
            hidden = rng.choice(CAUSES, size=(len(self.actions), draws))
            mean = mean + self._weight(own) * hidden.sum(axis=0) + self._products(point, [*hidden])
            out.append(np.quantile(self._outcome(rng, mean, own), [0.25, 0.75]))
        return np.array(out).T

    def _share(self, name: str, rows: pd.DataFrame, shift: Array | float = 0.0) -> Array:
        """Probability of a high hidden cause given an observed action."""
        density = self.actions[name].density
        low, high = (density(rows[name].to_numpy(), self.pull * c + shift) for c in CAUSES)
        return high / (low + high)

    def _products(self, rows: pd.DataFrame, hidden: Sequence[Array]) -> Array | float:
        """Part of the outcome of which the hidden causes of two actions are factors."""
        product, offset = self.interacting
        if not (product or offset):
            return 0.0
        told = (2 * self._share(name, rows) - 1 for name in self.actions)
        distance = [at - cause for at, cause in zip(told, hidden, strict=True)]
        return product * np.prod(hidden, axis=0) + offset * np.prod(distance, axis=0)

    def _weight(self, units: pd.DataFrame) -> Array | float:
        """Change of the outcome per unit of a hidden cause, for each unit."""
        if self.scaled is None:
            return self.weight
        name, change = self.scaled
        return self.weight * (1 + change * dict(self._causes)[name].score(units[name].to_numpy()))

    @property
    def _causes(self) -> list[tuple[str, Cause]]:
        return list(dict(self.causes).items())

    def _scores(self, units: pd.DataFrame, rows: int) -> tuple[Array, Array]:
        """Shift of the actions, and mean outcome without the actions, of each unit."""
        shift, mean = np.zeros(rows), np.full(rows, self.base)
        scores = {name: own.score(units[name].to_numpy()) for name, own in self._causes}
        for name, cause in self._causes:
            shift, mean = shift + cause.moves * scores[name], mean + cause.adds * scores[name]
        if self.crossed is not None:
            mean = mean + self.crossed[2] * scores[self.crossed[0]] * scores[self.crossed[1]]
        return shift, mean

    def _contributions(self, rows: pd.DataFrame) -> Array:
        out = sum(action.effect(rows[name].to_numpy()) for name, action in self.actions.items())
        if self.together is not None:
            out = out + self.together(rows)
        if self.moderated is not None:
            action, cause, slope = self.moderated
            score = dict(self._causes)[cause].score(rows[cause].to_numpy())
            out = out + slope * rows[action].to_numpy() * score
        return np.asarray(out)

    def _outcome(self, rng: np.random.Generator, mean: Array, units: pd.DataFrame) -> Array:
        size, noise = len(mean), np.full(len(mean), self.noise)
        if self.uneven is not None:
            name, change = self.uneven
            noise *= np.exp(change * dict(self._causes)[name].score(units[name].to_numpy()))
        match self.law:
            case "binary":
                return (rng.random(size) < mean).astype(float)
            case "count":
                return rng.poisson(mean).astype(float)
            case "log":
                return np.exp(mean + noise * rng.normal(size=size))
            case "student_t":
                return mean + noise * rng.standard_t(3, size=size)
        return mean + noise * rng.normal(size=size)


class Known:
    """A real table, of which some joint effects are known: NaN elsewhere."""

    law, together, moderated, uneven, causes = "normal", "unknown", None, None, ()
    interacting = (0.0, 0.0)

    def __init__(self, joint: pd.DataFrame, actions: Sequence[str]) -> None:
        self.joint, self.actions = joint, dict.fromkeys(actions)

    @property
    def points(self) -> pd.DataFrame:
        """Settings in the middle."""
        middle = self.joint.iloc[[len(self.joint) * i // 4 for i in (1, 2, 3)]]
        return middle[[*self.actions]].reset_index(drop=True)

    def effect(self, points: pd.DataFrame, intervened: Sequence[str], units: pd.DataFrame) -> Array:
        """Mean outcome of the randomised rows at each point."""
        both = points.astype(float).merge(self.joint.astype(float), how="left", on=[*self.actions])
        known = both["effect"].to_numpy()
        return known if set(intervened) == {*self.actions} else np.full(len(points), np.nan)

"""Worlds with decisions: random causal effects, tables of single experiments, plans to choose from.

They are unlike the library's simulators and priors: every kind has curves of its own, the hidden
causes act through other functions than the actions, and noise has heavy tails in half of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

import bayes_intgen as bi

Effect = Callable[[np.ndarray], np.ndarray]
# From a mask, a number of rows and a generator to a table.
MoreRows = Callable[[np.ndarray, int, np.random.Generator], bi.RegimeData]

# Kind in which today's split is the best one.
AT_OPTIMUM = "equal returns"
# Number of actions of each kind.
ACTIONS = {
    "smooth": (3,),
    AT_OPTIMUM: (5, 6),
    "unequal returns": (5, 6),
    "saturating": (4,),
    "interacting": (3,),
    "levels": (4,),
    "thresholds": (4, 5),
    "many channels": (10,),
    "far from the optimum": (2,),
    "products": (3,),
}
KINDS = tuple(ACTIONS)
SPEND = (AT_OPTIMUM, "unequal returns", "saturating", "many channels", "products")


@dataclass(frozen=True)
class DecisionWorld:
    """A table, a decision, and the true joint effect of plans.

    Attributes
    ----------
    data : RegimeData
        History, and one experiment for each action.
    model : Model
    decision : Decision
    effect, error : callable
        Map plans, shape (M, K), to E[Y | do(plan)] and its standard error, shape (M,).
    """

    data: bi.RegimeData
    model: bi.models.Model
    decision: bi.Decision
    effect: Effect
    error: Effect = lambda plans: np.zeros(len(plans))

    def gain(self, plan: Mapping[str, Any], start: Mapping[str, Any]) -> tuple[float, float]:
        """True gain of a plan over another, and its standard error."""
        if list(plan.values()) == list(start.values()):
            return 0.0, 0.0
        points = np.array([list(plan.values()), list(start.values())])
        after, before = self.effect(points)
        return float(after - before), float(np.hypot(*self.error(points)))

    def level(self, plan: Mapping[str, Any]) -> tuple[float, float]:
        """True joint effect of a plan, and its standard error."""
        point = np.array([list(plan.values())])
        return float(self.effect(point)[0]), float(self.error(point)[0])


@dataclass(frozen=True, kw_only=True)
class RandomWorld(DecisionWorld):
    """A world in which further rows can be collected.

    Attributes
    ----------
    more : callable
        Samples rows with a mask.
    """

    more: MoreRows


def decision_world(kind: str, seed: int) -> RandomWorld:
    """Sample a random world of a kind."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    count = int(rng.choice(ACTIONS[kind]))
    names = [f"a{k + 1}" for k in range(count)]
    effect = _effect_of(kind, count, rng)
    settings = _Settings.random(kind, count, rng)
    history, experiment = int(rng.choice([600, 1000, 2000])), int(rng.choice([100, 200, 400]))
    nothing, each = np.zeros((1, count), dtype=bool), np.eye(count, dtype=bool)
    masks = np.repeat(np.concatenate([nothing, each]), [history, *[experiment] * count], axis=0)
    causes, actions = settings.sample(masks, rng)
    burden = rng.uniform(0.2, 0.6, count) * rng.choice([-1.0, 1.0], count)
    if kind in SPEND:
        burden = np.abs(burden)
    bounded, heavy = rng.random() < 0.5, rng.random() < 0.5
    products = kind == "products"

    def outcome(causes: np.ndarray, actions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_t(5, len(causes)) if heavy else rng.normal(size=len(causes))
        if not products:
            return np.asarray(effect(actions) + _hidden(causes, bounded) @ burden + 0.4 * noise)
        noise = 0.3 * rng.normal(size=len(causes)) - 0.045
        return np.exp(effect(actions) + _hidden(causes, bounded) @ burden + noise)

    def more(mask: np.ndarray, rows: int, rng: np.random.Generator) -> bi.RegimeData:
        masks = np.repeat(mask[None], rows, axis=0)
        causes, actions = settings.sample(masks, rng)
        return bi.RegimeData.from_arrays(
            actions, outcome(causes, actions, rng), masks, names, require_observational=False
        )

    data = bi.RegimeData.from_arrays(actions, outcome(causes, actions, rng), masks, names)
    decision = _decision(kind, names, data, rng)
    if not products:
        return RandomWorld(
            data=data, model=bi.models.additive(), decision=decision, effect=effect, more=more
        )
    # The average of the hidden factor belongs to the effect.
    mean = float(np.exp(_hidden(rng.normal(size=(200_000, count)), bounded) @ burden).mean())
    return RandomWorld(
        data=data,
        model=bi.models.multiplicative(),
        decision=decision,
        effect=lambda a: np.asarray(np.exp(effect(a)) * mean),
        more=more,
    )


def _hidden(causes: np.ndarray, bounded: bool) -> np.ndarray:
    return np.tanh(causes) * 1.3 if bounded else causes + 0.2 * (causes**2 - 1)


def _effect_of(kind: str, count: int, rng: np.random.Generator) -> Effect:
    """Random true effect of a kind, up to the average of hidden causes."""
    if kind == "smooth":
        shape = (3, count)
        size, speed = rng.normal(0, 0.6, shape), rng.uniform(0.4, 1.2, shape)
        shift = rng.uniform(0, 2 * np.pi, shape)
        return lambda a: (size * np.sin(speed * a[:, None] + shift)).sum(axis=(1, 2))
    if kind == AT_OPTIMUM:
        scale = rng.uniform(0.6, 1.4)
        return lambda a: scale * np.log1p(a).sum(axis=1)
    if kind == "unequal returns":
        weight = rng.uniform(0.3, 1.7, count)
        return lambda a: np.log1p(a) @ weight
    if kind == "saturating":
        size, half = rng.gamma(2.0, 0.6, count), rng.uniform(0.5, 2.5, count)
        power = rng.uniform(0.8, 2.0, count)
        return lambda a: (size / (1 + (half / np.maximum(a, 1e-9)) ** power)).sum(axis=1)
    if kind == "interacting":
        size, pair = rng.normal(0, 0.6, count), rng.normal(0, 0.4)
        return lambda a: np.tanh(a) @ size + pair * a[:, 0] * a[:, 1] - 0.15 * (a**2).sum(axis=1)
    if kind == "levels":
        tables = rng.normal(0, 0.5, (count, 4)) * (rng.random((count, 1)) < 0.7)
        return lambda a: tables[np.arange(count), a.astype(int)].sum(axis=1)
    if kind == "thresholds":
        size, at = rng.normal(0, 0.6, count), rng.uniform(-1, 1, count)
        slope = rng.normal(0, 0.2, count)
        return lambda a: (a > at) @ size + a @ slope
    if kind == "many channels":
        weight, rate = rng.uniform(0.1, 0.8, count), rng.uniform(0.2, 1.0, count)
        return lambda a: ((1 - np.exp(-rate * a)) / rate) @ weight
    if kind == "far from the optimum":
        best, bend = rng.choice([-1.3, 1.3], count), rng.uniform(0.1, 0.4, count)
        return lambda a: -((a - best) ** 2) @ bend
    size = rng.uniform(0.05, 0.4, count)
    return lambda a: np.log1p(a) @ size


@dataclass(frozen=True)
class _Settings:
    """How actions come about: from hidden causes and other actions, or set at random."""

    kind: str
    edges: np.ndarray
    pull: np.ndarray

    @classmethod
    def random(cls, kind: str, count: int, rng: np.random.Generator) -> Self:
        shape = (count, count)
        edges = np.tril(rng.normal(0, 0.3, shape) * (rng.random(shape) < 0.3), -1)
        return cls(kind, edges, rng.uniform(0.4, 0.9, count))

    def sample(self, masks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Hidden causes and actions of rows with these masks."""
        n, count = masks.shape
        causes, actions = rng.normal(size=(n, count)), np.zeros((n, count))
        for k in range(count):
            index = self.pull[k] * causes[:, k] + actions @ self.edges[k] + 0.5 * rng.normal(size=n)
            if self.kind in SPEND:
                free, put = np.maximum(0, 2 + index), rng.uniform(0, 4, n)
            elif self.kind == "levels":
                free = np.clip(np.digitize(index, (-0.6, 0.2, 0.9)), 0, 3).astype(float)
                put = rng.integers(0, 4, n).astype(float)
            else:
                free, put = index, rng.uniform(-2, 2, n)
            actions[:, k] = np.where(masks[:, k], put, free)
        return causes, actions


def _decision(
    kind: str, names: list[str], data: bi.RegimeData, rng: np.random.Generator
) -> bi.Decision:
    """Plans of today's cost, where actions cost something, compared with today's."""
    if kind in SPEND:
        equal = kind == AT_OPTIMUM
        today = np.full(len(names), 1.5) if equal else rng.uniform(0.8, 2.2, len(names))
        baseline = dict(zip(names, today.tolist(), strict=True))
        return bi.Decision(
            cost=dict.fromkeys(names, 1.0), budget=float(today.sum()), baseline=baseline
        )
    if kind == "levels":
        return bi.Decision(baseline={name: float(rng.integers(0, 4)) for name in names})
    if kind == "far from the optimum":
        return bi.Decision(baseline=dict.fromkeys(names, 0.0))
    return bi.Decision(baseline={name: float(rng.uniform(-0.8, 0.8)) for name in names})

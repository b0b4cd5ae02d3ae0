"""Sound worlds unlike the library's simulators, for tests of false alarms.

Actions depend on each other in any order, through edges from weak to strong, and noise of the
outcome has heavy tails. In each kind the actions have another law: smooth, with few values, counts,
with an atom at zero, mixed, skewed, with variances or products that depend on their parents, or set
to another range.
"""

import numpy as np

import bayes_intgen as bi

KINDS = (
    "oscillating", "threshold", "three values", "poisson", "atom", "mixed", "changing variance",
    "products of parents", "shifted settings", "skewed",
)  # fmt: skip


def unlike(
    kind: str, actions: int, rows: int, seed: int, correlation: float = 0.0
) -> bi.RegimeData:
    """Sample a random world of a kind, with this correlation of any two hidden causes."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    order = rng.permutation(actions)
    edges = rng.choice([-1.0, 1.0], (actions, actions)) * rng.uniform(0.05, 1, (actions, actions))
    edges *= rng.random((actions, actions)) < 0.5
    for position, k in enumerate(order):
        edges[k, order[position:]] = 0.0
    pull, effect = rng.uniform(0.4, 1.2, actions), rng.normal(size=actions)
    burden = rng.uniform(0.5, 1.5, actions) * rng.choice([-1.0, 1.0], actions)
    masks = np.vstack([np.zeros(actions), np.eye(actions)]).astype(bool)
    pieces = []
    for mask in masks:
        shared = np.sqrt(correlation) * rng.normal(size=(rows, 1))
        causes = np.sqrt(1 - correlation) * rng.normal(size=(rows, actions)) + shared
        values, scaled = np.zeros((2, rows, actions))
        outcome = 0.5 * rng.standard_t(5, rows)
        for k in order:
            index = pull[k] * causes[:, k] + scaled @ edges[k] + 0.7 * rng.normal(size=rows)
            of_parents = scaled[:, np.flatnonzero(edges[k])]
            column = _values(kind, k, index, of_parents, bool(mask[k]), rng)
            values[:, k], (scaled[:, k], contribution) = column, _effects(kind, column)
            outcome += effect[k] * contribution + burden[k] * _of_cause(kind, causes[:, k], column)
        pieces.append((values, outcome))
    return bi.RegimeData.from_arrays(
        np.concatenate([values for values, _ in pieces]),
        np.concatenate([outcome for _, outcome in pieces]),
        np.repeat(masks, rows, axis=0),
        [f"a{k + 1}" for k in range(actions)],
    )


def _values(
    kind: str, k: int, index: np.ndarray, parents: np.ndarray, was_set: bool,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Values of an action, set or from its linear predictor."""
    n = len(index)
    if kind == "mixed":
        kind = "threshold" if k % 2 else "smooth"
    if kind == "changing variance":
        index = index * (1 + 0.5 * np.tanh(parents.sum(axis=1)))
    if kind == "products of parents" and parents.shape[1] > 1:
        index = index + 0.5 * parents[:, 0] * parents[:, 1]
    if kind == "threshold":
        return 1.0 * (rng.random(n) < 0.4 if was_set else index > 0.3)
    if kind == "three values":
        free = np.digitize(index, (-0.5, 0.7))
        return 1.0 * (rng.choice(3, n, p=(0.5, 0.3, 0.2)) if was_set else free)
    if kind == "poisson":
        free = rng.poisson(np.exp(0.4 * np.clip(index, -5, 5) + 0.5))
        return 1.0 * (rng.integers(0, 6, n) if was_set else free)
    if kind == "atom":
        return rng.gamma(2.0, 0.8, n) * (rng.random(n) > 0.3) if was_set else np.maximum(index, 0)
    if kind == "skewed":
        return np.exp(rng.normal(size=n) if was_set else index)
    if kind == "oscillating" and was_set:
        return rng.uniform(-2.5, 2.5, n)
    if kind == "shifted settings" and was_set:
        return rng.normal(1.5, 0.7, n)
    return rng.normal(0, 1.2, n) if was_set else index


def _effects(kind: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What an action passes on to other actions, and its contribution to the outcome."""
    return {
        "threshold": (2 * values - 1, values),
        "three values": (values - 1, np.array([0.0, 1.0, -0.5])[values.astype(int) % 3]),
        "poisson": (np.sqrt(np.abs(values)) - 1.2, np.sqrt(np.abs(values))),
        "atom": (values - 0.5, 2 * np.log1p(np.abs(values))),
        "skewed": (np.log(np.maximum(values, 1e-6)), 2 * np.log1p(np.abs(values))),
        "oscillating": (np.tanh(values), np.sin(values + 1) + 0.3 * values),
        "products of parents": (values, 0.5 * values**2),
    }.get(kind, (np.tanh(values), np.tanh(values)))


def _of_cause(kind: str, causes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What a hidden cause adds to the outcome, in part by changing the effect of its action."""
    if kind in ("threshold", "poisson"):
        return 0.5 * causes**2
    if kind in ("changing variance", "skewed"):
        return causes * np.exp(0.3 * causes)
    return causes * (1 + 0.3 * np.tanh(values))

"""Worlds whose outcome is skewed, heavy-tailed, binary, a count or a product, for `outcomes.py`.

    A_k = pull_k C_k + sum_j b_kj A_j + V_k,   score = sum_k [curve_k(A_k) + cause_k(A_k, C_k)]

A continuous outcome is the score plus noise of the same law as the causes. A binary outcome is one
with the score as its probability, and a count is a Poisson number with the score as its mean;
hidden causes then have two values, so that the score stays within its bounds. The logarithm of a
log-additive outcome is a multiple of score and noise; its hidden causes are normal or gamma, and
those of every other pair of worlds matter more at some values of their action than at others.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

import bayes_intgen as bi

CONTINUOUS = ("gaussian", "gamma", "t3", "lognormal", "heteroscedastic")
DISCRETE = ("binary", "counts of 1.5", "counts of 20")
LOG_ADDITIVE = "log-additive"
KINDS = (*CONTINUOUS, *DISCRETE, LOG_ADDITIVE)
ACTIONS = 3
# Standard deviation of the logarithm of a log-additive outcome, with all actions set.
LOG_SD = (0.3, 1.2)
# Nodes of expectations over a hidden cause.
PROBABILITIES = (np.arange(400) + 0.5) / 400


def standard_draws(law: str, shape: float, size: object, rng: np.random.Generator) -> np.ndarray:
    """Draws of mean 0 and standard deviation 1; ``shape`` sets the skewness, mostly in (0, 1)."""
    if law == "gamma":
        k = 0.5 + 2 * shape
        return (rng.gamma(k, size=size) - k) / np.sqrt(k)
    if law == "t3":
        return rng.standard_t(3, size=size) / np.sqrt(3)
    if law == "lognormal":
        s2 = (0.5 + 0.4 * shape) ** 2
        draws = np.exp(np.sqrt(s2) * rng.normal(size=size) - s2 / 2)
        return (draws - 1) / np.sqrt(np.expm1(s2))
    if law == "two values":
        return np.where(rng.random(size) < 0.5, 1.0, -1.0)
    return rng.normal(size=size)


class OutcomeWorld:
    """A random world of one kind."""

    def __init__(self, kind: str, seed: int) -> None:
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        self.kind, count = kind, ACTIONS
        self.names = tuple(f"a{k + 1}" for k in range(count))
        either = ("gaussian", "gamma")[seed % 2]
        laws = {"heteroscedastic": either, LOG_ADDITIVE: either}
        self.law = "two values" if kind in DISCRETE else laws.get(kind, kind)
        self.shape = rng.random(count + 1)
        if kind == LOG_ADDITIVE:
            # Gamma laws of so little skewness that exponentials have a variance.
            self.shape = 4 + 4 * self.shape
        signs = np.ones(count) if seed % 2 else rng.choice([-1.0, 1.0], count)
        self.pull = rng.uniform(0.7, 2.0, count)
        self.between = np.tril(rng.normal(scale=0.4, size=(count, count)), -1)
        self.size = rng.choice([-1.0, 1.0], count) * rng.uniform(0.5, 1.5, count)
        self.slope, self.middle = rng.uniform(0.5, 1.5, count), rng.uniform(-0.5, 0.5, count)
        self.burden = signs * rng.uniform(0.5, 1.2, count)
        range_of_slope = {"heteroscedastic": 0.8, LOG_ADDITIVE: 0.4 * (seed % 4 > 1)}.get(kind)
        self.varying = 0 * signs
        if range_of_slope is not None:
            self.varying = rng.uniform(-range_of_slope, range_of_slope, count)
        self.noise = rng.uniform(0.1, 0.7)
        self.level = rng.normal()
        # Centre and largest distance of the score in a discrete outcome.
        bounds = {"binary": (0.5, 0.47), "counts of 1.5": (1.5, 1.3), "counts of 20": (20.0, 14.0)}
        self.centre, reach = bounds.get(kind, (0.0, 1.0))
        self.scale = reach / (np.abs(self.size) + np.abs(self.burden)).sum()
        if kind == LOG_ADDITIVE:
            self.scale = rng.uniform(*LOG_SD) / np.hypot(np.linalg.norm(self.burden), self.noise)

    def curve(self, actions: np.ndarray) -> np.ndarray:
        """Sum of the contributions of the actions alone, shape (n,); causes have mean zero."""
        return np.tanh(self.slope * (actions - self.middle)) @ self.size

    def sample(
        self, regime: Sequence[str], rows: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions (rows, K) and outcome (rows,) with the actions of a regime set."""
        count = len(self.names)
        causes = np.stack(
            [standard_draws(self.law, self.shape[k], rows, rng) for k in range(count)], axis=1
        )
        actions = np.zeros((rows, count))
        for k, name in enumerate(self.names):
            observed = causes[:, k] * self.pull[k] + rng.normal(size=rows)
            observed = observed + actions @ self.between[k]
            actions[:, k] = 1.3 * rng.normal(size=rows) if name in regime else observed
        score = self.curve(actions) + (self.burdens(actions) * causes).sum(axis=1)
        if self.kind == "binary":
            return actions, 1.0 * (rng.random(rows) < self.centre + self.scale * score)
        if self.kind in DISCRETE:
            return actions, 1.0 * rng.poisson(self.centre + self.scale * score)
        noise = self.noise * standard_draws(self.law, self.shape[-1], rows, rng)
        if self.kind == LOG_ADDITIVE:
            return actions, np.exp(self.level + self.scale * (score + noise))
        return actions, self.level + score + noise

    def burdens(self, actions: np.ndarray) -> np.ndarray:
        """Slope of the score in each hidden cause, shape (n, K)."""
        return np.asarray(self.burden * np.exp(self.varying * np.tanh(actions)))

    def log_mean_factor(self, points: np.ndarray) -> np.ndarray:
        """Log E[Y | do(a)] minus E[log Y | do(a)] of a log-additive outcome, shape (M,)."""
        slopes = np.column_stack([self.burdens(points), np.full(len(points), self.noise)])
        t = self.scale * slopes
        if self.law == "gaussian":
            return np.asarray((t**2).sum(axis=1) / 2)
        k = 0.5 + 2 * self.shape
        return np.asarray((-t * np.sqrt(k) - k * np.log1p(-t / np.sqrt(k))).sum(axis=1))

    def oracle(self, data: bi.RegimeData, points: np.ndarray) -> np.ndarray:
        """Estimate E[Y | do(a)] of a log-additive outcome by least squares, shape (M,).

        The forms of all functions are known, but for the level of each bias, and how E[Y | do(a)]
        follows from the mean of log Y.
        """
        curves = np.tanh(self.slope * (data.actions - self.middle))
        innovations = data.actions - data.actions @ self.between.T
        biases = np.exp(self.varying * np.tanh(data.actions)) * ~data.intervened
        for k in range(ACTIONS):
            biases[:, k] *= self._expected_cause(k, innovations[:, k])
        design = np.column_stack([np.ones(len(curves)), curves, ~data.intervened, biases])
        found = np.linalg.lstsq(design, np.log(data.outcome), rcond=None)[0]
        own = np.tanh(self.slope * (points - self.middle))
        mean = found[0] + own @ found[1 : 1 + ACTIONS]
        return np.asarray(np.exp(mean + self.log_mean_factor(points)))

    def _expected_cause(self, k: int, innovation: np.ndarray) -> np.ndarray:
        """E[C_k | pull C_k + V_k], by quadrature."""
        if self.law == "gaussian":
            return np.asarray(self.pull[k] / (1 + self.pull[k] ** 2) * innovation)
        shape = 0.5 + 2 * self.shape[k]
        causes = (stats.gamma(shape).ppf(PROBABILITIES) - shape) / np.sqrt(shape)
        grid = np.linspace(innovation.min(), innovation.max(), 500)
        log_density = -0.5 * (grid[:, None] - self.pull[k] * causes) ** 2
        weights = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        return np.asarray(np.interp(innovation, grid, weights @ causes / weights.sum(axis=1)))

    def joint_effect(self, points: np.ndarray) -> np.ndarray:
        """Mean outcome with every action set, shape (M,)."""
        if self.kind in DISCRETE:
            return self.centre + self.scale * self.curve(points)
        if self.kind == LOG_ADDITIVE:
            mean = self.level + self.scale * self.curve(points)
            return np.asarray(np.exp(mean + self.log_mean_factor(points)))
        return self.level + self.curve(points)

    def data(self, rows: int, seed: int) -> bi.RegimeData:
        """Observational rows, and as many with each action set."""
        rng = np.random.default_rng([seed, 11])
        regimes: list[tuple[str, ...]] = [(), *((name,) for name in self.names)]
        parts = [self.sample(regime, rows, rng) for regime in regimes]
        masks = [np.isin(self.names, regime) for regime in regimes]
        return bi.RegimeData.from_arrays(
            np.concatenate([actions for actions, _ in parts]),
            np.concatenate([outcome for _, outcome in parts]),
            np.repeat(masks, rows, axis=0),
            self.names,
        )

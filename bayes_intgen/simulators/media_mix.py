"""Spend in marketing channels and sales, confounded by the season."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator

from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import random_graph, random_weights
from bayes_intgen.simulators.confounded import Confounded, Confounding

CHANNELS = ("tv", "radio", "search", "social", "print", "outdoor", "video", "email")
EDGE_PROBABILITY = 0.3


@dataclass(frozen=True, eq=False)
class MediaMix(Confounded):
    """Weekly spend per channel, and sales, both in thousands of a currency.

    The hidden cause of a channel is the demand in its segment, a seasonal swing and chance:
    C = sqrt(2 share) sin(U) + sqrt(1 - share) Z, U uniform on (0, 2 pi), with mean zero and
    variance one. Managers spend more at high demand::

        log A_k = log budget_k + pull_k C_k + sum_j b_kj (log A_j - log budget_j) + chance
        f_k(a, c) = gain_k (1 + boost_k c) hill_k(a) + burden_k c

    with hill(a) = a^h / (half^h + a^h). In an experiment spend is lognormal about a
    multiple of the budget.

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    hidden : Confounding
        Changes with demand, of log spend, of the gain and of sales; elasticities of the spend with
        respect to other channels; and sales without any spend.
    budget : ndarray, shape (K,)
        Usual spend; between 10 and 100 in random models.
    seasonal_share : ndarray, shape (K,)
        Share of the season in the variance of demand.
    action_sd : ndarray, shape (K,)
        Residual standard deviation of log spend.
    test_level, setting_sd : ndarray, shape (K,)
        Median of spend under do, as a multiple of the budget, and the standard deviation
        of its logarithm.
    gain : ndarray, shape (K,)
        Sales at saturation.
    half_spend, steepness : ndarray, shape (K,)
        Spend at half saturation, and the exponent h.
    """

    budget: Array
    seasonal_share: Array
    action_sd: Array
    test_level: Array
    setting_sd: Array
    gain: Array
    half_spend: Array
    steepness: Array

    @classmethod
    @takes_rng
    def random(cls, count: int, seed: Seed) -> Self:
        """A random model with ``count`` channels.

        Examples
        --------
        >>> MediaMix.random(3, seed=0).names
        ('tv', 'radio', 'search')
        """
        rng = np.random.default_rng(seed)
        channels = [*CHANNELS, *(f"channel{k + 1}" for k in range(len(CHANNELS), count))][:count]
        names, graph = random_graph(count, EDGE_PROBABILITY, rng, channels)
        budget = np.exp(rng.uniform(np.log(10), np.log(100), count))
        gain = rng.uniform(20, 60, count)
        seasonal_share = rng.uniform(0.4, 0.8, count)
        pull = rng.uniform(0.3, 0.5, count)
        between = random_weights(graph, 0.1, 0.4, rng)
        action_sd = rng.uniform(0.25, 0.4, count)
        test_level = np.exp(rng.uniform(-0.2, 0.2, count))
        setting_sd = rng.uniform(0.6, 0.8, count)
        boost, demand = rng.uniform(0.05, 0.25, count), rng.uniform(0.08, 0.2, count) * gain
        half_spend = budget * rng.uniform(0.6, 1.5, count)
        steepness = rng.uniform(1, 2, count)
        base, noise_sd = float(rng.uniform(50, 150)), float(rng.uniform(6, 12))
        return cls(
            names,
            graph,
            Confounding(pull, between, boost, demand, base, noise_sd),
            budget,
            seasonal_share,
            action_sd,
            test_level,
            setting_sd,
            gain,
            half_spend,
            steepness,
        )

    def draw_causes(self, rows: int, rng: Generator) -> Array:
        shape = (rows, len(self.names))
        season = np.sin(rng.uniform(0, 2 * np.pi, size=shape))
        chance = rng.normal(size=shape)
        share = self.seasonal_share
        return np.asarray(np.sqrt(2 * share) * season + np.sqrt(1 - share) * chance)

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        chance = rng.normal(size=len(causes)) * self.action_sd[action]
        level = self.linear_predictor(action, causes, actions, np.log(self.budget[action]))
        return np.asarray(np.exp(level + chance))

    def standardised(self, action: int, values: Array) -> Array:
        # A parent without spend has a logarithm of minus infinity, as intended.
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.maximum(values, 0.0) / self.budget[action]))

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        level = self.budget[action] * self.test_level[action]
        return np.asarray(level * np.exp(rng.normal(size=rows) * self.setting_sd[action]))

    def saturation(self, action: int, values: Array) -> Array:
        """hill_k(a), from 0 to 1; negative spend counts as none."""
        power = (np.maximum(values, 0.0) / self.half_spend[action]) ** self.steepness[action]
        return np.asarray(power / (1 + power))

    def unconfounded(self, action: int, values: Array) -> Array:
        return np.asarray(self.gain[action] * self.saturation(action, values))

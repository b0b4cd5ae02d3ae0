"""Doses of several drugs and a clinical score, confounded by severity."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator
from scipy.special import expit

from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import random_graph, random_weights
from bayes_intgen.simulators.confounded import Confounded, Confounding

EDGE_PROBABILITY = 0.3


@dataclass(frozen=True, eq=False)
class DoseResponse(Confounded):
    """Daily doses in mg, and a clinical score; higher is worse.

    The hidden cause of a dose is the standard normal severity of the symptom that the drug
    treats. Sicker patients get more and do worse, so that observational data understate the
    drugs' benefits::

        A_k = highest_k expit(usual_k + pull_k C_k + sum_j b_kj (A_j / highest_j - 1/2) + chance)
        f_k(a, c) = -benefit_k (1 + boost_k c) relief_k(a) + burden_k c

    with relief(a) = expit((a - ed50) / width) - expit(-ed50 / width), which is zero at
    dose zero. In an experiment doses spread over (0, highest).

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    hidden : Confounding
        Changes with severity, in log odds of the share of the highest dose, in the drug's benefit
        and in the score, and the mean score without drugs.
    highest : ndarray, shape (K,)
        Highest dose; between 20 and 200 in random models.
    usual, action_sd : ndarray, shape (K,)
        Level and standard deviation of chance, in log odds of the share of the highest dose.
    setting_sd : ndarray, shape (K,)
        Standard deviation of the log odds under do.
    benefit : ndarray, shape (K,)
        Reduction of the score by the drug.
    ed50, width : ndarray, shape (K,)
        Dose in the middle of the response, and the width of its rise.
    """

    highest: Array
    usual: Array
    action_sd: Array
    setting_sd: Array
    benefit: Array
    ed50: Array
    width: Array

    @classmethod
    @takes_rng
    def random(cls, count: int, seed: Seed) -> Self:
        """A random model with ``count`` drugs.

        Examples
        --------
        >>> DoseResponse.random(3, seed=0).names
        ('drug1', 'drug2', 'drug3')
        """
        rng = np.random.default_rng(seed)
        drugs = [f"drug{k + 1}" for k in range(count)]
        names, graph = random_graph(count, EDGE_PROBABILITY, rng, drugs)
        highest = np.exp(rng.uniform(np.log(20), np.log(200), count))
        usual = rng.uniform(-0.5, 0.5, count)
        pull = rng.uniform(0.5, 0.9, count)
        action_sd = rng.uniform(0.4, 0.7, count)
        between = random_weights(graph, -2, 2, rng)
        setting_sd = rng.uniform(1.5, 2, count)
        benefit = rng.uniform(6, 15, count)
        boost, burden = rng.uniform(0.1, 0.3, count), rng.uniform(2, 5, count)
        ed50 = highest * rng.uniform(0.3, 0.6, count)
        width = highest * rng.uniform(0.08, 0.15, count)
        level, noise_sd = float(rng.uniform(40, 60)), float(rng.uniform(2, 4))
        hidden = Confounding(pull, between, boost, burden, level, noise_sd)
        return cls(
            names, graph, hidden, highest, usual, action_sd, setting_sd, benefit, ed50, width
        )

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        chance = rng.normal(size=len(causes)) * self.action_sd[action]
        odds = self.linear_predictor(action, causes, actions, self.usual[action])
        return np.asarray(self.highest[action] * expit(odds + chance))

    def standardised(self, action: int, values: Array) -> Array:
        return np.asarray(values / self.highest[action] - 0.5)

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        odds = rng.normal(size=rows) * self.setting_sd[action]
        return np.asarray(self.highest[action] * expit(odds))

    def relief(self, action: int, values: Array) -> Array:
        """Share of the benefit at each dose."""
        ed50, width = self.ed50[action], self.width[action]
        return np.asarray(expit((values - ed50) / width) - expit(-ed50 / width))

    def unconfounded(self, action: int, values: Array) -> Array:
        return np.asarray(-self.benefit[action] * self.relief(action, values))

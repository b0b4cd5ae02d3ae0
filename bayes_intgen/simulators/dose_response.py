"""Doses of several drugs and a clinical score, confounded by severity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator
from scipy.special import expit

from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import random_graph, random_weights
from bayes_intgen.simulators.confounded import Confounding, EffectModification

EDGE_PROBABILITY = 0.3


@dataclass(frozen=True, eq=False)
class DoseResponse(EffectModification):
    """Daily doses in mg, and a clinical score; higher is worse.

    The hidden cause of a dose is the standard normal severity of the symptom that the drug
    treats. Sicker patients get more and do worse, so that observational data understate the
    drugs' benefits:

        A_k = highest_k expit(usual_k + pull_k C_k + sum_j b_kj (A_j / highest_j - 1/2) + chance)
        f_k(a, c) = -benefit_k (1 + boost_k c) relief_k(a) + burden_k c

    with relief(a) = expit((a - ed50) / width) - expit(-ed50 / width), which is zero at
    dose zero. In an experiment doses spread over (0, highest).

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    highest : ndarray, shape (K,)
        Highest dose; between 20 and 200 in random models.
    usual, pull, action_sd : ndarray, shape (K,)
        Level, change with severity and standard deviation of chance, in log odds of the
        share of the highest dose.
    between : ndarray, shape (K, K)
        b_kj: dependence of a dose on preceding doses.
    setting_sd : ndarray, shape (K,)
        Standard deviation of the log odds under do.
    benefit, boost, burden : ndarray, shape (K,)
        Reduction of the score by the drug, its relative change with severity, and the
        increase of the score with severity.
    ed50, width : ndarray, shape (K,)
        Dose in the middle of the response, and the width of its rise.
    level : float
        Mean score without drugs.
    noise_sd : float
    """

    names: tuple[str, ...]
    graph: Mapping[str, tuple[str, ...]]
    highest: Array
    usual: Array
    pull: Array
    action_sd: Array
    between: Array
    setting_sd: Array
    benefit: Array
    boost: Array
    burden: Array
    ed50: Array
    width: Array
    level: float
    noise_sd: float

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
        return cls(
            names,
            graph,
            highest,
            usual=rng.uniform(-0.5, 0.5, count),
            pull=rng.uniform(0.5, 0.9, count),
            action_sd=rng.uniform(0.4, 0.7, count),
            between=random_weights(graph, -2, 2, rng),
            setting_sd=rng.uniform(1.5, 2, count),
            benefit=rng.uniform(6, 15, count),
            boost=rng.uniform(0.1, 0.3, count),
            burden=rng.uniform(2, 5, count),
            ed50=highest * rng.uniform(0.3, 0.6, count),
            width=highest * rng.uniform(0.08, 0.15, count),
            level=float(rng.uniform(40, 60)),
            noise_sd=float(rng.uniform(2, 4)),
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

    @property
    def hidden(self) -> Confounding:  # type: ignore[override]
        causes = self.pull, self.between, self.boost, self.burden
        return Confounding(*causes, self.level, self.noise_sd)

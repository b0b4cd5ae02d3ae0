"""Why there is no logit link: exact probabilities in small models of actions and hidden causes."""

from itertools import product

import numpy as np
from scipy.special import expit, logit


def probability(link, effects, ones, settings, actions, mask) -> float:
    """P(Y = 1 | a, R) by summation over two hidden causes with values 0 and 1."""
    total = weighted = 0.0
    for causes in product((0, 1), repeat=2):
        weight = 1.0
        for k, cause in enumerate(causes):
            weight *= ones[k] if cause else 1 - ones[k]
            if not mask[k]:
                weight *= settings[k, cause] if actions[k] else 1 - settings[k, cause]
        total += weight
        weighted += weight * link(sum(effects[k, actions[k], causes[k]] for k in (0, 1)))
    return weighted / total


def largest_error(scale: float | None, seed: int) -> float:
    """Error of do(1) + do(2) - observational, on the scale of log odds or of probabilities."""
    rng = np.random.default_rng(seed)
    ones, settings = rng.uniform(0.2, 0.8, 2), rng.uniform(0.05, 0.95, (2, 2))
    effects = rng.uniform(0, 0.5, (2, 2, 2)) if scale is None else rng.normal(0, scale, (2, 2, 2))
    link, to, back = (expit, logit, expit) if scale else (lambda x: x,) * 3
    errors = []
    for actions in product((0, 1), repeat=2):
        p = {
            mask: probability(link, effects, ones, settings, actions, mask)
            for mask in product((0, 1), repeat=2)
        }
        combined = back(to(p[1, 0]) + to(p[0, 1]) - to(p[0, 0]))
        errors.append(abs(combined - p[1, 1]))
    return max(errors)


def test_probabilities_combine_and_log_odds_do_not() -> None:
    assert max(largest_error(None, seed) for seed in range(300)) < 1e-12
    assert max(largest_error(3.0, seed) for seed in range(300)) > 0.04

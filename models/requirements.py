"""Requirements of the terms of a fit on the regimes in the data."""

from collections.abc import Sequence

import numpy as np

from bayes_intgen.identification.masks import Mask, regime_weights
from bayes_intgen.identification.requirements import Requirement, requirements
from bayes_intgen.models.terms import Decomposition, InRegime


def requirements_of_terms(
    terms: Decomposition, masks: Sequence[Mask], target: Mask
) -> list[Requirement]:
    """Requirements of a fit's terms under mask ``target``.

    Those of an additive model are :func:`requirements` for the inputs of its biases. A regression
    requires all actions jointly: in any regime if all regimes share it, and in every regime of
    nonzero weight if each regime has its own.
    """
    if all(term.role != "regression" for term in terms.terms):
        return requirements(parents_of_terms(terms), masks, target)
    every = tuple(range(len(terms.names)))
    alternatives = [tuple(range(len(masks)))]
    if any(isinstance(term.gate, InRegime) for term in terms.terms):
        combined = [target] if target in masks else list(masks)
        weights = regime_weights(combined, target)
        alternatives = [
            (masks.index(mask),)
            for mask, weight in zip(combined, weights or (), strict=False)
            if weight
        ] or [()]
    return [Requirement(k, every, regimes) for regimes in alternatives for k in every]


def parents_of_terms(terms: Decomposition) -> list[list[int]]:
    """Other actions that may move each action, whatever the rows say: only a graph excludes any."""
    count = len(terms.names)
    possible = np.ones((count, count)) if terms.parents is None else terms.parents
    return [[j for j in range(count) if j != k and possible[k, j] > 0] for k in range(count)]

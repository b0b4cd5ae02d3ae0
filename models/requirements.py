"""Requirements of the terms of a fit on the regimes in the data."""

from collections.abc import Sequence

from bayes_intgen.identification.masks import Mask, regime_weights
from bayes_intgen.identification.requirements import Requirement, requirements
from bayes_intgen.models.gates import InRegime
from bayes_intgen.models.terms import Decomposition


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
    """Other actions that are inputs of each action's contribution or bias."""
    parents: list[set[int]] = [set() for _ in terms.names]
    for term in terms.terms:
        if term.action is not None:
            actions = {i for i in term.inputs if i < len(terms.names)}
            parents[term.action] |= actions - {term.action}
    return [sorted(others) for others in parents]

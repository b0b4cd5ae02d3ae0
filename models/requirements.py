"""Requirements of the terms of a fit on the regimes in the data."""

from collections.abc import Sequence

from bayes_intgen.identification.masks import Mask, regime_weights
from bayes_intgen.identification.requirements import Requirement, requirements
from bayes_intgen.models.gates import InRegime
from bayes_intgen.models.terms import Decomposition


def requirements_of_terms(
    terms: Decomposition, masks: Sequence[Mask], target: Mask
) -> list[Requirement]:
    """As :func:`requirements`, for the terms of a fit: what its functions take says what they need.

    A regression on all actions needs all of them jointly: in any regime where it is one for
    all, in every regime with a weight where each has its own.
    """
    if any(term.role == "regression" for term in terms.terms):
        every = tuple(range(len(terms.names)))
        wanted = [tuple(range(len(masks)))]
        if any(isinstance(term.gate, InRegime) for term in terms.terms):
            used = [target] if target in masks else list(masks)
            weights = regime_weights(used, target)
            wanted = [
                (masks.index(mask),)
                for mask, weight in zip(used, weights or (), strict=False)
                if weight
            ] or [()]
        return [Requirement(k, every, regimes) for regimes in wanted for k in every]
    return requirements(parents_of_terms(terms), masks, target)


def parents_of_terms(terms: Decomposition) -> list[list[int]]:
    """Actions that the contribution of each action takes besides its own."""
    found: list[set[int]] = [set() for _ in terms.names]
    for term in terms.terms:
        if term.action is not None:
            found[term.action] |= set(term.inputs) - {term.action}
    return [sorted(others) for others in found]

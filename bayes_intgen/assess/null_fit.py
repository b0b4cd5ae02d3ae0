"""The null model of all tests of the mean: the additive model at its mode."""

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np

from bayes_intgen.assess.alternatives import Alternative, WhereBothSet
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.passes import candidate_statistics, products
from bayes_intgen.inference.pilot.forward_selection import select_terms
from bayes_intgen.inference.pilot.lack_of_fit import FitTest
from bayes_intgen.inference.pilot.pilot import Pilot, pilot_fit
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.mechanisms.mechanism import Component
from bayes_intgen.models.terms import Term


def null_fit(
    data: Observations, model: AdditiveModel, testable: Sequence[Alternative], progress: bool
) -> Pilot:
    """Fit the additive model at its mode: the null model of all tests.

    As in any fit, forward selection may add finer functions of an action, interactions, and
    products of three actions in a bias. Such products can absorb an interaction that the model does
    not allow, so these are candidates too, and only terms that are selected beside them are added.
    Interactions of pairs that some rows set together are always present: the test of interactions
    with hidden causes must not take them for such.
    """
    candidates = model.candidates(data)
    set_together = {
        pair for mask in data.regimes for pair in combinations(np.flatnonzero(mask).tolist(), 2)
    }
    interactions = [
        t
        for t in candidates
        # Finer functions of a pair, which have a label, need evidence.
        if t.role == "interaction" and not t.component.label and t.inputs in set_together
    ]
    terms = model.decompose(data).and_terms(interactions)
    pilot = pilot_fit(data, model, terms, (), progress)
    passed = {
        term.name for term in model.fit_tests(data) if FitTest.passed(term) in pilot.fit_tests
    }
    finer = [t for t in candidates if t.name not in passed and t not in interactions]
    if not finer:
        return pilot
    rivals = [_as_term(each) for each in testable if each.kind == "interaction"]
    compared = (*finer, *rivals)
    statistics = candidate_statistics(data, terms, compared, pilot.spread, progress)
    of_pairs = partial(products, data, terms, compared, pilot.spread, progress)
    selected = select_terms(pilot.posterior, pilot.sites, statistics, compared, of_pairs)
    labels = {rival.name for rival in rivals}
    additions = [term for term in selected if term.name not in labels]
    if not additions:
        return pilot
    return pilot_fit(data, model, terms.and_terms(additions), (), progress)


def _as_term(alternative: Alternative) -> Term:
    """Convert an alternative of one piece to a candidate term."""
    ((basis, inputs),) = alternative.pieces
    assert not isinstance(alternative.gate, WhereBothSet)
    component = Component("", basis, alternative.scale, inputs=(0, 1))
    return Term(alternative.label, "bias", None, inputs, component, None, alternative.gate)

"""Tests of pairs of actions: which are made, and evidence that an interaction is rough."""

from collections.abc import Sequence

import numpy as np

from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.pilot.forward_selection import RemainingCandidates
from bayes_intgen.inference.pilot.lack_of_fit import FitTest
from bayes_intgen.inference.pilot.selection import Selection
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Term


def with_pairs(
    suspicious: Sequence[Term], tests: Sequence[Term], terms: Sequence[Term]
) -> tuple[Term, ...]:
    """Add the tests of all pairs whose interaction is among the terms.

    The biases of both actions may hide from the screening what an interaction lacks.
    """
    pairs = {frozenset(term.inputs) for term in terms if term.role == "interaction"}
    names = {term.name for term in suspicious}
    among = [t for t in tests if t.role == "interaction" and frozenset(t.inputs) in pairs]
    names |= {term.name for term in among}
    return tuple(term for term in tests if term.name in names)


def with_roughness(
    tests: Sequence[FitTest], selection: Selection, model: Model
) -> tuple[FitTest, ...]:
    """Combine tests of interactions with the evidence that these are rough, by Bonferroni.

    Finer functions that a fit adds follow jumps, but only to within the distance of their knots,
    where score tests have little power. If products of smooth functions are the truth, the Bayes
    factor against them exceeds 1 / p with probability p at most (Markov's inequality).
    """
    eligible = selection.candidates[: selection.eligible]
    own = [i for i, term in enumerate(eligible) if term.role == "interaction"]
    interactions = [term for term in selection.additions if term.role == "interaction"]
    rough = {term.inputs for term in interactions if term.component.label}
    if not rough:
        return tuple(tests)
    evidence = RemainingCandidates(
        MarginalPosterior.of(model, selection.base, selection.statistics.sums),
        selection.sites,
        selection.statistics.of_candidates(own),
        [eligible[i] for i in own],
    ).evidence()
    found: dict[tuple[tuple[int | None, ...], bool], float] = {
        (eligible[i].inputs, bool(eligible[i].component.label)): each.log_bayes_factor
        for i, each in zip(own, evidence.values(), strict=True)
    }

    def combined(test: FitTest) -> FitTest:
        pair = (test.action, test.given)
        if test.role != "interaction" or pair not in rough:
            return test
        excess = found[pair, True] - found.get((pair, False), 0.0)
        return test._replace(p=min(1.0, 2 * min(test.p, float(np.exp(-excess)))))

    return tuple(map(combined, tests))

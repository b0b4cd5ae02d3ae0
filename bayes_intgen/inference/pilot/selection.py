"""Selection of terms, and of score tests, by sums over all rows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import TermSums
from bayes_intgen.inference.pilot.forward_selection import RemainingCandidates, select_terms
from bayes_intgen.inference.pilot.lack_of_fit import with_pairs
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition, Term

# Positions of the inputs of an interaction.
Pair = tuple[int | None, ...]


class Selection(NamedTuple):
    """Terms of the final model, and score tests of it.

    Attributes
    ----------
    terms : Decomposition
    suspicious, harmless : tuple of Term
        Tests that the screening retains or that concern an added interaction, and the others.
    rough : dict from pair to float
        P value of smoothness of added interactions with finer functions.
    """

    terms: Decomposition
    suspicious: tuple[Term, ...]
    harmless: tuple[Term, ...]
    rough: dict[Pair, float]


class Comparison(NamedTuple):
    """Terms whose sums over all rows are compared.

    Attributes
    ----------
    base : Decomposition
        Terms of the first fit.
    sites : dict
        Its hyperparameters.
    errors : tuple of Term
        Errors of control variables, which every fit gets.
    candidates : tuple of Term
        Candidates of forward selection.
    tests : tuple of Term
        Alternatives of score tests.
    suspicious : tuple of Term
        Tests that the screening retains, or that concern an interaction of the first fit.
    terms : Decomposition
        Terms of the first fit, and the others that may be added or tested.
    """

    base: Decomposition
    sites: dict[str, Array]
    errors: tuple[Term, ...]
    candidates: tuple[Term, ...]
    tests: tuple[Term, ...]
    suspicious: tuple[Term, ...]
    terms: Decomposition

    def select(self, sums: TermSums, model: Model, informed: bool) -> Selection:
        """Add the candidates with enough evidence to the terms of the first fit."""
        posterior = MarginalPosterior.of(model, self.base, sums.of(self.base))
        tests = [term for term in self.tests if term.name in sums.terms.columns]
        more = self.suspicious
        while True:
            suspicious, names = more, {term.name for term in more}
            harmless = tuple(term for term in self.tests if term.name not in names)
            excluded = {term.name for term in harmless}
            compared = [term for term in self.candidates if term.name not in excluded]
            additions = select_terms(posterior, self.sites, sums, compared, informed)
            # Products of smooth functions may be what an interaction with jumps looks like.
            more = with_pairs(suspicious, tests, additions)
            if len(more) == len(suspicious):
                break
        terms = self.base.and_terms((*additions, *self.errors))
        compared = [term for term in compared if term.name in sums.terms.columns]
        rough = self._roughness(posterior, sums, compared, additions)
        return Selection(terms, suspicious, harmless, rough)

    def _roughness(
        self,
        posterior: MarginalPosterior,
        sums: TermSums,
        compared: Sequence[Term],
        additions: Sequence[Term],
    ) -> dict[Pair, float]:
        """P values of smoothness of the pairs to which finer functions have been added.

        These follow jumps, but only to within the distance of their knots, where score tests have
        little power. If products of smooth functions are the truth, the Bayes factor against them
        exceeds 1 / p with probability p at most (Markov's inequality).
        """
        added = {t.inputs for t in additions if t.role == "interaction" and t.component.label}
        of_pairs = [t for t in compared if t.role == "interaction" and t.inputs in added]
        statistics = sums.of_candidates(self.base, of_pairs)
        evidence = RemainingCandidates(posterior, self.sites, statistics, of_pairs).evidence()
        excess = dict.fromkeys(added, 0.0)
        for i, term in enumerate(of_pairs):
            sign = 1 if term.component.label else -1
            excess[term.inputs] += sign * evidence[i].log_bayes_factor
        return {pair: float(np.exp(-excess[pair])) for pair in added}

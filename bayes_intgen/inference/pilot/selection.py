"""Result of the selection of terms in a pilot fit."""

from typing import NamedTuple

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.models.terms import Decomposition, Term


class Selection(NamedTuple):
    """Terms of the final model, and score tests sorted by the screening of residuals.

    Attributes
    ----------
    terms : Decomposition
        Terms of the final model.
    base : Decomposition
        Terms of the first fit.
    sites : dict
        Its hyperparameters.
    additions : tuple of Term
        Those that forward selection added.
    statistics : CandidateStatistics
        Statistics of the sample, for the terms of the first fit and ``candidates``.
    candidates : tuple of Term
        Candidates of forward selection, and then suspicious tests.
    eligible : int
        Number of the former.
    suspicious, harmless : tuple of Term
        Tests that the screening retains or that concern an added interaction, and the others.
    """

    terms: Decomposition
    base: Decomposition
    sites: dict[str, Array]
    additions: tuple[Term, ...]
    statistics: CandidateStatistics
    candidates: tuple[Term, ...]
    eligible: int
    suspicious: tuple[Term, ...]
    harmless: tuple[Term, ...]

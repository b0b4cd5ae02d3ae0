"""Repetition of forward selection with the statistics of more rows."""

from collections.abc import Sequence
from functools import partial

from bayes_intgen._typing import Array
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import (
    candidate_statistics,
    products,
    sufficient_statistics,
)
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.inference.pilot.forward_selection import select_terms
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot
from bayes_intgen.inference.pilot.selection import Selection
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Term
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction


def reselected_terms(
    selection: Selection,
    data: Observations,
    added: Observations,
    model: Model,
    spread: VarianceFunction | Homoscedastic,
) -> tuple[Term, ...] | None:
    """Terms that forward selection adds with the statistics of added rows.

    Functions of these terms stay the same, unless some are finer functions of an action: their
    knots are quantiles of all rows, and their directions are those that the rows inform. Finer
    functions of other actions than before need a new pilot fit, whose tests for lack of fit compare
    the fit with still finer ones. Where terms are compared on a sample of the rows, they all stay:
    those of another sample differ from them by chance.

    Parameters
    ----------
    selection : Selection
        Of the other rows.
    data, added : Observations
        All rows, and those that were added.
    model : Model
    spread : VarianceFunction or Homoscedastic

    Returns
    -------
    tuple of Term, or None
        Terms that are among ``selection.additions`` have the same order. None if the rows need a
        new pilot fit.
    """
    base, candidates = selection.base, selection.candidates[: selection.eligible]
    if not candidates or len(data) > PILOT_ROWS:
        return selection.additions
    rows = data.evaluated()
    is_finer = any(map(_has_informed_directions, selection.additions))
    if is_finer:
        # With those that the screening of the earlier rows ruled out: as functions of one action
        # change fast, those of another may.
        names = {term.name for term in selection.candidates}
        candidates = tuple(
            term
            for term in model.candidates(rows, len(data))
            if len(term.inputs) != 2 or term.name in names
        )
        statistics = candidate_statistics(rows, base, candidates, spread, False)
    else:
        statistics = _with_added_rows(selection, added, candidates, spread)

    def selected_at(sites: dict[str, Array]) -> dict[str, Term]:
        posterior = MarginalPosterior.of(model, base, statistics.sums)
        cross = partial(products, rows, base, candidates, spread, False)
        additions = select_terms(posterior, sites, statistics, candidates, cross)
        return {term.name: term for term in additions}

    earlier = {term.name: term for term in selection.additions}
    selected = selected_at(selection.sites)
    if selected.keys() != earlier.keys():
        # Evidence may be close to its threshold: the added rows also change the first fit.
        constant = Homoscedastic(spread.intraclass_correlation)
        selected = selected_at(_sites_of_first_fit(selection, added, model, constant))
    every, changed = {**selected, **earlier}, selected.keys() ^ earlier.keys()
    if any(_has_informed_directions(every[name]) for name in changed):
        return None
    if not is_finer and not changed:
        return selection.additions
    return tuple(selected[name] for name in {**earlier, **selected} if name in selected)


def _sites_of_first_fit(
    selection: Selection, added: Observations, model: Model, constant: Homoscedastic
) -> dict[str, Array]:
    """Hyperparameters of the first fit with added rows."""
    more = sufficient_statistics(added, selection.base, constant, False)
    sums = selection.sums._replace(known=None).merge(more._replace(known=None))
    sums = sums._replace(known=selection.sums.known)
    posterior = MarginalPosterior.of(model, selection.base, sums)
    start = posterior.point(selection.sites, selection.base)
    return Pilot.of(posterior, sums, constant, False, start).sites


def _has_informed_directions(term: Term) -> bool:
    """Whether a term has finer functions, in directions that the rows inform."""
    finer = term.component.label.startswith("finer")
    return finer and isinstance(term.component.basis, KarhunenLoeveBasis)


def _with_added_rows(
    selection: Selection,
    added: Observations,
    candidates: Sequence[Term],
    spread: VarianceFunction | Homoscedastic,
) -> CandidateStatistics:
    earlier = selection.statistics.of_candidates(range(len(candidates)))
    more = candidate_statistics(added, selection.base, candidates, spread, False)
    merged = earlier.merge(more)
    return merged._replace(sums=merged.sums._replace(known=earlier.sums.known))

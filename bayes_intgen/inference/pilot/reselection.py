"""Repetition of forward selection with the statistics of more rows."""

from collections.abc import Sequence
from functools import partial

from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import candidate_statistics, products
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.inference.pilot.forward_selection import select_terms
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS
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
    knots are quantiles of all rows, and their directions are those that the rows inform. Without
    such functions selection is not repeated where it compared terms on a sample of the rows.

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
    tuple of Term, in the order of ``selection.additions``; or None
        None if they are other terms than in ``selection``.
    """
    base, candidates = selection.base, selection.candidates[: selection.eligible]
    is_finer = any(map(_has_informed_directions, selection.additions))
    if not candidates or (len(data) > PILOT_ROWS and not is_finer):
        return selection.additions
    rows = data.split(PILOT_ROWS)[0].evaluated()
    if is_finer:
        # With those that the screening of the earlier rows ruled out: as functions of one action
        # change fast, those of another may.
        candidates = model.candidates(rows, len(data))
        statistics = candidate_statistics(rows, base, candidates, spread, False)
    else:
        statistics = _with_added_rows(selection, added, candidates, spread)
    additions = select_terms(
        MarginalPosterior.of(model, base, statistics.sums),
        selection.sites,
        statistics,
        candidates,
        partial(products, rows, base, candidates, spread, False),
    )
    selected = {term.name: term for term in additions}
    if selected.keys() != {term.name for term in selection.additions}:
        return None
    if not is_finer:
        return selection.additions
    return tuple(selected[term.name] for term in selection.additions)


def _has_informed_directions(term: Term) -> bool:
    """Whether a term has finer functions of an action, in directions that the rows inform."""
    return len(term.inputs) == 1 and isinstance(term.component.basis, KarhunenLoeveBasis)


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

"""Repetition of forward selection with the statistics of more rows."""

from functools import partial

from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import candidate_statistics, products
from bayes_intgen.inference.pilot.forward_selection import select_terms
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS
from bayes_intgen.inference.pilot.selection import Selection
from bayes_intgen.models import Model
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction


def selects_the_same(
    selection: Selection,
    data: Observations,
    added: Observations,
    model: Model,
    spread: VarianceFunction | Homoscedastic,
) -> bool:
    """Whether forward selection adds the same terms with the statistics of added rows.

    It is not repeated where it compared terms on a sample of the rows.

    Parameters
    ----------
    selection : Selection
        Of the other rows.
    data, added : Observations
        All rows, and those that were added.
    model : Model
    spread : VarianceFunction or Homoscedastic
    """
    count, base = selection.eligible, selection.base
    candidates = selection.candidates[:count]
    if not candidates or len(data) > PILOT_ROWS:
        return True
    earlier = selection.statistics.of_candidates(range(count))
    statistics = earlier.merge(candidate_statistics(added, base, candidates, spread, False))
    known = earlier.sums.known
    statistics = statistics._replace(sums=statistics.sums._replace(known=known))
    additions = select_terms(
        MarginalPosterior.of(model, base, statistics.sums),
        selection.sites,
        statistics,
        candidates,
        partial(products, data.evaluated(), base, candidates, spread, False),
    )
    return {term.name for term in additions} == {term.name for term in selection.additions}

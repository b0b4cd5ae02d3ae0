"""Rows of a planned experiment: values that are set, and responses of the other actions.

An experiment that has been run is planned to be like its rows. In any other, the actions that are
not set have the values of observational rows, except for descendants of those that are set. The
hidden causes are independent, so that an action depends on its parents alone, in the same way in
every regime in which it is not set: a descendant takes the value of a row whose parents have
similar values (hot-deck imputation by nearest neighbours).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_mask, checked_value
from bayes_intgen.decide.belief import Belief, Update
from bayes_intgen.errors import ModelError, SamplingWarning, warn
from bayes_intgen.identification.graph import LIKELY_EDGE, ancestors_of
from bayes_intgen.posterior.draws import PosteriorDraws, fitted_prediction, support_of
from bayes_intgen.posterior.population import warn_of_range
from bayes_intgen.text.messages import quoted, refuse_unknown_actions

# Number of rows that represent those of an experiment.
N_ROWS = 400
# Number of nearest rows, one of which is drawn: at most this share of all, within these limits.
NEAREST_SHARE, MIN_NEAREST, MAX_NEAREST = 0.05, 5, 30


@dataclass(frozen=True, eq=False)
class PlannedRows:
    """Representative rows of a planned experiment.

    Attributes
    ----------
    actions : ndarray, shape (n, K)
    mask : ndarray, shape (K,)
    others : str
        Origin of the values of the actions that are not set.
    """

    actions: Array
    mask: NDArray[np.bool_]
    others: str


def planned_rows(
    posterior: PosteriorDraws,
    names: Sequence[str],
    at: Mapping[str, Sequence[Any]],
    rng: np.random.Generator,
) -> PlannedRows:
    """Draw rows of an experiment that sets some actions.

    Parameters
    ----------
    posterior : PosteriorDraws
    names : sequence of str
        Actions that are set; none for more history.
    at : mapping from action to values
        Values to which actions are set in turn.
    rng : Generator

    Raises
    ------
    ModelError
        On unknown actions.
    PointsError
        On unknown levels, and values that are not finite.

    Warns
    -----
    SupportWarning
        If values lie outside the observed range of their action.
    """
    refuse_unknown_actions(names, posterior.actions, ModelError)
    reference = support_of(posterior).reference
    mask = checked_mask(names, posterior.actions)
    values = {
        posterior.actions.index(name): _values(posterior, name, own) for name, own in at.items()
    }
    regimes = dict(zip(reference.masks, reference.rows, strict=True))
    history = (False,) * len(mask)
    base, origin = np.concatenate(reference.rows), "all rows, since none are observational"
    if tuple(mask.tolist()) in regimes:
        base, origin = regimes[tuple(mask.tolist())], "the rows of the regime"
        if not values:
            return PlannedRows(base, mask, f"as in {origin}")
    elif history in regimes:
        base, origin = regimes[history], "the observational rows"
    rows = base[rng.permutation(len(base))[:N_ROWS]]
    for k in np.flatnonzero(mask).tolist():
        if k in values:
            rows[:, k] = np.resize(values[k], len(rows))
        else:
            rows[:, k] = rng.choice(reference.values_set(k, or_all=True), len(rows))
    moved = _respond(posterior, rows, mask, rng)
    return PlannedRows(rows, mask, _others(posterior, mask, moved, origin))


def _values(posterior: PosteriorDraws, name: str, values: Sequence[Any]) -> Array:
    """Values to which an action is set, levels by their codes."""
    k = posterior.actions.index(name)
    codes = np.array([checked_value(value, name, posterior.categories[k]) for value in values])
    if posterior.categories[k] is None:
        at = posterior.terms.coordinates[k]
        warn_of_range("setting", [name], codes[:, None], np.array([at.low]), np.array([at.high]))
    return codes


def _respond(
    posterior: PosteriorDraws, rows: Array, mask: NDArray[np.bool_], rng: np.random.Generator
) -> list[int]:
    """Draw the descendants of actions that are set given their parents, in place, and list them.

    Ancestors come first.
    """
    if posterior.terms.parents is None:
        return []
    edges, reference = posterior.terms.parents > LIKELY_EDGE, support_of(posterior).reference
    # Edges into an action that is set are cut.
    ancestors = ancestors_of(edges & ~mask[:, None])
    # An action that no regime leaves free has no response to learn from.
    free = ~np.all(reference.masks, axis=0)
    moved = np.flatnonzero(ancestors[:, mask].any(axis=1) & ~mask & free).tolist()
    moved.sort(key=lambda k: int(ancestors[k].sum()))
    for k in moved:
        parents = np.flatnonzero(edges[k])
        regimes = zip(reference.masks, reference.rows, strict=True)
        donors = np.concatenate([own for mask, own in regimes if not mask[k]])
        places, wanted = (reference.placed(own)[:, parents] for own in (donors, rows))
        count = int(np.clip(NEAREST_SHARE * len(donors), MIN_NEAREST, MAX_NEAREST))
        _, nearest = scipy.spatial.KDTree(places).query(
            wanted, np.arange(1, min(count, len(donors)) + 1)
        )
        drawn = rng.integers(0, nearest.shape[1], len(rows))
        rows[:, k] = donors[nearest[np.arange(len(rows)), drawn], k]
    return moved


def _others(
    posterior: PosteriorDraws, mask: NDArray[np.bool_], moved: list[int], origin: str
) -> str:
    """Words for the values of the actions that are not set."""
    names = posterior.actions
    parts = []
    if moved:
        parts.append(f"{quoted([names[k] for k in moved])} by response to the actions set")
    rest = [names[k] for k in np.flatnonzero(~mask) if k not in moved]
    if rest:
        parts.append(f"{quoted(rest)} as in {origin}")
    return "; ".join(parts) or "none"


def belief_of(posterior: PosteriorDraws) -> Belief:
    """Belief in the coefficients of a fit."""
    coefficients = fitted_prediction(posterior).coefficients
    return Belief.of_draws(coefficients.reshape(-1, coefficients.shape[-1]))


def warn_of_few_draws(updates: Iterable[Update]) -> None:
    """Issue a SamplingWarning if rows inform more than half as many directions as there are draws.

    The widths after such an update are too small by more than 2% on average.
    """
    informed, n_draws = max((own.informed, own.n_draws) for own in updates)
    if informed > n_draws / 2:
        warn(
            f"the planned rows inform {informed:.0f} directions of the coefficients, for which "
            f"{n_draws} draws give too narrow intervals: fit with {2 * round(informed)} draws or "
            "more in all",
            SamplingWarning,
        )


def information_of_rows(
    posterior: PosteriorDraws, belief: Belief, planned: PlannedRows, rng: np.random.Generator
) -> Array:
    """Information of a row of an experiment on average, shape (r, r).

    Rows are of units of the population of the fit, whatever population is asked about, and as
    dependent as those of the fit.
    """
    terms, masks = posterior.terms, np.broadcast_to(planned.mask, planned.actions.shape)
    prediction, inputs = fitted_prediction(posterior), planned.actions
    relative = posterior.spread(inputs, masks)
    if (units := prediction.units) is not None:
        which = rng.choice(len(units.shares), len(inputs), p=units.shares)
        inputs = np.hstack([inputs, units.values[which]])
        relative = relative * posterior.spread.factor(inputs)
    effects = terms.random_effects
    if effects is not None:
        # Each row is of a unit that is not in the data: its level and its slopes are noise.
        relative = relative + effects.variance(planned.actions)
    variance = (
        float(np.square(prediction.sd).mean()) * relative * posterior.autocorrelation.inflation
    )
    design = prediction.terms.matrix(inputs, masks)
    return belief.information(design, 1 / (variance * len(planned.actions)))

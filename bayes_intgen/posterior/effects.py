"""Table of effects and contrasts, with intervals of the mean and of single outcomes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_intgen._arguments import probability
from bayes_intgen._labelled import labelled_dataset
from bayes_intgen.basis.categories import decoded_table
from bayes_intgen.data.queries import checked_points, point_labels
from bayes_intgen.errors import PointsError
from bayes_intgen.models.laws import Link
from bayes_intgen.posterior.carryover import restated
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    central,
    prediction_of,
    support_of,
    tails_of,
)
from bayes_intgen.text.messages import in_words


def effect_table(
    posterior: PosteriorDraws,
    points: Any,
    intervened: Sequence[str] | None = None,
    *,
    baseline: Any = None,
    level: float = 0.9,
    periods: int | None = None,
) -> xr.Dataset:
    """Effects at points with central bands, and changes from a baseline.

    Parameters
    ----------
    posterior : PosteriorDraws
    points : array_like, shape (M, K), or data frame with a column per action
    intervened : sequence of str, optional
        The actions that are set; all by default.
    baseline : as ``points``, optional
        One point for all, or one per point, from which changes are computed.
    level : float
        Probability of the bands.
    periods : int, optional
        As in ``posterior.joint_effect``.

    Returns
    -------
    Dataset, dims (point)
        ``mean``, ``low``, ``high``: of the mean outcome. ``outcome_low``, ``outcome_high``:
        quantiles of a single outcome, over noise and posterior. Of a binary outcome instead
        ``probability`` that a single outcome is 1, and ``outside_0_1``, the share of draws of the
        mean below 0 or above 1. ``supported``: whether rows
        near the point identify the effect, as in ``posterior.support``. With a baseline also
        ``change``, ``change_low``, ``change_high``, and ``above_zero``, the probability that
        the change is positive, and ``change_supported``, whether rows support both ends.
        In the outcome's units. ``value`` and ``baseline``, dims (point, action), repeat the
        arguments, levels by their names. The attribute ``population`` says over whom the effects
        are averaged, if there are covariates or groups, and on which of the values given the
        changes do not depend; ``unmoderated`` has the pairs.

    Raises
    ------
    PointsError
        As ``posterior.effect``, where ``level`` is not a probability, and where the number of
        baselines is neither one nor that of the points.

    Warns
    -----
    SupportWarning
        As ``posterior.effect``.

    Examples
    --------
    >>> table = effect_table(posterior, [[0.5, 0.5]], baseline=[[0.0, 0.0]])
    >>> bool(table.low < table["mean"]) and bool(table.change_low > 0)
    True
    """
    level = probability(level, "level", PointsError)
    actions, categories = posterior.actions, posterior.categories
    values = checked_points(points, actions, categories)
    start = None if baseline is None else checked_points(baseline, actions, categories)
    if start is not None and len(start) not in (1, len(values)):
        raise PointsError(
            f"there are {len(start)} baselines for {len(values)} points; give one, or one for each"
        )
    # One query for points and baselines, so that there is one warning.
    together = values if start is None else np.concatenate([values, start])
    query = support_of(posterior).query_at(together, intervened, periods=periods)
    held, before = np.split(query.values, [len(values)])
    support_of(posterior).warn_of_level(query.intervened, posterior.averages)
    prediction = prediction_of(posterior, periods=periods)
    mask = query.mask[: len(values)]
    draws = prediction.mean(held, mask).reshape(-1, len(values))
    supported = query.verdict.supported
    columns = {
        **central(draws, level),
        **prediction.outcome_summary(held, mask, tails_of(level)),
        **{name: out.mean(axis=0) for name, out in prediction.law.out_of_range(draws).items()},
        "supported": supported[: len(values)],
    }
    dims = ("point", "action")
    arguments = {"value": (dims, decoded_table(values, categories))}
    attrs = posterior.averages.attrs
    if start is not None:
        changed = np.flatnonzero((values != start).any(axis=0)).tolist()
        attrs = change_attrs(posterior, changed, query.intervened)
        changes = prediction.change(before, held, mask).reshape(-1, len(values))
        columns |= central(changes, level, "change") | {"above_zero": (changes > 0).mean(axis=0)}
        columns["change_supported"] = supported[: len(values)] & supported[len(values) :]
        starts = np.broadcast_to(start, values.shape)
        arguments["baseline"] = (dims, decoded_table(starts, categories))
    return labelled_dataset(
        {**{name: ("point", column) for name, column in columns.items()}, **arguments},
        coords={"point": point_labels(points, len(values)), "action": list(actions)},
        attrs={
            "outcome": posterior.outcome_name,
            "intervened": list(query.intervened),
            "level": level,
            "outcome_kind": prediction.law.kind,
            **restated(attrs, posterior.terms, periods),
        },
    )


def change_attrs(
    posterior: PosteriorDraws,
    changed: Sequence[int],
    intervened: Sequence[str],
    link: Link | None = "identity",
) -> dict[str, str]:
    """Attributes of changes of some actions, which say on which values given none depends.

    Parameters
    ----------
    posterior : PosteriorDraws
    changed : sequence of int
        Positions of the actions that change.
    intervened : sequence of str
    link : Link
        Link under which these changes are sums of terms: ``log`` for ratios. Under the other one
        they depend on every covariate and group.

    Returns
    -------
    dict
        ``population``, with a sentence on the covariates and groups that make no difference, and
        ``unmoderated``, the pairs of these actions and covariates, as ``tv:age,tv:sex``.
    """
    terms, averages = posterior.terms, posterior.averages
    if posterior.model.link != link or not averages.given:
        return averages.attrs
    mask = np.isin(terms.names, list(intervened))
    moderators = {terms.names[k]: terms.moderators_of(k, mask) for k in changed}
    constant = {
        name: tuple(action for action, own in moderators.items() if name not in own)
        for name in averages.given
    }
    words = [averages.description]
    for actions in dict.fromkeys(filter(None, constant.values())):
        names = [name for name, own in constant.items() if own == actions]
        verb = "effects of {} do" if len(actions) > 1 else "effect of {} does"
        words.append(
            f"the {verb.format(in_words(actions))} not depend on {in_words(names)} in this model"
        )
    pairs = [
        f"{action}:{name}"
        for name, actions in constant.items()
        for action in actions
        if name in terms.covariates.names
    ]
    return {"population": "; ".join(words)} | ({"unmoderated": ",".join(pairs)} if pairs else {})

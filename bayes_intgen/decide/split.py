"""Best split of planned rows over regimes, and the number of rows that a width requires.

`split` splits the next rows of a fit, `design` those of a first study, from the prior alone.
"""

from collections.abc import Mapping, Sequence
from itertools import compress
from statistics import NormalDist
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._arguments import (
    items,
    mapping,
    positive_number,
    probability,
    real_number,
    row_count,
)
from bayes_intgen._random import Seed, generator, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_points
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.tables import KINDS, as_table
from bayes_intgen.decide.belief import Allocation, Belief, Targets
from bayes_intgen.decide.decision import Decision, numbers_or_levels
from bayes_intgen.decide.experiments import Choice, default_regimes, named_actions
from bayes_intgen.decide.planned_rows import (
    belief_of,
    information_of_rows,
    planned_rows,
    warn_of_few_draws,
)
from bayes_intgen.errors import ModelError, PointsError
from bayes_intgen.identification.regimes import mask_label, regime_label
from bayes_intgen.models import Model, additive
from bayes_intgen.models.specification import checked_model
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import refuse_unknown_actions, unknown_name

# Numbers of rows at which the width is given, relative to those that are split.
MULTIPLES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# Number of rows that represent those of a regime, and of joint points that are the default target.
N_ROWS, N_POINTS = 300, 50


def split(posterior: PosteriorDraws, rows: int, target: Any, **planned: Any) -> xr.Dataset:
    """Split rows over regimes; see :meth:`bayes_intgen.Posterior.split`."""
    rows = row_count(rows)
    allocation, others, attrs = planned_split(posterior, target, **planned)
    table = split_table(allocation, [*others], rows)
    warn_of_few_draws([allocation.update(allocation.best_rows(rows))])
    return table.assign(others=("regime", [*others.values()])).assign_attrs(attrs)


def rows_for(posterior: PosteriorDraws, width: float, target: Any, **planned: Any) -> int:
    """Count the rows that a width requires; see :meth:`bayes_intgen.Posterior.rows_for`."""
    allocation = planned_split(posterior, target, **planned)[0]
    rows = allocation.rows_for(positive_number(width, "width"))
    if rows:
        warn_of_few_draws([allocation.update(allocation.best_rows(rows))])
    return rows


def planned_split(
    posterior: PosteriorDraws,
    target: Any,
    *,
    costs: Mapping[str, float] | None,
    regimes: Sequence[Any] | None,
    level: float,
    beyond_support: bool,
    seed: Seed,
) -> tuple[Allocation, dict[str, str], dict[str, Any]]:
    """Plan rows of each regime, and find the present widths of the targets.

    Returns
    -------
    allocation : Allocation
    others : dict from label of a regime to str
        Origins of the values of actions that it does not set.
    attrs : dict
    """
    level, names = probability(level, "level"), posterior.actions
    if regimes is None:
        in_data = [tuple(compress(names, mask)) for mask in support_of(posterior).regimes]
        regimes = [*in_data, *default_regimes(names)]
    chosen = checked_regimes(names, regimes)
    labels = [regime_label(own) for own in chosen]
    per_row = checked_costs(costs, labels)
    rng = generator(seed, "experiments")
    planned = [planned_rows(posterior, own, {}, rng) for own in chosen]
    draws, attrs = targets_of(posterior, target, beyond_support)
    belief = belief_of(posterior)
    of_rows = [information_of_rows(posterior, belief, plan, rng) for plan in planned]
    targets = Targets.of_draws(belief, draws, level)
    allocation = Allocation(belief, targets, np.stack(of_rows), per_row)
    others = {label: plan.others for label, plan in zip(labels, planned, strict=True)}
    return allocation, others, {"outcome": posterior.outcome_name, "level": level, **attrs}


def split_table(allocation: Allocation, labels: Sequence[str], rows: int) -> xr.Dataset:
    """Best and equal splits of rows, and widths as a function of their number."""
    best = allocation.best_rows(rows)
    equal = rows / allocation.costs.sum() * np.ones(len(labels))
    totals = np.unique([max(1, round(multiple * rows)) for multiple in MULTIPLES])
    widths = [allocation.mean_width(allocation.best_rows(float(total))) for total in totals]
    return xr.Dataset(
        {
            "share": ("regime", best / best.sum()),
            "rows": ("regime", whole_rows(best)),
            "cost": ("regime", allocation.costs),
            "width": allocation.mean_width(best),
            "width_before": allocation.mean_width(0 * best),
            "width_of_equal_split": allocation.mean_width(equal),
            "width_of_total": ("total", widths),
        },
        {"regime": list(labels), "total": totals},
    )


def whole_rows(rows: Array) -> Array:
    """Round numbers of rows so that their sum is that of the rounded total.

    Examples
    --------
    >>> whole_rows(np.array([1.5, 1.5, 1.0]))
    array([2, 1, 1])
    """
    out = np.floor(rows + 1e-9).astype(int)
    left = round(float(rows.sum())) - out.sum()
    out[np.argsort(out - rows, kind="stable")[:left]] += 1
    return np.asarray(out)


def targets_of(
    posterior: PosteriorDraws, target: Any, beyond_support: bool
) -> tuple[Array, dict[str, Any]]:
    """Draws of targets, shape (S, J), and attributes that describe them.

    Of a decision, the gains over the baseline of the plans that may be best.
    """
    if isinstance(target, Decision):
        choice = Choice.of(posterior, target, beyond_support)
        return choice.gains, {"target": "gains over the baseline", **choice.attributes}
    query = None if target is None else support_of(posterior).query(target)
    if query is None or not len(query.values):
        raise PointsError("target is missing; give points of all actions, or a Decision")
    mean = prediction_of(posterior).mean(query.values, query.mask)
    return mean.reshape(-1, mean.shape[-1]), {"target": "joint effects", **posterior.averages.attrs}


def checked_regimes(names: Sequence[str], regimes: Any) -> list[tuple[str, ...]]:
    """Actions that each regime sets, in their own order; raises ModelError on unknown ones.

    Examples
    --------
    >>> checked_regimes(["tv", "radio"], [None, "radio", ("radio", "tv")])
    [(), ('radio',), ('tv', 'radio')]
    """
    listed = [named_actions(own) for own in items(regimes, "regimes", "regimes")]
    if not listed:
        raise ModelError("regimes are empty; leave them out for the default ones")
    refuse_unknown_actions((name for own in listed for name in own), names, ModelError, "regimes: ")
    return list(dict.fromkeys(tuple(n for n in names if n in own) for own in listed))


def checked_costs(costs: Any, labels: Sequence[str]) -> Array:
    """Cost of a row of each regime, 1 by default."""
    out = np.ones(len(labels))
    for label, cost in mapping(costs, "costs", "labels of regimes to costs of a row").items():
        if label not in labels:
            raise ModelError(unknown_name("costs: unknown regime", label, labels, "regimes are"))
        out[labels.index(label)] = positive_number(cost, f"the cost of a row of {label}")
    return out


@takes_rng
def design(
    actions: Any,
    rows: int,
    target: Any = None,
    *,
    model: Model | None = None,
    noise: float = 0.5,
    regimes: Sequence[str | Sequence[str] | None] | None = None,
    costs: Mapping[str, float] | None = None,
    level: float = 0.9,
    seed: Seed = 0,
) -> xr.Dataset:
    """Split the rows of a first study over regimes, before there are any outcomes.

    Parameters
    ----------
    actions : mapping from action to (low, high) or a list of levels, or table
        Ranges of the actions, in which they vary independently; or historical rows without
        outcomes, a column per action. Where an action is set, its values are drawn from those of
        the rows.
    rows : int
        Number of rows in all. With costs: that of rows at a cost of 1 that would cost as much.
    target : points as in :meth:`Posterior.joint_effect`, optional
        The mean variance of the joint effects there is minimised; by default at 50 points whose
        actions are drawn independently.
    model : Model, optional
        By default ``additive()``.
    noise : float
        Standard deviation of the noise, relative to that of the outcome.
    regimes, costs, level
        As in :meth:`Posterior.split`; by default history and each action alone.
    seed : int

    Returns
    -------
    Dataset, dims (regime, total)
        As of :meth:`Posterior.split`, widths in standard deviations of the outcome (of its
        logarithm in a multiplicative model). ``width_before`` is that of the prior.

    Raises
    ------
    ModelError
        On bad ranges, unknown actions or regimes, a ``noise`` that is not positive, and where
        model and actions do not match.
    DataError, PointsError
        On unusable rows or points.

    Notes
    -----
    Bayesian A-optimal design at the prior medians of the hyperparameters, with constant noise.

    Examples
    --------
    >>> table = design({"tv": (0, 60), "radio": (0, 20)}, 1000, regimes=[None, "tv", "radio"])
    >>> int(table.rows.sum()), bool(table.width < table.width_before)
    (1000, True)
    """
    rows, level = row_count(rows), probability(level, "level")
    noise = positive_number(noise, "noise")
    model = additive() if model is None else checked_model(model)
    rng = generator(seed, "experiments")
    history = _history(actions, rng)
    names = tuple(history)
    chosen = checked_regimes(names, [None, *names] if regimes is None else regimes)
    masks = np.array([[name in own for name in names] for own in chosen])
    labels = [mask_label(names, mask) for mask in masks.tolist()]
    per_row = checked_costs(costs, labels)
    data, joint = _data(history, masks, rng)
    terms = model.decompose(data)
    priors = terms.hyperpriors(model.noise_scale)
    sites = {name: np.exp(prior.log_median) for name, prior in priors.sites.items()}
    belief = Belief.known(np.diag(np.exp(priors.log_sd(sites))))
    points = joint if target is None else checked_points(target, names, data.categories)
    loadings = terms.matrix(points, np.ones(points.shape, dtype=bool)) @ belief.root
    sd = np.sqrt(np.square(loadings).sum(axis=1))
    matrix, which = terms.matrix(data.actions, data.intervened), np.arange(len(data)) // N_ROWS
    precision = np.full(N_ROWS, 1 / (noise**2 * N_ROWS))
    of_rows = [belief.information(matrix[which == r], precision) for r in range(len(masks))]
    widths = 2 * NormalDist().inv_cdf((1 + level) / 2) * sd
    allocation = Allocation(belief, Targets(loadings, 0 * sd, widths), np.stack(of_rows), per_row)
    return split_table(allocation, labels, rows).assign_attrs(
        {"unit": "outcome standard deviations", "level": level, "target": "joint effects"}
    )


def _history(actions: Any, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Historical values of each action: those of a table, or independent draws."""
    if not isinstance(actions, Mapping):
        table = as_table(actions)
        if table is None:
            raise ModelError(
                f"actions must map names to ranges, or be {KINDS}, not {type(actions).__name__}"
            )
        history = {name: np.asarray(table[name].to_numpy()) for name in table.columns}
    else:
        history = {name: _drawn(name, own, rng) for name, own in actions.items()}
    if not history:
        raise ModelError("actions are empty; give the range of each, as {'tv': (0, 60)}")
    return history


def _drawn(name: str, values: Any, rng: np.random.Generator) -> NDArray[Any]:
    """Values of an action within its range, or among its levels."""
    own = numbers_or_levels(values, f"actions[{name!r}]")
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in own)
    if len(own) == 2 and numbers:
        low, high = (real_number(end, f"an end of {name!r}") for end in own)
        if low >= high:
            ends = f"{format_number(low)} is not below {format_number(high)}"
            raise ModelError(f"the range of {name!r} is empty: {ends}")
        return rng.uniform(low, high, N_ROWS)
    if len(set(own)) < 2:
        raise ModelError(f"{name!r} needs two or more values, not {own!r}")
    return rng.permutation(np.resize(np.array(own, dtype=None if numbers else object), N_ROWS))


def _data(
    history: Mapping[str, NDArray[Any]], masks: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[RegimeData, Array]:
    """Rows of each regime, one regime after the other, and joint points, shape (50, K)."""
    columns = list(history.values())
    pieces = []
    for mask in (*masks, np.ones(len(columns), dtype=bool)):
        together = rng.integers(0, len(columns[0]), N_ROWS)
        drawn = [
            column[rng.integers(0, len(column), N_ROWS) if was_set else together]
            for column, was_set in zip(columns, mask, strict=True)
        ]
        pieces.append(np.stack([column.astype(object) for column in drawn], axis=1))
    values = np.concatenate(pieces)
    # Outcomes of mean zero and standard deviation one, in the units of the priors.
    outcome = rng.standard_normal(len(masks) * N_ROWS)
    outcome = (outcome - outcome.mean()) / outcome.std()
    data = RegimeData.from_arrays(
        values[: len(outcome)],
        outcome,
        np.repeat(masks, N_ROWS, axis=0),
        list(history),
        require_observational=False,
    )
    joint = [dict(zip(history, row, strict=True)) for row in values[len(outcome) :][:N_POINTS]]
    return data, checked_points(joint, data.names, data.categories)

"""Draws of what a fit adjusts for: functions of covariates, levels of groups, variation of effects.

Functions of covariates and levels of groups are relative to their average over the population.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.models.population import Population
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.draws import PosteriorDraws, fitted_prediction, prediction_of
from bayes_intgen.posterior.population import draws_of_scale, fixed_scales

# Number of points along a numeric covariate.
N_POINTS = 101


def values_along(posterior: PosteriorDraws, name: str) -> tuple[Array, list[Any] | None]:
    """Values of a covariate over its range, or codes of its levels or groups with their labels."""
    columns = posterior.terms.covariates
    at = columns.every.index(name)
    if name in columns.groups:
        labels = columns.labels[columns.groups.index(name)]
        return np.arange(len(labels), dtype=float), list(labels)
    levels = columns.categories[at]
    if levels is not None:
        return np.array(levels.codes), list(levels.labels)
    low, high = (posterior.tree["population"].dataset[end].values[at] for end in ("low", "high"))
    return np.linspace(low, high, N_POINTS), None


def adjustment_along(posterior: PosteriorDraws, name: str) -> Array:
    """Draws of the part of the mean that a covariate or grouping adds, (chain, draw, n).

    At the values of :func:`values_along`.
    """
    terms, values = posterior.terms, values_along(posterior, name)[0]
    at = len(terms.names) + terms.covariates.every.index(name)
    coefficients = fitted_prediction(posterior).coefficients
    out = np.zeros((*coefficients.shape[:2], len(values)))
    for term in terms.parts:
        if term.action is None and term.inputs == (at,):
            matrix = term.component.basis.matrix(values[:, None])
            out += coefficients[..., terms.columns[term.name]] @ matrix.T
    return out


def change_along(posterior: PosteriorDraws, name: str, start: Array, end: Array) -> Array:
    """Draws of the change of the joint effect from one point to another, (chain, draw, n).

    ``start`` and ``end``, shape (K,), are points of all actions; the change is at the values of
    :func:`values_along` of a covariate or grouping, averaged over the others in the population
    asked about.
    """
    columns, averages = posterior.terms.covariates, posterior.averages
    at, mask = columns.every.index(name), np.ones((1, len(start)), dtype=bool)
    every = Population(np.full((1, len(columns)), np.nan), np.ones(1))
    asked, changes = averages.population or every, []
    for value in values_along(posterior, name)[0]:
        own = replace(asked, values=np.where(np.arange(len(columns)) == at, value, asked.values))
        prediction = prediction_of(posterior, averages._replace(population=own))
        changes.append(prediction.change(start[None], end[None], mask))
    return np.concatenate(changes, axis=-1)


def effect_modifiers(terms: Decomposition) -> list[tuple[str, str]]:
    """Pairs of an action and a covariate or grouping on which its effect depends."""
    pairs = [
        (terms.names[term.action], terms.covariates.every[term.inputs[-1] - len(terms.names)])
        for term in terms.terms
        if term.action is not None and term.role in ("moderator", "group")
    ]
    return list(dict.fromkeys(pairs))


def between_groups(posterior: PosteriorDraws) -> xr.Dataset:
    """Standard deviations between groups, of levels and slopes.

    Returns
    -------
    Dataset
        ``sd`` (chain, draw, effect): of levels in the outcome's units; of slopes per robust
        standard deviation of the action. By effect also ``grouping``; ``kind``: ``levels`` or
        ``slopes``; ``action``, empty for levels; ``groups``, their number; and
        ``estimate``: ``posterior``, ``integrated`` where the effects are integrated out, so that
        the ratio of ``sd`` to the noise is fixed at its estimate, or ``pruned`` where it is fixed
        at a small value for lack of evidence.
    """
    terms, tree = posterior.terms, posterior.tree
    noise_sd, fixed = tree["posterior"].dataset["noise_sd"].values, fixed_scales(tree)
    columns, count = terms.covariates, len(terms.names)
    found: list[tuple[Array, str, str, str]] = []
    for term in terms.terms:
        if term.role == "group":
            action = "" if term.action is None else terms.names[term.action]
            grouping = columns.every[term.inputs[-1] - count]
            estimate = "pruned" if term.name in fixed else "posterior"
            sd = draws_of_scale(tree, term.name)
            if not action and (usual := terms.columns.get(f"usual({grouping})")):
                coefficients = tree["coefficients"].dataset["coefficients"].values[..., usual]
                sd, estimate = np.sqrt(sd**2 + (coefficients**2).sum(axis=-1)), "posterior"
            found.append((sd, grouping, action, estimate))
    effects = terms.random_effects
    if effects is not None:
        grouping = columns.every[effects.grouping - count]
        for name, ratio in zip(effects.names, effects.ratio, strict=True):
            action = name.removeprefix(grouping).removeprefix(" | ")
            found.append((noise_sd * np.sqrt(ratio), grouping, action, "integrated"))
    sds, groupings, actions, estimates = zip(*found, strict=True) if found else ((),) * 4
    labels = {
        "grouping": groupings,
        "kind": ["slopes" if action else "levels" for action in actions],
        "action": actions,
        "estimate": estimates,
    }
    sizes = [len(columns.labels[columns.groups.index(name)]) for name in groupings]
    return xr.Dataset(
        {"sd": (("chain", "draw", "effect"), np.stack([noise_sd, *sds], axis=-1)[..., 1:])},
        coords={
            **{name: ("effect", np.array(values, dtype=str)) for name, values in labels.items()},
            "groups": ("effect", np.array(sizes, dtype=int)),
        },
        attrs={"outcome": posterior.predictor_name},
    )

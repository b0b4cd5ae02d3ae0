"""Sentences on a fit: its outcome, the population of its answers, and its interactions."""

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.assess.action_summary import shorter_number
from bayes_intgen.inference.pilot.far_outcomes import FarOutcomes, far_outcomes_in_words
from bayes_intgen.posterior.adjustments import effect_modifiers
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.text.number_format import decimals_for, format_interval, format_to_uncertainty

# Probability of the interval of a standard deviation.
LEVEL = 0.9


def interval_of(draws: Array) -> tuple[str, str]:
    """Mean of draws and their central interval, as texts."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    decimals = decimals_for(float(high - low))
    band = f"({LEVEL:.0%} band {format_interval(float(low), float(high), decimals)})"
    return format_to_uncertainty(float(draws.mean()), decimals), band


def outcome_lines(posterior: PosteriorDraws) -> tuple[str, ...]:
    """Say what effects are, and which outcomes lie far from the fit."""
    if posterior.model.link == "log":
        return (
            f"A positive outcome that multiplies: contributions add up to "
            f"{posterior.predictor_name}; effects are means of {posterior.outcome_name} itself.",
        )
    if posterior.outcome_kind == "count":
        return (
            "A count: effects are means, and outcomes are drawn as counts with the identified "
            "variance.",
        )
    if posterior.outcome_kind == "continuous":
        return tuple(f"{line[0].upper()}{line[1:]}." for line in far_outcome_lines(posterior))
    lines = ["Zeros and ones: effects are probabilities of a one, which add up over the actions."]
    outside = share_outside(posterior)
    if outside:
        share = "less than 1%" if outside < 0.01 else f"{outside:.0%}"
        lines.append(
            f"With all actions set, part of the 90% interval lies outside [0, 1] at {share} of the "
            "reference rows; probabilities of single outcomes are clipped."
        )
    return tuple(lines)


def far_outcome_lines(posterior: PosteriorDraws) -> list[str]:
    """Say how many outcomes lie how far from a fit with Gaussian noise; empty if none do."""
    far = FarOutcomes.of_dataset(posterior.tree["constant_data"].dataset)
    return [] if far is None else [far_outcomes_in_words(far, repr(posterior.outcome_name))]


def share_outside(posterior: PosteriorDraws) -> float:
    """Share of reference rows at which the 90% interval of the joint effect leaves [0, 1]."""
    points = np.concatenate(support_of(posterior).reference.rows)
    mean = prediction_of(posterior).mean(points, np.ones(points.shape, dtype=bool))
    low, high = np.quantile(mean, [0.05, 0.95], axis=(0, 1))
    return float(((low < 0) | (high > 1)).mean())


def population_lines(posterior: PosteriorDraws, between: xr.Dataset) -> tuple[str, ...]:
    """Population, covariates, effect modifiers and groups; empty for a fit without covariates.

    Parameters
    ----------
    posterior : PosteriorDraws
    between : Dataset
        From :func:`bayes_intgen.posterior.adjustments.between_groups`.

    Examples
    --------
    >>> from bayes_intgen.posterior.adjustments import between_groups
    >>> population_lines(posterior, between_groups(posterior))
    ()
    """
    terms = posterior.terms
    columns = terms.covariates
    if not len(columns):
        return ()
    default = support_of(posterior).default_population()
    lines = [f"Answers are an {default}, unless given or population says otherwise."]
    if columns.names:
        lines.append(f"Adjusted for {', '.join(columns.names)}.")
    lines += [
        f"The effect of {action} depends on {name}."
        for action, name in effect_modifiers(terms)
        if name in columns.names
    ]
    return (*lines, *group_lines(between))


def group_lines(between: xr.Dataset) -> list[str]:
    """Standard deviation between groups of every level and slope, one sentence each."""
    lines = []
    for i in range(between.sizes["effect"]):
        own = between.isel(effect=i)
        grouping, groups, kind, action, estimate = (
            own[name].item() for name in ("grouping", "groups", "kind", "action", "estimate")
        )
        head = f"{grouping}, {groups:,} groups:"
        what = f"{kind} of {action}" if action else kind
        if estimate == "pruned":
            lines.append(f"{head} no sign that their {what} differ.")
            continue
        sd, unit = own["sd"].to_numpy(), f", per robust sd of {action}," if kind == "slopes" else ""
        if estimate == "integrated":
            text = f"about {shorter_number(float(sd.mean()), 2)}, integrated out"
        else:
            text = " ".join(interval_of(sd))
        lines.append(f"{head} sd of their {what}{unit} {text}.")
    return lines


def interaction_lines(sizes: xr.Dataset) -> tuple[str, ...]:
    """Size of each interaction, one sentence each.

    Parameters
    ----------
    sizes : Dataset
        From :func:`bayes_intgen.posterior.surfaces.interaction_sd`.

    Examples
    --------
    >>> from bayes_intgen.posterior.surfaces import interaction_sd
    >>> interaction_lines(interaction_sd(posterior))
    ()
    """
    lines = []
    for i in range(sizes.sizes["pair"]):
        own = sizes.isel(pair=i)
        mean, band = interval_of(own["sd"].to_numpy())
        names = f"{own['first'].item()} and {own['second'].item()}"
        lines.append(f"{names} interact: sd over the rows {mean} {band}.")
    return tuple(lines)

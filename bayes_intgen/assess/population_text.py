"""Sentences on the covariates and groups of a fit, and on the population of its answers."""

import numpy as np
import xarray as xr

from bayes_intgen.assess.action_summary import shorter_number
from bayes_intgen.posterior.adjustments import effect_modifiers
from bayes_intgen.posterior.draws import PosteriorDraws, support_of
from bayes_intgen.text.number_format import decimals_for, format_interval, format_to_uncertainty

# Probability of the interval of a standard deviation between groups.
LEVEL = 0.9


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
        low, high = np.quantile(sd, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        if estimate == "integrated":
            text = f"about {shorter_number(float(sd.mean()), 2)}, integrated out"
        else:
            decimals = decimals_for(high - low)
            band = f"({LEVEL:.0%} band {format_interval(low, high, decimals)})"
            text = f"{format_to_uncertainty(float(sd.mean()), decimals)} {band}"
        lines.append(f"{head} sd of their {what}{unit} {text}.")
    return lines

"""Sentences on the interactions of a fit."""

import numpy as np
import xarray as xr

from bayes_intgen.text.number_format import decimals_for, format_interval, format_to_uncertainty

# Probability of the interval of a standard deviation.
LEVEL = 0.9


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
        low, high = np.quantile(own["sd"], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        decimals = decimals_for(float(high - low))
        mean = format_to_uncertainty(float(own["sd"].mean()), decimals)
        band = format_interval(float(low), float(high), decimals)
        lines.append(
            f"{own['first'].item()} and {own['second'].item()} interact: sd over the rows {mean} "
            f"({LEVEL:.0%} band {band})."
        )
    return tuple(lines)

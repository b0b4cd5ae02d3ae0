"""Content of a report on interactions: heat maps, and a table of their sizes."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.posterior.surfaces import interaction_sd, interaction_surface
from bayes_intgen.report.heat_map import HeatMap, draw_heat_map
from bayes_intgen.text.number_format import decimals_for, format_interval, format_to_uncertainty

# Maximum number of pairs in the report, and number of values along each action.
MAX_PAIRS, N_POINTS = 6, 31


@dataclass(frozen=True)
class Pair:
    """Interaction of two actions: heat maps, and its standard deviation over the rows."""

    first: str
    second: str
    mean: HeatMap
    half_width: HeatMap
    sd: str
    band: str
    share: str


@dataclass(frozen=True)
class InteractionContent:
    """The strongest interactions, the number of weaker ones, and names of all pairs."""

    pairs: list[Pair]
    more: int
    names: list[str]


def interaction_content(
    posterior: PosteriorDraws, default: Array, level: float
) -> InteractionContent:
    """Collect heat maps and sizes, the strongest interaction first.

    Parameters
    ----------
    posterior : PosteriorDraws
    default : ndarray, shape (K,)
        Values of the other actions where support is checked.
    level : float
        Probability of the bands.

    Examples
    --------
    >>> interaction_content(posterior, np.zeros(2), 0.9)
    InteractionContent(pairs=[], more=0, names=[])
    """
    sizes = interaction_sd(posterior)
    order = np.argsort(-sizes["sd_of_mean"].to_numpy(), kind="stable")
    first, second = (sizes[name].to_numpy()[order].tolist() for name in ("first", "second"))
    draws = sizes["sd"].to_numpy()[..., order]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=(0, 1))
    pairs = []
    for i, (one, other) in enumerate(zip(first[:MAX_PAIRS], second[:MAX_PAIRS], strict=True)):
        surface = interaction_surface(posterior, one, other, default, size=N_POINTS, level=level)
        decimals, mean = decimals_for(float(high[i] - low[i])), float(draws[..., i].mean())
        pairs.append(
            Pair(
                one,
                other,
                draw_heat_map(surface, "mean"),
                draw_heat_map(surface, "half_width"),
                format_to_uncertainty(mean, decimals),
                format_interval(low[i], high[i], decimals),
                f"{mean / posterior.terms.unit:.1%}",
            )
        )
    names = [f"{one} and {other}" for one, other in zip(first, second, strict=True)]
    return InteractionContent(pairs, max(len(order) - MAX_PAIRS, 0), names)

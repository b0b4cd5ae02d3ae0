"""Values of actions as the report writes them."""

from typing import Any

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, short_label
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.queries import named_points
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.text.number_format import decimals_for, format_to_uncertainty


def named_values(posterior: PosteriorDraws, values: Array) -> Any:
    """Replace the codes of levels by their names."""
    return named_points(values, posterior.actions, posterior.categories)


def value_text(value: float, coordinate: Coordinate, levels: Categories | None) -> str:
    """Format a value of an action with the decimals of its coordinate, or name a level."""
    if levels is not None:
        return short_label(levels.decode(np.array([value])).tolist()[0])
    return format_to_uncertainty(value, decimals_for(coordinate.spread) + 1)


def probability_text(share: float, draws: int) -> str:
    """Format a share of draws as a probability strictly between 0 and 1."""
    if share in (0.0, 1.0):
        return f"> {1 - 1 / draws:.4f}" if share else f"< {1 / draws:.4f}"
    return f"{share:.2f}" if 0.005 <= share <= 0.995 else f"{share:.4f}"

"""Distance between values of one action."""

from dataclasses import replace

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.coordinate import Coordinate

# Onset of the logarithmic scale of an action that starts at zero, as a share of its spread. The
# onset in a fit is closer to zero, and would place large values too near to each other.
DISTANCE_EDGE = 0.15
# Substitute for the infinite distance between unordered levels: differences of infinities are NaN.
INFINITE = 1e9


def placed(coordinate: Coordinate, levels: Categories | None, values: Array) -> Array:
    """Positions of an action's values on a line, whose differences define all distances.

    Unordered levels are so far apart that no two are near each other.
    """
    if levels is None or levels.ordered:
        if coordinate.edge:
            coordinate = replace(coordinate, edge=DISTANCE_EDGE * coordinate.spread)
        return coordinate.transform(values)
    return np.asarray(INFINITE * np.searchsorted(levels.codes, values))

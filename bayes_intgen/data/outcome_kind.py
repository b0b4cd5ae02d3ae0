"""Kind of an outcome, detected from the values in all rows."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import at_most_three

OutcomeKind = Literal["continuous", "binary", "count"]
# Largest count: from there on, values are so dense that any law of numbers does.
MAX_COUNT = 1000


def decisive_values(outcome: Array, units: Array | None) -> tuple[float, ...]:
    """Select at most three outcomes that decide the kind of all; NaN for means of several units.

    Those of two sets of rows together are the decisive values of both.

    Examples
    --------
    >>> decisive_values(np.array([0.0, 1.0, 0.5, 7.0]), None)
    (0.5,)
    """
    if units is not None and (units != 1).any():
        return (np.nan,)
    others = outcome[~_is_count(outcome)]
    return (float(others[0]),) if others.size else at_most_three(outcome)


def kind_of(values: tuple[float, ...]) -> OutcomeKind:
    """Detect the kind of the outcomes with these decisive values.

    Examples
    --------
    >>> [kind_of(values) for values in ((0.0, 1.0), (0.0, 1.0, 3.0), (0.5,))]
    ['binary', 'count', 'continuous']
    """
    if not _is_count(np.array(values)).all():
        return "continuous"
    if len(values) > 2:
        return "count"
    return "binary" if values == (0, 1) else "continuous"


def _is_count(outcome: Array) -> NDArray[np.bool_]:
    return np.asarray((outcome >= 0) & (outcome <= MAX_COUNT) & (outcome == np.floor(outcome)))

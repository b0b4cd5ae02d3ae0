"""Tables of cells, whose rows stand for independent rows with equal values."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations

# Maximum number of distinct values of an action, as a share of the rows, in a table of cells.
MAX_VALUES_SHARE = 0.5


def numbers_of_rows(data: Observations) -> Array:
    """Number of independent rows with equal values that each row stands for, shape (N,).

    It is the number of units in a table of cells, and otherwise one, since units of a row may have
    been set or moved together, as customers of a region are. A table of cells has the outcome's
    standard deviations within rows, has each combination of values once, and repeats the values of
    single actions.
    """
    once = np.ones(len(data))
    if data.weights is None or data.within is None:
        return once
    combinations = np.unique(np.column_stack([data.intervened, data.inputs]), axis=0)
    most = max(len(np.unique(values)) for values in data.actions.T)
    if len(combinations) < len(data) or most > MAX_VALUES_SHARE * len(data):
        return once
    return data.weights

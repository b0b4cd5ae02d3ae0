"""Scale on which a model adds up the outcome: its own (identity link), or its logarithm (log link).

Every pass over rows sees the outcome on the scale of the link, so that whatever a model of sums
does with rows serves outcomes that multiply too.
"""

from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from bayes_intgen._arguments import MAX_MAGNITUDE
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import DataError, ModelError

Link = Literal["identity", "log"]


def on_scale(data: Rows, link: Link) -> Rows:
    """Rows with their outcome on the scale of a link.

    Raises
    ------
    DataError
        If the logarithm of an outcome does not exist.
    ModelError
        If rows are means of several units, or there are lift tests, under a log link.

    Examples
    --------
    >>> on_scale(data, "identity") is data
    True
    """
    if link == "identity":
        return data
    if data.lift_tests:
        raise ModelError(
            "lift tests state changes of the outcome, not of its logarithm; fit models.additive(), "
            "or omit the lift tests"
        )
    if isinstance(data, Observations):
        return with_log_outcome(data)
    return data.with_outcome(partial(with_log_outcome, numbered=False))


def with_log_outcome(rows: Observations, numbered: bool = True) -> Observations:
    """Rows in memory with the logarithm of their outcome.

    ``numbered``: whether positions of the rows mean anything to users, for error messages.

    Examples
    --------
    >>> rows = data.take(data.outcome > 0)
    >>> bool(np.allclose(np.exp(with_log_outcome(rows).outcome), rows.outcome))
    True
    """
    if rows.weights is not None and (rows.weights != 1).any():
        raise ModelError(
            "rows are means of several units (weights), and the logarithm of a mean is not the "
            "mean of logarithms; use one row per unit, or models.additive()"
        )
    # Smaller ones are zeros that something has computed.
    refused = np.flatnonzero(~(rows.outcome >= 1 / MAX_MAGNITUDE))
    if refused.size:
        first = refused[0]
        place = f"row {first}" if numbered else "a row"
        raise DataError(
            f"models.multiplicative() needs positive outcomes, of at least {1 / MAX_MAGNITUDE:g}: "
            f"{rows.outcome_name!r} is {rows.outcome[first]:g} in {place} "
            f"({rows.label(rows.intervened[first])}), and below that in {refused.size} of "
            f"{len(rows)} rows; drop these rows, model zeros apart (as a 0/1 outcome), or use "
            "models.additive()"
        )
    return replace(rows, outcome=np.log(rows.outcome), weights=None, within=None)

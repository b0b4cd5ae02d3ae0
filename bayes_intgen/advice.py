"""Advice on the model that follows from the form of the data."""

import numpy as np

from bayes_intgen.mechanisms import GP, Spline
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.streamed import Rows

# A numeric action with at most so many distinct values is better modelled as levels.
MAX_DISTINCT = 6
# Rows that tell most columns of many values from those of few.
FIRST_ROWS = 1_000


def few_valued(data: Rows, model: Model | None = None) -> dict[str, int]:
    """Numeric actions with three to six distinct values, each with their number.

    Parameters
    ----------
    data : RegimeData, StreamedData or DistributedData
        Of rows that are not in memory the sample that is.
    model : Model, optional
        Actions to which it gives another prior than a smooth function are left out.

    Examples
    --------
    >>> few_valued(data)
    {}
    """
    held = data.held
    found = {}
    for name, levels, column in zip(data.names, data.categories, held.actions.T, strict=True):
        if levels is None and len(np.unique(column[:FIRST_ROWS])) <= MAX_DISTINCT:
            distinct = len(np.unique(column))
            if distinct <= MAX_DISTINCT and _is_smooth(name, model):
                found[name] = distinct
    return found


def advice_on_levels(few: dict[str, int]) -> str:
    """Advise levels for actions with few distinct values.

    Examples
    --------
    >>> print(advice_on_levels({"dose": 3}))
    dose has 3 distinct values, too few for a smooth function: treat them as levels, with \
bi.models.additive(unconfounded={"dose": bi.Levels(ordered=True)}, \
bias={"dose": bi.Levels(ordered=True)})
    """
    counts = ", ".join(f"{name} has {count}" for name, count in few.items())
    priors = ", ".join(f'"{name}": bi.Levels(ordered=True)' for name in few)
    return (
        f"{counts} distinct values, too few for a smooth function: treat them as levels, with "
        f"bi.models.additive(unconfounded={{{priors}}}, bias={{{priors}}})"
    )


def _is_smooth(name: str, model: Model | None) -> bool:
    if model is None:
        return True
    if not isinstance(model, AdditiveModel):
        return False
    priors = (model.unconfounded.get(name, model.prior), model.bias.get(name, model.prior))
    return any(isinstance(prior, GP | Spline) for prior in priors)

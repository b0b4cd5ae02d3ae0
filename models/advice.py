"""Advice on the model that follows from the form of the data."""

import numpy as np

from bayes_intgen.basis.categories import MAX_DISTINCT
from bayes_intgen.basis.coordinate import Coordinate, far_cells
from bayes_intgen.data.rows import Rows
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.mechanisms.gp import GP
from bayes_intgen.models.mechanisms.spline import Spline

# Distance from the median, in spreads, beyond which cells are named.
MAX_SPREADS = 200.0
# Rows that tell most columns of many values from those of few.
FIRST_ROWS = 1_000


def few_valued(data: Rows, model: Model | None = None) -> dict[str, int]:
    """Numeric actions with three to six distinct values, each with their number.

    Parameters
    ----------
    data : Observations, StreamedData or DistributedData
        Of rows that are not in memory the sample that is.
    model : Model, optional
        Actions to which it gives another prior than a smooth function are left out.

    Examples
    --------
    >>> few_valued(data)
    {}
    """
    held = data.in_memory
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


def advice_on_far_cells(data: Rows) -> list[str]:
    """Name cells that lie hundreds of spreads from the others, a sentence per action.

    Of rows that are not in memory the sample that is.

    Examples
    --------
    >>> advice_on_far_cells(data)
    []
    """
    held = data.in_memory

    def place(row: int) -> str:
        # Rows of a sample have other numbers than in the table.
        return f" in row {row}" if held is data else ""

    sentences = []
    for name, levels, values in zip(data.names, data.categories, held.actions.T, strict=True):
        if levels is not None:
            continue
        coordinate = Coordinate.of(values)
        lone = far_cells(values, coordinate)
        distance = np.abs(coordinate.standardise(values))
        far = np.flatnonzero(distance > MAX_SPREADS)
        if lone.size:
            row = lone[np.argmax(distance[lone])]
            sentences.append(
                f"action {name!r} is {values[row]:g}{place(row)}, {distance[row]:,.0f} spreads "
                f"from its median{_and_others(lone.size)}, with nothing near: it counts as "
                f"{coordinate.high if values[row] > coordinate.high else coordinate.low:g} here. "
                "Correct such cells, or drop the rows, if they are errors"
            )
        elif far.size:
            row = far[np.argmax(distance[far])]
            sentences.append(
                f"action {name!r} is {values[row]:g}{place(row)}, {distance[row]:,.0f} spreads "
                f"from its median{_and_others(far.size)}: correct such cells if they are errors, "
                "or give its logarithm if its tail is that long"
            )
    return sentences


def _and_others(count: int) -> str:
    return "" if count == 1 else f" (and {count - 1} more such cells)"


def _is_smooth(name: str, model: Model | None) -> bool:
    if model is None:
        return True
    if not isinstance(model, AdditiveModel):
        return False
    priors = (model.unconfounded.get(name, model.prior), model.bias.get(name, model.prior))
    return any(isinstance(prior, GP | Spline) for prior in priors)

"""Advice on the model, given the form of the data."""

from collections.abc import Sequence

import numpy as np

from bayes_intgen._columns import columns_of
from bayes_intgen.basis.categories import MAX_DISTINCT
from bayes_intgen.basis.coordinate import Coordinate, far_cells
from bayes_intgen.data.rows import Rows
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.mechanisms.gp import GP
from bayes_intgen.models.mechanisms.spline import Spline

# Distance from the median, in units of the coordinate's spread, beyond which cells are reported.
MAX_SPREADS = 200.0
# Number of rows of a cheap first count, which already rules out most columns.
FIRST_ROWS = 1_000


def few_valued(data: Rows, model: Model | None = None) -> dict[str, int]:
    """Count the distinct values of numeric actions that have three to six.

    Parameters
    ----------
    data : Rows
        For rows outside memory the in-memory sample is used.
    model : Model, optional
        Actions without a smooth prior in this model are skipped.

    Examples
    --------
    >>> few_valued(data)
    {}
    """
    counts = {}
    columns = data.in_memory.actions.T
    for name, levels, column in zip(data.names, data.categories, columns, strict=True):
        if levels is None and len(np.unique(column[:FIRST_ROWS])) <= MAX_DISTINCT:
            distinct = len(np.unique(column))
            if distinct <= MAX_DISTINCT and _is_smooth(name, model):
                counts[name] = distinct
    return counts


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


def advice_on_far_cells(data: Rows, coordinates: Sequence[Coordinate] | None = None) -> list[str]:
    """Report cells hundreds of spreads from all others, in one sentence per action.

    For rows outside memory the in-memory sample is used. ``coordinates`` are those of its actions,
    if they are known.

    Examples
    --------
    >>> advice_on_far_cells(data)
    []
    """
    sample = data.in_memory
    sentences = []
    known: Sequence[Coordinate | None] = coordinates or [None] * len(data.names)
    columns = zip(data.names, data.categories, columns_of(sample.actions), known, strict=True)
    for name, levels, values, coordinate in columns:
        if levels is not None:
            continue
        coordinate = coordinate or Coordinate.of(values)
        ends = np.array([values.min(), values.max()])
        if not (
            far_cells(ends, coordinate).size
            or (np.abs(coordinate.standardise(ends)) > MAX_SPREADS).any()
        ):
            continue
        lone = far_cells(values, coordinate)
        distance = np.abs(coordinate.standardise(values))
        far = lone if lone.size else np.flatnonzero(distance > MAX_SPREADS)
        row = far[np.argmax(distance[far])]
        # Row numbers of a sample differ from those of the table.
        place = f" in row {row}" if sample is data else ""
        subject = (
            f"action {name!r} is {values[row]:g}{place}, {distance[row]:,.0f} spreads from its "
            f"median{_and_others(far.size)}"
        )
        limit = coordinate.high if values[row] > coordinate.high else coordinate.low
        sentences.append(
            f"{subject}, with no other value nearby: it is treated as {limit:g}. Correct such "
            "cells, or drop the rows, if they are errors"
            if lone.size
            else f"{subject}: correct such cells if they are errors, or use the logarithm of the "
            "action if its tail is that long"
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

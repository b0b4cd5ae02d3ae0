"""Advice on the model, given the form of the data."""

from collections.abc import Mapping, Sequence

import numpy as np

from bayes_intgen.basis.categories import MAX_DISTINCT
from bayes_intgen.basis.coordinate import Coordinate, far_cells
from bayes_intgen.data.rows import Rows
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.mechanisms.smooth import Smooth
from bayes_intgen.text.messages import first_few

# Distance from the median, in units of the coordinate's spread, beyond which cells are reported.
MAX_SPREADS = 200.0
# Number of rows of a cheap first count, which already rules out most columns.
FIRST_ROWS = 1_000


def few_valued(data: Rows, model: Model | None = None) -> dict[str, list[float]]:
    """Find the numeric actions that have three to six distinct values, with these.

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
    values = {}
    columns = data.in_memory.actions.T
    for name, levels, column in zip(data.names, data.categories, columns, strict=True):
        if levels is None and len(np.unique(column[:FIRST_ROWS])) <= MAX_DISTINCT:
            distinct = np.unique(column)
            if len(distinct) <= MAX_DISTINCT and _is_smooth(name, model):
                values[name] = distinct.tolist()
    return values


def advice_on_levels(few: Mapping[str, Sequence[float]]) -> str:
    """Advise levels for actions with few distinct values.

    Examples
    --------
    >>> print(advice_on_levels({"dose": [0, 1, 2.5]}))
    'dose' takes only the values 0, 1, 2.5, too few for a smooth function: fit \
bi.models.additive(unconfounded=levels, bias=levels), levels = {"dose": bi.Levels(ordered=True)}
    """
    first, *others = few
    values = ", ".join(f"{value:g}" for value in few[first])
    subject = f"{first!r} takes only the values {values}"
    if others:
        subject += f" ({first_few([repr(name) for name in others])}: as few)"
    return (
        f"{subject}, too few for a smooth function: fit bi.models.additive(unconfounded=levels, "
        f'bias=levels), levels = {{"{first}": bi.Levels(ordered=True){", ..." * bool(others)}}}'
    )


def advice_on_far_cells(data: Rows) -> list[str]:
    """Report cells hundreds of spreads from all others, in one sentence, and long tails in another.

    For rows outside memory the in-memory sample is used.

    Examples
    --------
    >>> advice_on_far_cells(data)
    []
    """
    sample = data.in_memory
    lone, tails = [], []
    for name, levels, values in zip(data.names, data.categories, sample.actions.T, strict=True):
        if levels is not None:
            continue
        coordinate = Coordinate.of(values)
        outliers = far_cells(values, coordinate)
        distance = np.abs(coordinate.standardise(values))
        far = outliers if outliers.size else np.flatnonzero(distance > MAX_SPREADS)
        if not far.size:
            continue
        row = far[np.argmax(distance[far])]
        # Row numbers of a sample differ from those of the table.
        place = f" in row {row}" if sample is data else ""
        cell = f"{name!r} is {values[row]:g}{place}"
        if outliers.size:
            limit = coordinate.high if values[row] > coordinate.high else coordinate.low
            lone.append(f"{cell}, treated as {limit:g}")
        else:
            tails.append(f"{cell}, {distance[row]:,.0f} spreads from the median")
    remedies = (
        (lone, "no other value is near: correct such cells, or drop the rows, if they are errors"),
        (tails, "correct errors, or use the logarithm of such an action"),
    )
    return [f"action {first_few(cells, 2)}: {remedy}" for cells, remedy in remedies if cells]


def _is_smooth(name: str, model: Model | None) -> bool:
    if model is None:
        return True
    if not isinstance(model, AdditiveModel):
        return False
    priors = (model.unconfounded.get(name, model.prior), model.bias.get(name, model.prior))
    return any(isinstance(prior, Smooth) for prior in priors)

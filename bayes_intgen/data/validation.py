"""Validation of rows: those that cannot be fitted.

Cells and weights must be usable, columns vary, and groups repeat.

A cell of a design is a combination of actions, covariates, groups and mask. If the outcome never
varies within the cells of a replicated design, the replicates are copies of one observation. A
model would treat them as independent and, with few cells, interpolate all of them and estimate no
noise.
"""

from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_intgen._arguments import MAX_MAGNITUDE
from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.rows import Observations, Rows, check_enough_rows, check_varies
from bayes_intgen.errors import DataError
from bayes_intgen.identification.pretreatment import copied_action
from bayes_intgen.identification.regimes import is_identified
from bayes_intgen.text.formats import format_number, shorter_number
from bayes_intgen.text.messages import option, quoted

# Largest weight, and inverse of the smallest one: sums over rows of weights that differ by more
# lose all digits of the light ones.
MAX_WEIGHT = 1e12
# Messages on cells.
INFINITE = (
    "column {name!r} has {count} infinite cells, the first in row {row}; correct or drop those rows"
)
FAR = "column {name!r} is {value} in row {row}, too large for sums of squares; use larger units"
NOT_POSITIVE = (
    "weights must be positive, the number of units of which a row is the mean; row {row} has "
    "{value}"
)
UNEQUAL = (
    f"weights must lie between {format_number(1 / MAX_WEIGHT)} and {format_number(MAX_WEIGHT)}; "
    "row {row} has {value}: correct it, or divide all by a factor"
)
NO_SD = (
    f"outcome_sd must be finite and not negative, at most {format_number(MAX_MAGNITUDE)}, and "
    "weights at least 1 with it; see row {row}"
)
# Maximum share of rows, without the largest cell, in cells without variation.
MAX_ROWS_SHARE = 0.5
# Maximum degrees of freedom per cell of a fit that does not interpolate the cells.
MAX_FREEDOM = 2 / 3
# Minimum noise of such a fit, in standard deviations of the outcome.
MIN_NOISE = 1e-3
# Minimum noise of any fit, in standard deviations of the outcome: less is rounding.
LEAST_NOISE = 1e-5
# Minimum share of copies among rows for a warning.
MIN_COPIES_SHARE = 0.1


def checked_data(data: Any) -> Rows:
    """Validate an argument ``data``: rows to which a model can be fitted.

    Rows in memory are not refused when they are read, since they may be added to a fit.
    """
    if not isinstance(data, Rows):
        raise DataError(
            f"data must be a RegimeData, not {type(data).__name__}; bayes_intgen.read makes one"
        )
    if isinstance(data, Observations):
        check_enough_rows(data)
        check_covariates(data)
    return data


def check_observational(data: Rows) -> None:
    """Raise DataError without observational rows, and say whether the joint effect needs them."""
    if not any(not any(mask) for mask in data.regimes):
        joint = (True,) * len(data.names)
        identify = "identify" if is_identified(list(data.regimes), joint) else "do not identify"
        raise DataError(
            "there are no observational rows (rows in which no action was set), and the others "
            f"{identify} the effect of setting all actions; add such rows"
            + option(", or pass require_observational=False to go on without them", command="")
        )


def check_cells(rows: Observations, numbers: NDArray[np.int_]) -> None:
    """Raise DataError on cells that are not finite, and on unusable weights.

    Parameters
    ----------
    rows : Observations
    numbers : ndarray of int, shape (n,)
        Numbers of the rows, for messages.
    """

    def refuse(wrong: NDArray[np.bool_], column: Array, text: str, name: str = "") -> None:
        bad = np.flatnonzero(wrong)
        if bad.size:
            row, value = numbers[bad[0]], format_number(float(column[bad[0]]))
            raise DataError(text.format(name=name, count=bad.size, row=row, value=value))

    if not len(rows):
        return
    columns = [
        *zip((*rows.names, *rows.columns.names), rows.smooth_columns.T, strict=True),
        (rows.outcome_name, rows.outcome),
        *([] if rows.time is None else [(rows.columns.time, rows.time)]),
    ]
    for name, column in columns:
        # NaN compares false.
        if not (column.min() >= -MAX_MAGNITUDE and column.max() <= MAX_MAGNITUDE):
            refuse(~np.isfinite(column), column, INFINITE, name)
            refuse(np.abs(column) > MAX_MAGNITUDE, column, FAR, name)
    weights, within = rows.weights, rows.within
    if weights is not None:
        refuse(~(np.isfinite(weights) & (weights > 0)), weights, NOT_POSITIVE)
        refuse((weights > MAX_WEIGHT) | (weights < 1 / MAX_WEIGHT), weights, UNEQUAL)
    if within is not None:
        refuse(~(np.isfinite(within) & (within >= 0)), within, NO_SD)


def check_covariates(data: Rows) -> None:
    """Raise DataError on a covariate that never varies or is a copy, or an unusable grouping."""
    sample, rows = data.in_memory, len(data)
    for name, column in zip(sample.columns.names, sample.covariates.T, strict=False):
        check_varies(column, f"covariate {name!r}", "; omit it")
        copied = copied_action(column, sample.actions)
        if copied is not None:
            raise DataError(
                f"covariate {name!r} is a copy of action {data.names[copied]!r}; omit it"
            )
    groupings = dict(zip(sample.columns.groups, sample.columns.labels, strict=True))
    for name, labels in groupings.items():
        if len(labels) < 2:
            raise DataError(f"grouping {name!r} has a single group; omit it")
        if len(labels) == rows:
            raise DataError(
                f"each row has a {name!r} of its own, so that the level of a group cannot be told "
                "apart from noise; omit the grouping"
            )
    fine = [name for name, labels in groupings.items() if len(labels) > MAX_GROUP_COLUMNS]
    if len(fine) > 1:
        raise DataError(
            f"groupings {quoted(fine)} have more than {MAX_GROUP_COLUMNS} groups each; a fit "
            "supports one that fine: omit the others, or join their groups"
        )


class Replicates(NamedTuple):
    """Repetition of cells and rows in a table.

    Attributes
    ----------
    cells : int
        Number of cells.
    copies : int
        Number of rows that equal an earlier row, except where the outcome also occurs in another
        cell, as it does if outcomes are discrete or rounded.
    exact : bool
        Whether replicated cells make up most of the table and none varies. The largest cell is
        excluded, since it may be a subtracted baseline, and so are outcomes of several cells.
    """

    cells: int
    copies: int
    exact: bool

    @classmethod
    def of(cls, data: Observations) -> Self:
        """Count replicates and copies among rows."""
        cell = _ranks(np.column_stack([data.inputs, data.intervened]))
        sizes = np.bincount(cell)
        weights = [] if data.weights is None else [data.weights]
        pair = _ranks(np.column_stack([cell, data.outcome, *weights]))
        first = np.unique(pair, return_index=True)[1]
        # Rows that differ in their weights alone are not copies, but do not vary either.
        varies = pd.Series(data.outcome).groupby(cell).nunique().to_numpy() > 1
        value = np.unique(data.outcome, return_inverse=True)[1]
        is_shared = np.bincount(value[first])[value] > 1
        repeated = np.ones(len(data), dtype=bool)
        repeated[first] = False
        others = cell != sizes.argmax()
        replicated = others & (sizes > 1)[cell] & ~is_shared
        most = bool(replicated.sum() > MAX_ROWS_SHARE * others.sum() > 0)
        exact = most and not varies[sizes > 1].any()
        return cls(len(sizes), int((repeated & ~is_shared).sum()), exact)


def refuse_exact_replicates(data: Observations, freedom: float, noise: float) -> None:
    """Raise DataError if replicates never vary and a fit estimates no noise between cells either.

    Parameters
    ----------
    data : Observations
    freedom : float
        Effective degrees of freedom of a fit to the rows.
    noise : float
        Noise of the fit, in standard deviations of the outcome.
    """
    # Standard deviations within rows determine the noise.
    if data.within is not None or hardly_repeats(data):
        return
    rows = Replicates.of(data)
    interpolates = freedom > MAX_FREEDOM * rows.cells or noise < MIN_NOISE
    if rows.exact and interpolates and len(np.unique(data.outcome)) > 2:
        raise DataError(
            f"the actions determine outcome {data.outcome_name!r} exactly wherever a combination "
            f"of them repeats ({rows.copies} of {len(data)} rows repeat another), so the noise "
            "cannot be estimated: the rows are averages or copies; give the single measurements, "
            "or drop the duplicates"
        )


def hardly_repeats(data: Observations) -> bool:
    """Whether too few outcomes are equal for many rows to be equal."""
    return len(np.unique(data.outcome)) > (1 - MIN_COPIES_SHARE) * len(data)


def is_discrete(values: Array) -> bool:
    """Whether values are discrete or rounded, so that some agree by coincidence.

    The smallest gap between n distinct continuous numbers is about n times smaller than their mean
    gap, whereas both are similar on a grid. The outer tenths are excluded, since gaps between
    outliers are wide.

    Examples
    --------
    >>> measured = np.random.default_rng(0).normal(size=500)
    >>> is_discrete(measured), is_discrete(np.round(measured, 2))
    (False, True)
    """
    distinct = np.unique(values)
    tenth = len(distinct) // 10
    gaps = np.diff(distinct[tenth : len(distinct) - tenth])
    return bool(len(gaps) == 0 or gaps.min() > gaps.mean() / np.sqrt(len(distinct)))


def _ranks(columns: NDArray[np.float64]) -> NDArray[np.int_]:
    """Dense ranks of rows in lexicographic order, the last column first, shape (n,)."""
    last_first = list(range(columns.shape[1]))[::-1]
    # Several times faster than np.unique with an axis.
    return np.asarray(pd.DataFrame(columns).groupby(last_first).ngroup())


def refuse_no_noise(data: Rows, noise_sd: float, unit: float) -> None:
    """Raise DataError if the actions explain the outcome completely."""
    if not noise_sd > LEAST_NOISE * unit:
        raise DataError(
            f"the actions determine outcome {data.outcome_name!r} all but exactly (noise of "
            f"{shorter_number(noise_sd, 1)} for a standard deviation of "
            f"{shorter_number(unit, 3)}), so there is nothing to infer; check that the outcome "
            "was not computed from the actions"
        )


def refuse_straight_line(data: Observations) -> None:
    """Raise DataError if a straight line in the actions explains the outcome of nearly all rows.

    Residuals are compared with the interquartile range, because one outlier can dominate the
    standard deviation, and a fit in transformed coordinates would then not detect the line.
    """
    centred = data.actions - data.actions.mean(axis=0)
    centred /= centred.std(axis=0)
    outcome = data.outcome - data.outcome.mean()
    slopes, *_ = np.linalg.lstsq(centred, outcome)
    interquartile_range = np.subtract(*np.quantile(outcome, [0.75, 0.25]))
    residual = np.quantile(np.abs(outcome - centred @ slopes), 0.9)
    if interquartile_range > 0:
        refuse_no_noise(data, float(residual), float(interquartile_range))

"""Validation of rows: finite cells, number of rows, variation of columns, names."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._arguments import MAX_MAGNITUDE, items
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import spelled_label
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.regime_labels import LabelReader, UnknownActionError, is_observational
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import Mask, mask_label, null_space_of_regimes, project
from bayes_intgen.text.messages import hint, quoted

# Minimum number of rows per unknown of a linear model: the intercept and, per action, the slopes
# of the unconfounded contribution and of the confounding bias.
ROWS_PER_UNKNOWN = 2
# Largest weight, and inverse of the smallest one: sums over rows of weights that differ by more
# lose all digits of the light ones.
MAX_WEIGHT = 1e12
# Messages on cells.
INFINITE = (
    "column {name!r} has {count} infinite cells, the first in row {row}; correct or drop those rows"
)
FAR = "column {name!r} is {value:g} in row {row}, too large for sums of squares; use larger units"
NOT_POSITIVE = (
    "weights must be positive, the number of units of which a row is the mean; row {row} has "
    "{value:g}"
)
UNEQUAL = (
    f"weights must lie between {1 / MAX_WEIGHT:g} and {MAX_WEIGHT:g}; row {{row}} has {{value:g}}: "
    "correct it, or divide all by a factor"
)
NO_SD = (
    f"outcome_sd must be finite and not negative, at most {MAX_MAGNITUDE:g}, and weights at least "
    "1 with it; see row {row}"
)
# Maximum number of targets that are tried for a message, and listed in it.
MAX_TARGETS, MAX_LISTED = 500, 6
# Minimum range of values relative to their size; a smaller one is due to rounding.
MIN_RELATIVE_RANGE = 1e-12


def rows_needed(n_actions: int) -> int:
    """Minimum number of rows of a fit."""
    return ROWS_PER_UNKNOWN * (2 * n_actions + 1)


def checked_data(data: Any) -> Rows:
    """Validate an argument ``data``: rows to which a model can be fitted.

    Rows in memory are not refused when they are read, since they may be added to a fit.
    """
    if not isinstance(data, Rows):
        raise DataError(
            f"data must be a RegimeData, not {type(data).__name__}; build one with "
            "RegimeData.from_frame"
        )
    if isinstance(data, Observations):
        check_enough_rows(data)
        check_covariates(data)
    return data


def check_enough_rows(data: Rows) -> None:
    """Raise DataError on too few rows, or an action or outcome that does not vary."""
    sample, rows = data.in_memory, len(data)
    needed = rows_needed(len(sample.names))
    if rows < needed:
        others = sum(sample.dropped.values())
        complete = f" without missing cells (of {rows + others})" if others else ""
        raise DataError(
            f"{rows} rows{complete} are fewer than a fit can use: {len(sample.names)} actions "
            f"need at least {needed}"
        )
    for name, levels, column in zip(sample.names, sample.categories, sample.actions.T, strict=True):
        only = (column[:1] if levels is None else levels.decode(column[:1])).tolist()[0]
        never = (
            f": it is {spelled_label(only)} in every row; omit it, or add rows in which it differs"
        )
        _check_varies(column, f"action {name!r}", never)
    outcome, name = sample.outcome, sample.outcome_name
    _check_varies(outcome, f"outcome {name!r}", f": it is {outcome[0]:g} everywhere")


def check_observational(data: Rows) -> None:
    """Raise DataError without observational rows, and say what the regimes identify."""
    if not any(not any(mask) for mask in data.regimes):
        raise DataError(
            "there are no observational rows (rows in which no action was set). "
            f"{_identified_targets(data.names, list(data.regimes))} Add such rows, or pass "
            "require_observational=False to continue without them"
        )


def _identified_targets(names: Sequence[str], masks: Sequence[Mask]) -> str:
    """List targets that the masks identify and targets that they do not, in a sentence."""
    count = len(names)
    subsets = chain.from_iterable(combinations(range(count), size) for size in (0, 1, 2))
    targets = (tuple(k in subset for k in range(count)) for subset in subsets)
    _, basis = null_space_of_regimes(masks, count)
    identified: list[Mask] = []
    others: list[Mask] = []
    # With many actions there are too many pairs to try them all.
    for target in dict.fromkeys((*islice(targets, MAX_TARGETS), (True,) * count)):
        (others if any(project(basis, target)) else identified).append(target)

    def listed(group: Sequence[Mask]) -> str:
        shown = [mask_label(names, mask) for mask in group[:MAX_LISTED]]
        return ", ".join([*shown, *["..."] * (len(group) > MAX_LISTED)]) or "nothing"

    sentence = f"The regimes in the data identify {listed(identified)}"
    return f"{sentence}, but not {listed(others)}." if others else f"{sentence}."


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
            row, value = numbers[bad[0]], column[bad[0]]
            raise DataError(text.format(name=name, count=bad.size, row=row, value=value))

    if not len(rows):
        return
    names = (*rows.names, *rows.columns.names, rows.outcome_name)
    for name, column in zip(names, [*rows.smooth_columns.T, rows.outcome], strict=True):
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


def within_squares(weights: Array | None, sd: Array | None) -> Array | None:
    """Sum of squares of the outcomes of a row's units about their mean, shape (n,).

    A row of one unit has none, whatever its standard deviation. Negative and huge standard
    deviations give NaN, which :func:`check_cells` refuses.
    """
    if weights is None or sd is None:
        return None
    usable = np.where((sd >= 0) & (sd <= MAX_MAGNITUDE), sd, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):  # weights that are refused, too
        return np.where(weights == 1, 0.0, (weights - 1) * usable**2)


def check_covariates(data: Rows) -> None:
    """Raise DataError on a covariate that never varies, or a grouping that cannot be used."""
    sample, rows = data.in_memory, len(data)
    for name, column in zip(sample.columns.names, sample.covariates.T, strict=False):
        _check_varies(column, f"covariate {name!r}", "; omit it")
    fine = []
    for name, labels in zip(sample.columns.groups, sample.columns.labels, strict=True):
        if len(labels) < 2:
            raise DataError(f"grouping {name!r} has a single group; omit it")
        if len(labels) == rows:
            raise DataError(
                f"each row has a {name!r} of its own, so that the level of a group cannot be told "
                "apart from noise; omit the grouping"
            )
        if len(labels) > MAX_GROUP_COLUMNS:
            fine.append(name)
    if len(fine) > 1:
        raise DataError(
            f"groupings {quoted(fine)} have more than {MAX_GROUP_COLUMNS} groups each; a fit "
            "supports one that fine: omit the others, or join their groups"
        )


def _check_varies(column: Array, what: str, never: str) -> None:
    """Raise DataError on a column that never varies, or too little for computations in float64."""
    low, high = float(column.min()), float(column.max())
    spread, size = high - low, max(-low, high)
    if not spread:
        raise DataError(f"{what} never varies{never}")
    if spread < MIN_RELATIVE_RANGE * size:
        raise DataError(
            f"{what} never varies except for rounding ({spread:.1g} about {low:g}); subtract "
            "its mean before rounding, or omit it"
        )
    if spread < 1 / MAX_MAGNITUDE:
        raise DataError(f"{what} varies by no more than {spread:.1g}; use smaller units")


def checked_names(names: Sequence[str] | None, role: str) -> tuple[str, ...]:
    """Validate names of columns, none for None; raises DataError, naming the argument ``role``."""
    out = items(() if names is None else names, role, "columns", DataError)
    if not all(isinstance(name, str) for name in out):
        raise DataError(f"{role} must be names of columns; rename columns that are numbers")
    for name in out:
        refuse_unwritable(name, f"a column of {role}")
    return out


def refuse_absent(
    names: Iterable[str], present: Sequence[str], role: str = "", what: str = "the frame"
) -> None:
    """Raise DataError if some columns are not present; the role follows their names."""
    absent = [name for name in names if name not in present]
    if absent:
        raise DataError(
            f"{what} has no column {quoted(absent)}{role}; {hint(absent[0], present)} columns are "
            f"{quoted(present)}"
        )


def refuse_two_roles(roles: Mapping[str, Sequence[str]]) -> None:
    """Raise DataError if a column has two roles, given the columns of each."""
    role_of: dict[str, str] = {}
    for role, name in ((role, name) for role, columns in roles.items() for name in columns):
        if name in role_of:
            twice = f"{role_of[name]} and {role}" if role_of[name] != role else f"{role}, twice"
            raise DataError(
                f"column {name!r} is passed as {twice}; actions, outcome, regime, covariates, "
                "groups and weights must be different columns"
            )
        role_of[name] = role


def check_names(names: tuple[str, ...]) -> None:
    """Raise DataError on names of actions that regime labels cannot contain."""
    if not names:
        raise DataError("at least one action is needed")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DataError(f"action {quoted(sorted(repeated))} is named twice")
    for name in names:
        if is_observational(name):
            raise DataError(f"an action cannot be called {name!r}: that labels observational rows")
        if "+" not in name and "," not in name:
            continue
        with suppress(UnknownActionError):
            parts = LabelReader([other for other in names if other != name]).actions(name)
            raise DataError(
                f"an action cannot be called {name!r} where {' and '.join(map(repr, parts))} are "
                "actions too: that labels rows in which they were set together"
            )


def refuse_unwritable(name: str, what: str) -> None:
    """Raise DataError on a name that cannot be written to a file."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{what} cannot be called {name!r}: that is not valid text") from error
    if "\0" in name:
        raise DataError(f"{what} cannot be called {name!r}: it has a zero character")

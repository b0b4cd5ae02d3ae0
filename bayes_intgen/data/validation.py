"""Validation of rows: finite cells, number of rows, variation of columns, names."""

from collections.abc import Sequence
from itertools import chain, combinations, islice

import numpy as np

from bayes_intgen.basis.categories import spelled_label
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import DataError
from bayes_intgen.identification.labels import mask_label, regime_label
from bayes_intgen.identification.masks import Mask, null_space_of_regimes, project
from bayes_intgen.text.messages import quoted

OBSERVATIONAL = regime_label(())
SEPARATOR = "+"

# Minimum number of rows per unknown of a linear model: the intercept and, per action, the slopes
# of the unconfounded contribution and of the confounding bias.
ROWS_PER_UNKNOWN = 2
# Maximum magnitude of cells, and of the inverse of their range, for sums of squares in float64.
MAX_MAGNITUDE = 1e100
# Maximum number of targets that are tried for a message, and listed in it.
MAX_TARGETS, MAX_LISTED = 500, 6
# Minimum range of values relative to their size; a smaller one is due to rounding.
MIN_RELATIVE_RANGE = 1e-12


def rows_needed(n_actions: int) -> int:
    """Minimum number of rows of a fit."""
    return ROWS_PER_UNKNOWN * (2 * n_actions + 1)


def check_enough_rows(sample: Observations, rows: int, require_observational: bool) -> None:
    """Raise DataError on too few rows or columns that do not vary in a sample of the rows."""
    needed = rows_needed(len(sample.names))
    if rows < needed:
        raise DataError(
            f"{rows} rows are fewer than a fit can use: {len(sample.names)} actions "
            f"need at least {needed}"
        )
    ends = sample.actions.min(axis=0), sample.actions.max(axis=0)
    for name, levels, low, high in zip(sample.names, sample.categories, *ends, strict=True):
        if low == high:
            only = (low[None] if levels is None else levels.decode(low[None])).tolist()[0]
            raise DataError(
                f"action {name!r} never varies: it is {spelled_label(only)} in every row; "
                "omit it, or add rows in which it differs"
            )
        _refuse_lost_digits(low, high, f"action {name!r}")
    low, high = sample.outcome.min(), sample.outcome.max()
    if low == high:
        raise DataError(
            f"outcome {sample.outcome_name!r} never varies: it is {sample.outcome[0]:g} everywhere"
        )
    _refuse_lost_digits(low, high, f"outcome {sample.outcome_name!r}")
    if require_observational and not any(not any(mask) for mask in sample.regimes):
        raise DataError(
            "there are no observational rows (rows in which no action was set). "
            f"{_identified_targets(sample.names, list(sample.regimes))} Add such rows, or pass "
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


def check_finite(rows: Observations, first_row: int = 0) -> None:
    """Raise DataError on cells that are not finite; rows are numbered from ``first_row``."""
    # Two passes over the rows as they are in memory; NaN compares false.
    if all(
        values.size and values.min() >= -MAX_MAGNITUDE and values.max() <= MAX_MAGNITUDE
        for values in (rows.actions, rows.outcome)
    ):
        return
    for column, name in [
        *((rows.actions[:, k], name) for k, name in enumerate(rows.names)),
        (rows.outcome, rows.outcome_name),
    ]:
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            raise DataError(
                f"column {name!r} has {bad.size} cells that are NaN or infinite, the first in "
                f"row {first_row + bad[0]}; drop or fill those rows"
            )
        far = np.flatnonzero(np.abs(column) > MAX_MAGNITUDE)
        if far.size:
            raise DataError(
                f"column {name!r} is {column[far[0]]:g} in row {first_row + far[0]}, too large "
                "for sums of squares; use larger units"
            )


def _refuse_lost_digits(low: float, high: float, what: str) -> None:
    """Raise DataError on values whose range is too small for computations in float64."""
    spread, size = float(high - low), float(max(-low, high))
    if spread < MIN_RELATIVE_RANGE * size:
        raise DataError(
            f"{what} never varies except for rounding ({spread:.1g} about {low:g}); subtract "
            "its mean before rounding, or omit it"
        )
    if spread < 1 / MAX_MAGNITUDE:
        raise DataError(f"{what} varies by no more than {spread:.1g}; use smaller units")


def check_names(names: tuple[str, ...], count: int) -> None:
    """Raise DataError on names of ``count`` actions that regime labels or files cannot contain."""
    if not names:
        raise DataError("at least one action is needed")
    if len(names) != count:
        raise DataError(f"names must have one entry per action: {len(names)} for {count} actions")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DataError(f"action {quoted(sorted(repeated))} is named twice")
    for name in names:
        if name.strip() in ("", OBSERVATIONAL):
            raise DataError(f"an action cannot be called {name!r}: that labels observational rows")
        refuse_unwritable(name, "an action")
        parts = [part.strip() for part in name.split(SEPARATOR)]
        if len(parts) > 1 and all(part in names for part in parts):
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

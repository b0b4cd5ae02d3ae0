"""Validation of rows: those that cannot be fitted, and those that a model misreads.

Cells and weights must be usable, columns vary, and groups repeat. A model misreads covariates that
an action changes, groups of one regime, and copies of rows.

A cell of a design is a combination of actions, covariates, groups and mask. If the outcome never
varies within the cells of a replicated design, the replicates are copies of one observation. A
model would treat them as independent and, with few cells, interpolate all of them and estimate no
noise.
"""

from collections.abc import Sequence
from itertools import chain, combinations, islice
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from bayes_intgen._arguments import MAX_MAGNITUDE
from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.group_means import GroupMoments, mean_name, varying_actions
from bayes_intgen.data.rows import Observations, Rows, check_enough_rows, check_varies
from bayes_intgen.errors import DataError
from bayes_intgen.identification.pretreatment import changed_covariates
from bayes_intgen.identification.regimes import (
    Mask,
    groups_under_one_mask,
    mask_label,
    null_space_of_regimes,
    project,
)
from bayes_intgen.text.messages import first_few, quoted

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
# P value, over all actions, below which groups differ in their usual actions.
GROUPS_LEVEL = 1e-4
# Maximum share of rows, without the largest cell, in cells without variation.
MAX_ROWS_SHARE = 0.5
# Maximum degrees of freedom per cell of a fit that does not interpolate the cells.
MAX_FREEDOM = 2 / 3
# Minimum noise of such a fit, in standard deviations of the outcome.
MIN_NOISE = 1e-3
# Minimum share of copies among rows for a warning.
MIN_COPIES_SHARE = 0.1


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


def check_covariates(data: Rows) -> None:
    """Raise DataError on a covariate that never varies, or a grouping that cannot be used."""
    sample, rows = data.in_memory, len(data)
    for name, column in zip(sample.columns.names, sample.covariates.T, strict=False):
        check_varies(column, f"covariate {name!r}", "; omit it")
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


def advice_on_changed_covariates(data: Rows) -> list[str]:
    """Report covariates whose distribution changes when an action is set, in one sentence.

    False alarms have a joint probability of 1%. No action changes a date. For rows outside memory
    the in-memory sample is used.

    Examples
    --------
    >>> advice_on_changed_covariates(data)
    []
    """
    sample, columns = data.in_memory, data.columns
    tested = [i for i, name in enumerate(columns.names) if name not in columns.dates]
    if not tested:
        return []
    changes = changed_covariates(
        sample.covariates[:, tested],
        [columns.categories[i] is not None for i in tested],
        sample.intervened,
        sample.covariates[:, len(columns.names) :],
    )
    if not changes:
        return []
    covariates = dict.fromkeys(columns.names[tested[change.covariate]] for change in changes)
    actions = dict.fromkeys(data.names[change.action] for change in changes)
    which, where = (first_few([repr(name) for name in own]) for own in (covariates, actions))
    several = len(covariates) > 1
    return [
        f"covariate{'s' * several} {which} differ{'s' * (not several)} where {where} was set "
        f"(p = {min(change.p for change in changes):.2g}): omit what an action changed; keep what "
        "differs because experiments ran at other times or places"
    ]


def advice_on_group_means(data: Observations) -> list[str]:
    """Report many groups that differ in their usual actions, in one sentence.

    Examples
    --------
    >>> advice_on_group_means(data)
    []
    """
    unit, columns = data.unit, data.columns
    actions = [] if unit is None else varying_actions(data)
    if unit is None or not actions:
        return []
    grouping = columns.every[columns.fine_grouping or 0]
    z = GroupMoments(data, unit, actions).z
    some = [
        data.names[k]
        for k, own in zip(actions, z, strict=True)
        if own > -ndtri(GROUPS_LEVEL / len(z))
    ]
    names = [name for name in some if mean_name(name, grouping) not in columns.names]
    if not names:
        return []
    return [
        f"groups of {grouping!r} differ in their usual {first_few(list(map(repr, names)))}, which "
        "may bias all effects: use data.with_group_means() or --group-means"
    ]


def groups_in_words(data: Rows) -> list[str]:
    """Describe each grouping: its groups, and how many of them have a single regime.

    Examples
    --------
    >>> groups_in_words(data)
    []
    """
    sample, columns = data.in_memory, data.columns
    sentences = []
    for i, name in enumerate(columns.groups):
        codes = sample.covariates[:, len(columns.names) + i]
        one, every = groups_under_one_mask(codes, sample.intervened)
        sentence = (
            f"{name}: {len(columns.labels[i]):,} groups, {every - one:,} with rows of several "
            f"regimes and {one:,} of one"
        )
        if one:
            sentence += (
                ", where the group's level and a confounding bias are separated only by the "
                "assumption that groups are exchangeable"
            )
        sentences.append(f"{sentence}.")
    return sentences


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
        outcomes = np.unique(np.column_stack([cell, data.outcome]), axis=0)[:, 0].astype(int)
        varies = np.bincount(outcomes) > 1
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
    if data.within is not None or _hardly_repeats(data):
        return
    rows = Replicates.of(data)
    interpolates = freedom > MAX_FREEDOM * rows.cells or noise < MIN_NOISE
    if rows.exact and interpolates and len(np.unique(data.outcome)) > 2:
        raise DataError(
            f"the actions determine outcome {data.outcome_name!r} exactly wherever a combination "
            f"of them repeats ({rows.copies} of {len(data)} rows repeat another), so the noise "
            "cannot be estimated: the rows are averages or copies; pass the single measurements, "
            "or drop the duplicates (DataFrame.drop_duplicates)"
        )


def advice_on_copies(data: Observations) -> list[str]:
    """Report exact copies of rows, if a tenth of the rows or more are copies, in one sentence."""
    if _hardly_repeats(data) or is_discrete(data.outcome):
        return []
    copies = Replicates.of(data).copies
    if copies < MIN_COPIES_SHARE * len(data):
        return []
    return [
        f"{copies} of {len(data)} rows are exact copies of others, which a fit treats as "
        "independent, so intervals are too narrow: drop them (DataFrame.drop_duplicates) "
        "unless they are measurements"
    ]


def _hardly_repeats(data: Observations) -> bool:
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

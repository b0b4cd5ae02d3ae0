"""Rows that repeat: cells whose outcome never varies, and exact copies of rows.

A cell is a combination of actions and mask. Where a design is replicated and the outcome of a cell
is always the same, the replicates are one observation written several times: a model takes them for
independent ones, and where the cells are few it passes through all of them and finds no noise.
"""

import warnings
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import PACKAGE, DataError, DataWarning

# Share of rows, those of the largest cell left out, beyond which cells without variation are the
# table and not a part of it.
MAX_ROWS_SHARE = 0.5
# Degrees of freedom per cell beyond which a fit passes through cells without variation, and the
# noise, in standard deviations of the outcome, below which it has done so with fewer.
MAX_FREEDOM, MIN_NOISE = 2 / 3, 1e-3
# Share of rows that are copies from which on they are spoken of.
MANY_COPIES = 0.1


class Replicates(NamedTuple):
    """How the rows of a table repeat.

    Attributes
    ----------
    cell : ndarray of int, shape (n,)
        The cell of each row.
    sizes : ndarray of int, shape (number of cells,)
        Rows per cell.
    varies : ndarray of bool, shape (number of cells,)
        Whether the outcome takes several values in a cell.
    shared : ndarray of bool, shape (n,)
        Whether the outcome of a row occurs in another cell too. Outcomes that are discrete or
        rounded do; those of exact copies do not.
    copies : int
        Rows that equal an earlier one in actions, mask and outcome, which is not shared.
    """

    cell: NDArray[np.int_]
    sizes: NDArray[np.int_]
    varies: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    copies: int

    @classmethod
    def of(cls, data: Observations) -> Self:
        """Of the rows of a table."""
        settings = np.column_stack([data.actions, data.intervened])
        cell = _ranks(settings)
        sizes = np.bincount(cell)
        of_pair = _ranks(np.column_stack([cell, data.outcome]))
        first = np.unique(of_pair, return_index=True)[1]
        varies = np.bincount(cell[first]) > 1
        # A value of the outcome is shared where several cells have it.
        value = np.unique(data.outcome, return_inverse=True)[1]
        shared = np.bincount(value[first])[value] > 1
        repeated = np.ones(len(data), dtype=bool)
        repeated[first] = False
        return cls(cell, sizes, varies, shared, int((repeated & ~shared).sum()))

    @property
    def exact(self) -> bool:
        """Whether replicated cells are most of the table and none has any variation.

        Left out are the largest cell, which may be a baseline that was subtracted, and outcomes
        that other cells have too, which are alike for another reason.
        """
        replicated = self.sizes > 1
        if self.varies[replicated].any():
            return False
        others = self.cell != self.sizes.argmax()
        rows = others & replicated[self.cell] & ~self.shared
        return bool(rows.sum() > MAX_ROWS_SHARE * others.sum() > 0)


def refuse_exact_replicates(data: Observations, freedom: float, noise: float) -> None:
    """Refuse tables whose replicates never vary, where a fit finds no noise between cells either.

    Parameters
    ----------
    data : Observations
    freedom : float
        Effective degrees of freedom of a fit to them.
    noise : float
        Its noise, in standard deviations of the outcome.

    Raises
    ------
    DataError
    """
    if _hardly_repeats(data):
        return
    rows = Replicates.of(data)
    passes_through = freedom > MAX_FREEDOM * len(rows.sizes) or noise < MIN_NOISE
    if rows.exact and passes_through and len(np.unique(data.outcome)) > 2:
        raise DataError(
            f"the actions determine outcome {data.outcome_name!r} exactly wherever a combination "
            f"of them repeats ({rows.copies} of {len(data)} rows repeat another), and nothing else "
            "tells the noise: an average was taken already, or rows were copied; give the single "
            "measurements, or drop the duplicates (DataFrame.drop_duplicates)"
        )


def warn_of_copies(data: Observations) -> None:
    """Warn of many exact copies of rows.

    Warns
    -----
    DataWarning
        Where a tenth of the rows or more are copies.
    """
    if _hardly_repeats(data):
        return
    copies = Replicates.of(data).copies
    if copies >= MANY_COPIES * len(data) and not is_discrete(data.outcome):
        warnings.warn(
            f"{copies} of {len(data)} rows are exact copies of others, in actions, regime and "
            f"outcome {data.outcome_name!r}: they count as independent, and intervals are too "
            "narrow; drop them (DataFrame.drop_duplicates) unless they were measured",
            DataWarning,
            skip_file_prefixes=(PACKAGE,),
        )


def _hardly_repeats(data: Observations) -> bool:
    """Whether too few outcomes are equal for many rows to be: a look at one column will do."""
    return len(np.unique(data.outcome)) > (1 - MANY_COPIES) * len(data)


def is_discrete(values: Array) -> bool:
    """Whether values are discrete or rounded, so that some agree by coincidence.

    The least gap between n distinct numbers without a grid is about n times as small as their mean
    gap; on a grid both are alike. The extremes are left out: gaps between outliers are wide.

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
    """Numbers of distinct rows, shape (n,)."""
    order = np.lexsort(columns.T)
    ordered = columns[order]
    new = np.concatenate([[False], (ordered[1:] != ordered[:-1]).any(axis=1)])
    ranks = np.empty(len(columns), dtype=int)
    ranks[order] = np.cumsum(new)
    return ranks

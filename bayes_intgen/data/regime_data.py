"""Validated rows in memory, built from arrays or tables, and rows added to those of a fit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, Unpack, override

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._arguments import items
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, Label, at_most_three
from bayes_intgen.data.arrays import ArrayOptions, table_of_arrays
from bayes_intgen.data.group_means import with_group_means
from bayes_intgen.data.lift_tests import LiftTest
from bayes_intgen.data.missing import MissingCells, summed
from bayes_intgen.data.rows import BY_COLUMN, Observations
from bayes_intgen.data.schema import Options, Schema, shows_options
from bayes_intgen.data.tables import KINDS, as_table
from bayes_intgen.data.validation import check_cells, check_observational
from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import masks_of
from bayes_intgen.text.messages import refuse_unknown_actions

if TYPE_CHECKING:
    import narwhals as nw


class RegimeData(Observations):
    """Actions, outcome and mask of every row, in memory.

    Build it with :meth:`from_frame` or :meth:`from_arrays`, which validate the input.

    Attributes
    ----------
    names : tuple of str, length K
        Names of the actions.
    outcome_name : str
        Name of the outcome.
    actions : ndarray, shape (N, K), float64
        Values of the actions, in the user's units; codes of levels.
    outcome : ndarray, shape (N,), float64
        Values of the outcome, in the user's units.
    intervened : ndarray, shape (N, K), bool
        Mask R of each row: True if the action was set from outside.
    lift_tests : tuple of LiftTest
        Experiments known by their summary only: :meth:`Rows.add_lift_test`.
    categories : tuple of Categories or None, length K
        Levels of each action whose values are text, booleans, categories or two distinct numbers;
        None for other actions.
    columns : CovariateColumns
        Names of covariates and groups, with their levels and labels.
    covariates : ndarray, shape (N, C + G), float64
        Covariates, then codes of groups.
    weights : ndarray, shape (N,), or None
        Number of units of which each row is the mean.
    within : ndarray, shape (N,), or None
        Sum of squares of these units' outcomes about their mean.
    series : ndarray of int, shape (N,), or None
        Code of the unit of each row, if the rows have a time.
    time : ndarray, shape (N,), or None
        Time of each row; dates as days since 1970.
    dropped : dict from mask to int
        Number of rows per mask that were left out because of missing cells.
    """

    @classmethod
    @shows_options
    def from_arrays(
        cls,
        actions: ArrayLike,
        outcome: ArrayLike,
        intervened: ArrayLike,
        names: Sequence[str] | None = None,
        **options: Unpack[ArrayOptions],
    ) -> Self:
        """Build data from arrays.

        Parameters
        ----------
        actions : array_like, shape (N, K)
            Values of the actions: numbers, or levels (text, booleans, or two distinct numbers). An
            array of objects may have columns of both kinds.
        outcome : array_like, shape (N,)
            Values of the outcome.
        intervened : array_like of bool, shape (N, K)
            True if an action was set from outside. Any mixture of masks may occur.
        names : sequence of str, length K, optional
            Names of the actions; ``a1``, ``a2``, ... by default. Columns of tables with these
            names are found by them, in any order.
        outcome_name : str
            Name of the outcome, used in labels; "outcome" by default.
        covariates, groups : mapping from name to array_like, shape (N,), optional
            As in :meth:`from_frame`, with a value per row.
        weights, outcome_sd, unit, time : array_like, shape (N,), optional
            As in :meth:`from_frame`.
        missing : {"error", "drop", "level"}, or mapping from column to one of these
            As in :meth:`from_frame`; cells are missing if they are NaN, None or masked.
        require_observational : bool
            Whether to raise an error without observational rows (rows in which no action was
            set), as by default. Some effects are not identified without them.

        Raises
        ------
        DataError
            On wrong shapes, cells that are not finite, or missing observational rows. Columns that
            never vary and too few rows are errors of :func:`bayes_intgen.fit` alone: such rows can
            be added to a fit.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> intervened = np.repeat([[False, False], [True, False], [False, True]], 10, axis=0)
        >>> actions = rng.normal(size=(30, 2))
        >>> RegimeData.from_arrays(actions, actions.sum(axis=1), intervened)
        RegimeData: 30 rows, outcome 'outcome', actions 'a1', 'a2'
          observational  10
          do(a1)         10
          do(a2)         10
        """
        data = cls._of(*table_of_arrays(actions, outcome, intervened, names, **options))
        # The names of arrays are not those of columns in a file.
        return replace(data, columns=replace(data.columns, weights="", outcome_sd=""))

    @classmethod
    @shows_options
    def from_frame(
        cls,
        frame: Any,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        **options: Unpack[Options],
    ) -> Self:
        """Build data from a table of any kind.

        Parameters
        ----------
        frame : table
            A table with one row per observation: pandas, Polars, Arrow, DuckDB or any other
            library that narwhals reads, or an xarray Dataset of one dimension. It is not modified.
        actions : sequence of str
            Columns of the actions. Text, booleans, categories and two distinct numbers are levels,
            which keep their names.
        outcome : str
            Column of the outcome.
        regime : str
            Column of regime labels, which name the actions that were set: ``"red"`` for do(red),
            ``"red+green"`` if both were set, and missing, ``""`` or ``"observational"`` if none
            was.
        labels : mapping from str to str, sequence of str or None, optional
            What other labels stand for, such as ``{"TV test (spring)": "tv", "BAU": None}``: an
            action, several (``"tv+radio"``), or None where none was set.
        covariates : sequence of str, optional
            Columns of observed causes that the actions do not change, such as season or age.
            Text, booleans and categories are levels. Effects are averages over the
            observational rows unless a query says otherwise.
        groups : sequence of str, optional
            Columns that name units whose rows belong together, such as regions or patients. Each
            group has a level, partially pooled. One column may have more than 64 groups.
        weights : str, optional
            Column of the number of units of which each row is the mean.
        outcome_sd : str, optional
            Column of the standard deviation of the outcome among these units, with n - 1. With it,
            aggregated rows give the posterior of the units themselves, if the mean fits.
        time : str, optional
            Column of dates or numbers by which rows follow each other; it may be one of the
            covariates or groups.
        unit : str, optional
            Column of the unit, such as a region, whose rows follow each other by time; by default
            all rows are of one unit. It may be one of the groups or covariates.
        missing : {"error", "drop", "level"}, or mapping from column to one of these
            Treatment of missing cells: an error that counts them, by default; leave out the rows
            that have any, with a warning that counts these; or make missing cells of text
            covariates a level of their own, called ``"missing"``, and raise an error in others. A
            mapping such as ``{"age": "drop", "channel": "level"}`` treats columns differently;
            missing cells of columns that it lacks are errors, unless it has a treatment of these
            under ``""``. Missing regime labels are observational.
        require_observational : bool
            As in :meth:`from_arrays`.

        Raises
        ------
        DataError
            On missing columns, unknown actions in regime labels, and as in
            :meth:`from_arrays`.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame(
        ...     {"x": range(20), "y": range(20), "regime": [None, "x"] * 10}
        ... )
        >>> RegimeData.from_frame(frame, actions=["x"], outcome="y", regime="regime")
        RegimeData: 20 rows, outcome 'y', actions 'x'
          observational  10
          do(x)          10
        """
        schema = Schema.of(actions, outcome, regime, **options)
        table = as_table(frame, schema.every)
        if table is None:
            raise DataError(f"frame must be {KINDS}, not {type(frame).__name__}")
        return cls._of(schema, table)

    @classmethod
    def _of(
        cls,
        schema: Schema,
        table: "nw.DataFrame[Any]",
        masks: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Read and validate complete rows, and warn of those that were left out."""
        MissingCells().refuse_all(len(table))
        schema = schema.with_levels(schema.contents_of([table]))
        rows, numbers, missing = schema.read(table, masks=masks)
        schema.refuse_missing(missing)
        missing.refuse_all(len(rows))
        schema = schema.with_two_valued(list(map(at_most_three, rows.smooth_columns.T)))
        levels = {"categories": schema.categories, "columns": schema.columns}
        data = cls(**{**vars(rows), **levels, "dropped": missing.rows})
        check_cells(data, numbers)
        if schema.require_observational:
            check_observational(data)
        missing.warn(data.names, len(data) + missing.total)
        return data._frozen()

    def _frozen(self) -> Self:
        """Copy the rows to read-only arrays."""
        # Conversion has copied the large arrays already, which are read by column.
        arrays = {
            name: np.asfortranarray(array) if name in BY_COLUMN else np.array(array, order="C")
            for name, array in self.arrays.items()
        }
        for array in arrays.values():
            array.flags.writeable = False
        return self._replace(**arrays)

    @override
    def with_group_means(self) -> Self:
        """Add what each group usually does as covariates, for a grouping with over 64 groups.

        Groups that differ in their usual actions and in their outcomes confound all actions. With
        few rows per group, the shrunken means of its actions, from its rows in which they were not
        set, stand for a group: they may move actions and outcome like any covariate. Outcomes must
        not move later actions of the group.

        Returns
        -------
        RegimeData
            With a covariate ``mean ACTION of GROUPING`` for each action of numbers or ordered
            levels that varies in a group where it was not set, in the action's coordinate.

        Raises
        ------
        DataError
            If no grouping has more than 64 groups, no action is of this kind, or the data have such
            columns already.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"x": range(400), "y": range(400), "regime": [None, "x"] * 200})
        >>> frame["patient"] = [f"p{i // 4}" for i in range(400)]
        >>> rows = RegimeData.from_frame(frame, ["x"], "y", "regime", groups=["patient"])
        >>> rows.with_group_means().columns.names
        ('mean x of patient',)
        """
        return with_group_means(self)._frozen()

    def only(self, *regimes: Sequence[str]) -> Self:
        """Select the rows of some regimes.

        Parameters
        ----------
        *regimes : sequence of str
            The actions set in each regime; an empty sequence for the observational rows.

        Raises
        ------
        DataError
            If a regime names an unknown action, or no rows belong to the regimes.

        Examples
        --------
        >>> data.only([], ["red"])
        RegimeData: 600 rows, outcome 'intensity', actions 'red', 'green'
          observational  300
          do(red)        300
        """
        keep = np.zeros(len(self), dtype=bool)
        for regime in regimes:
            actions = items(regime, "regime", "actions", DataError)
            refuse_unknown_actions(actions, self.names, DataError, "regime: ")
            keep |= (self.intervened == [name in actions for name in self.names]).all(axis=1)
        if not keep.any():
            raise DataError("no rows belong to these regimes; see data.regimes")
        masks = set(masks_of(self.intervened[keep])[0])
        dropped = {mask: rows for mask, rows in self.dropped.items() if mask in masks}
        rows = replace(self.take(keep), lift_tests=(), dropped=dropped)._frozen()
        for test in self.lift_tests:
            rows = rows._with_test(test)
        return rows


def with_rows(data: RegimeData, new: RegimeData) -> RegimeData:
    """Append rows with the same columns.

    Levels and groups are matched by their labels; groups may be new, levels may not. Lift tests of
    both remain.

    Parameters
    ----------
    data, new : RegimeData

    Raises
    ------
    DataError
        If there are no new rows, columns or their roles differ, a level is new, or a regime label
        has another meaning; the message names it.

    Examples
    --------
    >>> len(with_rows(data, data.only(["red"]))) - len(data)
    300
    """
    MissingCells().refuse_all(len(new))
    _refuse_other_columns(data, new)
    for label, meaning in new.columns.meanings.items():
        if data.columns.meanings.get(label, meaning) != meaning:
            raise DataError(
                f"the new rows have another meaning of the label {label!r} than the rows of the "
                "fit; give it the same one"
            )
    own, other, count = data.columns, new.columns, len(data.names)
    # Codes of the new rows by the labels of all groups, the new ones last.
    labels = tuple(map(_joined, own.labels, other.labels))
    units, meanings = _joined(own.units, other.units), {**own.meanings, **other.meanings}
    columns = replace(own, labels=labels, units=units, meanings=meanings)
    new = new.coded_by(columns)
    numbers, groups = np.split(new.covariates, [len(own.names)], axis=1)
    smooth = zip(
        (*data.names, *own.names),
        (*new.actions.T, *numbers.T),
        (*new.categories, *other.categories),
        (*data.categories, *own.categories),
        strict=True,
    )
    recoded = [_recoded(*column) for column in smooth]
    covariates = [*recoded[count:], *groups.T]
    added = np.stack(covariates, axis=1) if covariates else new.covariates
    return data.followed_by(
        replace(new, actions=np.stack(recoded[:count], axis=1), covariates=added),
        columns=columns,
        lift_tests=(*data.lift_tests, *(_translated(test, data, new) for test in new.lift_tests)),
        dropped=summed(data.dropped, new.dropped),
    )._frozen()


def _translated(test: LiftTest, data: RegimeData, new: RegimeData) -> LiftTest:
    """Lift test of new rows, with the codes of levels that the fit has."""
    k, ends = data.names.index(test.action), np.array([test.x_from, test.x_to])
    levels = new.categories[k]
    start, end = (ends if levels is None else levels.decode(ends)).tolist()
    return LiftTest.of(test.action, start, end, test.effect, test.se, data.categories[k])


def _joined(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """Labels of both, the new ones last."""
    return tuple(dict.fromkeys([*old, *new]))


def _refuse_other_columns(data: RegimeData, new: RegimeData) -> None:
    """Raise DataError if columns or their roles differ."""
    roles = {
        "actions": (data.names, new.names),
        "outcome": (data.outcome_name, new.outcome_name),
        "covariates": (data.columns.names, new.columns.names),
        "groups": (data.columns.groups, new.columns.groups),
        "dates": (data.columns.dates, new.columns.dates),
        "weights": (data.weights is not None, new.weights is not None),
        "outcome_sd": (data.within is not None, new.within is not None),
        "time": (data.columns.time, new.columns.time),
        "unit": (data.columns.unit, new.columns.unit),
    }
    for role, (own, other) in roles.items():
        if own != other:
            raise DataError(
                f"the new rows have other {role} than the fit: {_shown(other)} instead of "
                f"{_shown(own)}; read them with the same columns in the same order"
            )


def _shown(columns: object) -> str:
    if isinstance(columns, bool):
        return "some" if columns else "none"
    if isinstance(columns, tuple):
        return ", ".join(map(repr, columns)) or "none"
    return repr(columns)


def _recoded(name: str, values: Array, levels: Categories | None, old: Categories | None) -> Array:
    """Translate codes of the new rows' levels to those of the fit."""
    if levels is None and old is None:
        return values
    labels: list[Label] = (values if levels is None else levels.decode(values)).tolist()
    if old is None:
        # Two distinct numbers are levels of their own, but numbers to the fit.
        if all(isinstance(label, float) for label in labels):
            return np.array(labels, dtype=np.float64)
        raise DataError(f"column {name!r} has levels in the new rows and numbers in the fit")
    code_of = dict(zip(old.labels, old.codes, strict=True))
    unknown = [label for label in dict.fromkeys(labels) if label not in code_of]
    if unknown:
        raise DataError(
            f"column {name!r} has the level {unknown[0]!r}, which the fit has not; fit all rows "
            "together"
        )
    return np.array([code_of[label] for label in labels], dtype=np.float64)

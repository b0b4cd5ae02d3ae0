"""Populations over which effects of a fit are averaged: validation, words, and what a fit keeps.

Conditional on covariates and groups, effects are identified as without them. The effect in a
population is the average over its rows (standardisation, the g-formula; Robins 1986).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple, Self

import narwhals as nw
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, GroupIndicators
from bayes_intgen.basis.categories import centres
from bayes_intgen.basis.combined import TensorProductBasis
from bayes_intgen.data.covariates import (
    NEW_GROUP,
    UNSEEN,
    CovariateColumns,
    date_text,
    days_of,
)
from bayes_intgen.data.missing import MISSING_LEVEL
from bayes_intgen.data.queries import checked_points, checked_value, is_sequence
from bayes_intgen.data.rows import Rows
from bayes_intgen.data.tables import (
    KINDS,
    as_table,
    days_of_column,
    distinct_cells,
    label_cells,
    missing_cells,
)
from bayes_intgen.errors import PointsError, SupportWarning, warn
from bayes_intgen.identification.regimes import (
    Mask,
    groups_under_one_mask,
    rest_on_exchangeability,
)
from bayes_intgen.identification.strata import strata_dataset
from bayes_intgen.models.adjustment import population_shares
from bayes_intgen.models.base import CONSTANT
from bayes_intgen.models.laws import Link
from bayes_intgen.models.population import Population, Units
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import ALWAYS, Decomposition, Term
from bayes_intgen.models.unit_effects import UnitEffects
from bayes_intgen.posterior.carryover import held_in_words
from bayes_intgen.text.formats import shorter_number
from bayes_intgen.text.messages import first_few, in_words, quoted, unknown_name

# Maximum number of averaged values that a description lists.
MAX_VALUES_SHOWN = 8
# Value of ``population`` that draws it, and its words in answers.
BOOTSTRAP = "bootstrap"
BOOTSTRAP_WORDS = "drawn by the Bayesian bootstrap"
# Maximum number of rows of the population that a fit keeps.
MAX_UNITS = 20_000
# Rows whose functions are evaluated at once.
ROWS_AT_ONCE = 100_000


class Standardisation(NamedTuple):
    """Population about which a posterior is asked, and its description.

    Attributes
    ----------
    population : Population or None
        None for the observational rows of the data.
    description : str
        Empty for a fit without covariates and groups.
    given : mapping from covariate or grouping to value or list of values
    over : table or "bootstrap", or None
        Rows over which effects are averaged, as users give them.
    out_of_range : tuple of str
        Covariates with values outside their ranges.
    """

    population: Population | None
    description: str
    given: Mapping[str, Any]
    over: Any
    out_of_range: tuple[str, ...] = ()

    @property
    def bootstrap(self) -> bool:
        """Whether each draw has its own population, by the Bayesian bootstrap."""
        return isinstance(self.over, str)

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes of labelled answers: the description, if there is one."""
        return {"population": self.description} if self.description else {}


def standardisation(
    tree: xr.DataTree,
    terms: Decomposition,
    regimes: Mapping[Mask, int],
    given: Mapping[str, Any],
    population: Any,
) -> Standardisation:
    """Validate a population, describe it, and warn where it leaves the range of a covariate.

    Parameters
    ----------
    tree : DataTree
        Tree of the fit.
    terms : Decomposition
    regimes : mapping from mask to int
        Rows of each regime. Without observational rows, all rows are the population.
    given : mapping from covariate or grouping to value or list of values
        Lists are averaged with equal weights, several of them over all combinations.
    population : table or "bootstrap", or None
        A column per covariate and grouping that is not given.

    Raises
    ------
    PointsError
        On unknown names, levels or groups, missing columns, or cells that are not finite.
    """
    columns, words = terms.covariates, _words_of_fit(tree, terms, regimes, given)
    fine = None if columns.fine_grouping is None else columns.every[columns.fine_grouping]
    values = _values_given(columns, given)
    if population is not None and not len(columns):
        raise PointsError("the fit has no covariates or groups, so population makes no difference")
    if isinstance(population, str):
        if population != BOOTSTRAP:
            raise PointsError(f"population must be a table or {BOOTSTRAP!r}, not {population!r}")
        words = f"{words}, {BOOTSTRAP_WORDS}"
    elif population is not None:
        rows = _values_of_table(columns, population, given)
        words = f"average over {len(rows)} rows of the given population"
        values = np.where(np.isnan(values[:, None]), rows, values[:, None])
        values = values.reshape(-1, len(columns))
        if fine is not None and np.isnan(values[:, columns.fine_grouping]).any():
            words = f"{words}, for an average {fine}"
    if given:
        at = ", ".join(f"{name} = {words_of_value(value)}" for name, value in given.items())
        words = f"at {at}{'' if len(given) == len(columns) else f'; otherwise {words}'}"
    words = ", with ".join(filter(None, [words, held_in_words(terms)]))
    own = Standardisation(None, words, given, population)
    if not given and (population is None or own.bootstrap):
        return own
    # Codes of groups follow, which have no range.
    low, high = (tree["population"].dataset[end].values for end in ("low", "high"))
    out = warn_of_range("population", columns.names, values, low, high, columns.dates)
    population = Population(values, np.full(len(values), 1 / len(values)))
    return own._replace(population=population, out_of_range=out)


def _words_of_fit(
    tree: xr.DataTree,
    terms: Decomposition,
    regimes: Mapping[Mask, int],
    given: Collection[str],
) -> str:
    """Describe the population of a fit; empty without covariates and groups."""
    columns = terms.covariates
    if not len(columns):
        return ""
    fine = [] if columns.fine_grouping is None else [columns.every[columns.fine_grouping]]
    # Groups whose levels are not centred over these rows.
    units = dict.fromkeys([*fine, *groups_of_one_mask(tree)])
    average = " and ".join(f"an average {name}" for name in units if name not in given)
    count = regimes.get((False,) * len(terms.names), 0)
    over = f"{count:,} observational rows" if count else "all rows"
    return f"average over {over}{', for ' * bool(average)}{average}"


class RowsAlike(NamedTuple):
    """Rows that a prediction answers together.

    Attributes
    ----------
    rows : ndarray of int, shape (m,)
        Their positions.
    population : Population or None
        Over which each is averaged; None for that of the fit.
    values : ndarray, shape (m, C + G) or (m, 0)
        Values of all covariates and groups where each row has its own.
    """

    rows: NDArray[np.int_]
    population: Population | None
    values: Array

    def inputs(self, actions: Array) -> Array:
        """Inputs of a prediction from the actions of all rows, shape (n, K)."""
        return np.hstack([actions[self.rows], self.values])

    def split(self, size: int) -> Iterator[Self]:
        """Split into parts of at most about ``size`` rows."""
        parts = max(1, -(-len(self.rows) // max(1, size)))
        for part in np.array_split(np.arange(len(self.rows)), parts):
            yield self._replace(rows=self.rows[part], values=self.values[part])


def of_rows(
    tree: xr.DataTree,
    known: Standardisation,
    columns: CovariateColumns,
    table: nw.DataFrame[Any],
) -> tuple[Standardisation, list[RowsAlike]]:
    """Give each row of a table its own values of covariates and groups, where it has columns.

    Other values are those ``known`` before.

    Returns
    -------
    averages : Standardisation
        Of all rows together, for words and warnings.
    parts : list of RowsAlike
    """
    names = [name for name in columns.every if name in table.columns]
    if not names:
        every = np.arange(len(table))
        return known, [RowsAlike(every, known.population, np.empty((len(table), 0)))]
    values = _values_of_columns(columns, table, names)
    low, high = (tree["population"].dataset[end].values for end in ("low", "high"))
    out = warn_of_range("points", columns.names, values, low, high, columns.dates)
    at = [columns.every.index(name) for name in names]
    distinct, which, counts = np.unique(
        values[:, at], axis=0, return_inverse=True, return_counts=True
    )
    base = known.population or Population(np.full((1, len(columns)), np.nan), np.ones(1))
    units = np.tile(base.values, (len(distinct), 1, 1))
    units[:, :, at] = distinct[:, None]
    parts = []
    if {*asked_for(columns)} <= {*names}:
        fine = columns.fine_grouping
        if fine is not None and fine not in at:
            # The same for all units: a question fixes it, or leaves it out.
            values[:, fine] = base.values[0, fine]
        # Conditional on all values, only groups that are not in the data need a distribution.
        new = np.where(values == UNSEEN, UNSEEN, 0.0).min(axis=0, keepdims=True)
        parts.append(RowsAlike(np.arange(len(table)), Population(new, np.ones(1)), values))
    else:
        for i, own in enumerate(units):
            rows = np.flatnonzero(which.ravel() == i)
            parts.append(RowsAlike(rows, Population(own, base.shares), values[rows, :0]))
    together = Population(
        units.reshape(-1, len(columns)), np.outer(counts / len(table), base.shares).ravel()
    )
    cells = {name: list(dict.fromkeys(table[name].to_list())) for name in names}
    words = f"at the {in_words(names)} of each row"
    if known.description and len(names) < len(columns):
        words += f"; otherwise {known.description}"
    averages = Standardisation(together, words, {**known.given, **cells}, known.over, out)
    return averages, parts


def groups_of_one_mask(tree: xr.DataTree) -> list[str]:
    """Groupings most of whose groups occur under one mask only."""
    stored = tree["population"].dataset
    columns = (stored[name].values.tolist() for name in ("grouping", "under_one_mask", "n_groups"))
    return [
        name for name, *counts in zip(*columns, strict=True) if rest_on_exchangeability(*counts)
    ]


def warn_of_range(
    subject: str,
    names: Sequence[str],
    values: Array,
    low: Array,
    high: Array,
    dates: Sequence[str] = (),
) -> tuple[str, ...]:
    """Warn of columns with values outside their ranges, with the farthest value; return them."""
    found: dict[str, str] = {}
    for name, column, least, most in zip(names, values.T, low, high, strict=False):
        excess = np.maximum(least - column, column - most)
        if excess.max(initial=0) > 0:
            words = date_text if name in dates else shorter_number
            farthest, start, end = map(words, (column[excess.argmax()], least, most))
            found[name] = f"{name!r} at {farthest}, outside its range, {start} to {end}"
    if found:
        has, one = ("have", subject) if subject == "points" else ("has", f"a {subject}")
        which = first_few([*found.values()], 2)
        remedy = f"choose {one} within the range"
        warn(f"the {subject} {has} {which}: this is extrapolation; {remedy}", SupportWarning)
    return (*found,)


def in_population(
    prediction: Prediction, averages: Standardisation, scale_of: Callable[[str], Array]
) -> Prediction:
    """Predictions in a population, with draws of the effects of groups that are not in the data.

    The population of a draw is the same in all answers.

    Parameters
    ----------
    prediction : Prediction
    averages : Standardisation
    scale_of : callable
        Draws of the scale of a term by its name, shape (chain, draw).
    """
    population = averages.population
    if population is None and averages.over is None:
        return prediction
    bootstrap = generator(0, "population") if averages.bootstrap else None
    if population is not None:
        prediction = _with_new_groups(prediction, population, scale_of)
    return prediction.in_population(population, bootstrap)


def _values_given(columns: CovariateColumns, given: Mapping[str, Any]) -> Array:
    """Combinations of the values given, shape (R, C + G); NaN in the other columns."""
    codes: list[list[float]] = [[np.nan]] * len(columns)
    for name, value in given.items():
        if name not in columns.every:
            what = "given: unknown covariate or grouping"
            raise PointsError(unknown_name(what, name, columns.every, "fit has"))
        several = list(value) if is_sequence(value) else [value]
        if not several:
            raise PointsError(f"given: {name!r} is an empty list; give a value, or omit it")
        codes[columns.every.index(name)] = [_code_given(columns, name, own) for own in several]
    return np.array(list(product(*codes)))


def _code_given(columns: CovariateColumns, name: str, value: Any) -> float:
    """Number or code of a value of a covariate or grouping."""
    at = columns.every.index(name)
    if name in columns.dates:
        return days_of(value, name, PointsError)
    if name in columns.names:
        return checked_value(value, name, columns.categories[at])
    if pd.isna(value):
        raise PointsError(f"given: {name!r} is missing; name a group, or omit it")
    return float(_codes_of_groups(columns, name, [value])[0])


def _codes_of_groups(columns: CovariateColumns, name: str, labels: list[Any]) -> Array:
    """Codes of groups, of which a fine grouping has the new one only."""
    known = [label for label in labels if label != NEW_GROUP]
    if known and columns.every.index(name) == columns.fine_grouping:
        raise PointsError(
            f"the levels of {name!r} are integrated out, so that the fit cannot answer for "
            f"{known[0]!r} alone; omit it, or write {NEW_GROUP!r}"
        )
    return columns.encode_groups(name, labels, PointsError)


def words_of_value(value: Any) -> str:
    """A value in a description, or the values of a list that is averaged over."""
    several = list(value) if is_sequence(value) else [value]
    words = [*map(str, several[:MAX_VALUES_SHOWN])]
    if len(several) > len(words):
        words.append(f"{len(several) - len(words)} more")
    return f"{'average of ' * (len(words) > 1)}{in_words(words)}"


def _values_of_table(columns: CovariateColumns, population: Any, given: Collection[str]) -> Array:
    """Values of the rows of a population, shape (R, C + G); NaN in the columns that are given."""
    table = as_table(population)
    if table is None:
        raise PointsError(f"population must be {KINDS}, not {type(population).__name__}")
    if not len(table):
        raise PointsError("the population has no rows")
    wanted = [name for name in asked_for(columns) if name not in given]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise PointsError(
            f"the population has no column {quoted(missing)}; the fit needs {quoted(wanted)}"
        )
    own = [name for name in columns.every if name in table.columns and name not in given]
    return _values_of_columns(columns, table, own)


def asked_for(columns: CovariateColumns) -> list[str]:
    """Covariates and groupings that a population must have: all but a fine grouping."""
    return [name for i, name in enumerate(columns.every) if i != columns.fine_grouping]


def _values_of_columns(
    columns: CovariateColumns, table: nw.DataFrame[Any], names: Sequence[str]
) -> Array:
    """Numbers and codes of some columns, shape (R, C + G); NaN in the others."""
    values = np.full((len(table), len(columns)), np.nan)
    for name in names:
        at = columns.every.index(name)
        if name in columns.groups:
            cells = label_cells(table, name, PointsError)
            values[:, at] = _codes_of_groups(columns, name, cells)
        elif name in columns.dates:
            undated = np.flatnonzero(missing_cells(table[name]))
            if undated.size:
                raise PointsError(f"there is no date {name!r} in row {undated[0]}")
            values[:, at] = days_of_column(table[name], PointsError)
        else:
            own: Any = table.select([name])
            levels = columns.categories[at]
            if levels is not None and MISSING_LEVEL in levels.labels:
                cells, which = distinct_cells(table[name])
                own = {name: [cells[i] for i in which]}
            values[:, [at]] = checked_points(own, [name], [levels])
    return values


def _with_new_groups(
    prediction: Prediction, population: Population, scale_of: Callable[[str], Array]
) -> Prediction:
    """Add effects of groups that are not in the data, which count as one group.

    They are drawn from the distribution between groups.
    """
    is_new = (population.values == UNSEEN).any(axis=0)
    if not is_new.any():
        return prediction
    terms, count, lead = prediction.terms, len(prediction.terms.names), prediction.sd.shape
    more, draws, indicator = list[Term](), list[Array](), GroupIndicators(1, UNSEEN)

    def add(name: str, at: int, function: Basis, action: int | None, effects: Array) -> None:
        basis: Basis = indicator
        if action is not None:
            basis = TensorProductBasis((function, indicator), function.size)
        inputs = (at,) if action is None else (action, at)
        component = replace(CONSTANT, basis=basis)
        more.append(Term(f"new {name}", "group", action, inputs, component, 1.0, ALWAYS))
        draws.append(effects)

    # A stream for each term: its effects are the same whichever other groups are new.
    for stream, term in enumerate(terms.terms, 1):
        at, rng = max(term.inputs, default=0), generator(0, "unit", stream)
        if term.role not in ("usual", "group") or not is_new[at - count]:
            continue
        if term.role == "usual":
            # Over groups its functions have unit variance.
            slopes = prediction.coefficients[..., terms.columns[term.name]]
            effects = (slopes * rng.standard_normal(slopes.shape)).sum(axis=-1, keepdims=True)
            add(term.name, at, indicator, None, effects)
        else:
            basis = term.component.basis
            function = basis.factors[0] if isinstance(basis, TensorProductBasis) else indicator
            effects = rng.standard_normal((*lead, function.size))
            effects = scale_of(term.name)[..., None] * effects
            add(term.name, at, function, term.action, effects)
    fine = terms.random_effects
    if fine is not None and is_new[fine.grouping - count]:
        effects = fine.drawn(prediction.sd, generator(0, "unit", len(terms.terms) + 1))
        start = 0
        for basis, k in zip(fine.bases, fine.inputs, strict=True):
            own, start = effects[..., start : start + basis.size], start + basis.size
            name = fine.names[start - 1]
            add(name, fine.grouping, basis, k if k < count else None, own)
    coefficients = np.concatenate([prediction.coefficients, *draws], axis=-1)
    return replace(prediction, terms=terms.and_terms(more), coefficients=coefficients)


def draws_of_scale(tree: xr.DataTree, name: str) -> Array:
    """Draws of a term's scale, shape (chain, draw), or its fixed value."""
    draws, fixed = tree["posterior"].dataset, fixed_scales(tree)
    if name in fixed:
        return np.asarray(fixed[name] * draws["noise_sd"].values)
    return draws["scale"].sel(scale_of=name).values


def fixed_scales(tree: xr.DataTree) -> dict[str, float]:
    """Scales that a fit did not sample, in units of ``noise_sd``, by term."""
    constant = tree["constant_data"].dataset
    ratios = constant["fixed_scale"].values / float(constant["pilot_noise_sd"])
    return dict(zip(constant["fixed_scale_of"].values.tolist(), ratios.tolist(), strict=True))


def population_dataset(
    data: Rows, link: Link, terms: Decomposition, coefficients: Array
) -> xr.Dataset:
    """Group ``population`` of the tree of a fit to rows with covariates or groups.

    ``coefficients``, shape (P,), are posterior means.
    """
    rows, columns = data.in_memory, data.columns
    values, units = rows.covariates, _units_of(data, link, terms, coefficients)
    counts = [
        groups_under_one_mask(codes, rows.intervened) for codes in values.T[len(columns.names) :]
    ]
    under_one_mask, n_groups = np.array(counts, dtype=int).reshape(-1, 2).T
    return labelled_dataset(
        {
            "unit": (("population_row", "covariate"), units.values),
            "share": ("population_row", units.shares),
            "rows_of_unit": ("population_row", units.rows),
            "low": ("covariate", values.min(axis=0)),
            "high": ("covariate", values.max(axis=0)),
            "under_one_mask": ("grouping", under_one_mask),
            "n_groups": ("grouping", n_groups),
            **strata_dataset(rows.strata()),
        },
        {
            "population_row": np.arange(len(units.values)),
            "covariate": list(columns.every),
            "grouping": np.array(columns.groups, dtype=str),
        },
    )


def _units_of(data: Rows, link: Link, terms: Decomposition, coefficients: Array) -> Units:
    """Distinct units of the population, or of a sample of ``MAX_UNITS`` of its rows."""
    rows, fine = data.in_memory, data.columns.fine_grouping
    shares = population_shares(rows)
    own = np.flatnonzero(shares)
    observational = data.regimes.get((False,) * len(data.names), 0)
    count = (observational or sum(data.regimes.values())) / len(own)
    values = rows.covariates[own]
    if fine is not None:
        # Its levels are integrated out.
        values[:, fine] = 0.0
    units = Units(values, shares[own], np.full(len(own), count))
    if len(own) > MAX_UNITS:
        if link == "log":
            # A sample from every stretch of sorted units has nearly their average of exponentials.
            point = np.array([centres([c.centre for c in terms.coordinates], terms.categories)])
            all_set = np.ones(point.shape, dtype=bool)
            effects = UnitEffects.of(terms, coefficients, all_set)
            of_parts = [
                effects.at_each(point, all_set, own, lambda x: x @ effects.coefficients)[:, 0]
                for own in np.array_split(values, -(-len(values) // ROWS_AT_ONCE))
            ]
            order = np.argsort(np.concatenate(of_parts))
            units = Units(values[order], units.shares[order], units.rows)
        units = units.sampled(generator(0, "unit"), MAX_UNITS)
    return units.distinct()

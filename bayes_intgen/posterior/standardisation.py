"""Populations over which effects of a fit are averaged: validation, and their words.

Conditional on covariates and groups, effects are identified as without them. The effect in a
population is the average over its rows (standardisation, the g-formula; Robins 1986).
"""

from collections.abc import Callable, Collection, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Constant
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.covariates import (
    NEW_GROUP,
    UNSEEN,
    CovariateColumns,
    days_of,
    days_of_column,
)
from bayes_intgen.data.queries import checked_points, checked_value, is_sequence
from bayes_intgen.data.tables import KINDS, as_table, label_cells, missing_cells
from bayes_intgen.errors import PointsError
from bayes_intgen.models.population import Population
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.unit_effects import UnseenGroup, unseen_group
from bayes_intgen.text.messages import hint, in_words, quoted

# Maximum number of averaged values that a description lists.
MAX_VALUES_SHOWN = 8

# Value of ``population`` that draws it, and its words in answers.
BOOTSTRAP = "bootstrap"
BOOTSTRAP_WORDS = "drawn by the Bayesian bootstrap"


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
    """

    population: Population | None
    description: str
    given: Mapping[str, Any]
    over: Any

    @property
    def bootstrap(self) -> bool:
        """Whether each draw has its own population, by the Bayesian bootstrap."""
        return isinstance(self.over, str)

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes of labelled answers: the description, if there is one."""
        return {"population": self.description} if self.description else {}


def standardisation(
    columns: CovariateColumns,
    default: str,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
) -> Standardisation:
    """Validate the population of a query.

    Parameters
    ----------
    columns : CovariateColumns
        Covariates and groups of the fit.
    default : str
        Description of the default population.
    given : mapping from covariate or grouping to value or list of values, optional
        Lists are averaged with equal weights, several of them over all combinations.
    population : table or "bootstrap", optional
        A column per covariate and grouping that is not given.

    Raises
    ------
    PointsError
        On unknown names, levels or groups, missing columns, or cells that are not finite.
    """
    given = given or {}
    values = _values_given(columns, given)
    words = default if len(columns) else ""
    if isinstance(population, str):
        if population != BOOTSTRAP:
            raise PointsError(f"population must be a table or {BOOTSTRAP!r}, not {population!r}")
        if not len(columns):
            raise PointsError(
                "the fit has no covariates or groups, so there is nothing to resample"
            )
        words = f"{default}, {BOOTSTRAP_WORDS}"
    elif population is not None:
        rows = _values_of_table(columns, population, given)
        words = f"average over {len(rows)} rows of the given population"
        values = np.where(np.isnan(values[:, None]), rows, values[:, None])
        values = values.reshape(-1, len(columns))
    if given:
        at = ", ".join(f"{name} = {_words_of_value(value)}" for name, value in given.items())
        words = f"at {at}{'' if len(given) == len(columns) else f'; otherwise {words}'}"
    own = Standardisation(None, words, given, population)
    if not given and (population is None or own.bootstrap):
        return own
    return own._replace(population=Population(values, np.full(len(values), 1 / len(values))))


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
    bootstrap = generator(0, "population") if averages.bootstrap else None
    if population is None and bootstrap is None:
        return prediction
    unseen = () if population is None else _unseen_groups(prediction, population, scale_of)
    return prediction.in_population(population, unseen, bootstrap)


def _values_given(columns: CovariateColumns, given: Mapping[str, Any]) -> Array:
    """Combinations of the values given, shape (R, C + G); NaN in the other columns."""
    codes: list[list[float]] = [[np.nan]] * len(columns)
    for name, value in given.items():
        if name not in columns.every:
            raise PointsError(
                f"given: unknown covariate or grouping {name!r}; {hint(name, columns.every)} fit "
                f"has {quoted(columns.every) or 'none'}"
            )
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
    if value is None or value != value:
        raise PointsError(f"given: {name!r} is missing; name a group, or omit it")
    if at == columns.fine_grouping and value != NEW_GROUP:
        raise PointsError(
            f"the levels of {name!r} are integrated out, so that the fit cannot answer for "
            f"{value!r} alone; omit it, or write {NEW_GROUP!r} (bi.NEW_GROUP)"
        )
    return float(columns.encode_groups(name, [value], PointsError)[0])


def _words_of_value(value: Any) -> str:
    """A value in a description, or the values of a list that is averaged over."""
    several = list(value) if is_sequence(value) else [value]
    words = [*map(str, several[:MAX_VALUES_SHOWN])]
    if len(several) > len(words):
        words.append(f"{len(several) - len(words)} more")
    return f"{'average of ' * (len(words) > 1)}{in_words(words)}"


def _values_of_table(columns: CovariateColumns, population: Any, given: Collection[str]) -> Array:
    """Values of the rows of a population, shape (R, C + G); NaN in the columns that are given."""
    if not len(columns):
        raise PointsError(
            "the fit has no covariates or groups, so a population makes no difference"
        )
    table = as_table(population)
    if table is None:
        raise PointsError(f"population must be {KINDS}, not {type(population).__name__}")
    if not len(table):
        raise PointsError("the population has no rows")
    fine = columns.fine_grouping
    wanted = [name for i, name in enumerate(columns.every) if i != fine and name not in given]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise PointsError(
            f"the population has no column {quoted(missing)}; the fit needs {quoted(wanted)}"
        )
    values = np.full((len(table), len(columns)), np.nan)
    for name in wanted:
        at = columns.every.index(name)
        if name in columns.groups:
            cells = label_cells(table, name, PointsError)
            values[:, at] = columns.encode_groups(name, cells, PointsError)
        elif name in columns.dates:
            undated = np.flatnonzero(missing_cells(table[name]))
            if undated.size:
                raise PointsError(f"the population has no date {name!r} in row {undated[0]}")
            values[:, at] = days_of_column(table[name].to_list(), name, PointsError)
        else:
            own = table.select([name])
            values[:, [at]] = checked_points(own, [name], columns.categories[at : at + 1])
    return values


def _unseen_groups(
    prediction: Prediction, population: Population, scale_of: Callable[[str], Array]
) -> tuple[UnseenGroup, ...]:
    terms, rng = prediction.terms, generator(0, "unit", 1)
    count, lead = len(terms.names), prediction.sd.shape
    out: list[UnseenGroup] = []
    for term in terms.terms:
        if term.role != "group":
            continue
        column = term.inputs[-1] - count
        share = _unseen_share(population, column)
        if share:
            basis = term.component.basis
            function = basis.factors[0] if isinstance(basis, TensorProductBasis) else Constant()
            scale = scale_of(term.name)[..., None]
            effects = scale * rng.standard_normal((*lead, function.size))
            out.append(UnseenGroup(column, function, term.action, effects, share))
    effects_of_units = terms.random_effects
    if effects_of_units is not None:
        share = _unseen_share(population, effects_of_units.grouping - count)
        if share:
            own = unseen_group(terms, effects_of_units, prediction.sd, rng)
            out += [group._replace(share=share) for group in own]
    return tuple(out)


def _unseen_share(population: Population, column: int) -> float:
    """Share of the population in groups that are not in the data, which count as one group."""
    unseen = population.values[:, column] == UNSEEN
    return float(population.shares[unseen].sum())


def draws_of_scale(tree: xr.DataTree, name: str) -> Array:
    """Draws of a term's scale, shape (chain, draw), or its fixed value."""
    draws, fixed = tree["posterior"].dataset, tree["constant_data"].dataset
    if name in fixed["fixed_scale_of"]:
        scale = float(fixed["fixed_scale"].sel(fixed_scale_of=name)) / float(
            fixed["pilot_noise_sd"]
        )
        return np.asarray(scale * draws["noise_sd"].values)
    return draws["scale"].sel(scale_of=name).values

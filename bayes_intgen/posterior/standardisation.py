"""Populations over which effects of a fit are averaged: validation of queries, and their words.

Conditional on covariates and groups, effects are identified as without them. The effect in a
population is the average over its rows (standardisation, the g-formula; Robins 1986).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Constant
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.covariates import UNSEEN, CovariateColumns
from bayes_intgen.data.dates import days_of, days_of_column, holds_dates
from bayes_intgen.data.queries import checked_points, checked_value
from bayes_intgen.data.tables import KINDS, as_table, label_cells
from bayes_intgen.errors import PointsError
from bayes_intgen.models.population import Population
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.unseen_groups import UnseenGroup, unseen_group
from bayes_intgen.text.messages import hint, quoted


class Standardisation(NamedTuple):
    """Population of a query, and its description.

    Attributes
    ----------
    population : Population or None
        None for the observational rows of the data.
    description : str
        Empty for a fit without covariates and groups.
    """

    population: Population | None
    description: str

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
    given : mapping from covariate or grouping to value, optional
    population : table, optional
        A column per covariate and grouping; not together with ``given``.

    Raises
    ------
    PointsError
        On unknown names or levels, missing columns, or cells that are not finite.
    """
    if given is not None and population is not None:
        raise PointsError(
            "pass given or population, not both; put fixed values into the population"
        )
    if population is not None:
        values = _values_of_table(columns, population)
        shares = np.full(len(values), 1 / len(values))
        words = f"average over {len(values)} rows of the given population"
        return Standardisation(Population(values, shares), words)
    if not given:
        return Standardisation(None, default if len(columns) else "")
    values = _values_given(columns, given)
    unseen = [columns.every[i] for i in np.flatnonzero(values == UNSEEN) if i >= len(columns.names)]
    at = ", ".join(
        f"{name} = {value}{' (not in the data)' * (name in unseen)}"
        for name, value in given.items()
    )
    rest = "" if len(given) == len(columns) else f"; otherwise {default}"
    return Standardisation(Population(values[None], np.ones(1)), f"at {at}{rest}")


def in_population(
    prediction: Prediction, draws: xr.Dataset, fixed: xr.Dataset, population: Population | None
) -> Prediction:
    """Predictions in a population, with draws of the effects of groups that are not in the data.

    Parameters
    ----------
    prediction : Prediction
    draws, fixed : Dataset
        Groups ``posterior`` and ``constant_data`` of the tree of the fit.
    population : Population or None
    """
    if population is None:
        return prediction
    unseen = _unseen_groups(prediction, draws, fixed, population)
    return prediction.in_population(population, unseen)


def _values_given(columns: CovariateColumns, given: Mapping[str, Any]) -> Array:
    values = np.full(len(columns), np.nan)
    for name, value in given.items():
        if name not in columns.every:
            own = quoted(columns.every) or "none"
            raise PointsError(
                f"given: unknown covariate or grouping {name!r}; {hint(name, columns.every)} fit "
                f"has {own}"
            )
        at = columns.every.index(name)
        if name in columns.groups:
            if value is None or value != value:
                raise PointsError(f"given: {name!r} is missing; name a group, or omit it")
            values[at] = columns.encode_groups(name, [value])[0]
            if at == columns.fine_grouping and values[at] != UNSEEN:
                raise PointsError(
                    f"the levels of {name!r} are integrated out, so that the fit cannot answer for "
                    f"{value!r} alone; omit it, or give a new label for a unit not in the data"
                )
        elif name in columns.dates:
            values[at] = days_of(value, name, PointsError)
        else:
            values[at] = checked_value(value, name, columns.categories[at])
    return values


def _values_of_table(columns: CovariateColumns, population: Any) -> Array:
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
    wanted = [name for i, name in enumerate(columns.every) if i != fine]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise PointsError(
            f"the population has no column {quoted(missing)}; the fit needs {quoted(wanted)}"
        )
    values = np.full((len(table), len(columns)), np.nan)
    for at, name in enumerate(columns.names):
        if name in columns.dates and holds_dates(table[name]):
            values[:, at] = days_of_column(table[name])
            undated = np.flatnonzero(np.isnan(values[:, at]))
            if undated.size:
                # A column of NaN would be averaged over the data.
                raise PointsError(f"the population has no date {name!r} in row {undated[0]}")
        else:
            own = table.select([name])
            values[:, [at]] = checked_points(own, [name], columns.categories[at : at + 1])
    for name in columns.groups:
        at = columns.every.index(name)
        if at != fine:
            values[:, at] = columns.encode_groups(name, label_cells(table, name, PointsError))
    return values


def _unseen_groups(
    prediction: Prediction, draws: xr.Dataset, fixed: xr.Dataset, population: Population
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
            scale = draws_of_scale(term.name, draws, fixed)[..., None]
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


def draws_of_scale(name: str, draws: xr.Dataset, fixed: xr.Dataset) -> Array:
    """Draws of a term's scale, shape (chain, draw), or its fixed value."""
    if name in fixed["fixed_scale_of"]:
        scale = float(fixed["fixed_scale"].sel(fixed_scale_of=name)) / float(
            fixed["pilot_noise_sd"]
        )
        return np.asarray(scale * draws["noise_sd"].values)
    return draws["scale"].sel(scale_of=name).values

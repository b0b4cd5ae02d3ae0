"""Rows over which a fit averages effects: units, ranges of covariates, groups under one mask."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import centres
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.identification.regimes import groups_under_one_mask
from bayes_intgen.models.adjustment import population_shares
from bayes_intgen.models.laws import Link
from bayes_intgen.models.population import Units
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.unit_effects import UnitEffects

# Maximum number of rows of the population that a fit keeps.
MAX_UNITS = 20_000
# Rows whose functions are evaluated at once.
ROWS_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class FitPopulation:
    """Covariates and groups of the rows of a fit, from group ``population`` of its tree.

    Attributes
    ----------
    low, high : ndarray, shape (C + G,)
        Ends of the range of each covariate; codes of groups.
    under_one_mask : mapping from grouping to (int, int)
        Number of groups that occur under one mask only, and of all groups.
    """

    low: Array
    high: Array
    under_one_mask: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, tree: xr.DataTree) -> Self | None:
        """Read from the tree of a fit; None for a fit without covariates and groups."""
        if "population" not in tree.children:
            return None
        stored = tree["population"].to_dataset()
        counts = {
            str(name): (int(stored["under_one_mask"][g]), int(stored["n_groups"][g]))
            for g, name in enumerate(stored["grouping"].values)
        }
        return cls(stored["low"].values, stored["high"].values, counts)


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
            parts = np.array_split(values, -(-len(values) // ROWS_AT_ONCE))
            of_parts = [
                effects.at_each(point, all_set, own, lambda x: x @ effects.coefficients)[:, 0]
                for own in parts
            ]
            order = np.argsort(np.concatenate(of_parts))
            units = Units(values[order], units.shares[order], units.rows)
        units = units.sampled(generator(0, "unit"), MAX_UNITS)
    return units.distinct()


def digest_of_covariates(rows: Observations) -> str:
    """Digest of covariates, groups and weights of rows; empty for rows without any of them."""
    arrays = [values for values in (rows.weights, rows.within) if values is not None]
    if not arrays and not len(rows.columns):
        return ""
    digest = hashlib.sha256(repr((rows.columns.every, rows.columns.labels)).encode())
    for array in (rows.covariates, *arrays):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

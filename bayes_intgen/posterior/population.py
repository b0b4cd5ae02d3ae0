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
from bayes_intgen.data.outcome_scale import Link
from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.groups import groups_under_one_mask
from bayes_intgen.models.adjustment import population_shares

# Number of units, sampled from the population, whose outcomes a fit predicts.
N_UNITS = 200
# The same, at most, under a log link, where effects are averages over these units.
LOG_UNITS = 1000


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


def population_dataset(rows: Observations, link: Link = "identity") -> xr.Dataset:
    """Group ``population`` of the tree of a fit to rows with covariates or groups."""
    values, columns = rows.covariates, rows.columns
    shares, rng = population_shares(rows), generator(0, "unit")
    if link == "identity":
        sampled = rng.choice(len(rows), N_UNITS, p=shares)
    else:
        size = min(LOG_UNITS, int(np.count_nonzero(shares)))
        sampled = rng.choice(len(rows), size, replace=False, p=shares)
    counts = [
        groups_under_one_mask(codes, rows.intervened) for codes in values.T[len(columns.names) :]
    ]
    under_one_mask, n_groups = np.array(counts, dtype=int).reshape(-1, 2).T
    return labelled_dataset(
        {
            "unit": (("population_row", "covariate"), values[sampled]),
            "low": ("covariate", values.min(axis=0)),
            "high": ("covariate", values.max(axis=0)),
            "under_one_mask": ("grouping", under_one_mask),
            "n_groups": ("grouping", n_groups),
        },
        {
            "population_row": np.arange(len(sampled)),
            "covariate": list(columns.every),
            "grouping": np.array(columns.groups, dtype=str),
        },
    )


def digest_of_covariates(rows: Observations) -> str:
    """Digest of covariates, groups and weights of rows; empty for rows without any of them."""
    arrays = [values for values in (rows.weights, rows.within) if values is not None]
    if not arrays and not len(rows.columns):
        return ""
    digest = hashlib.sha256(repr((rows.columns.every, rows.columns.labels)).encode())
    for array in (rows.covariates, *arrays):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

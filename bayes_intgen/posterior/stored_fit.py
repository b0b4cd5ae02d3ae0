"""Parts of a fit, from and to the groups of its tree."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen.errors import SavedFitError
from bayes_intgen.models.laws import (
    BinaryLaw,
    CountLaw,
    Link,
    OutcomeLaw,
    ResidualNoise,
    StudentTNoise,
    law_of_link,
)
from bayes_intgen.models.population import Units
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import VarianceFunction

if TYPE_CHECKING:
    from bayes_intgen.inference.pilot.lack_of_fit import FitTest


def stored_prediction(
    tree: xr.DataTree, terms: Decomposition, spread: VarianceFunction, link: Link
) -> Prediction:
    """Extract the draws of mean and noise from the tree of a fit."""
    noise = tree["noise"].dataset
    units = None
    if "population" in tree.children:
        population = tree["population"].dataset
        units = Units(*(population[name].values for name in ("unit", "share", "rows_of_unit")))
    return Prediction(
        terms,
        spread,
        tree["coefficients"].dataset["coefficients"].values,
        tree["posterior"].dataset["noise_sd"].values,
        noise["deviation"].values if "deviation" in noise else None,
        stored_law(link, tree["fit"].attrs["outcome_kind"], noise),
        units,
    )


def stored_law(link: Link, kind: str, noise: xr.Dataset) -> OutcomeLaw:
    """Law of the outcome of a fit, given the group ``noise`` of its tree.

    Raises
    ------
    SavedFitError
        If there is no law for outcomes of this kind.
    """
    laws = {law.kind: law for law in (law_of_link(link), BinaryLaw, CountLaw)}
    if kind not in laws:
        raise SavedFitError(f"kinds of outcomes that are unknown: {kind!r}")
    if "df" in noise:
        return laws[kind](StudentTNoise(*(float(noise[name]) for name in StudentTNoise._fields)))
    return laws[kind](ResidualNoise(noise["quantile"].values))


def fit_tests_dataset(tests: "Sequence[FitTest]", names: Sequence[str]) -> xr.Dataset:
    """Label the tests as arrays, for storage with a fit.

    Parameters
    ----------
    tests : sequence of FitTest
    names : sequence of str
        Actions, then covariates and groups.

    Returns
    -------
    Dataset, dim fit_test
        ``fit_p``, ``fit_role``, ``fit_action``: the name of the action or covariate, and
        ``fit_given``: that of the other action or of the grouping of a joint test, or empty.

    Examples
    --------
    >>> from bayes_intgen.inference.pilot.lack_of_fit import FitTest
    >>> fit_tests_dataset([FitTest(0, "bias", 0.3)], ["red"]).fit_test.item()
    'delta(red)'
    """
    symbols = {"unconfounded": "phi", "interaction": "psi", "bias": "delta", "slope": "slope"}
    symbols["covariate"] = "gamma"
    given = ["" if test.given is None else names[test.given] for test in tests]
    labels = []
    for test, other in zip(tests, given, strict=True):
        separator = ", " if test.role == "interaction" else " | "
        own = separator.join(filter(None, (names[test.action], other)))
        labels.append(f"{symbols[test.role]}({own})")
    return labelled_dataset(
        {
            "fit_p": ("fit_test", np.array([test.p for test in tests], dtype=float)),
            "fit_action": ("fit_test", np.array([names[t.action] for t in tests], dtype=str)),
            "fit_role": ("fit_test", np.array([test.role for test in tests], dtype=str)),
            "fit_given": ("fit_test", np.array(given, dtype=str)),
        },
        {"fit_test": np.array(labels, dtype=str)},
    )

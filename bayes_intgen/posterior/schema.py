"""Schema of a fit's DataTree: draws in ArviZ's schema, and the model behind them.

``build_tree`` writes it, ``stored_prediction`` reads what predictions need.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, astuple
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import SavedFitError
from bayes_intgen.inference.settings import ImportanceDiagnostics
from bayes_intgen.models import Model
from bayes_intgen.models import codec as serialise
from bayes_intgen.models.laws import (
    LAWS,
    BinaryLaw,
    CountLaw,
    Link,
    OutcomeLaw,
    ResidualNoise,
    StudentTNoise,
)
from bayes_intgen.models.population import Units
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import VarianceFunction, drawn_deviations
from bayes_intgen.posterior.layout import FORMAT
from bayes_intgen.posterior.population import population_dataset

if TYPE_CHECKING:
    from bayes_intgen.inference.pilot.lack_of_fit import FitTest
    from bayes_intgen.inference.pilot.pilot import Pilot
    from bayes_intgen.inference.pilot.residuals import FarOutcomes
    from bayes_intgen.inference.settings import SampledModel, SamplerSettings

_DRAW_DIMS = ("chain", "draw")
# Group whose attributes are the model and what else no other program reads.
FIT = "fit"


def build_tree(
    data: Rows, model: Model, pilot: "Pilot", sampled: "SampledModel", settings: "SamplerSettings"
) -> xr.DataTree:
    """Assemble the DataTree of a fit, with the model as JSON in the attributes of group ``fit``.

    Parameters
    ----------
    data : Rows
    model : Model
    pilot : Pilot
    sampled : SampledModel
    settings : SamplerSettings

    Returns
    -------
    DataTree
    """
    distinct = model.link == "identity" and settings.techniques.outcome_kind
    kind = data.outcome_kind if distinct else "continuous"
    far = pilot.far if kind == "continuous" else None
    if far and model.link == "log":
        far = far._replace(value=float(np.exp(far.value)))
    terms, importance = sampled.terms, sampled.importance
    sizes = [term.component.basis.size for term in terms.terms]
    names = [f"{t.name}[{i}]" for t, n in zip(terms.terms, sizes, strict=True) for i in range(n)]
    draws = dict(zip(_DRAW_DIMS, map(np.arange, sampled.coefficients.shape[:2]), strict=True))
    tree = xr.DataTree.from_dict(
        {
            "posterior": hyperparameter_draws(
                sampled.terms, sampled.fixed_scales, sampled.sites, sampled.coefficients, draws
            ),
            "sample_stats": labelled_dataset(
                {name: (_DRAW_DIMS, values) for name, values in sampled.statistics.items()},
                draws,
                {} if importance is None else importance._asdict(),
            ),
            "constant_data": _constant_data(data, pilot, sampled, far),
            "coefficients": labelled_dataset(
                {"coefficients": ((*_DRAW_DIMS, "coefficient"), sampled.coefficients)},
                {**draws, "coefficient": names},
            ),
            "noise": _noise(pilot, sampled, settings.seed, draws),
            "support": data.in_memory.reference_rows(terms.coordinates).to_dataset(),
        }
    )
    if len(data.columns):
        means = sampled.coefficients.mean(axis=(0, 1))
        tree["population"] = xr.DataTree(population_dataset(data, model.link, terms, means))
    chosen = asdict(settings) | {"draws": len(draws["draw"])}
    del chosen["techniques"]
    # A Laplace approximation runs no code of NumPyro.
    library = "numpyro" if importance is None else "bayes-intgen"
    origin = {
        "created_at": datetime.now(UTC).isoformat(),
        "creation_library": "bayes-intgen",
        "creation_library_version": version("bayes-intgen"),
        "inference_library": library,
        "inference_library_version": version(library),
    }
    tree.attrs = {**origin, "format": FORMAT}
    for group in ("posterior", "sample_stats"):
        tree[group].attrs |= origin
    tree[FIT] = xr.DataTree()
    tree[FIT].attrs = {
        "outcome": data.outcome_name,
        "outcome_kind": kind,
        "settings": serialise.dumps(chosen),
        "model": serialise.dumps(model),
        "terms": serialise.dumps(terms),
        "spread": serialise.dumps(pilot.mode.spread),
        "covariates_digest": digest_of_covariates(data.in_memory),
    }
    return tree


def digest_of_covariates(rows: Observations) -> str:
    """Digest of covariates, groups, weights and times of rows; empty without any of them."""
    further = (rows.weights, rows.within, rows.series, rows.time)
    arrays, columns = [values for values in further if values is not None], rows.columns
    if not arrays and not len(columns):
        return ""
    labels = (columns.every, columns.labels, *filter(None, [columns.units]))
    digest = hashlib.sha256(repr(labels).encode())
    for array in (rows.covariates, *arrays):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def with_groups(tree: xr.DataTree, groups: Mapping[str, xr.Dataset]) -> xr.DataTree:
    """Copy a tree and add or replace groups, named by their paths."""
    own = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
    return xr.DataTree.from_dict({**own, **groups})


def size_of_draws(tree: xr.DataTree) -> str:
    """Numbers of chains and draws as text; importance draws have no chains.

    Examples
    --------
    >>> size_of_draws(posterior.tree)
    '4 chains of 250 draws'
    """
    sizes = tree["posterior"].sizes
    if ImportanceDiagnostics.of(tree["sample_stats"].attrs) is not None:
        return f"{sizes['chain'] * sizes['draw']:,} importance draws"
    chains = "1 chain" if sizes["chain"] == 1 else f"{sizes['chain']} chains"
    return f"{chains} of {sizes['draw']} draws"


def draw_coordinates(tree: xr.DataTree) -> dict[str, NDArray[Any]]:
    """Chains and draws of a fit.

    Examples
    --------
    >>> sorted(draw_coordinates(posterior.tree))
    ['chain', 'draw']
    """
    draws = tree["posterior"].dataset
    return {dim: draws[dim].values for dim in ("chain", "draw")}


def _noise(
    pilot: "Pilot", sampled: "SampledModel", seed: int, draws: Mapping[str, NDArray[np.int_]]
) -> xr.Dataset:
    """Distribution of the standardised noise, and draws of an estimated variance function.

    Correlations of rows are attributes.
    """
    size = len(pilot.quantiles)
    variables: dict[str, Any] = {"quantile": ("probability", pilot.quantiles)}
    labels: dict[str, Any] = {"probability": (np.arange(size) + 0.5) / size}
    if pilot.covariance is not None:
        shape, rng = tuple(map(len, draws.values())), generator(seed, "noise")
        deviations = drawn_deviations(pilot.covariance, shape, rng)
        variables["deviation"] = ((*_DRAW_DIMS, "height"), deviations)
        labels |= {**draws, "height": np.arange(deviations.shape[-1])}
    if pilot.student_t is not None:
        variables |= {name: ((), value) for name, value in pilot.student_t.law._asdict().items()}
    return labelled_dataset(variables, labels, sampled.autocorrelation._asdict())


def hyperparameter_draws(
    terms: Decomposition,
    fixed: Collection[str],
    sites: Mapping[str, Array],
    coefficients: Array,
    draws: Mapping[str, NDArray[np.int_]],
) -> xr.Dataset:
    """Label draws of the intercept and the hyperparameters, of the posterior or the prior.

    Parameters
    ----------
    terms : Decomposition
    fixed : collection of str
        Terms whose scale is not sampled.
    sites : mapping from hyperparameter to ndarray, shape (chain, draw, ...)
    coefficients : ndarray, shape (chain, draw, P)
    draws : mapping
        Labels of chains and draws.
    """
    free = terms.without(fixed)
    labels = {"scale": tuple(free.scales), "lengthscale": tuple(free.lengthscales)}
    intercept = coefficients[..., terms.columns["intercept"]][..., 0] + terms.centre
    variables: dict[str, Any] = {"intercept": (_DRAW_DIMS, intercept)}
    coords: dict[str, Any] = dict(draws)
    for name, values in sites.items():
        dims: tuple[str, ...] = _DRAW_DIMS
        if name in labels:
            dims = (*dims, f"{name}_of")
            coords[dims[-1]] = np.array(labels[name], dtype=str)
        variables[name] = (dims, values)
    return labelled_dataset(variables, coords)


def _constant_data(
    data: Rows, pilot: "Pilot", sampled: "SampledModel", far: "FarOutcomes | None"
) -> xr.Dataset:
    """Regimes, fixed scales and score tests; lift tests and far outcomes, if there are any."""
    regimes, fixed, terms = data.regimes, sampled.fixed_scales, sampled.terms
    variables: dict[str, Any] = {
        "rows": ("regime", np.array(list(regimes.values()))),
        "intervened": (("regime", "action"), np.array(list(regimes), dtype=np.int8)),
        "fixed_scale": ("fixed_scale_of", np.array(list(fixed.values()), dtype=float)),
        "pilot_noise_sd": ((), pilot.mode.noise_sd),
    }
    labels: dict[str, Any] = {
        "regime": [data.label(mask) for mask in regimes],
        "action": list(data.names),
        "fixed_scale_of": np.array(list(fixed), dtype=str),
    }
    if terms.carryover:
        variables["left_out"] = ((), data.in_memory.left_out)
    if data.lift_tests:
        columns = zip(*map(astuple, data.lift_tests), strict=True)
        for name, values in zip(("of", "from", "to", "effect", "se"), columns, strict=True):
            variables[f"lift_{name}"] = ("lift_test", np.array(values))
        labels["lift_test"] = np.arange(len(data.lift_tests))
    parts = [
        labelled_dataset(variables, labels),
        fit_tests_dataset(pilot.fit_tests, (*data.names, *data.columns.every)),
    ]
    if far is not None:
        parts.append(far.to_dataset())
    return xr.merge(parts, join="exact", combine_attrs="override")


def stored_model(tree: xr.DataTree) -> tuple[Model, Decomposition, VarianceFunction]:
    """Read the model, its terms and the variance function from the tree of a fit."""
    attrs = tree[FIT].attrs
    return (
        serialise.loads(attrs["model"], Model),
        serialise.loads(attrs["terms"], Decomposition),
        serialise.loads(attrs["spread"], VarianceFunction),
    )


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
    laws = {law.kind: law for law in (LAWS[link], BinaryLaw, CountLaw)}
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
    symbols |= {"covariate": "gamma", "moderator": "psi", "jump": "jump"}
    given = ["" if test.given is None else names[test.given] for test in tests]
    labels = []
    for test, other in zip(tests, given, strict=True):
        separator = ", " if test.role in ("interaction", "jump") else " | "
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

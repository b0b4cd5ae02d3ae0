"""Schema of a fit's DataTree: draws in ArviZ's schema, and the model behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.queries import named_points
from bayes_intgen.data.rows import OutcomeKind, Rows
from bayes_intgen.inference.sampled_model import ImportanceDiagnostics
from bayes_intgen.models import Model
from bayes_intgen.models import codec as serialise
from bayes_intgen.models.laws import StudentTNoise
from bayes_intgen.models.variance_function import VarianceFunction
from bayes_intgen.posterior.layout import FORMAT
from bayes_intgen.posterior.population import digest_of_covariates, population_dataset
from bayes_intgen.posterior.stored_fit import fit_tests_dataset

if TYPE_CHECKING:
    from bayes_intgen.inference.pilot.lack_of_fit import FitTest
    from bayes_intgen.inference.pilot.residuals import FarOutcomes
    from bayes_intgen.inference.sampled_model import SampledModel
    from bayes_intgen.inference.settings import SamplerSettings

_DRAW_DIMS = ("chain", "draw")
# Coordinates of draws that the name of an action does not replace.
RESERVED = ("chain", "draw", "point", "supported")


class FittedNoise(NamedTuple):
    """Noise of a fit: its variance function and its distribution.

    Attributes
    ----------
    spread : VarianceFunction
    unit : float
        Standard deviation of the noise in the pilot fit, the unit of fixed scales.
    quantiles : ndarray
        Quantiles of the standardised noise at evenly spaced probabilities.
    deviations : ndarray, shape (chain, draw, H), optional
        If the variance function is estimated, draws of the differences of its knot values from
        their estimates.
    student_t : StudentTNoise, optional
        Distribution of Student-t noise.
    """

    spread: VarianceFunction
    unit: float
    quantiles: Array
    deviations: Array | None = None
    student_t: StudentTNoise | None = None

    def to_dataset(self, coords: Mapping[str, Any]) -> xr.Dataset:
        """Group ``noise`` of the tree; ``coords`` are those of the draws."""
        size = len(self.quantiles)
        variables: dict[str, Any] = {"quantile": ("probability", self.quantiles)}
        labels: dict[str, Any] = {"probability": (np.arange(size) + 0.5) / size}
        if self.deviations is not None:
            variables["deviation"] = ((*_DRAW_DIMS, "height"), self.deviations)
            labels |= {**coords, "height": np.arange(self.deviations.shape[-1])}
        if self.student_t is not None:
            variables |= {name: ((), value) for name, value in self.student_t._asdict().items()}
        return labelled_dataset(variables, labels)


def build_tree(
    data: Rows,
    model: Model,
    sampled: "SampledModel",
    noise: FittedNoise,
    *,
    fit_tests: "Sequence[FitTest]",
    settings: "SamplerSettings",
    kind: OutcomeKind = "continuous",
    far: "FarOutcomes | None" = None,
) -> xr.DataTree:
    """Assemble the DataTree of a fit, with the model as JSON in its attributes.

    Parameters
    ----------
    data : Rows
    model : Model
    sampled : SampledModel
    noise : FittedNoise
    fit_tests : sequence of FitTest
    settings : SamplerSettings
    kind : {"continuous", "binary", "count"}
        Kind of the outcome.
    far : FarOutcomes, optional
        Outcomes that lie far from the fit.

    Returns
    -------
    DataTree
    """
    terms = sampled.terms
    tree = xr.DataTree.from_dict(
        {
            "posterior": _posterior(sampled),
            "sample_stats": _sample_stats(sampled),
            "constant_data": _constant_data(data, sampled, noise.unit, fit_tests, far),
            "coefficients": _coefficients(sampled),
            "noise": noise.to_dataset(_draw_coords(sampled)),
            "support": data.in_memory.reference_rows(sampled.terms.coordinates).to_dataset(),
        }
    )
    if len(data.columns):
        means = sampled.coefficients.mean(axis=(0, 1))
        tree["population"] = xr.DataTree(population_dataset(data, model.link, terms, means))
    # A Laplace approximation runs no code of NumPyro.
    library = "numpyro" if sampled.importance is None else "bayes-intgen"
    tree.attrs = {
        "creation_library": "bayes-intgen",
        "creation_library_version": version("bayes-intgen"),
        "format": FORMAT,
        "inference_library": library,
        "inference_library_version": version(library),
        "outcome": data.outcome_name,
        "outcome_kind": kind,
        "settings": serialise.dumps(
            {k: v for k, v in asdict(settings).items() if k != "techniques"}
        ),
        "model": serialise.dumps(model),
        "terms": serialise.dumps(terms),
        "spread": serialise.dumps(noise.spread),
        "covariates_digest": digest_of_covariates(data.in_memory),
    }
    return tree


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


def action_coordinates(
    points: Array,
    names: Sequence[str],
    categories: Sequence[Categories | None],
    prefix: str = "",
) -> dict[str, tuple[str, NDArray[Any]]]:
    """Values of each action along points, shape (M, K), levels by their names.

    Examples
    --------
    >>> action_coordinates(np.array([[0.5]]), ["red"], [None], "from ")
    {'from red': ('point', array([0.5]))}
    """
    columns = named_points(points, names, categories)
    named = {f"{prefix}{name}": ("point", column) for name, column in columns.items()}
    return {name: column for name, column in named.items() if name not in RESERVED}


def _draw_coords(sampled: "SampledModel") -> dict[str, NDArray[np.int_]]:
    return dict(zip(_DRAW_DIMS, map(np.arange, sampled.coefficients.shape[:2]), strict=True))


def _posterior(sampled: "SampledModel") -> xr.Dataset:
    """Intercept and hyperparameters."""
    terms = sampled.terms
    free = terms.without(sampled.fixed_scales)
    labels = {"scale": free.scaled, "lengthscale": tuple(free.lengthscales)}
    intercept = sampled.coefficients[..., terms.columns["intercept"]][..., 0] + terms.centre
    variables: dict[str, Any] = {"intercept": (_DRAW_DIMS, intercept)}
    coords: dict[str, Any] = dict(_draw_coords(sampled))
    for name, values in sampled.sites.items():
        dims: tuple[str, ...] = _DRAW_DIMS
        if name in labels:
            dims = (*dims, f"{name}_of")
            coords[dims[-1]] = np.array(labels[name], dtype=str)
        variables[name] = (dims, values)
    return labelled_dataset(variables, coords)


def _sample_stats(sampled: "SampledModel") -> xr.Dataset:
    statistics = {name: (_DRAW_DIMS, values) for name, values in sampled.statistics.items()}
    attrs = {} if sampled.importance is None else sampled.importance._asdict()
    return labelled_dataset(statistics, _draw_coords(sampled), attrs)


def _coefficients(sampled: "SampledModel") -> xr.Dataset:
    names = [
        f"{term.name}[{i}]"
        for term in sampled.terms.terms
        for i in range(term.component.basis.size)
    ]
    return labelled_dataset(
        {"coefficients": ((*_DRAW_DIMS, "coefficient"), sampled.coefficients)},
        {**_draw_coords(sampled), "coefficient": names},
    )


def _constant_data(
    data: Rows,
    sampled: "SampledModel",
    unit: float,
    fit_tests: "Sequence[FitTest]",
    far: "FarOutcomes | None",
) -> xr.Dataset:
    """Regimes, fixed scales and score tests; lift tests, levels, far outcomes, if there are any."""
    regimes, fixed = data.regimes, sampled.fixed_scales
    dataset = labelled_dataset(
        {
            "rows": ("regime", np.array(list(regimes.values()))),
            "intervened": (("regime", "action"), np.array(list(regimes), dtype=np.int8)),
            "fixed_scale": ("fixed_scale_of", np.array(list(fixed.values()), dtype=float)),
            "pilot_noise_sd": ((), unit),
        },
        {
            "regime": [data.label(mask) for mask in regimes],
            "action": list(data.names),
            "fixed_scale_of": np.array(list(fixed), dtype=str),
        },
    )
    parts = [
        fit_tests_dataset(fit_tests, (*data.names, *data.columns.every)),
        _lift_tests(data),
        _levels(data),
    ]
    if far is not None:
        parts.append(far.to_dataset())
    return xr.merge([dataset, *parts], join="exact", combine_attrs="override")


def _lift_tests(data: Rows) -> xr.Dataset:
    if not data.lift_tests:
        return xr.Dataset()
    columns = zip(*map(astuple, data.lift_tests), strict=True)
    return labelled_dataset(
        {
            f"lift_{name}": ("lift_test", np.array(values))
            for name, values in zip(("of", "from", "to", "effect", "se"), columns, strict=True)
        },
        {"lift_test": np.arange(len(data.lift_tests))},
    )


def _levels(data: Rows) -> xr.Dataset:
    """Codes of the levels of all actions with levels."""
    rows = [
        (name, str(label), code)
        for name, levels in zip(data.names, data.categories, strict=True)
        if levels is not None
        for label, code in zip(levels.labels, levels.codes, strict=True)
    ]
    if not rows:
        return xr.Dataset()
    actions, labels, codes = map(np.array, zip(*rows, strict=True))
    return labelled_dataset(
        {"level_code": ("level", codes), "level_of": ("level", actions)}, {"level": labels}
    )

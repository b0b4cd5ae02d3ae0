"""The tree of a fit: draws in ArviZ's schema, and the model that they belong to."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen import serialise
from bayes_intgen.bases import Array
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.goodness import FitTest, fit_tests_dataset
from bayes_intgen.models import Model
from bayes_intgen.noise import ConstantSpread, Spread
from bayes_intgen.rows import Rows


def assemble(
    data: Rows,
    model: Model,
    terms: Decomposition,
    spread: Spread | ConstantSpread,
    sites: Mapping[str, Array],
    coefficients: Array,
    statistics: Mapping[str, NDArray[Any]],
    *,
    noise: Mapping[str, Array],
    fixed_scales: Mapping[str, float],
    pilot_noise_sd: float,
    fit_tests: Sequence[FitTest],
    settings: Mapping[str, Any],
) -> xr.DataTree:
    """The tree of a fit in ArviZ's schema, with the model as JSON in its attributes.

    Parameters
    ----------
    sites : mapping from hyperparameter to draws, shape (chain, draw, ...)
    coefficients : ndarray, shape (chain, draw, P)
    statistics : mapping from sample statistic to values, shape (chain, draw)
    noise : mapping
        ``quantile``: of the standardised noise, at evenly spaced probabilities; ``deviation``,
        where the spread is fitted: draws of how far its heights are from their estimates, shape
        (chain, draw, H).
    fixed_scales : mapping from term to scale
        Terms whose scale was not sampled; in the outcome's units, at the noise of the pilot fit.
    pilot_noise_sd : float
        That noise's standard deviation: the scales are fixed in units of it.
    fit_tests : sequence of FitTest
    settings : mapping
        How the draws were made.

    Returns
    -------
    DataTree
    """
    coords: dict[str, Any] = {
        "chain": np.arange(coefficients.shape[0]),
        "draw": np.arange(coefficients.shape[1]),
    }
    lead = ("chain", "draw")
    sampled = terms.without(fixed_scales)
    labels = {"scale": sampled.scaled, "lengthscale": tuple(sampled.lengthscales)}
    posterior = xr.Dataset(coords=coords)
    intercept = coefficients[..., terms.columns["intercept"]][..., 0] + terms.centre
    posterior["intercept"] = (lead, intercept)
    for name, values in sites.items():
        if name in labels:
            dim = f"{name}_of"
            posterior = posterior.assign_coords({dim: list(labels[name])})
            posterior[name] = ((*lead, dim), values)
        else:
            posterior[name] = (lead, values)

    regimes = data.regimes
    constant = xr.Dataset(
        {
            "rows": ("regime", np.array(list(regimes.values()))),
            "intervened": (("regime", "action"), np.array(list(regimes), dtype=np.int8)),
            "fixed_scale": ("fixed_scale_of", np.array(list(fixed_scales.values()), dtype=float)),
            "pilot_noise_sd": pilot_noise_sd,
        },
        coords={
            "regime": [data.label(mask) for mask in regimes],
            "action": list(data.names),
            "fixed_scale_of": np.array(list(fixed_scales), dtype=str),
        },
    )
    constant = constant.merge(fit_tests_dataset(fit_tests, data.names))
    if data.lift_tests:
        tests = [astuple(test) for test in data.lift_tests]
        columns = dict(
            zip(("of", "from", "to", "effect", "se"), zip(*tests, strict=True), strict=True)
        )
        constant = constant.assign(
            {f"lift_{name}": ("lift_test", np.array(values)) for name, values in columns.items()}
        ).assign_coords(lift_test=np.arange(len(tests)))
    named = [
        (name, str(label), code)
        for name, levels in zip(data.names, data.categories, strict=True)
        if levels is not None
        for label, code in zip(levels.labels, levels.codes, strict=True)
    ]
    if named:
        of, labels_of_levels, codes = zip(*named, strict=True)
        constant = constant.assign(
            {"level_code": ("level", np.array(codes)), "level_of": ("level", np.array(of))}
        ).assign_coords(level=np.array(labels_of_levels))
    drawn = xr.Dataset(
        {"coefficients": ((*lead, "coefficient"), coefficients)},
        coords={
            **coords,
            "coefficient": [
                f"{term.name}[{i}]" for term in terms.terms for i in range(term.part.basis.size)
            ],
        },
    )
    probabilities = (np.arange(len(noise["quantile"])) + 0.5) / len(noise["quantile"])
    noises = xr.Dataset(
        {"quantile": ("probability", noise["quantile"])}, coords={"probability": probabilities}
    )
    if "deviation" in noise:
        noises = noises.assign_coords(coords).assign(
            {"deviation": ((*lead, "height"), noise["deviation"])}
        )
        noises = noises.assign_coords(height=np.arange(noise["deviation"].shape[-1]))
    stats = xr.Dataset({name: (lead, v) for name, v in statistics.items()}, coords=coords)
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": stats,
            "constant_data": constant,
            "coefficients": drawn,
            "noise": noises,
            "support": data.held.reference_rows(terms.coordinates).to_dataset(),
        }
    )
    tree.attrs = {
        "creation_library": "bayes-intgen",
        "creation_library_version": version("bayes-intgen"),
        "inference_library": "numpyro",
        "inference_library_version": version("numpyro"),
        "outcome": data.outcome_name,
        "settings": serialise.dumps(dict(settings)),
        "model": serialise.dumps(model),
        "terms": serialise.dumps(terms),
        "spread": serialise.dumps(spread),
    }
    return tree


def with_groups(tree: xr.DataTree, groups: Mapping[str, xr.Dataset]) -> xr.DataTree:
    """Copy a tree with some groups, named by their paths, added or replaced."""
    own = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
    return xr.DataTree.from_dict({**own, **groups})

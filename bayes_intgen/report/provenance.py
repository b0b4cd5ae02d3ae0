"""Settings, diagnostics and versions behind a fit, as rows of tables."""

from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from typing import Any

from bayes_intgen.identification.graph import Graph
from bayes_intgen.inference.sampled_model import (
    ImportanceDiagnostics,
)
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models import codec as serialise
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.text.edges import edges_in_words, shows_edges

NOISE = {"gaussian": "Gaussian", "student_t": "Student-t"}
YES_NO = {"True": "yes", "False": "no"}
VARIANCE = {"fitted": "variance depends on regime and actions", "constant": "one variance"}


def settings_of_fit(posterior: PosteriorDraws) -> list[tuple[str, str]]:
    """List priors, graph, noise, terms and sampler settings of a fit."""
    model = posterior.model
    n_fixed = posterior.tree["constant_data"].sizes.get("fixed_scale_of", 0)
    sampler = serialise.loads(posterior.tree["fit"].attrs["settings"])
    # Of a Laplace approximation, the settings of chains say nothing about the draws.
    by_chains = ImportanceDiagnostics.of(posterior.tree["sample_stats"].attrs) is None
    unused = () if by_chains else ("warmup", "target_accept", "chains", "draws")
    return [
        *_mechanisms(posterior),
        ("noise", f"{NOISE[model.noise]}, {VARIANCE[model.spread]}"),
        (
            "prior of the noise's sd",
            f"log-normal, median {model.noise_scale.median:g} outcome sd, "
            f"sigma {model.noise_scale.sigma:g}",
        ),
        ("terms", f"{len(posterior.terms.terms)}, {n_fixed} eliminated before sampling"),
        *(
            (str(name).replace("_", " "), YES_NO.get(str(value), str(value)))
            for name, value in sampler.items()
            if name not in ("progress", *unused)
        ),
    ]


def versions_of_fit(posterior: PosteriorDraws) -> list[tuple[str, str]]:
    """List the versions of the libraries behind the fit, its sampling and the report."""
    attrs = posterior.tree.attrs
    rows = [("bayes-intgen (fit)", str(attrs["creation_library_version"]))]
    if attrs["inference_library"] == "numpyro":
        rows.append(("NumPyro (sampling)", str(attrs["inference_library_version"])))
    names = ("bayes-intgen", "jax", "numpy", "arviz")
    return rows + [(f"{name} (this page)", version(name)) for name in names]


def _mechanisms(posterior: PosteriorDraws) -> list[tuple[str, str]]:
    model = posterior.model
    rows = [("prior of every function", _prior(model.prior))]
    if isinstance(model, AdditiveModel):
        for symbol, priors in (("phi", model.unconfounded), ("delta", model.bias)):
            rows += [(f"prior of {symbol}({name})", _prior(p)) for name, p in priors.items()]
        # The function of a covariate is a sum.
        rows += [
            (f"prior of gamma({name})", "; ".join(map(_prior, parts)))
            for name, parts in model.covariates.items()
        ]
        rows += [("actions that are alike", ", ".join(group)) for group in model.alike]
        rows.append(("graph over the actions", _graph(posterior, model.graph)))
        rows += [
            (f"moderators of {name}", ", ".join(own)) for name, own in model.moderators.items()
        ]
        rows += [
            (f"effects that differ by {name}", ", ".join(own)) for name, own in model.groups.items()
        ]
    return rows


def _graph(posterior: PosteriorDraws, graph: Graph) -> str:
    """Describe a graph: given, learned, or unknown."""
    if posterior.terms.parents is None:
        return "any: each bias may depend on every action"
    if not isinstance(graph, Mapping):
        source = "learned from the actions" if shows_edges(posterior.graph) else "unknown"
        return f"{source}: {edges_in_words(posterior.graph)}"
    if None in graph.values():
        return f"partly given, partly learned: {edges_in_words(posterior.graph)}"
    edges = [f"{' and '.join(p)} → {child}" for child, p in graph.items() if p]
    return "; ".join(edges) or "no action affects another"


def _prior(prior: Any) -> str:
    """Name the kind of a prior and its settings."""
    settings = [
        f"{field.name} {value:g}" if isinstance(value, float) else f"{field.name} {value}"
        for field in fields(prior)
        for value in [getattr(prior, field.name)]
        if isinstance(value, str | int | float)
    ]
    return ", ".join([type(prior).__name__, *settings])

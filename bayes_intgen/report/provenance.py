"""Model, settings and versions behind a fit, as rows of a table."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from typing import Any

from bayes_intgen.inference.settings import ImportanceDiagnostics
from bayes_intgen.models import codec as serialise
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.text.edges import edges_in_words

# What settings are called on the page, where their names in Python say less.
NAMES = {
    "prior": "prior of every function",
    "unconfounded": "priors of effects",
    "bias": "priors of biases",
    "graph": "graph over the actions",
    "covariates": "priors of covariates",
    "groups": "effects that differ by group",
    "alike": "actions that are alike",
    "spread": "variance of the noise",
    "noise_scale": "prior of the noise's sd",
}


def settings_of_fit(posterior: PosteriorDraws) -> list[tuple[str, str]]:
    """List the parts of the model, numbers of terms, and the settings of the sampler."""
    model, tree = posterior.model, posterior.tree
    sampler = serialise.loads(tree["fit"].attrs["settings"])
    # Of a Laplace approximation, the settings of chains say nothing about the draws.
    by_chains = ImportanceDiagnostics.of(tree["sample_stats"].attrs) is None
    unused = {"progress", *(() if by_chains else ("warmup", "target_accept", "chains", "draws"))}
    settings = {field.name: getattr(model, field.name) for field in fields(model)}
    settings["graph"] = "any: each bias may depend on every action"
    if posterior.terms.parents is not None:
        settings["graph"] = edges_in_words(posterior.graph)
    n_fixed = tree["constant_data"].sizes.get("fixed_scale_of", 0)
    settings["terms"] = f"{len(posterior.terms.terms)}, {n_fixed} eliminated before sampling"
    settings |= {str(name): own for name, own in sampler.items() if name not in unused}
    texts = {name: _spelled(own) for name, own in settings.items()}
    return [(NAMES.get(name, name.replace("_", " ")), text) for name, text in texts.items() if text]


def versions_of_fit(posterior: PosteriorDraws) -> list[tuple[str, str]]:
    """List the versions of the libraries behind the fit, its sampling and the report."""
    attrs = posterior.tree.attrs
    rows = [("bayes-intgen (fit)", str(attrs["creation_library_version"]))]
    if attrs["inference_library"] == "numpyro":
        rows.append(("NumPyro (sampling)", str(attrs["inference_library_version"])))
    names = ("bayes-intgen", "jax", "numpy", "arviz")
    return rows + [(f"{name} (this page)", version(name)) for name in names]


def _spelled(value: Any) -> str:
    """A setting as text; empty for what is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_spelled(own)}" for name, own in value.items())
    if isinstance(value, list | tuple):
        nested = any(isinstance(own, list | tuple) for own in value)
        return ("; " if nested else ", ").join(map(_spelled, value))
    if is_dataclass(value):
        parts = ((field.name, _spelled(getattr(value, field.name))) for field in fields(value))
        settings = (f"{name.replace('_', ' ')} {text}" for name, text in parts if text)
        return f"{type(value).__name__} ({', '.join(settings)})"
    return f"{value:g}" if isinstance(value, float) else str(value)

"""Content of a report: words, numbers and charts, ready for the template."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.assess.diagnostics import Diagnostics
from bayes_intgen.assess.findings import findings_of_fit, stored_findings
from bayes_intgen.assess.summary_text import outcome_lines, population_lines
from bayes_intgen.basis.categories import Categories, short_label
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.errors import DataWarning, LackOfFitWarning, SamplingWarning, SupportWarning
from bayes_intgen.identification.certificates import Certificate, certify
from bayes_intgen.posterior.adjustments import between_groups
from bayes_intgen.posterior.curves import points_along
from bayes_intgen.posterior.defaults import (
    default_changes,
    default_point,
    levels_of,
    medians,
    share_supported,
    usual_range,
)
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.effects import change_attrs, supported
from bayes_intgen.report.adjustments import adjustments_of
from bayes_intgen.report.charts import Chart, Curve, common_range, draw, draw_levels
from bayes_intgen.report.contrasts import (
    changes_in_words,
    contrasts_of,
    named_values,
    point_texts,
)
from bayes_intgen.report.interactions import interactions_of
from bayes_intgen.report.provenance import (
    settings_of_fit,
    versions_of_fit,
)
from bayes_intgen.text.edges import edges_from, missing_evidence_in_words, shows_edges
from bayes_intgen.text.number_format import MINUS

# Number of points along an action in a chart.
N_POINTS = 61
# Probability from which an edge of the graph is listed; the page states it.
MIN_EDGE = 0.1
# Minimum shares of supported points for good and for moderate support.
MIN_GOOD_SUPPORT, MIN_MODERATE_SUPPORT = 0.9, 0.5


def content_of(
    posterior: PosteriorDraws,
    level: float,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
) -> dict[str, Any]:
    """Collect what the template of a report shows.

    Parameters
    ----------
    posterior : PosteriorDraws
        Of an additive model.
    level : float
        Probability of the bands.
    given, population
        As in ``posterior.joint_effect``.
    """
    with warnings.catch_warnings():
        # The page itself states which effects are not identified.
        warnings.simplefilter("ignore", SupportWarning)
        return _content_of(posterior, level, {"given": given, "population": population})


def _content_of(posterior: PosteriorDraws, level: float, over: Mapping[str, Any]) -> dict[str, Any]:
    fit_support, default = support_of(posterior), default_point(posterior)
    certificate = certify(
        posterior.actions,
        fit_support.regimes,
        posterior.actions,
        fit_support.reference.settings(),
        None if fit_support.population is None else fit_support.population.under_one_mask,
    )
    along = [points_along(posterior, k, default, N_POINTS) for k in range(len(posterior.actions))]
    diagnostics = Diagnostics.of_posterior(posterior)
    found = [*stored_findings(posterior.tree), *findings_of_fit(posterior, diagnostics)]
    levels_by_action = levels_of(posterior)
    support, tone = _words_of_support(posterior)
    low, high = default_changes(posterior, default)
    contrasts, zero = contrasts_of(posterior, default, low, high, level, over)
    return {
        "outcome": posterior.outcome_name,
        "predictor": posterior.predictor_name,
        "link": posterior.model.link,
        "actions": _actions(posterior, along, default, certificate, level, over),
        "regimes": _regimes(certificate),
        "rows": sum(fit_support.regimes.values()),
        "level": f"{100 * level:g}%",
        "certificate": certificate,
        "support": support,
        "support_tone": tone,
        "reference": _reference(posterior, default),
        "has_levels": any(levels is not None for levels in levels_by_action),
        "has_numbers": any(levels is None for levels in levels_by_action),
        "problems": [own.sentence for own in found if own.warning is SamplingWarning],
        "data_problems": [own.sentence for own in found if own.warning is DataWarning],
        "lack_of_fit": [own.sentence for own in found if own.warning is LackOfFitWarning],
        "sampling": diagnostics.sentence(),
        "diagnostics": diagnostics.table(),
        "contrasts": contrasts,
        "zero": zero,
        "settings": settings_of_fit(posterior),
        "versions": versions_of_fit(posterior),
        "draws": prediction_of(posterior).sd.size,
        "population": _population(posterior, over),
        "adjusted_for": population_lines(posterior, between_groups(posterior))[1:],
        "adjustment": adjustments_of(
            posterior, changes_in_words(posterior, default, low, high), level
        ),
        "interactions": interactions_of(posterior, default, level),
        "edges": None if posterior.terms.parents is None else edges_from(posterior.graph, MIN_EDGE),
        "learned": posterior.terms.parents is not None and shows_edges(posterior.graph),
        "edges_not_shown": (
            "" if posterior.terms.parents is None else missing_evidence_in_words(posterior.graph)
        ),
        "kind": posterior.outcome_kind,
        "outcome_notes": outcome_lines(posterior),
    }


def _population(posterior: PosteriorDraws, over: Mapping[str, Any]) -> str:
    averages = support_of(posterior).standardisation(**over)
    every = range(len(posterior.actions))
    return change_attrs(posterior, averages, every, posterior.actions).get("population", "")


def _regimes(certificate: Certificate) -> list[dict[str, Any]]:
    largest = max(certificate.rows.values())
    return [
        {
            "label": label,
            "rows": rows,
            "share": 100 * rows / largest,
            "weight": str(certificate.weights.get(label, "")).replace("-", MINUS),
        }
        for label, rows in certificate.rows.items()
    ]


def _words_of_support(posterior: PosteriorDraws) -> tuple[str, str]:
    """Supported share of the experiments' range as a sentence, and its rating."""
    share = share_supported(posterior)
    if not share:
        return (
            "None of the joint points sampled from the experiments is supported: every answer "
            "on this page rests on the model and its prior."
        ), "bad"
    tone = "open" if share >= MIN_MODERATE_SUPPORT else "bad"
    if share >= MIN_GOOD_SUPPORT:
        tone = "good"
    return f"{share:.0%} of the joint points sampled from the experiments are supported.", tone


def _reference(posterior: PosteriorDraws, point: Array) -> str:
    """Values of the other actions in charts and changes, as text."""
    texts = zip(posterior.actions, point_texts(posterior, point), strict=True)
    values = ", ".join(f"{name} = {text}" for name, text in texts)
    if (point == medians(posterior)).all():
        return f"their medians ({values})"
    return f"the supported row nearest to their medians ({values})"


def _actions(
    posterior: PosteriorDraws,
    along: list[Array],
    default: Array,
    certificate: Certificate,
    level: float,
    over: Mapping[str, Any],
) -> list[dict[str, Any]]:
    joint = [_joint_curve(posterior, points, level, over) for points in along]
    mechanism = [
        _mechanism_curves(posterior, k, points, level, over) for k, points in enumerate(along)
    ]
    within = [supported(posterior, points, posterior.actions) for points in along]
    joint_range = common_range(joint)
    mechanism_range = common_range([curve for pair in mechanism for curve in pair])
    coordinates = posterior.terms.coordinates
    medians_low_high = (
        medians(posterior), [c.low for c in coordinates], [c.high for c in coordinates]
    )  # fmt: skip
    median, low, high = (point_texts(posterior, np.array(own)) for own in medians_low_high)
    return [
        {
            "name": posterior.actions[k],
            "state": certificate.states[posterior.actions[k]],
            "median": median[k],
            "low": low[k],
            "high": high[k],
            "joint": _chart(
                along[k][:, k], [joint[k]], joint_range, c, levels, within[k].all(axis=1)
            ),
            "mechanism": _chart(
                along[k][:, k], mechanism[k], mechanism_range, c, levels, within[k][:, k]
            ),
            "held": _held(posterior, k, default),
        }
        for k, (c, levels) in enumerate(zip(coordinates, levels_of(posterior), strict=True))
    ]


def _held(posterior: PosteriorDraws, k: int, point: Array) -> str:
    """Values of the actions that interact with action ``k``, as text."""
    pairs, texts = posterior.terms.interactions, point_texts(posterior, point)
    others = sorted({i for pair in pairs if k in pair for i in pair} - {k})
    return ", ".join(f"{posterior.actions[i]} = {texts[i]}" for i in others)


def _joint_curve(
    posterior: PosteriorDraws, points: Array, level: float, over: Mapping[str, Any]
) -> Curve:
    named = named_values(posterior, points)
    draws = posterior.joint_effect(named, **over).to_numpy()
    return Curve.of_draws("set", draws, (0.5, level))


def _mechanism_curves(
    posterior: PosteriorDraws, k: int, points: Array, level: float, over: Mapping[str, Any]
) -> tuple[Curve, Curve]:
    """Confounded and unconfounded contributions of an action."""
    mechanisms = posterior.mechanisms(named_values(posterior, points), **over).isel(action=k)
    kinds = {"observed": "confounded", "set": "unconfounded"}
    observed, was_set = (
        Curve.of_draws(kind, mechanisms[name].to_numpy(), (level,)) for kind, name in kinds.items()
    )
    return observed, was_set


def _chart(
    along: Array,
    curves: Sequence[Curve],
    y_range: tuple[float, float],
    coordinate: Coordinate,
    levels: Categories | None,
    supported: NDArray[np.bool_],
) -> Chart:
    """Draw lines over numbers, or intervals at levels."""
    if levels is None:
        return draw(along, curves, y_range, usual_range(coordinate), supported)
    return draw_levels([short_label(label) for label in levels.labels], curves, y_range, supported)

"""HTML page of a report: content from a posterior, rendered by a template."""

import json
import warnings
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.assess.checks import Check
from bayes_intgen.assess.diagnostics import Diagnostics
from bayes_intgen.assess.findings import findings_of_posterior, sentences
from bayes_intgen.assess.summary_text import (
    assumption_lines,
    dependence_lines,
    outcome_lines,
    population_lines,
)
from bayes_intgen.basis.categories import centres
from bayes_intgen.decide.best import search_of
from bayes_intgen.decide.contributions import cells_of, contributions, notes_on
from bayes_intgen.decide.decision import CAUTIOUS, Decision
from bayes_intgen.errors import (
    DataWarning,
    LackOfFitWarning,
    ModelError,
    SamplingWarning,
    SupportWarning,
)
from bayes_intgen.identification.certificates import certify
from bayes_intgen.posterior.adjustments import between_groups
from bayes_intgen.posterior.curves import points_along
from bayes_intgen.posterior.defaults import (
    default_point,
    levels_of,
    share_supported,
    usual_range,
)
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.effects import change_attrs
from bayes_intgen.posterior.schema import size_of_draws
from bayes_intgen.report.charts import Curve, common_range, draw
from bayes_intgen.report.effects import (
    adjustments_of,
    changes_of,
    contrasts_of,
    point_texts,
)
from bayes_intgen.report.explorer import explorer_data, sliders_of
from bayes_intgen.report.interactions import interactions_of
from bayes_intgen.report.planner import plans_of
from bayes_intgen.report.provenance import (
    settings_of_fit,
    versions_of_fit,
)
from bayes_intgen.text.edges import edges_from, missing_evidence_in_words, shows_edges
from bayes_intgen.text.formats import MINUS, format_level
from bayes_intgen.text.messages import BETWEEN, OUTSIDE, in_words

FOLDER = Path(__file__).parent
# Scripts of the page in the order in which they run; they share one scope.
SCRIPTS = ("effects.js", "number_format.js", "explorer.js")
# Escapes of characters that could end a script element or begin a comment in one.
_UNSAFE = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"})
# Number of points along an action in a chart.
N_POINTS = 61
# Probability from which an edge of the graph is listed; the page states it.
MIN_EDGE = 0.1
# Minimum shares of supported points for good and for moderate support.
MIN_GOOD_SUPPORT, MIN_MODERATE_SUPPORT = 0.9, 0.5
# Maximum length of a list of actions in the title, and of their changes in a sentence.
MAX_TITLE, MAX_SENTENCE = 60, 240


def page_of(
    posterior: PosteriorDraws,
    level: float = 0.9,
    decision: Decision | None = None,
) -> str:
    """Render the report as HTML; see :meth:`bayes_intgen.Posterior.report`.

    Examples
    --------
    >>> page_of(posterior).startswith("<!doctype html>")
    True
    """
    if any(term.role == "regression" for term in posterior.terms.terms):
        raise ModelError(
            f"{type(posterior.model).__name__} has no mechanisms to report; fit an additive model"
        )
    environment = Environment(
        loader=PackageLoader("bayes_intgen", "report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sha256"] = _sha256
    support, actions = support_of(posterior), posterior.actions
    plans = contributed = data = None
    with warnings.catch_warnings():
        # The page itself states which effects are not identified, and which plans not supported.
        warnings.simplefilter("ignore", SupportWarning)
        content = _content_of(posterior, level)
        sliders = sliders_of(posterior)
        if decision is not None:
            search = search_of(posterior, decision, CAUTIOUS, False)
            if decision.baseline:
                sliders = sliders_of(posterior, search.problem.baseline)
            plans = plans_of(posterior, decision, search, sliders, level)
            table = contributions(posterior, decision, level)
            contributed = (*cells_of(table), notes_on(table))
        # Under a log link the mean over units that differ in an effect has no such tables.
        if not prediction_of(posterior).factor_varies:
            data = explorer_data(posterior, sliders, level)
            if decision is not None and plans is not None:
                if plans["costs"] or plans["value"]:
                    data["costs"] = plans["cost_of_stops"]
                data["value"] = decision.value
    return environment.get_template("page.html.j2").render(
        content=content,
        posterior=posterior,
        certificate=certify(
            actions, support.regimes, actions, support.reference.settings(), support.strata
        ),
        minus=MINUS,
        check=Check.of_tree(posterior.tree),
        style=_file("page.css"),
        # In one function, so that none of their names is global.
        script=Markup("\n").join(
            [Markup('"use strict";\n(() => {'), *map(_file, SCRIPTS), Markup("})();\n")]
        ),
        plans=plans,
        contributed=contributed,
        data=None if data is None else _json(data),
    )


def _sha256(text: str) -> str:
    """Source expression of a Content Security Policy that allows one inline element."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _file(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))


def _json(value: Any) -> Markup:
    """Encode a value as JSON that cannot end the script element around it."""
    return Markup(json.dumps(value, default=_packed).translate(_UNSAFE))


def _packed(values: NDArray[Any]) -> dict[str, str]:
    """Encode an array as base64 of its little-endian numbers in row-major order."""
    numbers = np.ascontiguousarray(values, dtype="<f8").tobytes()
    return {"float64": b64encode(numbers).decode()}


def _content_of(posterior: PosteriorDraws, level: float) -> dict[str, Any]:
    """Words, numbers and charts that the template shows."""
    default, levels = default_point(posterior), levels_of(posterior)
    found = findings_of_posterior(posterior)
    support, tone = _words_of_support(posterior)
    changes = changes_of(posterior, default)
    contrasts, zero = contrasts_of(posterior, changes, level)
    graph = None if posterior.terms.parents is None else posterior.graph
    everything = change_attrs(posterior, range(len(levels)), posterior.actions)
    actions = [*_actions(posterior, default, level)]
    interactions = interactions_of(posterior, default, level)
    charts = [own[kind]["beyond"] for own in actions for kind in ("joint", "mechanism")]
    drawn = {words for chart in charts for words, *_ in chart}
    drawn |= {words for pair in interactions["pairs"] for words in pair["mean"]["beyond"]}
    return {
        "actions": actions,
        "names": _listed(posterior.actions, MAX_TITLE),
        "changes": _listed(
            [own.in_words for own in changes[:-1]], MAX_SENTENCE, " as in the table below"
        ),
        "drawn": sorted(drawn),
        "level": format_level(level),
        "support": support,
        "support_tone": tone,
        "reference": _reference(posterior, default),
        "has_levels": any(own is not None for own in levels),
        "has_numbers": None in levels,
        "found": found,
        "problems": sentences(found, SamplingWarning),
        "of_rows": [finding for finding in found if finding.warning is DataWarning],
        "lack_of_fit": sentences(found, LackOfFitWarning),
        "sampling": Diagnostics.of(posterior).sentence(),
        "size_of_draws": size_of_draws(posterior.tree),
        "contrasts": contrasts,
        "zero": zero,
        "settings": settings_of_fit(posterior) + versions_of_fit(posterior),
        "draws": prediction_of(posterior).sd.size,
        "population": everything.get("population", ""),
        "adjusted_for": [*population_lines(posterior, between_groups(posterior))][1:],
        "adjustment": adjustments_of(posterior, changes[:-1], level),
        "interactions": interactions,
        "hidden_causes": [*assumption_lines(posterior)][1:],
        "edges": None if graph is None else edges_from(graph, MIN_EDGE),
        "learned": graph is not None and shows_edges(graph),
        "edges_not_shown": "" if graph is None else missing_evidence_in_words(graph),
        "outcome_notes": (*outcome_lines(posterior), *dependence_lines(posterior)),
    }


def _words_of_support(posterior: PosteriorDraws) -> tuple[str, str]:
    """Supported share of the experiments' range as a sentence, and its rating."""
    share = share_supported(posterior)
    if not share:
        return (
            "The rows support no combination of the values of the experiments: every answer on "
            "this page rests on the model and its prior."
        ), "bad"
    tone = "open" if share >= MIN_MODERATE_SUPPORT else "bad"
    if share >= MIN_GOOD_SUPPORT:
        tone = "good"
    return f"The rows support {share:.0%} of combinations of the experiments' values.", tone


def _listed(texts: Sequence[str], width: int, where: str = "") -> str:
    """List actions, or count them where that would be long, and say where they are."""
    listed = in_words(texts)
    return listed if len(listed) <= width else f"all {len(texts)} actions{where}"


def _reference(posterior: PosteriorDraws, point: Array) -> str:
    """Values of the other actions in charts and changes, as text."""
    texts = zip(posterior.actions, point_texts(posterior, point), strict=True)
    values = ", ".join(f"{name} = {text}" for name, text in texts)
    return f"the observational row nearest to their medians ({values})"


def _actions(posterior: PosteriorDraws, default: Array, level: float) -> Iterator[dict[str, Any]]:
    """Charts and typical values of each action."""
    names, coordinates = posterior.actions, posterior.terms.coordinates
    along = [points_along(posterior, k, default, N_POINTS) for k in range(len(names))]
    prediction, support = prediction_of(posterior), support_of(posterior)
    verdicts, joint, mechanisms = [], [], []
    for k, points in enumerate(along):
        all_set = np.ones(points.shape, dtype=bool)
        verdicts.append(support.verdict(points, all_set[0]))
        joint.append(Curve.of_draws("set", prediction.mean(points, all_set), (0.5, level)))
        unconfounded, bias = (part[:, :, k] for part in prediction.contributions(points))
        kinds = (("observed", unconfounded + bias), ("set", unconfounded))
        mechanisms.append([Curve.of_draws(kind, draws, (level,)) for kind, draws in kinds])
    joint_range = common_range(joint)
    mechanism_range = common_range([curve for pair in mechanisms for curve in pair])
    middle = centres([c.centre for c in coordinates], levels_of(posterior))
    ends = ([c.low for c in coordinates], [c.high for c in coordinates])
    typical = (*map(np.array, (middle, *ends)), default)
    median, low, high, at_default = (point_texts(posterior, values) for values in typical)
    for k, levels in enumerate(levels_of(posterior)):
        usual, values = None if levels else usual_range(coordinates[k]), along[k][:, k]
        beside = {i for pair in posterior.terms.interactions if k in pair for i in pair} - {k}
        axis: dict[str, Any] = {"labels": levels and levels.labels, "usual": usual}
        own = np.where(verdicts[k].between[:, k], BETWEEN, OUTSIDE)
        own = np.where(verdicts[k].needs_met[:, k], "", own)
        yield {
            "name": names[k],
            "median": median[k],
            "low": low[k],
            "high": high[k],
            "joint": draw(values, [joint[k]], joint_range, verdicts[k].why, **axis),
            "mechanism": draw(values, mechanisms[k], mechanism_range, own, **axis),
            "held": ", ".join(f"{names[i]} = {at_default[i]}" for i in sorted(beside)),
        }

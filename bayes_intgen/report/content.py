"""Content of a report: words, numbers and charts, ready for the template."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.assess.diagnostics import problems
from bayes_intgen.assess.population_text import population_lines
from bayes_intgen.basis.categories import Categories, short_label
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.queries import named_points
from bayes_intgen.errors import SupportWarning
from bayes_intgen.identification.certificates import Certificate, certify
from bayes_intgen.inference.pilot.lack_of_fit import fit_problems
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
from bayes_intgen.posterior.effects import effect_table, supported
from bayes_intgen.report.adjustment_content import AdjustmentContent, adjustment_content
from bayes_intgen.report.charts import Chart, Curve, common_range, draw, draw_levels
from bayes_intgen.report.provenance import diagnostics_of_fit, settings_of_fit, versions_of_fit
from bayes_intgen.text.number_format import (
    MINUS,
    decimals_for,
    format_interval,
    format_to_uncertainty,
)

# Number of points along an action in a chart, and the step between those for diagnostics.
N_POINTS, DIAGNOSTIC_STEP = 101, 25
# Minimum shares of supported points for good and for moderate support.
MIN_GOOD_SUPPORT, MIN_MODERATE_SUPPORT = 0.9, 0.5


@dataclass(frozen=True)
class Regime:
    """A regime: name, rows, share of the largest regime, weight in the joint effect."""

    label: str
    rows: int
    share: float
    weight: str


@dataclass(frozen=True)
class Action:
    """An action: name, how it was set, median and range, and charts."""

    name: str
    state: str
    median: str
    low: str
    high: str
    joint: Chart
    mechanism: Chart


@dataclass(frozen=True)
class Contrast:
    """Effect of a change of one action, or of all, in words and along a common axis."""

    name: str
    start: str
    end: str
    change: str
    band: str
    above_zero: str
    supported: bool
    # Percentages along the axis.
    low: float
    high: float
    middle: float


@dataclass(frozen=True)
class Content:
    """Content of the report of a posterior."""

    outcome: str
    actions: list[Action]
    regimes: list[Regime]
    rows: int
    level: str
    certificate: Certificate
    support: str
    support_tone: str
    reference: str
    has_levels: bool
    has_numbers: bool
    problems: list[str]
    lack_of_fit: list[str]
    diagnostics: list[tuple[str, str]]
    contrasts: list[Contrast]
    zero: float
    settings: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    draws: int
    population: str
    adjusted_for: tuple[str, ...]
    adjustment: AdjustmentContent


def content_of(
    posterior: PosteriorDraws,
    level: float,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
) -> Content:
    """Collect the content of a report.

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


def _content_of(posterior: PosteriorDraws, level: float, over: Mapping[str, Any]) -> Content:
    fit_support, default = support_of(posterior), default_point(posterior)
    certificate = certify(
        posterior.actions,
        fit_support.regimes,
        posterior.actions,
        None if fit_support.reference is None else fit_support.reference.settings(),
        None if fit_support.population is None else fit_support.population.under_one_mask,
    )
    along = [points_along(posterior, k, default, N_POINTS) for k in range(len(posterior.actions))]
    typical = np.concatenate(along)[::DIAGNOSTIC_STEP]
    effect = posterior.joint_effect(_named(posterior, typical), **over)
    levels_by_action = levels_of(posterior)
    support, tone = _words_of_support(posterior)
    low, high = default_changes(posterior, default)
    contrasts, zero = _contrasts(posterior, default, low, high, level, over)
    return Content(
        outcome=posterior.outcome_name,
        actions=_actions(posterior, along, certificate, level, over),
        regimes=_regimes(certificate),
        rows=sum(fit_support.regimes.values()),
        level=f"{100 * level:g}%",
        certificate=certificate,
        support=support,
        support_tone=tone,
        reference=_reference(posterior, default),
        has_levels=any(levels is not None for levels in levels_by_action),
        has_numbers=any(levels is None for levels in levels_by_action),
        problems=problems(posterior.tree, effect),
        lack_of_fit=fit_problems(posterior.tree["constant_data"].dataset),
        diagnostics=diagnostics_of_fit(posterior.tree, effect),
        contrasts=contrasts,
        zero=zero,
        settings=settings_of_fit(posterior),
        versions=versions_of_fit(posterior),
        draws=prediction_of(posterior).sd.size,
        population=fit_support.standardisation(**over).description,
        adjusted_for=population_lines(posterior, between_groups(posterior))[1:],
        adjustment=adjustment_content(
            posterior, _changes_in_words(posterior, default, low, high), level
        ),
    )


def _changes_in_words(
    posterior: PosteriorDraws, default: Array, low: Array, high: Array
) -> list[tuple[str, str, Array, Array]]:
    """Name, words, start and end of the change of each action, the others at the default."""
    out = []
    for k, (name, before, after) in enumerate(_changes(posterior, low, high)):
        start, end = default.copy(), default.copy()
        start[k], end[k] = low[k], high[k]
        out.append((name, f"{name} from {before} to {after}", start, end))
    return out


def _regimes(certificate: Certificate) -> list[Regime]:
    largest = max(certificate.rows.values())
    return [
        Regime(
            label,
            rows,
            100 * rows / largest,
            str(certificate.weights.get(label, "")).replace("-", MINUS),
        )
        for label, rows in certificate.rows.items()
    ]


def _words_of_support(posterior: PosteriorDraws) -> tuple[str, str]:
    """Supported share of the experiments' range as a sentence, and its rating."""
    share = share_supported(posterior)
    if share is None:
        return "Unknown: the fit was saved by a version without reference rows.", "open"
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
    columns = zip(
        posterior.actions, point, posterior.terms.coordinates, levels_of(posterior), strict=True
    )
    values = ", ".join(f"{name} = {_value(v, c, levels)}" for name, v, c, levels in columns)
    if (point == medians(posterior)).all():
        return f"their medians ({values})"
    return f"the supported row nearest to their medians ({values})"


def _named(posterior: PosteriorDraws, values: Array) -> Any:
    """Replace the codes of levels by their names."""
    return named_points(values, posterior.actions, posterior.categories)


def _bands(draws: Array, levels: Sequence[float]) -> list[tuple[Array, Array]]:
    """Compute central bands of draws, shape (draws, n), widest first."""
    tails = [[(1 - level) / 2, (1 + level) / 2] for level in sorted(levels, reverse=True)]
    return [tuple(np.quantile(draws, ends, axis=0)) for ends in tails]


def _actions(
    posterior: PosteriorDraws,
    along: list[Array],
    certificate: Certificate,
    level: float,
    over: Mapping[str, Any],
) -> list[Action]:
    joint = [_joint_curve(posterior, points, level, over) for points in along]
    mechanism = [
        _mechanism_curves(posterior, k, points, level, over) for k, points in enumerate(along)
    ]
    within = [supported(posterior, points, posterior.actions) for points in along]
    joint_range = common_range(joint)
    mechanism_range = common_range([curve for pair in mechanism for curve in pair])
    return [
        Action(
            name=name,
            state=certificate.states[name],
            median=_value(middle, c, levels),
            low=_value(c.low, c, levels),
            high=_value(c.high, c, levels),
            joint=_chart(along[k][:, k], [joint[k]], joint_range, c, levels, within[k].all(axis=1)),
            mechanism=_chart(
                along[k][:, k], mechanism[k], mechanism_range, c, levels, within[k][:, k]
            ),
        )
        for k, (name, c, levels, middle) in enumerate(
            zip(
                posterior.actions,
                posterior.terms.coordinates,
                levels_of(posterior),
                medians(posterior).tolist(),
                strict=True,
            )
        )
    ]


def _joint_curve(
    posterior: PosteriorDraws, points: Array, level: float, over: Mapping[str, Any]
) -> Curve:
    named = _named(posterior, points)
    table = effect_table(posterior, named, level=level, **over)
    draws = posterior.joint_effect(named, **over).to_numpy().reshape(-1, len(points))
    outcomes = (table["outcome_low"].to_numpy(), table["outcome_high"].to_numpy())
    return Curve("set", draws.mean(axis=0), _bands(draws, (0.5, level)), outcomes)


def _mechanism_curves(
    posterior: PosteriorDraws, k: int, points: Array, level: float, over: Mapping[str, Any]
) -> tuple[Curve, Curve]:
    """Confounded and unconfounded contributions of an action."""
    mechanisms = posterior.mechanisms(_named(posterior, points), **over).isel(action=k)
    observed, was_set = (
        mechanisms[name].to_numpy().reshape(-1, len(points))
        for name in ("confounded", "unconfounded")
    )
    return (
        Curve("observed", observed.mean(axis=0), _bands(observed, (level,))),
        Curve("set", was_set.mean(axis=0), _bands(was_set, (level,))),
    )


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


def _value(value: float, coordinate: Coordinate, levels: Categories | None) -> str:
    """Format a value of an action with the decimals of its coordinate, or name a level."""
    if levels is not None:
        return short_label(levels.decode(np.array([value])).tolist()[0])
    return format_to_uncertainty(value, decimals_for(coordinate.spread) + 1)


def _contrasts(
    posterior: PosteriorDraws,
    default: Array,
    low: Array,
    high: Array,
    level: float,
    over: Mapping[str, Any],
) -> tuple[list[Contrast], float]:
    """Effects of the default changes, one action at a time and together, and zero on the axis."""
    starts = np.tile(default, (len(low), 1))
    ends = starts.copy()
    np.fill_diagonal(starts, low)
    np.fill_diagonal(ends, high)
    starts, ends = np.concatenate([starts, [low]]), np.concatenate([ends, [high]])
    baseline = _named(posterior, starts)
    table = effect_table(posterior, _named(posterior, ends), baseline=baseline, level=level, **over)
    within = [
        supported(posterior, points, posterior.actions).all(axis=1) for points in (starts, ends)
    ]
    labels = [*_changes(posterior, low, high), ("all of them", "each", "as above")]
    return _contrasts_of(table, labels, within[0] & within[1], prediction_of(posterior).sd.size)


def _changes(posterior: PosteriorDraws, low: Array, high: Array) -> list[tuple[str, str, str]]:
    """Name, start and end of the change of each action."""
    columns = zip(
        posterior.actions, posterior.terms.coordinates, levels_of(posterior), low, high, strict=True
    )
    return [(name, _value(a, c, levels), _value(b, c, levels)) for name, c, levels, a, b in columns]


def _contrasts_of(
    table: xr.Dataset, labels: list[tuple[str, str, str]], supported: NDArray[np.bool_], draws: int
) -> tuple[list[Contrast], float]:
    """Format contrasts with a common number of decimals, and place them on a common axis."""
    change, lows, highs, above = (
        table[name].to_numpy() for name in ("change", "change_low", "change_high", "above_zero")
    )
    start_of_axis, end_of_axis = min(0.0, lows.min()), max(0.0, highs.max())
    length = (end_of_axis - start_of_axis) or 1.0
    decimals = decimals_for(float(np.median(highs - lows)))

    def percentage(value: float) -> float:
        return float(100 * (value - start_of_axis) / length)

    return [
        Contrast(
            name=name,
            start=start,
            end=end,
            change=format_to_uncertainty(float(change[k]), decimals, sign=True),
            band=format_interval(lows[k], highs[k], decimals, sign=True),
            above_zero=_probability(float(above[k]), draws),
            supported=bool(supported[k]),
            low=percentage(lows[k]),
            high=percentage(highs[k]),
            middle=percentage(change[k]),
        )
        for k, (name, start, end) in enumerate(labels)
    ], percentage(0.0)


def _probability(share: float, draws: int) -> str:
    """Format a share of draws as a probability strictly between 0 and 1."""
    if share in (0.0, 1.0):
        return f"> {1 - 1 / draws:.4f}" if share else f"< {1 / draws:.4f}"
    return f"{share:.2f}" if 0.005 <= share <= 0.995 else f"{share:.4f}"

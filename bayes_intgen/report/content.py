"""What a report says, section by section, as words and numbers ready to be laid out."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen import serialise
from bayes_intgen.bases import Array
from bayes_intgen.categories import Categories, short_label
from bayes_intgen.certificates import Certificate, certify
from bayes_intgen.coordinate import Coordinate
from bayes_intgen.defaults import (
    default_changes,
    levels_of,
    medians,
    share_supported,
    usual_range,
)
from bayes_intgen.diagnostics import problems
from bayes_intgen.effects import effect_table, supported
from bayes_intgen.errors import SupportWarning
from bayes_intgen.goodness import fit_problems
from bayes_intgen.models import AdditiveModel
from bayes_intgen.number_format import MINUS, decimals_for, format_to_uncertainty
from bayes_intgen.questions import named_points
from bayes_intgen.report.charts import Chart, Curve, common_range, draw, draw_levels

if TYPE_CHECKING:
    from bayes_intgen.posterior import Posterior

# Points along an action in a chart.
SIZE = 101
# Shares of supported points from which on support is no worry, and below which it is a grave one.
GOOD_SUPPORT, LEAST_SUPPORT = 0.9, 0.5


@dataclass(frozen=True)
class Regime:
    """A regime in the data: its name, rows, share of the largest, weight in the joint effect."""

    label: str
    rows: int
    share: float
    weight: str


@dataclass(frozen=True)
class Action:
    """An action: its name, how it was set, its median and range, and its charts."""

    name: str
    state: str
    median: str
    low: str
    high: str
    joint: Chart
    mechanism: Chart


@dataclass(frozen=True)
class Contrast:
    """A change of one action, or of all: what it does, in words and along a common axis."""

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
    """All that a report says of a posterior."""

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


def content_of(posterior: "Posterior", level: float) -> Content:
    """What a report says of a posterior.

    Parameters
    ----------
    posterior : Posterior
        Of an additive model.
    level : float
        Probability of bands.
    """
    with warnings.catch_warnings():
        # The page itself says what is not identified.
        warnings.simplefilter("ignore", SupportWarning)
        return _content_of(posterior, level)


def _content_of(posterior: "Posterior", level: float) -> Content:
    constant = posterior.tree["constant_data"]
    masks = [tuple(row) for row in (constant["intervened"].to_numpy() > 0).tolist()]
    rows = [int(n) for n in constant["rows"].to_numpy()]
    certificate = certify(
        posterior.actions,
        dict(zip(masks, rows, strict=True)),
        list(posterior.actions),
        None if posterior.seen is None else posterior.seen.settings(),
    )
    along = _lines(posterior)
    levels = levels_of(posterior)
    support, tone = _words_of_support(posterior)
    contrasts, zero = _contrasts(posterior, level)
    return Content(
        outcome=posterior.outcome_name,
        actions=_actions(posterior, along, certificate, level),
        regimes=[
            Regime(
                label,
                certificate.rows[label],
                100 * certificate.rows[label] / max(rows),
                str(certificate.weights.get(label, "")).replace("-", MINUS),
            )
            for label in certificate.rows
        ],
        rows=sum(rows),
        level=f"{100 * level:g}%",
        certificate=certificate,
        support=support,
        support_tone=tone,
        reference=_reference(posterior),
        has_levels=any(known is not None for known in levels),
        has_numbers=any(known is None for known in levels),
        problems=problems(
            posterior.tree,
            posterior.joint_effect(_named(posterior, np.concatenate(along)[::25])),
        ),
        lack_of_fit=fit_problems(posterior.tree["constant_data"].dataset),
        diagnostics=_diagnostics(posterior, along),
        contrasts=contrasts,
        zero=zero,
        settings=_settings(posterior),
        versions=_versions(posterior),
        draws=posterior.prediction.sd.size,
    )


def _words_of_support(posterior: "Posterior") -> tuple[str, str]:
    """How much of the experiments' range is supported, and the tone in which to say it."""
    share = share_supported(posterior)
    if share is None:
        return "Not known: the fit was saved by a version that kept no rows.", "open"
    if not share:
        return (
            "None of the joint points drawn from the experiments is supported: every answer "
            "on this page rests on the model and its prior."
        ), "bad"
    tone = "good" if share >= GOOD_SUPPORT else "open" if share >= LEAST_SUPPORT else "bad"
    return f"{share:.0%} of the joint points drawn from the experiments are supported.", tone


def _reference(posterior: "Posterior") -> str:
    """Where charts and changes hold the other actions, in words."""
    point = posterior.default_point
    columns = zip(
        posterior.actions, point, posterior.terms.coordinates, levels_of(posterior), strict=True
    )
    values = ", ".join(f"{name} = {_value(v, c, known)}" for name, v, c, known in columns)
    if (point == medians(posterior)).all():
        return f"their medians ({values})"
    return f"the supported row nearest to their medians ({values})"


def _lines(posterior: "Posterior") -> list[Array]:
    """For every action points along its range or its levels, the others at the default point."""
    lines = []
    columns = zip(posterior.terms.coordinates, levels_of(posterior), strict=True)
    for k, (c, levels) in enumerate(columns):
        along = np.linspace(c.low, c.high, SIZE) if levels is None else np.array(levels.codes)
        points = np.tile(posterior.default_point, (len(along), 1))
        points[:, k] = along
        lines.append(points)
    return lines


def _named(posterior: "Posterior", values: Array) -> Any:
    """Points with the names of levels, as questions are put."""
    return named_points(values, posterior.actions, posterior.categories)


def _bands(draws: Array, levels: Sequence[float]) -> list[tuple[Array, Array]]:
    """Central bands of draws, shape (draws, n), widest first."""
    return [
        (low, high)
        for level in sorted(levels, reverse=True)
        for low, high in [np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)]
    ]


def _actions(
    posterior: "Posterior", along: list[Array], certificate: Certificate, level: float
) -> list[Action]:
    joint, mechanism = [], []
    for k, points in enumerate(along):
        named = _named(posterior, points)
        table = effect_table(posterior, named, level=level)
        effect = posterior.joint_effect(named).to_numpy().reshape(-1, len(points))
        joint.append(
            Curve(
                "set",
                effect.mean(axis=0),
                _bands(effect, (0.5, level)),
                (table["outcome_low"].to_numpy(), table["outcome_high"].to_numpy()),
            )
        )
        parts = posterior.mechanisms(named).isel(action=k)
        set_, seen = (
            parts[n].to_numpy().reshape(-1, len(points)) for n in ("unconfounded", "confounded")
        )
        mechanism.append(
            (
                Curve("seen", seen.mean(axis=0), _bands(seen, (level,))),
                Curve("set", set_.mean(axis=0), _bands(set_, (level,))),
            )
        )
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


def _chart(
    along: Array,
    curves: Sequence[Curve],
    y_range: tuple[float, float],
    coordinate: Coordinate,
    levels: Categories | None,
    supported: NDArray[np.bool_],
) -> Chart:
    """Lines over numbers, intervals at levels."""
    if levels is None:
        return draw(along, curves, y_range, usual_range(coordinate), supported)
    return draw_levels([short_label(label) for label in levels.labels], curves, y_range, supported)


def _value(value: float, coordinate: Coordinate, levels: Categories | None) -> str:
    """A value of an action, to the same decimals wherever it stands; the name of a level."""
    if levels is not None:
        return short_label(levels.decode(np.array([value])).tolist()[0])
    return format_to_uncertainty(value, decimals_for(coordinate.spread) + 1)


def _contrasts(posterior: "Posterior", level: float) -> tuple[list[Contrast], float]:
    """The default change of each action, and of all together; and zero along the axis."""
    coordinates, categories = posterior.terms.coordinates, levels_of(posterior)
    count = len(coordinates)
    low, high = default_changes(posterior)
    starts = np.tile(posterior.default_point, (count, 1))
    ends = starts.copy()
    np.fill_diagonal(starts, low)
    np.fill_diagonal(ends, high)
    starts, ends = np.concatenate([starts, [low]]), np.concatenate([ends, [high]])
    table = effect_table(
        posterior, _named(posterior, ends), baseline=_named(posterior, starts), level=level
    )
    within = [
        supported(posterior, points, posterior.actions).all(axis=1) for points in (starts, ends)
    ]
    change, lows, highs, above = (
        table[name].to_numpy() for name in ("change", "change_low", "change_high", "above_zero")
    )
    left, right = min(0.0, lows.min()), max(0.0, highs.max())
    reach = (right - left) or 1.0
    places = decimals_for(float(np.median(highs - lows)))

    def at(value: float) -> float:
        return float(100 * (value - left) / reach)

    return [
        Contrast(
            name=posterior.actions[k] if k < count else "all of them",
            start=_value(low[k], coordinates[k], categories[k]) if k < count else "each",
            end=_value(high[k], coordinates[k], categories[k]) if k < count else "as above",
            change=format_to_uncertainty(float(change[k]), places, sign=True),
            band=f"{format_to_uncertainty(float(lows[k]), places, sign=True)} to "
            f"{format_to_uncertainty(float(highs[k]), places, sign=True)}",
            above_zero=_probability(float(above[k]), posterior.prediction.sd.size),
            supported=bool(within[0][k] and within[1][k]),
            low=at(lows[k]),
            high=at(highs[k]),
            middle=at(change[k]),
        )
        for k in range(count + 1)
    ], at(0.0)


def _probability(share: float, draws: int) -> str:
    """A share of draws, without a claim of certainty."""
    if share in (0.0, 1.0):
        return f"> {1 - 1 / draws:.4f}" if share else f"< {1 / draws:.4f}"
    return f"{share:.2f}" if 0.005 <= share <= 0.995 else f"{share:.4f}"


def _diagnostics(posterior: "Posterior", along: list[Array]) -> list[tuple[str, str]]:
    from arviz_stats import ess, rhat

    effect = posterior.joint_effect(_named(posterior, np.concatenate(along)[::25]))
    bare = effect.drop_vars([name for name in effect.coords if name not in effect.dims])
    statistics = posterior.tree["sample_stats"].dataset
    total = int(statistics["diverging"].size)
    chains, draws = effect.sizes["chain"], effect.sizes["draw"]
    hyper = posterior.tree["posterior"].dataset
    said = [("draws", f"{total:,} in {chains} {'chain' if chains == 1 else 'chains'}")]
    if chains > 1 and draws > 3:
        worst = max(float(_largest(rhat(bare))), float(_largest(rhat(hyper))))
        said.append(("largest R-hat (1.00 is best; over 1.01 is trouble)", f"{worst:.3f}"))
    if draws > 3:
        for what, quantities in (("joint effect", bare), ("hyperparameters", hyper)):
            least = min(
                float(-_largest(-ess(quantities, method=method))) for method in ("bulk", "tail")
            )
            said.append((f"smallest effective sample, {what} (400 will do)", f"{least:,.0f}"))
    diverging = int(statistics["diverging"].sum())
    said.append(("draws that diverged", f"{diverging} of {total:,}"))
    if "reached_max_treedepth" in statistics:
        deepest = int(statistics["reached_max_treedepth"].sum())
        said.append(("draws at the maximum tree depth", f"{deepest} of {total:,}"))
    return said


def _largest(values: Any) -> float:
    if isinstance(values, xr.DataArray):
        return float(values.max())
    return max(float(v.max()) for v in values.data_vars.values())


def _settings(posterior: "Posterior") -> list[tuple[str, str]]:
    model = posterior.model
    said = [("prior of every function", _words(model.prior))]
    if isinstance(model, AdditiveModel):
        said += [
            (f"prior of phi({name})", _words(prior)) for name, prior in model.unconfounded.items()
        ]
        said += [(f"prior of delta({name})", _words(prior)) for name, prior in model.bias.items()]
        if model.graph is None:
            graph = "unknown: each bias may depend on every action"
        else:
            edges = [f"{' and '.join(p)} → {child}" for child, p in model.graph.items() if p]
            graph = "; ".join(edges) or "no action moves another"
        said.append(("graph over the actions", graph))
    noise = {"gaussian": "Gaussian", "student_t": "Student-t"}[model.noise]
    spread = {"fitted": "variance depends on regime and actions", "constant": "one variance"}
    said.append(("noise", f"{noise}, {spread[model.spread]}"))
    said.append(
        (
            "prior of the noise's sd",
            f"log-normal, median {model.noise_scale.median:g} outcome sd, "
            f"sigma {model.noise_scale.sigma:g}",
        )
    )
    fixed = posterior.tree["constant_data"].sizes.get("fixed_scale_of", 0)
    said.append(("terms", f"{len(posterior.terms.terms)}, of which {fixed} keep a small scale"))
    settings = serialise.loads(posterior.tree.attrs["settings"])
    said += [
        (str(name).replace("_", " "), "yes" if value is True else "no" if value is False else value)
        for name, value in settings.items()
        if name != "progress"
    ]
    return [(name, str(value)) for name, value in said]


def _words(prior: Any) -> str:
    """A mechanism in words: its kind and its settings."""
    own = [
        f"{field.name} {value:g}" if isinstance(value, float) else f"{field.name} {value}"
        for field in fields(prior)
        for value in [getattr(prior, field.name)]
        if isinstance(value, str | int | float)
    ]
    return ", ".join([type(prior).__name__, *own])


def _versions(posterior: "Posterior") -> list[tuple[str, str]]:
    attrs = posterior.tree.attrs
    return [
        ("bayes-intgen, which fitted", str(attrs["creation_library_version"])),
        ("NumPyro, which sampled", str(attrs["inference_library_version"])),
        ("bayes-intgen, which wrote this page", version("bayes-intgen")),
        *((f"{name}, here", version(name)) for name in ("jax", "numpy", "arviz")),
    ]

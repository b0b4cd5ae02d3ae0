"""Tables of the explorer, in which the page looks up joint effects at the stops of its sliders.

In every draw the joint effect is that at the start, plus its change by each action alone, plus what
two actions that interact change beyond that. Each of these is a table over the stops of one action,
or of two, whose rows are few functions times draws of coefficients. Under a log link it is the
logarithm of the joint effect, without that of the mean of exp(noise), that adds up so; the variance
of the noise is ``sd^2 e exp(d / e)`` with sums ``e`` and ``d`` over the actions
(:meth:`~bayes_intgen.models.variance_function.VarianceFunction.drawn`).

The squared distances of the ends of a single outcome's band from the mean are those of a normal law
with the variance of the joint effect, which the page computes, and a rest that is added over the
actions, as variances of noise are. With one action away from the start the band is exact.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Atom
from bayes_intgen.basis.categories import short_label
from bayes_intgen.models.laws import LOG_SDS, ResidualNoise
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.posterior.defaults import default_point, levels_of, varied
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of, tails_of
from bayes_intgen.report.charts import ticks
from bayes_intgen.text.messages import BETWEEN

# Maximum numbers of draws and of steps between the stops of a slider: more would make the page slow
# to load for little precision.
MAX_DRAWS, MAX_STEPS = 2000, 40
# Singular values of a table, relative to the largest, that are rounding.
RANK_TOLERANCE = 1e-13
# Parts of the joint effect, and of the variance, that are tables in every draw.
TABLES = ("effect", "d")
# Reasons why a stop is not supported; the first that applies is shown.
REASONS = (
    "",
    "never set in an experiment",
    BETWEEN,
    "no experiment sets this level",
    "outside the rows of its experiments",
    "not observed there without being set",
    "too few regimes reach this value",
    "no regimes reach it together with the other values",
)


class Slider(NamedTuple):
    """Stops of an action, the stop at which the page starts, and positions in ``REASONS``."""

    values: Array
    start: int
    reasons: NDArray[np.int_]


def sliders_of(posterior: PosteriorDraws, baseline: Array | None = None) -> list[Slider]:
    """Stops of each action: levels, or round values and those that many rows share.

    They start at a baseline; without one, near the default point where rows support that.
    """
    default, stops = default_point(posterior) if baseline is None else baseline, []
    for k, (c, levels) in enumerate(
        zip(posterior.terms.coordinates, levels_of(posterior), strict=True)
    ):
        bases = [t.component.basis for t in posterior.terms.terms if t.action == k]
        atoms = [basis.value for basis in bases if isinstance(basis, Atom)]
        # The start is exactly the baseline of decisions.
        values = np.clip([*ticks(c.low, c.high, MAX_STEPS), *atoms], c.low, c.high)
        stops.append(np.array(levels.codes) if levels else np.union1d(values, default[k]))
    start = []
    for k, values in enumerate(stops):
        within, gaps = _reasons(posterior, default, k, values) == 0, np.abs(values - default[k])
        anywhere = baseline is not None or not within.any()
        start.append(int(np.where(within | anywhere, gaps, np.inf).argmin()))
    point = np.array([values[i] for values, i in zip(stops, start, strict=True)])
    return [
        Slider(values, start[k], _reasons(posterior, point, k, values))
        for k, values in enumerate(stops)
    ]


def explorer_data(
    posterior: PosteriorDraws,
    sliders: Sequence[Slider],
    level: float = 0.9,
) -> dict[str, Any]:
    """Collect the tables of the page.

    Parameters
    ----------
    posterior : PosteriorDraws
        Of an additive model.
    sliders : sequence of Slider, length K
    level : float
        Probability of the band of single outcomes.

    Returns
    -------
    dict
        ``actions``: for each one a slider's ``values``, ``start`` and ``reasons``, with ``linked``
        (stops,), whether a stop is supported beside all other linked stops, ``effect``, its table,
        and ``labels`` of levels. ``pairs``: for each interaction its two ``actions``, ``effect``, a
        table over the stops of the first action and within each over those of the second, and
        ``unreached``, whether a combination has no support although either value has. A table has
        ``functions`` (stops, P) and ``coefficients`` (draws, P). Actions also have the changes of
        ``outcome_ends``, unless outcomes are binary: (2, stops), squared distances of the ends of
        the band of a single outcome from the mean, with their signs, without those of a normal law
        with the variance of the joint effect, whose quantile is ``end``; and under a log link those
        of ``e`` (stops,) and ``d``, a table. ``start``: all these at the start.

    Examples
    --------
    >>> [action["name"] for action in explorer_data(posterior, sliders_of(posterior))["actions"]]
    ['red', 'green']
    """
    prediction = prediction_of(posterior)
    total = prediction.sd.size
    which = np.linspace(0, total - 1, min(MAX_DRAWS, total)).astype(int)
    prediction = prediction.map_draws(lambda x: x.reshape(total, *x.shape[2:])[which][None])
    start = np.array([slider.values[slider.start] for slider in sliders])
    at_start = _parts(prediction, start[None], level)
    actions, kept = [], {name: values[..., 0] for name, values in at_start.items()}
    for k, (slider, levels) in enumerate(zip(sliders, levels_of(posterior), strict=True)):
        points = varied(start, k, slider.values)
        parts = _parts(prediction, points, level)
        changes = {name: values - at_start[name] for name, values in parts.items()}
        actions.append(
            {
                "name": posterior.actions[k],
                **slider._asdict(),
                "linked": _linked(posterior, points, start, nearby=False),
                "labels": levels and [short_label(label) for label in levels.labels],
                **{name: _table(x) if name in TABLES else x for name, x in changes.items()},
            }
        )
    noise = prediction.law.noise
    if isinstance(noise, ResidualNoise):
        kept |= {"cumulant_ratios": noise.cumulant_ratios, "log_sds": LOG_SDS[[0, -1]]}
    return {
        "outcome": posterior.outcome_name,
        "kind": prediction.law.kind,
        "link": prediction.law.link,
        "level": level,
        "end": ndtri((1 + level) / 2),
        "draws": len(which),
        "sd": prediction.sd[0],
        "start": kept,
        "reasons": REASONS,
        "between": REASONS.index(BETWEEN),
        "actions": actions,
        "pairs": [
            _pair_data(posterior, prediction.coefficients[0], sliders, pair)
            for pair in posterior.terms.interactions
        ],
    }


def _pair_data(
    posterior: PosteriorDraws,
    coefficients: Array,
    sliders: Sequence[Slider],
    pair: tuple[int, int],
) -> dict[str, Any]:
    """Table of what two actions change together, beyond their changes alone."""
    start, own = np.array([s.values[s.start] for s in sliders]), [sliders[i] for i in pair]
    points = varied(start, list(pair), np.array([*product(*(s.values for s in own))]))
    one, other = points[:, pair].copy(), points[:, pair].copy()
    one[:, 1], other[:, 0] = start[pair[1]], start[pair[0]]
    basis, columns = posterior.terms.interactions[pair]
    both, first, second, neither = map(
        basis.matrix, (points[:, pair], one, other, start[None, pair])
    )
    # Values without support have a reason of their own, and those at the start are beside it.
    moved = [(s.reasons == 0) & (np.arange(len(s.values)) != s.start) for s in own]
    unreached = np.outer(*moved).ravel()
    unreached[unreached] = ~support_of(posterior).supported(points[unreached])
    return {
        "actions": pair,
        "effect": {
            "functions": both - first - second + neither,
            "coefficients": coefficients[:, columns],
        },
        "unreached": unreached,
    }


def _parts(prediction: Prediction, points: Array, level: float) -> dict[str, Array]:
    """What adds up over the actions, (draws, n), (2, n) or (n,): see :func:`explorer_data`."""
    all_set = np.ones(points.shape, dtype=bool)
    mean, parts = prediction.mean(points, all_set)[0], {}
    single = prediction.outcome_summary(points, all_set, tails_of(level))
    if "outcome_low" in single:
        ends = np.array([single["outcome_low"], single["outcome_high"]])
        scale = np.asarray if prediction.is_linear else np.log
        gaps = scale(ends) - scale(mean).mean(axis=0)
        of_effect = scale(mean).var(axis=0) * ndtri((1 + level) / 2) ** 2
        parts["outcome_ends"] = np.sign(gaps) * gaps**2 - np.array([[-1.0], [1.0]]) * of_effect
    if not prediction.is_linear:
        e, sd = prediction.spread(points, all_set), prediction.noise_sd(points, all_set)[0]
        parts |= {"e": e, "d": 2 * e * np.log(sd / prediction.sd[0][:, None] / np.sqrt(e))}
        mean = np.log(mean) - prediction.law.noise.log_mean_exp(sd)
    return {"effect": mean, **parts}


def _table(values: Array) -> dict[str, Array]:
    """Few functions, (stops, P), and coefficients, (draws, P), with these products."""
    left, sizes, right = np.linalg.svd(values, full_matrices=False)
    used = sizes > RANK_TOLERANCE * sizes[0]
    return {"functions": right[used].T, "coefficients": left[:, used] * sizes[used]}


def _linked(
    posterior: PosteriorDraws, points: Array, start: Array, *, nearby: bool
) -> NDArray[np.bool_]:
    """Whether the regimes link points with the start, shape (n,).

    Rows near a point may support it although the regimes do not link its values elsewhere. Such
    support does not extend to combinations with other values.
    """
    both, all_set = np.concatenate([points, start[None]]), np.ones(len(start), dtype=bool)
    linked = support_of(posterior).linked(both, all_set, nearby=nearby)
    return np.asarray(linked[:-1] & linked[-1])


def _reasons(
    posterior: PosteriorDraws, point: Array, action: int, stops: Array
) -> NDArray[np.int_]:
    """Reasons against support of the joint effect along an action, the others at a point.

    Stops that are supported beside the start are supported together if all of them are linked.
    Actions that interact also need support of their combination.
    """
    points, support = varied(point, action, stops), support_of(posterior)
    verdict, reference = support.verdict(points, np.ones(len(point), bool)), support.reference
    close, separated = verdict.close[:, action], verdict.separated[:, action]
    applies = (
        np.full(len(stops), not len(reference.values_set(action))),
        verdict.between[:, action],
        ~close & (levels_of(posterior)[action] is not None),
        ~close,
        ~separated & ~verdict.without_setting[:, action],
        ~separated,
        ~_linked(posterior, points, point, nearby=True),
    )
    return np.select(applies, range(1, len(REASONS)), 0)

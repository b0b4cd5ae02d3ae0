"""Posteriors that nobody sampled: random draws of coefficients, for tests of what is shown."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import bayes_intgen as bi
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.inference.sampler import INDEPENDENT, SampledModel, SamplerSettings
from bayes_intgen.models import Model, codec
from bayes_intgen.models.laws import StudentTNoise
from bayes_intgen.models.variance_function import KNOTS, VarianceFunction
from bayes_intgen.posterior.schema import build_tree


def asked(posterior: bi.Posterior, given: Any = None, population: Any = None) -> bi.Posterior:
    """A posterior that is asked about values of covariates and a population."""
    return posterior.given(given).over(population)


def thinned(posterior: bi.Posterior) -> bi.Posterior:
    """A fifth of the draws, for searches of plans, whose time they determine."""
    return bi.Posterior(posterior.tree.isel(draw=slice(None, None, 5)))


def joined(*parts: bi.RegimeData) -> bi.RegimeData:
    """Rows of all parts, without covariates and groups."""
    columns = ("actions", "outcome", "intervened")
    arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in columns]
    names = {"names": parts[0].names, "outcome_name": parts[0].outcome_name}
    return bi.RegimeData.from_arrays(*arrays, **names)


def frame_with_levels(rows: int = 160) -> pd.DataFrame:
    """A table of text, an ordered category, a boolean, zeros and ones, and numbers."""
    rng = np.random.default_rng(0)
    sizes = pd.Categorical(
        rng.choice(["small", "large", "medium"], size=rows),
        categories=["none", "small", "medium", "large"],
        ordered=True,
    )
    names = ["drug", "size", "promo", "coin", "spend"]
    return pd.DataFrame(
        {
            "drug": rng.choice(["placebo", "a", "b"], size=rows),
            "size": sizes,
            "promo": rng.random(rows) < 0.5,
            "coin": rng.integers(0, 2, size=rows),
            "spend": rng.gamma(3.0, size=rows),
            "sales": 100 + rng.normal(size=rows),
            "regime": [["", *names][i % 6] for i in range(rows)],
        }
    )


def data_with_levels() -> bi.RegimeData:
    frame = frame_with_levels()
    return bi.RegimeData.from_frame(frame, list(frame.columns[:5]), "sales", "regime")


def made_up_with_levels() -> bi.Posterior:
    data = data_with_levels()
    return made_up(data.names, outcome="sales", data=data)


def made_up_with_pairs(draws: int = 50) -> bi.Posterior:
    """A posterior of three actions, of which the second interacts with both others."""
    pairs = [("tv", "radio"), ("print", "radio")]
    model = bi.models.additive(graph={}, interactions=pairs)
    return made_up(["tv", "radio", "print"], outcome="sales", draws=draws, model=model)


def made_up_in_a_band() -> bi.Posterior:
    """Two actions that interact, of which only a diagonal band of combinations is observed."""
    rng = np.random.default_rng(0)
    pieces = []
    for mask in ((False, False), (True, False), (False, True)):
        common = rng.normal(size=400)
        pieces.append((common[:, None] + rng.normal(scale=0.4, size=(400, 2)), mask))
    actions = np.concatenate([rows for rows, _ in pieces])
    intervened = np.repeat([mask for _, mask in pieces], 400, axis=0)
    outcome = actions.prod(axis=1) + rng.normal(size=1200)
    data = bi.RegimeData.from_arrays(actions, outcome, intervened, ["one", "two"])
    model = bi.models.additive(interactions=[("one", "two")])
    return made_up(data.names, data=data, model=model)


def made_up_over_the_range(count: int) -> bi.Posterior:
    """Many actions, whose experiments set them over the range of the observational rows."""
    rng = np.random.default_rng(0)
    masks = np.repeat([np.zeros(count, bool), *np.eye(count, dtype=bool)], 120, axis=0)
    actions = rng.uniform(0.0, 1.0, (len(masks), count))
    names = [f"a{k}" for k in range(count)]
    data = bi.RegimeData.from_arrays(actions, rng.normal(size=len(masks)), masks, names)
    return made_up(names, data=data, draws=100)


def half_supported(regimes: Sequence[str] = ("", "promo", "channel", "spend")) -> bi.Posterior:
    """A posterior of two levels, three without an order, of which one is never set, and numbers.

    Experiments set the numbers to 3 and 14 only; their median lies between.
    """
    rng = np.random.default_rng(0)
    rows = 100
    tables = [
        pd.DataFrame(
            {
                "promo": rng.choice(["off", "on"], rows),
                "channel": rng.choice(["a", "b"] if regime == "channel" else ["a", "b", "c"], rows),
                "spend": rng.choice([3.0, 14.0], rows)
                if regime == "spend"
                else rng.gamma(4.0, 2.0, rows),
                "sales": 100 + rng.normal(size=rows),
                "regime": regime,
            }
        )
        for regime in regimes
    ]
    names = ["promo", "channel", "spend"]
    data = bi.RegimeData.from_frame(pd.concat(tables), names, "sales", "regime")
    return made_up(names, outcome="sales", data=data, model=bi.models.additive())


def made_up(
    names: Sequence[str],
    *,
    outcome: str = "outcome",
    noise: str = "gaussian",
    regimes: int | None = None,
    draws: int = 50,
    seed: int = 0,
    unit: float = 1.0,
    model: Model | None = None,
    data: bi.RegimeData | None = None,
) -> bi.Posterior:
    """A posterior with these actions, additive unless ``model`` says otherwise, of made-up rows.

    The outcome is about a hundred ``unit``, with a standard deviation of one.
    """
    rng = np.random.default_rng(seed)
    count, rows = len(names), 40
    masks = [np.zeros(count, bool), *np.eye(count, dtype=bool)][:regimes]
    intervened = np.repeat(masks, rows, axis=0)
    scales = 10.0 ** rng.integers(-1, 3, count)
    actions = rng.gamma(3.0, scales, size=(len(intervened), count))
    if data is None:
        data = bi.RegimeData.from_arrays(
            actions,
            100 * unit + unit * rng.normal(size=len(intervened)),
            intervened,
            names,
            outcome_name=outcome,
        )
    model = model or bi.models.additive(graph={}, noise=noise)
    terms = model.decompose(data)
    shape = (2, draws)
    centre = rng.normal(size=terms.size) * 0.3 * unit / (1 + np.arange(terms.size) % 5)
    coefficients = centre + 0.03 * unit * rng.normal(size=(*shape, terms.size))
    sites = {
        "scale": rng.gamma(4.0, 0.1, size=(*shape, len(terms.scales))),
        "lengthscale": rng.gamma(4.0, 0.4, size=(*shape, len(terms.lengthscales))),
        "noise_sd": unit * np.exp(0.05 * rng.normal(size=shape)),
    }
    pilot: Any = SimpleNamespace(
        spread=VarianceFunction(),
        noise_sd=unit,
        quantiles=np.linspace(-1.7, 1.8, 1000) - 0.05,
        estimate=None,
        student_t=None,
        fit_tests=(),
        far=None,
    )
    if noise == "student_t":
        pilot.student_t = SimpleNamespace(law=StudentTNoise(5.0, 0.8))
    else:
        coordinates = tuple(Coordinate.of(column) for column in data.actions.T)
        knots = np.array(
            [np.quantile(c(a), KNOTS) for c, a in zip(coordinates, data.actions.T, strict=True)]
        )
        size = 1 + 2 * count * len(KNOTS)
        spread = VarianceFunction(coordinates, knots, rng.gamma(3.0, 1 / (3 * (1 + count)), size))
        deviations = 0.1 * spread.knot_values * rng.normal(size=(*shape, size))
        pilot.spread = spread
        pilot.estimate = SimpleNamespace(draw=lambda shape, rng: deviations)
    kinds = {
        bool: ("diverging", "reached_max_treedepth", "accepted"),
        int: ("n_steps", "tree_depth"),
        float: ("lp", "energy", "acceptance_rate", "step_size"),
    }
    statistics = {name: np.zeros(shape, kind) for kind, names in kinds.items() for name in names}
    sampled = SampledModel(terms, sites, coefficients, statistics, {}, INDEPENDENT)
    settings = SamplerSettings(seed, 2, draws, 10, progress=False)
    tree = build_tree(data, model, pilot, sampled, settings)
    return bi.Posterior(tree)


def with_log_link(posterior: bi.Posterior) -> bi.Posterior:
    """The same draws as those of the logarithm of an outcome."""
    tree = posterior.tree.copy()
    tree["fit"].attrs["model"] = codec.dumps(replace(posterior.model, link="log"))
    return bi.Posterior(tree)


def frame_with_groups(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    """Rows of two actions with an age, a season, regions, patients and numbers of units."""
    rng = np.random.default_rng(seed)
    tables = []
    for regime in ("", "tv", "promo"):
        age, season = rng.uniform(20, 70, rows), rng.choice(["summer", "winter"], rows)
        region, patient = rng.integers(0, 5, rows), rng.integers(0, 80, rows)
        cause = rng.normal(scale=0.5, size=(rows, 2))
        tv = rng.normal(size=rows) + (regime != "tv") * (cause[:, 0] + 0.02 * (age - 45))
        promo = rng.normal(size=rows) + (regime != "promo") * (0.4 * tv + cause[:, 1])
        sales = (
            10
            + tv * (1 + 0.03 * (age - 45))
            + 0.5 * promo
            + cause.sum(axis=1)
            + 0.05 * (age - 45)
            + (season == "winter")
            + (region - 2.0)
            + 0.5 * np.sin(patient)
            + rng.normal(scale=0.3, size=rows)
        )
        tables.append(
            pd.DataFrame(
                {
                    "tv": tv,
                    "promo": promo,
                    "sales": sales,
                    "regime": regime,
                    "age": age,
                    "season": season,
                    "region": [f"region {i}" for i in region],
                    "patient": [f"p{i}" for i in patient],
                    "n": rng.integers(1, 5, rows),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def data_with_groups(
    frame: pd.DataFrame | None = None, groups: Sequence[str] = ("region", "patient"), **roles: str
) -> bi.RegimeData:
    return bi.RegimeData.from_frame(
        frame_with_groups() if frame is None else frame,
        ["tv", "promo"],
        "sales",
        "regime",
        covariates=["age", "season"],
        groups=groups,
        **roles,
    )


def model_with_groups() -> Model:
    """tv moderated by age, regions with levels and slopes of tv."""
    return bi.models.additive(
        "linear", moderators={"tv": ["age"]}, groups={"region": ["level", "tv"]}
    )


def made_up_with_groups(groups: Sequence[str] = ("region", "patient")) -> bi.Posterior:
    data = data_with_groups(groups=groups)
    return made_up(data.names, outcome="sales", data=data, model=model_with_groups())

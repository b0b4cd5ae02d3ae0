"""Fits to made-up rows, for tests of what is shown."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from _rows import one_at_a_time

import bayes_intgen as bi
from bayes_intgen.models import Model, codec


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
    drawn = rng.choice(["small", "large", "medium"], size=rows)
    columns = {
        "drug": rng.choice(["placebo", "a", "b"], size=rows),
        "size": pd.Categorical(drawn, ["none", "small", "medium", "large"], ordered=True),
        "promo": rng.random(rows) < 0.5,
        "coin": rng.integers(0, 2, size=rows),
        "spend": rng.gamma(3.0, size=rows),
        "sales": 100 + rng.normal(size=rows),
    }
    return pd.DataFrame(columns).assign(regime=np.resize(["", *columns][:6], rows))


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
    parts = [rng.normal(size=(400, 1)) + rng.normal(scale=0.4, size=(400, 2)) for _ in range(3)]
    actions = np.concatenate(parts)
    outcome = actions.prod(axis=1) + rng.normal(size=1200)
    data = bi.RegimeData.from_arrays(actions, outcome, one_at_a_time(2, 400), ["one", "two"])
    model = bi.models.additive(interactions=[("one", "two")])
    return made_up(data.names, data=data, model=model)


def made_up_over_the_range(count: int) -> bi.Posterior:
    """Many actions, whose experiments set them over the range of the observational rows."""
    rng, masks = np.random.default_rng(0), one_at_a_time(count, 120)
    actions = rng.uniform(0.0, 1.0, (len(masks), count))
    names = [f"a{k}" for k in range(count)]
    data = bi.RegimeData.from_arrays(actions, rng.normal(size=len(masks)), masks, names)
    model = bi.models.additive("polynomial", graph={}, interactions=None)
    return made_up(names, data=data, draws=100, model=model)


def half_supported(regimes: Sequence[str] = ("", "promo", "channel", "spend")) -> bi.Posterior:
    """A posterior of two levels, three without an order, of which one is never set, and numbers.

    Experiments set the numbers to 3 and 14 only; their median lies between.
    """
    rng, rows, tables = np.random.default_rng(0), 100, []
    for regime in regimes:
        promo = rng.choice(["off", "on"], rows)
        channel = rng.choice(["a", "b"] if regime == "channel" else ["a", "b", "c"], rows)
        at_two = regime == "spend"
        spend = rng.choice([3.0, 14.0], rows) if at_two else rng.gamma(4.0, 2.0, rows)
        columns = {"promo": promo, "channel": channel, "spend": spend, "regime": regime}
        tables.append(pd.DataFrame(columns).assign(sales=100 + rng.normal(size=rows)))
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
    unit: float = 1.0,
    model: Model | None = None,
    data: bi.RegimeData | None = None,
) -> bi.Posterior:
    """A fit with these actions, additive unless ``model`` says otherwise, to made-up rows.

    The outcome is about a hundred ``unit``, with a standard deviation of about one.
    """
    rng = np.random.default_rng(0)
    intervened = one_at_a_time(len(names), 80)[: regimes and 80 * regimes]
    actions = rng.gamma(3.0, size=intervened.shape)
    mean = 100 + np.sin(actions).sum(axis=1) / np.sqrt(len(names))
    if data is None:
        actions *= 10.0 ** rng.integers(-1, 3, len(names))
        values = unit * (mean + 0.5 * rng.normal(size=len(mean)))
        arrays = actions, values, intervened, names
        data = bi.RegimeData.from_arrays(*arrays, outcome_name=outcome)
    model = model or bi.models.additive(graph={}, interactions=None, noise=noise)
    settings = {"method": "laplace", "draws": draws, "chains": 2, "simplify": False}
    with warnings.catch_warnings(action="ignore", category=bi.BayesIntgenWarning):
        return bi.fit(data, model, progress=False, **settings)


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
        sales = 10 + tv * (1 + 0.03 * (age - 45)) + 0.5 * promo + cause.sum(axis=1)
        sales += 0.05 * (age - 45) + (season == "winter") + (region - 2.0) + 0.5 * np.sin(patient)
        sales += rng.normal(scale=0.3, size=rows)
        columns = {"tv": tv, "promo": promo, "sales": sales, "regime": regime, "age": age}
        columns |= {"season": season, "region": [f"region {i}" for i in region]}
        columns |= {"patient": [f"p{i}" for i in patient], "n": rng.integers(1, 5, rows)}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def data_with_groups(
    frame: pd.DataFrame | None = None, groups: Sequence[str] = ("region", "patient"), **roles: str
) -> bi.RegimeData:
    frame = frame_with_groups() if frame is None else frame
    roles = {"covariates": ["age", "season"], "groups": groups} | roles
    return bi.RegimeData.from_frame(frame, ["tv", "promo"], "sales", "regime", **roles)


def model_with_groups() -> Model:
    """tv moderated by age, regions with levels and slopes of tv."""
    groups = {"region": ["level", "tv"]}
    return bi.models.additive("linear", moderators={"tv": ["age"]}, groups=groups)


def made_up_with_groups(groups: Sequence[str] = ("region", "patient")) -> bi.Posterior:
    data = data_with_groups(groups=groups)
    return made_up(data.names, outcome="sales", data=data, model=model_with_groups())

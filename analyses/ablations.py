"""What each technique of inference buys: fits with all of them, and with all but one.

    python analyses/ablations.py [--models 20] [--rows 1000] [--techniques pruning ...]
        [--seed 50000]

Every technique is left out in the kinds of tables it is for: worlds with known effects, and real
tables of ``bi.datasets`` with random choices of actions and hidden causes, ``--models`` of each
kind. Both fits have the same rows and seed. Per technique and kind: the ratio of the errors of the
joint effect without and with the technique (geometric mean over worlds), coverage of 50 and 90%
intervals of effects and, in worlds, of outcomes, and the ratio of times of the processor, each with
its standard error over worlds. In panels whose effects add up and stay the same, also the share of
fits with an interaction or an effect that changes. A technique earns its lines in a kind if, by
more than two standard errors, errors are 3% smaller, coverage is 2 points closer to its level, 5%
fewer fits have such a term, or 20% of the time is saved. Results are saved one by one; an
interrupted run resumes.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rows_in_time import FITS
from rows_in_time import world as weekly_world

import bayes_intgen as bi
from bayes_intgen.api.fitting import fit_decomposed
from bayes_intgen.inference.settings import SamplerSettings, Techniques

from _figures import column
from _outcome_worlds import OutcomeWorld
from _scores import QUICK, STUDY, coverage, mean_and_error, rms
from _study import Row, arguments, command_of, options, publish_study
from calibration import WORLDS
from covariates import mean_cases, panel_cases, trial_cases
from interactions import World

POINTS, PERCENT = 1000, (50, 90)
# Gains that keep a technique: shares of error, coverage, time, and fits with a false term.
MIN_ERROR, MIN_COVERAGE, MIN_TIME, MIN_FALSE = 0.03, 0.02, 0.2, 0.05
# Share of outliers, and their distance in standard deviations of the outcome.
OUTLIERS, OUTLIER_DISTANCE = 0.05, 10.0
# Shares of the rows in kinds with few and many.
FEW, MANY = 0.15, 50
# Share of the joint effect's variance that interactions have.
INTERACTION = 0.15
LIGHTS, SENSORS = ("red", "green", "blue"), ("ir_1", "ir_2", "ir_3", "vis_1", "vis_2", "vis_3")
PASSES = (
    "ipsccp", "called_value_propagation", "inline", "pgo_memop_opt", "tailcallelim", "licm", "sink",
    "gvn", "adce",
)  # fmt: skip


class Case(NamedTuple):
    """Rows, points with their true effect, an outcome at each point, and options of the model.

    Effects are those at the values ``given`` of covariates.
    """

    data: bi.RegimeData
    points: np.ndarray
    truth: np.ndarray
    outcome: np.ndarray | None = None
    options: Mapping[str, Any] = {}
    given: Mapping[str, Any] = {}


class Technique(NamedTuple):
    """What is left out, the kinds of tables it is for, and options of both fits.

    ``without`` has fields of Techniques, ``model_without`` options of the model. With
    ``draws_without`` the other fit has the default number of draws, which a rule determines.
    """

    kinds: Sequence[str]
    without: Mapping[str, bool] = {}
    model_without: Mapping[str, Any] = {}
    method: str = "laplace"
    model: Mapping[str, Any] = {}
    draws_without: int | None = None


SMOOTH = ("polynomial", "linear", "media mix")
FEW_ROWS = tuple(f"{kind}, few rows" for kind in SMOOTH)
IDLE = ("polynomial, idle columns", "media mix, idle columns")
MANY_ROWS = tuple(f"{kind}, many rows" for kind in ("polynomial", "media mix", "zeros"))
ROUGH = ("hinge", "steps", "sine 1", "hill")
REAL = ("light tunnel", "compiler", "tax plans")
NO_CANDIDATES = {"finer_functions": False, "finer_pairs": False}
STRONG = tuple(f"strong products, {units}" for units in ("rows", "groups", "cells"))
PANELS = ("panel", "panel of levels", "panel of zeros")
UNEVEN = "panel, uneven noise"
# Four actions with three named levels, and a panel of actions with four.
NAMED, NAMED_PANEL = "3 levels, named", "panel of levels, named"
LABELS = np.array(["low", "middle", "high", "highest"], dtype=object)
# Of analyses/rows_in_time.py.
WEEKS = ("noise 0.5, held 4", "noise and causes 0.5, held 1", "noise and causes 0.8, held 4")
TECHNIQUES = {
    "forward selection": Technique(
        (*ROUGH, "products", *REAL), NO_CANDIDATES, {"interactions": None}
    ),
    "control variables": Technique(
        (*PANELS, "regions", "polynomial", NAMED, NAMED_PANEL), {"control_variables": False}
    ),
    "errors of control variables": Technique(
        (*PANELS, "panel, few rows"), {"control_errors": False}
    ),
    "usual actions": Technique(
        (*PANELS, "two years", "two years, few rows", "regions"), {"usual_actions": False}
    ),
    "finer functions": Technique(
        (*ROUGH, "light tunnel", "two years", "steep chain"), {"finer_functions": False}
    ),
    "pairs of covariates": Technique(
        ("pair of covariates", "pair that moves an action", IDLE[0]), {"covariate_pairs": False}
    ),
    "finer pairs": Technique(("thresholds", "products"), {"finer_pairs": False}),
    "moved knots": Technique(("thresholds", "products", *SMOOTH), {"moved_knots": False}),
    "interactions of causes": Technique(
        ("interacting causes", "weakly interacting causes", "rows together", *SMOOTH, *REAL),
        {"interactions_of_causes": False},
    ),
    "changes in time": Technique(
        ("growing effects", "experiments in time"), {"changes_in_time": False}
    ),
    "dependent rows": Technique(WEEKS, {"dependent_rows": False}),
    "dependent scores": Technique(WEEKS, {"dependent_scores": False}),
    "noise of selection": Technique(
        (*STRONG, "products", "weights", *SMOOTH, "compiler"), {"noise_of_selection": False}
    ),
    "informed directions": Technique(
        (*ROUGH, "thresholds", "media mix, five"), {"informed_directions": False}
    ),
    "informed directions before NUTS": Technique(
        ("thresholds",), {"informed_directions": False}, {}, "nuts"
    ),
    "informed functions": Technique(
        (*SMOOTH, *FEW_ROWS, *ROUGH, "panel", "light tunnel"), {"informed_functions": False}
    ),
    "informed functions before NUTS": Technique(
        ("polynomial", "media mix"), {"informed_functions": False}, {}, "nuts"
    ),
    "pruning": Technique(
        (*SMOOTH, *FEW_ROWS, "media mix, five", *REAL), {"pruning": False}
    ),
    "pruning before NUTS": Technique(
        ("polynomial", "media mix", *IDLE), {"pruning": False}, {}, "nuts"
    ),
    "variance function": Technique(
        ("heteroscedastic", "dose response", "zeros and ones", "tax plans"),
        {},
        {"spread": "constant"},
    ),
    "group variances": Technique(("visits", "regions"), {"group_variances": False}),
    "noise of groups": Technique(
        (UNEVEN, "panel", "regions"), {"noise_of_groups": False}
    ),
    "intraclass correlation": Technique(("weights",), {"intraclass_correlation": False}),
    "score tests": Technique((*SMOOTH, "hinge"), {"fit_tests": False}),
    "kind of outcome": Technique(("zeros and ones", "counts"), {"outcome_kind": False}),
    "binned sums": Technique(MANY_ROWS, {"binned_sums": False}),
    "Student-t noise": Technique(
        ("t3", "outliers", "outliers, skewed"),
        {},
        {"noise": "gaussian"},
        "nuts",
        {"noise": "student_t"},
    ),
    "adapted proposals": Technique(("linear", "media mix, five"), {"adapted_proposals": False}),
    "stopping rule": Technique(SMOOTH[1:], method="nuts", draws_without=1000),
    "surrogate": Technique(("polynomial", "media mix"), {"surrogate": False}, {}, "nuts"),
}  # fmt: skip
# Standard deviation of the products of two hidden causes, over the mean one of a cause alone.
CAUSES = {"interacting causes": 1.0, "weakly interacting causes": 0.3, "rows together": 0.5}
# Growth of all effects in a year.
GROWTH = {"growing effects": 0.3, "experiments in time": 0.0}
LAWS = {
    "zeros and ones": "binary", "counts": "counts of 1.5", "outliers": "gaussian", "t3": "t3",
    "heteroscedastic": "heteroscedastic",
}  # fmt: skip
QUICK_TECHNIQUES = ("pruning", "kind of outcome", "surrogate")


def case_of(kind: str, seed: int, rows: int) -> Case:
    """Sample a table of a kind."""
    rng = np.random.default_rng([seed, 12])
    if kind in REAL:
        return real(kind, seed, rows, rng)
    if kind in (*PANELS, NAMED_PANEL, UNEVEN):
        return panel(kind, rows, rng)
    if kind == "panel, few rows":
        return panel("panel", round(FEW * rows), rng)
    if kind in WEEKS:
        return weekly(kind, seed)
    if kind in GROWTH:
        return growing(GROWTH[kind], rows, rng)
    if kind.startswith("two years"):
        return two_years(rows if kind == "two years" else round(FEW * rows), rng)
    if kind in ("visits", "regions", "weights"):
        return adjusted(kind, seed, rows)
    if kind in ("products", "thresholds"):
        return interacting(kind, seed, rows, rng)
    if kind.startswith("pair ") or kind == "steep chain":
        return two_causes(kind, rows, rng)
    if kind in STRONG:
        return strongly_interacting(kind, rows, rng)
    if kind in CAUSES:
        return interacting_causes(kind, seed, rows, rng)
    name, _, variant = kind.partition(", ")
    if kind in LAWS:
        world: Any = OutcomeWorld(LAWS[kind], seed)
        data = world.data(rows, seed + 10_000)
    else:
        # Of normal causes and noise, or of lognormal ones.
        name = "linear" if name == "outliers" else name
        world = WORLDS[name]({"five": 5, "named": 4}.get(variant, 3), seed)
        count = round({"few rows": FEW, "many rows": MANY}.get(variant, 1) * rows)
        data = world.dataset(count, seed + 10_000)
    points, outcome = world.sample(world.names, POINTS, rng)
    if variant == "idle columns":
        # Covariates and a grouping on which nothing depends.
        idle = {name: rng.normal(size=len(data)) for name in "uvw"}
        groups = {"group": rng.integers(0, 20, len(data)).astype(str)}
        arrays = data.actions, data.outcome, data.intervened, data.names
        data = bi.RegimeData.from_arrays(*arrays, covariates=idle, groups=groups)
        return Case(data, points, world.joint_effect(points))
    if kind == NAMED:
        named = LABELS[data.actions.astype(int)]
        data = bi.RegimeData.from_arrays(named, data.outcome, data.intervened, data.names)
        return Case(data, LABELS[points.astype(int)], world.joint_effect(points))
    if kind.startswith("outliers"):
        far = OUTLIER_DISTANCE * data.outcome.std() * rng.standard_normal(len(data))
        moved = data.outcome + far * (rng.random(len(data)) < OUTLIERS)
        data = bi.RegimeData.from_arrays(data.actions, moved, data.intervened, data.names)
    return Case(data, points, world.joint_effect(points), outcome)


def interacting(kind: str, seed: int, rows: int, rng: np.random.Generator) -> Case:
    """Smooth world with a product of two actions, or with one that acts beyond a threshold only."""
    world = World("product", 2 + seed % 2, INTERACTION, seed)
    if kind == "products":
        return Case(world.data(rows, seed + 10_000), *world.points(seed + 20_000))
    base, (j, k) = world.base, world.pairs[0]

    def synergy(actions: np.ndarray) -> np.ndarray:
        z = (actions - world.mean) / world.sd
        return np.asarray((z[:, j] > 0.5 * np.sin(seed)) * z[:, k])

    points = base.sample(base.names, POINTS, rng)[0]
    ratio = INTERACTION / (1 - INTERACTION)
    size = np.sqrt(ratio) * base.joint_effect(points).std() / synergy(points).std()
    plain = base.dataset(rows, seed + 10_000)
    outcome = plain.outcome + size * synergy(plain.actions)
    data = bi.RegimeData.from_arrays(plain.actions, outcome, plain.intervened, plain.names)
    return Case(data, points, base.joint_effect(points) + size * synergy(points))


def strongly_interacting(kind: str, rows: int, rng: np.random.Generator) -> Case:
    """Two actions whose product explains most of the outcome, in rows, in groups, or in cells."""
    masks = np.repeat(np.vstack([np.zeros(2), np.eye(2)]) > 0, rows, axis=0)
    causes, own, slopes = *rng.normal(size=(2, *masks.shape)), rng.uniform(0.3, 1.0, 2)
    actions, points = np.where(masks, 1.4 * own, causes + own), rng.uniform(-2, 2, (POINTS, 2))
    if kind.endswith("cells"):
        actions, points = actions.round().clip(-3, 3), points.round()

    def effects(values: np.ndarray) -> np.ndarray:
        return np.asarray(values @ slopes + 1.5 * values.prod(axis=1))

    outcome = effects(actions) + 0.5 * causes.sum(axis=1) + 0.3 * rng.normal(size=len(masks))
    more: dict[str, Any] = {}
    if kind.endswith("groups"):
        group = rng.integers(0, 100, len(masks))
        outcome += rng.normal(size=100)[group]
        more["groups"] = {"group": group.astype(str)}
    if kind.endswith("cells"):
        # Cells of at least two rows, which have a standard deviation.
        cells = pd.DataFrame(np.column_stack([masks, actions, outcome])).groupby([0, 1, 2, 3])
        table = cells[4].agg(["mean", "size", "std"]).dropna().reset_index().to_numpy()
        masks, actions = table[:, :2] > 0, table[:, 2:4]
        outcome, more["weights"], more["outcome_sd"] = table[:, 4:].T
    data = bi.RegimeData.from_arrays(actions, outcome, masks, ["tv", "radio"], **more)
    return Case(data, points, effects(points))


def two_causes(kind: str, rows: int, rng: np.random.Generator) -> Case:
    """Two actions, the second of which follows the first beyond a threshold, or two covariates.

    The product of the covariates is in the outcome, and may move the first action.
    """
    masks, chain = np.repeat(np.vstack([np.zeros(2), np.eye(2)]) > 0, rows, axis=0), "chain" in kind
    causes, more, own, covariates = rng.normal(size=(4, *masks.shape))
    slope, effect = rng.uniform(1.0, 2.0, 2), rng.choice([-1, 1], 2) * rng.uniform(0.7, 1.3, 2)
    product, moves = covariates.prod(axis=1), ("moves" in kind) * np.array([0.7, 0.0])
    actions = 0.7 * causes + 0.4 * more + moves * product[:, None]
    actions[masks] = 2 * own[masks]
    actions[:, 1] += chain * ~masks[:, 1] * 1.5 * np.tanh(5 * (actions[:, 0] - 0.5))

    def effects(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(values) @ slope)

    outcome = effects(actions) + causes @ effect + (not chain) * 1.5 * product
    outcome += 0.5 * rng.normal(size=len(masks))
    named = {} if chain else dict(zip("zv", covariates.T, strict=True))
    data = bi.RegimeData.from_arrays(actions, outcome, masks, ["tv", "radio"], covariates=named)
    points = rng.normal(size=(POINTS, 2))
    return Case(data, points, effects(points))


def interacting_causes(kind: str, seed: int, rows: int, rng: np.random.Generator) -> Case:
    """Hidden causes of two or three actions, with products of each two in the outcome.

    In "rows together" the products are of the distances of the actions from their causes, which the
    biases offset wherever one of both was not set, and a tenth of the rows have all actions set.
    """
    count, offset = 2 + seed % 2, kind == "rows together"
    names = ("tv", "radio", "search")[:count]
    slope, bend, shift = rng.uniform((0.5, 0.5, -0.5), (1.5, 2.0, 0.5), (3, 3)).T[:, :count]
    cause = rng.choice([-1, 1], count) * rng.uniform(0.5, 1.5, count)
    products = CAUSES[kind] * np.triu(rng.uniform(0.5, 1.5, (count, count)), 1)

    def effects(actions: np.ndarray) -> np.ndarray:
        own = (slope * np.arctan(bend * (actions - shift))).sum(axis=1)
        return np.asarray(own + offset * ((actions @ products) * actions).sum(axis=1))

    masks = np.repeat(np.vstack([np.zeros(count), np.eye(count)]) > 0, rows, axis=0)
    if offset:
        masks[:: 10 * (count + 1)] = True
    causes = rng.normal(size=masks.shape)
    observed = causes + 0.0 if offset else 0.7 * causes + 0.6 * rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), observed)
    parts = actions - causes if offset else causes
    outcome = (slope * np.arctan(bend * (actions - shift))).sum(axis=1) + causes @ cause
    outcome += ((parts @ products) * parts).sum(axis=1) + 0.5 * rng.normal(size=len(masks))
    data = bi.RegimeData.from_arrays(actions, outcome, masks, names)
    points = 0.8 * rng.normal(size=(POINTS, count))
    return Case(data, points, effects(points))


def panel(kind: str, rows: int, rng: np.random.Generator) -> Case:
    """Regions and a season that move all actions and the outcome.

    Each experiment is in a quarter of the regions.
    """
    level, slope = rng.normal(size=24), rng.uniform(0.5, 1.5, 3) * rng.choice([-1, 1], 3)
    gain, bend, shift = rng.uniform((0.3, 0.2, -0.5), (1.0, 0.7, 0.5), (3, 3)).T
    smooth = kind in ("panel", UNEVEN)
    # Of some regions the noise is several times that of others.
    uneven = np.exp(rng.normal(size=24)) if kind == UNEVEN else np.ones(24)

    def effects(actions: np.ndarray) -> np.ndarray:
        curves = np.arctan(1.5 * (actions - shift)) if smooth else np.log1p(actions)
        return np.asarray(slope * curves)

    def settings(latent: np.ndarray) -> np.ndarray:
        if kind.startswith("panel of levels"):
            return np.digitize(latent, (-1.0, 0.0, 1.0)).astype(float)
        return latent if smooth else np.maximum(latent + 0.5, 0.0)

    every = []
    for k in (None, 0, 1, 2):
        regions = rng.integers(0, 24, rows) if k is None else rng.choice(np.arange(24)[k::4], rows)
        causes = rng.normal(size=(rows, 3))
        season = np.sqrt(2) * np.sin(2 * np.pi * rng.random(rows))
        common = level[regions] + 0.7 * season
        latent = causes + 0.8 * common[:, None] + 0.6 * rng.normal(size=(rows, 3))
        mask = np.arange(3) == k
        actions = settings(np.where(mask, 1.3 * rng.normal(size=(rows, 3)), latent))
        hidden = (gain + bend * np.tanh(actions)) * causes
        outcome = common + (effects(actions) + hidden).sum(axis=1)
        outcome += 0.4 * uneven[regions] * rng.normal(size=rows)
        every.append((actions, outcome, np.tile(mask, (rows, 1)), regions, season, common))
    actions, outcome, masks, regions, season, _ = map(np.concatenate, zip(*every, strict=True))
    data = bi.RegimeData.from_arrays(
        LABELS[actions.astype(int)] if kind == NAMED_PANEL else actions,
        outcome,
        masks,
        ("tv", "radio", "search"),
        covariates={"season": season},
        groups={"region": regions.astype(str)},
    )
    points = settings(1.3 * rng.normal(size=(POINTS, 3)))
    # Averages are over the observational rows, as those of the fit are.
    truth = every[0][5].mean() + effects(points).sum(axis=1)
    return Case(data, LABELS[points.astype(int)] if kind == NAMED_PANEL else points, truth)


def two_years(rows: int, rng: np.random.Generator) -> Case:
    """Weeks of 24 regions, numbered, with a season and a peak at Christmas in actions and outcome.

    Each experiment takes place in a quarter of the regions, and history in all.
    """
    count, regions, weeks = 3, 24, 104
    slope, bend = rng.normal(0, 0.6, (2, count))
    gain, level, swing = rng.normal(0, 0.8, count), rng.normal(0, 0.7, regions), rng.uniform(0.4, 1)
    pull, seasonal = rng.normal(0, 0.4, (regions, count)), rng.normal(0, 0.5, count)
    phase, kappa = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1, count)

    def effects(actions: np.ndarray) -> np.ndarray:
        return np.asarray((slope * actions + bend * np.tanh(actions)).sum(axis=1))

    mask = np.eye(count + 1, count, -1, dtype=bool).repeat([5 * rows, *[rows] * count], axis=0)
    region, week = rng.integers(0, regions, len(mask)), rng.integers(0, weeks, len(mask))
    own = np.where(mask.any(axis=1), 1 + mask.argmax(axis=1), 0)
    region = np.where(own > 0, own + 4 * (region % 6) - 1, region)
    season = np.sin(2 * np.pi * week / 52 + phase) + 2 * (week % 52 > 48)
    causes = rng.normal(size=mask.shape)
    usual = pull[region] + np.outer(season, seasonal)
    observed = usual + kappa * causes + 0.8 * rng.normal(size=mask.shape)
    actions = np.where(mask, 1.3 * rng.normal(size=mask.shape), observed)
    common = level[region] + swing * season
    outcome = effects(actions) + causes @ gain + common + rng.normal(size=len(mask))
    columns = {"covariates": {"week": week}, "groups": {"region": region.astype(str)}}
    names = ("tv", "radio", "search")
    data = bi.RegimeData.from_arrays(actions, outcome, mask, names, **columns)
    points = 1.3 * rng.normal(size=(POINTS, count))
    return Case(data, points, common[own == 0].mean() + effects(points))


def growing(growth: float, rows: int, rng: np.random.Generator) -> Case:
    """History over two years, and experiments in the second: effects grow, and so does the level.

    The case is a day of the last month.
    """
    count = 3
    slope, bend, shift = rng.uniform((0.5, 0.6, -0.5), (1.2, 1.5, 0.5), (count, 3)).T
    slope, gain = (x * rng.choice([-1, 1], count) for x in (slope, rng.uniform(0.3, 1.0, count)))

    def effects(actions: np.ndarray, years: np.ndarray) -> np.ndarray:
        curves = slope * (np.arctan(bend * (actions - shift)) + np.arctan(bend * shift))
        return np.asarray(curves.sum(axis=1) * (1 + growth * years) + 0.5 * years)

    mask = np.eye(count + 1, count, -1, dtype=bool).repeat(rows, axis=0)
    was_set = mask.any(axis=1)
    days = rng.integers(365 * was_set, 730)
    causes = rng.normal(size=mask.shape)
    observed = 0.8 * causes + 0.6 * rng.normal(size=mask.shape)
    actions = np.where(mask, 1.2 * rng.normal(size=mask.shape), observed)
    outcome = effects(actions, days / 365) + causes @ gain + 0.5 * rng.normal(size=len(mask))
    names = ("tv", "radio", "search")
    first = np.datetime64("2024-01-01")
    covariates = {"day": first + days}
    data = bi.RegimeData.from_arrays(actions, outcome, mask, names, covariates=covariates)
    points, day = 1.1 * rng.normal(size=(POINTS, count)), 715
    truth = effects(points, np.full(POINTS, day / 365))
    return Case(data, points, truth, given={"day": str(first + np.timedelta64(day, "D"))})


def weekly(kind: str, seed: int) -> Case:
    """Weeks of 24 regions whose noise, and maybe hidden causes, persist."""
    panel = weekly_world(kind, seed, quick=False)
    columns = FITS["dependence"]["with"].columns
    data = bi.RegimeData.from_frame(panel.frame(seed), panel.names, "outcome", "regime", **columns)
    rng = np.random.default_rng(seed + 10_000)
    points, _ = panel.panel.base.sample(panel.names, POINTS, rng)
    return Case(data, points, panel.joint_effect(points))


def adjusted(kind: str, seed: int, rows: int) -> Case:
    """Panel of regions, trial with several visits per patient, or means of several units."""
    make, name = {
        "regions": (panel_cases, "panel"),
        "visits": (trial_cases, "3 visits"),
        "weights": (mean_cases, "means of 1 to 50"),
    }[kind]
    case = make(name, seed, rows, "gp")["adjusted"]
    model = case.model
    given = {"groups": model.groups, "moderators": model.moderators}
    return Case(case.data, case.points, case.truth, None, {k: v for k, v in given.items() if v})


def real(kind: str, seed: int, rows: int, rng: np.random.Generator) -> Case:
    """Real table with a random choice of actions, hidden causes and, of sensors, the outcome."""
    if kind == "light tunnel":
        # It has fewer than a thousand rows per regime.
        hidden, outcome, few = rng.choice(LIGHTS), rng.choice(SENSORS), min(rows, 300)
        known = bi.datasets.light_tunnel(hidden=hidden, outcome=outcome, rows=few, seed=seed)
    elif kind == "compiler":
        chosen = rng.permutation(PASSES)[:6].tolist()
        known = bi.datasets.compiler(chosen[:3], chosen[3:], rows=rows, seed=seed)
    else:
        brackets = rng.permutation(6)[:4] + 1
        chosen = [f"taxrate{i}" for i in brackets]
        known = bi.datasets.tax_plans(chosen[:2], chosen[2:], rows=rows, seed=seed)
    points = known.joint[list(known.actions)].to_numpy()
    return Case(known.data, points, known.joint["effect"].to_numpy())


def score(technique: str, kind: str, seed: int, rows: int, quick: bool) -> list[Row]:
    """Score a fit with all techniques, and one without this technique."""
    own, case = TECHNIQUES[technique], case_of(kind, seed, rows)
    settings = QUICK if quick else STUDY if own.method == "nuts" else {}
    models = {
        "with": bi.models.additive(**case.options, **own.model),
        "without": bi.models.additive(**{**case.options, **own.model, **own.model_without}),
    }
    chosen = SamplerSettings(seed=seed, progress=False, method=own.method, **settings)
    left_out = replace(chosen, techniques=Techniques(**own.without))
    if own.draws_without and not quick:
        chosen = replace(chosen, draws=None)
        left_out = replace(left_out, draws=own.draws_without)
    fits = {
        "with": partial(fit_decomposed, case.data, models["with"], chosen),
        "without": partial(fit_decomposed, case.data, models["without"], left_out),
    }
    lines = []
    for name in ("with", "without")[:: 1 if seed % 2 else -1]:
        # A first fit by NUTS compiles.
        for _ in range(1 + (own.method == "nuts" and not quick)):
            began = time.process_time()
            posterior = fits[name]().posterior
            seconds = time.process_time() - began
        effect = posterior.joint_effect(case.points, given=case.given or None)
        effect = effect.transpose("chain", "draw", ...).to_numpy()
        line: Row = {"technique": technique, "kind": kind, "seed": seed, "rows": rows}
        line |= {"quick": quick, "fit": name, "seconds": f"{seconds:.3f}"}
        line["error"] = f"{rms(effect.mean(axis=(0, 1)) - case.truth):.6g}"
        found = any(term.role in ("interaction", "moderator") for term in posterior.terms.terms)
        line["false terms"] = int(found) if kind in WEEKS else ""
        of_outcome = None
        if case.outcome is not None:
            of_outcome = posterior.outcome(case.points, seed=seed)
            of_outcome = of_outcome.transpose("chain", "draw", ...).to_numpy()
        for percent in PERCENT:
            line[f"coverage{percent}"] = f"{coverage(effect, case.truth, percent / 100):.4f}"
            line[f"outcome{percent}"] = ""
            if of_outcome is not None and case.outcome is not None:
                inside = inclusion(of_outcome, case.outcome, percent / 100, seed)
                line[f"outcome{percent}"] = f"{inside:.4f}"
        lines.append(line)
    return lines


def inclusion(draws: np.ndarray, outcome: np.ndarray, level: float, seed: int) -> float:
    """Share of outcomes whose rank among draws is central; ties are broken at random."""
    below, equal = (op(draws, outcome).mean(axis=(0, 1)) for op in (np.less, np.equal))
    rank = below + np.random.default_rng(seed).random(len(outcome)) * equal
    return float(np.mean(np.abs(rank - 0.5) < level / 2))


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """What each technique changes in each kind, and whether that earns its lines."""
    cases = dict.fromkeys((row["technique"], row["kind"]) for row in rows)
    return [compared(*case, rows) for case in cases]


def compared(technique: str, kind: str, rows: list[dict[str, str]]) -> Row:
    """Compare fits with and without a technique in the same worlds."""
    own = [row for row in rows if (row["technique"], row["kind"]) == (technique, kind)]
    by_fit = [
        sorted((row for row in own if row["fit"] == name), key=lambda row: int(row["seed"]))
        for name in ("with", "without")
    ]
    line: Row = {"technique": technique, "kind": kind, "worlds": len(by_fit[0])}
    gains = []
    for name, minimum in (("error", np.log1p(MIN_ERROR)), ("seconds", -np.log1p(-MIN_TIME))):
        one, other = (column(lines, name) for lines in by_fit)
        mean, error = paired(np.log(other / one))
        line[f"{name} ratio"], line[f"its error ({name})"] = f"{np.exp(mean):.3f}", f"{error:.3f}"
        gains.append(mean >= minimum and mean > 2 * error)
    for of in ("coverage", "outcome"):
        for percent in PERCENT:
            name = f"{of}{percent}"
            line |= {f"{name} {fit}": "" for fit in ("with", "without", "difference")}
            if by_fit[0][0][name] == "":
                continue
            one, other = (column(lines, name) for lines in by_fit)
            change, error = paired(one - other)
            line[f"{name} with"], line[f"{name} without"] = (
                f"{one.mean():.3f}",
                f"{other.mean():.3f}",
            )
            line[f"{name} difference"] = f"{change:+.3f} +- {error:.3f}"
            gain = abs(other.mean() - percent / 100) - abs(one.mean() - percent / 100)
            gains.append(gain >= MIN_COVERAGE and abs(change) > 2 * error)
    line |= {f"false terms {fit}": "" for fit in ("with", "without", "difference")}
    if kind in WEEKS:
        one, other = (column(lines, "false terms") for lines in by_fit)
        change, error = paired(other - one)
        line |= {
            "false terms with": f"{one.mean():.3f}",
            "false terms without": f"{other.mean():.3f}",
        }
        line["false terms difference"] = f"{-change:+.3f} +- {error:.3f}"
        gains.append(change >= MIN_FALSE and change > 2 * error)
    line["earns its lines"] = "yes" if any(gains) else "no"
    return line


def paired(differences: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error; infinite for a single world."""
    if len(differences) < 2:
        return float(differences.mean()), np.inf
    return mean_and_error(differences.tolist())


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=20, rows=1000, seed=50_000)
    parser.add_argument("--techniques", nargs="+", choices=TECHNIQUES, help="default all")
    args: argparse.Namespace = parser.parse_args()
    names = args.techniques or (QUICK_TECHNIQUES if args.quick else list(TECHNIQUES))
    if args.quick:
        args.models, args.rows = 1, 60
    kinds = [
        (name, kind) for name in names for kind in TECHNIQUES[name].kinds[: args.quick or None]
    ]
    common = options(args, "rows", "quick")
    jobs = [
        {"technique": technique, "kind": kind, "seed": args.seed + i, **common}
        for i in range(args.models)
        for technique, kind in kinds
    ]
    command = command_of("ablations", args, "models", "rows", "seed")
    publish_study("ablations", args, score, jobs, command, summary)


if __name__ == "__main__":
    main()

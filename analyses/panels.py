"""Panels whose regions and season move all actions: errors and coverage beside mgcv.

    python analyses/panels.py [--models 12] [--rows 1000] [--method laplace] [--kinds KIND ...]
        [--quick]

Three actions, 24 regions with at most one experiment each, a season. The level of a region and the
season move the outcome and every action: regions by 0.3, 0.8 or 1.5 standard deviations of an
action's hidden cause. Actions are smooth and move each other, with probability 0.6 for each pair;
or have two levels, four levels, or zeros in a third of the rows (regions by 0.8). In "no regions"
neither regions nor season matter. The estimand is the mean outcome over regions and season, at
points of the experiments' own distributions.

This library does not know which action moves which; mgcv does. It fits ``bam`` with a bias that is
the sum of functions of the action and of each observed cause, and with one that is a function of
the action and of its control variable (``panels.R``). Without R and mgcv there are no rows of it.
Errors are root mean squares over points, in standard deviations of the effect over them.
"""

import time
from typing import NamedTuple

import numpy as np
import pandas as pd

import bayes_intgen as bi

from _figures import column
from _mgcv import answer_of, gaussian_draws, has_mgcv
from _scores import QUICK, STUDY, coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, publish_study

NAMES, REGIONS, POINTS = ("a1", "a2", "a3"), 24, 200
# Type of the actions, and how far regions move them.
KINDS = {
    "no regions": ("smooth", 0.0),
    "regions 0.3": ("smooth", 0.3),
    "regions 0.8": ("smooth", 0.8),
    "regions 1.5": ("smooth", 1.5),
    "two levels": ("binary", 0.8),
    "four levels": ("levels", 0.8),
    "zeros": ("spend", 0.8),
}
LIBRARY, SUM, CONTROL = "library", "sum", "control"


class Panel(NamedTuple):
    """Rows, points at which all actions are set with the mean outcome there, and edges."""

    rows: pd.DataFrame
    points: pd.DataFrame
    truth: np.ndarray
    edges: pd.DataFrame


def panel(kind: str, seed: int, rows: int) -> Panel:
    """A random panel."""
    type_of, pull = KINDS[kind]
    rng = np.random.default_rng([8, seed])
    count = len(NAMES)
    size = rng.uniform(0.5, 1.5, count) * rng.choice([-1, 1], count)
    gain, shift = rng.uniform(0.3, 1, count), rng.uniform(-0.5, 0.5, count)
    bend = rng.uniform(0.2, 0.7, count) if type_of == "smooth" else rng.uniform(-0.5, 0.5, count)
    level, swing = rng.normal(size=REGIONS), rng.uniform(0.4, 1)
    edge = np.tril(rng.uniform(size=(count, count)) < 0.6, -1) * rng.uniform(0.4, 1, (count, count))
    if pull == 0:
        level, swing = 0 * level, 0.0
    edge *= type_of == "smooth"

    def contributions(actions: np.ndarray) -> np.ndarray:
        if type_of == "smooth":
            return size * np.arctan(1.5 * (actions - shift)) + 0.15 * actions
        if type_of == "spend":
            return size * np.log1p(actions)
        return size * actions / (1 if type_of == "binary" else 2)

    def draw(number: int, was_set: np.ndarray, region: np.ndarray) -> pd.DataFrame:
        causes = rng.normal(size=(number, count))
        season = np.sqrt(2) * np.sin(2 * np.pi * rng.uniform(size=number))
        actions = np.zeros((number, count))
        moved = pull * level[region] + swing * season
        for k in range(count):
            free = causes[:, k] + actions @ edge[k] + moved + 0.6 * rng.normal(size=number)
            if was_set[k]:
                actions[:, k] = settings(type_of, number, rng)
            else:
                actions[:, k] = in_units(type_of, free)
        slope = np.tanh(actions) if type_of == "smooth" else actions > 0.5
        outcome = np.sum(contributions(actions) + (gain + bend * slope) * causes, axis=1)
        outcome += level[region] + swing * season + 0.4 * rng.normal(size=number)
        regime = "" if not was_set.any() else NAMES[was_set.argmax()]
        frame = pd.DataFrame(actions, columns=list(NAMES))
        labels = [f"r{i:02d}" for i in region]
        return frame.assign(outcome=outcome, season=season, region=labels, regime=regime)

    history = draw(rows, np.zeros(count, bool), rng.integers(0, REGIONS, rows))
    tests = [
        draw(rows, np.arange(count) == k, rng.choice(np.arange(REGIONS)[k :: count + 1], rows))
        for k in range(count)
    ]
    points = draw(POINTS, np.ones(count, bool), rng.integers(0, REGIONS, POINTS))[list(NAMES)]
    truth = level.mean() + contributions(points.to_numpy()).sum(axis=1)
    pairs = [(NAMES[j], NAMES[k]) for k, j in np.argwhere(edge)]
    edges = pd.DataFrame(pairs, columns=["cause", "action"])
    return Panel(pd.concat([history, *tests], ignore_index=True), points, truth, edges)


def settings(type_of: str, number: int, rng: np.random.Generator) -> np.ndarray:
    """Values that an experiment sets."""
    if type_of in ("binary", "levels"):
        return rng.integers(0, 2 if type_of == "binary" else 4, number).astype(float)
    normal = 1.3 * rng.normal(size=number)
    return np.maximum(0, normal + 0.7) if type_of == "spend" else normal


def in_units(type_of: str, latent: np.ndarray) -> np.ndarray:
    """Values of an action that nobody sets."""
    if type_of == "spend":
        return np.maximum(0, latent + 0.5)
    thresholds = {"binary": [0], "levels": [-1, 0, 1]}.get(type_of)
    return latent if thresholds is None else np.digitize(latent, thresholds).astype(float)


def by_library(world: Panel, seed: int, method: str, quick: bool) -> np.ndarray:
    """Draws of the effect over regions and season."""
    data = bi.RegimeData.from_frame(
        world.rows, list(NAMES), "outcome", "regime", covariates=["season"], groups=["region"]
    )
    sampling = QUICK if quick else STUDY
    posterior = bi.fit(data, seed=seed, method=method, progress=False, **sampling)
    season = np.sqrt(2) * np.sin(2 * np.pi * np.arange(24) / 24)
    regions = sorted(set(world.rows["region"]))
    population = pd.DataFrame(
        [(at, region) for region in regions for at in season], columns=["season", "region"]
    )
    effect = posterior.joint_effect(world.points, population=population)
    return effect.transpose("chain", "draw", ...).to_numpy()


def score(kind: str, seed: int, rows: int, method: str, mgcv: bool, quick: bool) -> list[Row]:
    """Score all estimators on one panel."""
    world = panel(kind, seed, rows)
    began = time.process_time()
    estimates = {LIBRARY: by_library(world, seed, method, quick)}
    seconds = time.process_time() - began
    if mgcv:
        tables = {"rows": world.rows, "points": world.points, "edges": world.edges}
        answers = answer_of("panels.R", tables, KINDS[kind][0])
        estimates |= {form: gaussian_draws(answer)[None] for form, answer in answers.items()}
    lines = []
    for estimator, draws in estimates.items():
        line: Row = {"kind": kind, "seed": seed, "rows": rows, "method": method}
        line |= {"mgcv": mgcv, "quick": quick, "estimator": estimator}
        error = draws.mean(axis=(0, 1)) - world.truth
        line["error"] = f"{rms(error) / world.truth.std():.4f}"
        line["coverage90"] = f"{coverage(draws, world.truth, 0.9):.3f}"
        line["z of level"] = f"{error.mean() / draws.std(axis=(0, 1)).mean():.3f}"
        line["processor seconds"] = f"{seconds:.2f}" if estimator == LIBRARY else ""
        lines.append(line)
    return lines


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Errors and coverage of all estimators per kind, and the library's error over the others'."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        line: Row = {"kind": kind, "panels": len({row["seed"] for row in own})}
        errors = {}
        for name in (LIBRARY, SUM, CONTROL):
            cell = [row for row in own if row["estimator"] == name]
            errors[name] = column(cell, "error")
            line[f"error, {name}"] = f"{errors[name].mean():.3f}" if cell else ""
        for name in (LIBRARY, SUM, CONTROL):
            values = [float(row["coverage90"]) for row in own if row["estimator"] == name]
            mean, error = mean_and_error(values) if len(values) > 1 else (np.nan, np.nan)
            line[f"coverage90, {name}"] = f"{mean:.3f} +- {error:.3f}" if values else ""
        for name in (SUM, CONTROL):
            both = errors[LIBRARY].mean() / errors[name].mean() if len(errors[name]) else ""
            line[f"error over {name}"] = f"{both:.2f}" if both else ""
        lines.append(line)
    return lines


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=12, rows=1000, method="laplace")
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.rows = 2, 150
        args.kinds = args.kinds or ["regions 0.8", "two levels"]
    mgcv = has_mgcv()
    common = {"rows": args.rows, "method": args.method, "mgcv": mgcv, "quick": args.quick}
    jobs = [
        {"kind": kind, "seed": seed, **common}
        for seed in range(args.models)
        for kind in args.kinds or KINDS
    ]
    command = command_of("panels", args, "models", "rows", "method")
    publish_study("panels", args, score, jobs, command, summary)


if __name__ == "__main__":
    main()

"""Coverage, errors and times of fits with covariates, groups and weights, in simulated worlds.

    python analyses/covariates.py [--models 40] [--rows 1000] [--kinds KIND ...] [--quick]

Panels have 24 regions with at most one experiment each and a season that moves spend and sales;
their twins have the same random numbers without regions and season. Harder panels have a strong
season, regions that differ much in spend, regions of unequal size, or regions that respond
differently. Trials have patients with 1, 3 and 6 visits and an age that moderates effects; with one
visit a patient is no group. Covariates and groups without any effect, 20,000 patients, and weights
of means of n units, which share their hidden causes, are compared with leaving them out, and
aggregated rows with the rows themselves. The estimand is the
joint effect in the observational rows, at points of the experiments' own distributions. Seconds are
those of the processor. Results are saved one by one; an interrupted run resumes.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _study_worlds import UniformDesign

import bayes_intgen as bi
from bayes_intgen.simulators import (
    DoseResponse,
    MarketingPanel,
    MediaMix,
    Ordered,
    RepeatedVisits,
)

from _figures import column, legend, save_figure
from _scores import QUICK, STUDY, coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, publish_study

ACTIONS, POINTS = 3, 60
# Coverage without covariates is near its level in both (calibration.py).
BASES = (MediaMix, DoseResponse)
PANELS = ("panel", "strong season", "spend differs", "unequal regions", "responses differ")
VISITS = {"1 visit": 1, "3 visits": 3, "6 visits": 6}
MANY, NULL, CELLS = "20,000 patients", "no effect", "aggregated rows"
# Largest number of units of a row; its logarithm is uniform.
MEANS = {"means of 1 to 50": 50, "means of 1 to 1,000": 1000}
KINDS = (*PANELS, *VISITS, MANY, NULL, CELLS, *MEANS)
TIMED = (MANY, NULL)
QUICK_KINDS = ("panel", "3 visits", CELLS)
# Means and standard deviations are compared: their Monte Carlo error must be small.
COMPARED = {"chains": 2, "draws": 2000, "warmup": 300}


class Case(NamedTuple):
    """Data, the model for them, and query points with the true effect."""

    data: bi.RegimeData
    model: Any
    points: np.ndarray
    truth: np.ndarray


def panel(kind: str, seed: int) -> MarketingPanel:
    """A random panel; half of them with saturating spend, half with doses."""
    world = MarketingPanel.random(ACTIONS, seed, base=BASES[seed % 2])
    rng = np.random.default_rng([seed, 7])
    shape = world.regional_pull.shape
    if kind == "strong season":
        signs = rng.choice([-1.0, 1.0], ACTIONS)
        return replace(world, seasonal_pull=signs * rng.uniform(1, 1.5, ACTIONS))
    if kind == "spend differs":
        return replace(world, regional_pull=rng.normal(size=shape))
    if kind == "unequal regions":
        size = np.exp(rng.normal(size=len(world.size)))
        return replace(world, size=size / size.sum())
    if kind == "responses differ":
        return replace(world, response=0.25 * rng.normal(size=shape))
    return world


def panel_cases(kind: str, seed: int, rows: int, prior: str) -> dict[str, Case]:
    """A panel, and the same panel without regions and season."""
    world = panel(kind, seed)
    slopes = world.names if kind == "responses differ" else ()
    model = bi.models.additive(prior, groups={"region": ["level", *slopes]})
    names = ("level", "response", "regional_pull", "swing", "seasonal_pull")
    twin = replace(world, **{name: 0 * getattr(world, name) for name in names})
    points = query_points(world.base, seed)
    data, plain = (model.dataset(rows, seed + 10_000) for model in (world, twin))
    without = Case(
        with_columns(plain, [], []),
        bi.models.additive(prior),
        points,
        twin.joint_effect(points, plain),
    )
    return {
        "adjusted": Case(data, model, points, world.joint_effect(points, data)),
        "twin": without,
    }


def trial_cases(kind: str, seed: int, rows: int, prior: str) -> dict[str, Case]:
    """Trials in which age moderates effects; with many patients also without their levels."""
    base = BASES[1 - seed % 2]
    trials = RepeatedVisits.random(ACTIONS, seed, visits=VISITS.get(kind, 3), base=base)
    rows = 15 * rows if kind == MANY else rows
    data = trials.dataset(rows, seed + 10_000)
    points = query_points(trials.base, seed)
    truth = trials.joint_effect(points, data)
    model = bi.models.additive(prior, moderators={name: ["age"] for name in trials.names})
    groups = [] if trials.visits == 1 else ["patient"]
    cases = {"adjusted": Case(with_columns(data, ["age"], groups), model, points, truth)}
    if kind == MANY:
        cases["without"] = Case(with_columns(data, ["age"], []), model, points, truth)
    return cases


def null_cases(kind: str, seed: int, rows: int, prior: str) -> dict[str, Case]:
    """Three numeric covariates, one of text, and a grouping, none of which matters."""
    world = BASES[seed % 2].random(ACTIONS, seed)
    data, points = world.dataset(rows, seed + 10_000), query_points(world, seed)
    rng = np.random.default_rng([seed, 8])
    count = len(data)
    covariates: dict[str, Any] = {f"x{i + 1}": rng.normal(size=count) for i in range(3)}
    covariates["kind"] = rng.choice(["a", "b", "c", "d"], count)
    full = bi.RegimeData.from_arrays(
        data.actions,
        data.outcome,
        data.intervened,
        data.names,
        covariates=covariates,
        groups={"group": rng.integers(0, 20, count)},
    )
    model, truth = bi.models.additive(prior), world.joint_effect(points)
    return {
        "adjusted": Case(full, model, points, truth),
        "without": Case(data, model, points, truth),
    }


def cell_cases(kind: str, seed: int, rows: int, prior: str) -> dict[str, Case]:
    """Rows, and means of rows with the same actions with n and standard deviation."""
    world = (Ordered, UniformDesign)[seed % 2].random(2, seed)
    data, points = world.dataset(3 * rows, seed + 10_000), query_points(world, seed)
    frame = pd.DataFrame(data.actions.round(1), columns=list(data.names))
    labels = np.array(["", *data.names])[data.intervened @ [1, 2]]
    frame = frame.assign(outcome=data.outcome, regime=labels)
    cells = frame.groupby(["regime", *data.names])["outcome"].agg(["mean", "size", "std"])
    cells = cells.fillna({"std": 0.0}).reset_index().rename(columns={"mean": "outcome"})
    model, truth = bi.models.additive(prior), world.joint_effect(points)
    names = list(data.names)
    raw = bi.RegimeData.from_frame(frame, names, "outcome", "regime")
    means = bi.RegimeData.from_frame(
        cells, names, "outcome", "regime", weights="size", outcome_sd="std"
    )
    return {name: Case(d, model, points, truth) for name, d in (("adjusted", means), ("raw", raw))}


def mean_cases(kind: str, seed: int, rows: int, prior: str) -> dict[str, Case]:
    """Means of n units that share their hidden causes, with noise of each unit added."""
    world = BASES[seed % 2].random(ACTIONS, seed)
    data, points = world.dataset(rows, seed + 10_000), query_points(world, seed)
    rng = np.random.default_rng([seed, 9])
    n = np.exp(rng.uniform(0, np.log(MEANS[kind]), len(data))).round()
    noise = 2 * data.outcome.std() * rng.normal(size=len(data)) / np.sqrt(n)
    rows_of = (data.actions, data.outcome + noise, data.intervened, data.names)
    model, truth = bi.models.additive(prior), world.joint_effect(points)
    weighted, plain = (bi.RegimeData.from_arrays(*rows_of, weights=w) for w in (n, None))
    return {
        f: Case(d, model, points, truth) for f, d in (("adjusted", weighted), ("without", plain))
    }


def query_points(world: bi.simulators.StructuralCausalModel, seed: int) -> np.ndarray:
    """Points of the experiments' own distributions."""
    return world.sample(world.names, POINTS, np.random.default_rng(seed + 20_000))[0]


def with_columns(data: bi.RegimeData, covariates: list[str], groups: list[str]) -> bi.RegimeData:
    """The same rows with some of their covariates and groups."""
    own = data.columns
    values = dict(zip(own.every, data.covariates.T, strict=True))
    return bi.RegimeData.from_arrays(
        data.actions,
        data.outcome,
        data.intervened,
        data.names,
        covariates={name: values[name] for name in covariates},
        groups={name: values[name] for name in groups},
    )


def score(kind: str, seed: int, rows: int, quick: bool) -> list[Row]:
    """Score all fits to one world."""
    make = {
        **dict.fromkeys(PANELS, panel_cases),
        **dict.fromkeys(MEANS, mean_cases),
        NULL: null_cases,
        CELLS: cell_cases,
    }
    # Misfit of straight lines would count as what the units of a cell share.
    prior = "linear" if quick and kind != CELLS else "gp"
    cases = make.get(kind, trial_cases)(kind, seed, rows, prior)
    settings = QUICK if quick else COMPARED if kind == CELLS else STUDY
    turns = sorted(cases, reverse=bool(seed // 2 % 2))
    lines, draws = [], {}
    for fit in turns:
        case = cases[fit]
        # A first fit compiles, which takes as long with and without.
        for _ in range(2 if kind in TIMED and not quick else 1):
            began = time.process_time()
            posterior = bi.fit(case.data, case.model, seed=seed, progress=False, **settings)
            seconds = time.process_time() - began
        effect = posterior.joint_effect(case.points).transpose("chain", "draw", ...).to_numpy()
        draws[fit] = effect
        level = effect.mean(axis=-1)
        line: Row = {"kind": kind, "seed": seed, "rows": rows, "quick": quick, "fit": fit}
        line["error"] = f"{rms(effect.mean(axis=(0, 1)) - case.truth) / case.truth.std():.4f}"
        for percent in (50, 90):
            line[f"coverage{percent}"] = f"{coverage(effect, case.truth, percent / 100):.3f}"
        line["z of level"] = f"{(level.mean() - case.truth.mean()) / level.std():.3f}"
        line["seconds"] = f"{seconds:.2f}"
        lines.append(line)
    for line in lines:
        line["shift over sd"], line["sd ratio"] = "", ""
    if kind == CELLS:
        mean, sd = ({f: s(d, axis=(0, 1)) for f, d in draws.items()} for s in (np.mean, np.std))
        shift = np.abs(mean["adjusted"] - mean["raw"]) / sd["raw"]
        line = lines[turns.index("adjusted")]
        line["shift over sd"] = f"{shift.mean():.4f}"
        line["sd ratio"] = f"{(sd['adjusted'] / sd['raw']).mean():.4f}"
    return lines


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Coverage, and errors and times relative to the other fit of each world, per kind."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        adjusted = [row for row in own if row["fit"] == "adjusted"]
        others = [row for row in own if row["fit"] != "adjusted"]
        line: Row = {"kind": kind, "worlds": len(adjusted)}
        for name in ("coverage50", "coverage90"):
            mean, error = mean_and_error([float(row[name]) for row in adjusted])
            line |= {name: f"{mean:.3f}", f"standard error of {name}": f"{error:.3f}"}
        line["z of level"] = f"{rms(column(adjusted, 'z of level')):.2f}"
        line["error"] = f"{rms(column(adjusted, 'error')):.3f}"
        line["compared with"] = others[0]["fit"] if others else ""
        for name, relative, average in (
            ("error", "error ratio", rms),
            ("seconds", "time ratio", None),
        ):
            line[relative] = f"{ratio(adjusted, others, name, average):.3f}" if others else ""
        if kind not in TIMED:
            line["time ratio"] = ""
        for name in ("shift over sd", "sd ratio"):
            values = [float(row[name]) for row in adjusted if row[name]]
            line[name] = f"{np.median(values):.4f}" if values else ""
        line["seconds"] = f"{np.median(column(adjusted, 'seconds')):.1f}"
        lines.append(line)
    return lines


def ratio(
    adjusted: list[dict[str, str]],
    others: list[dict[str, str]],
    name: str,
    average: Callable[[np.ndarray], float] | None,
) -> float:
    """Ratio of averages over worlds, or without an average the median ratio."""
    one, other = column(adjusted, name), column(others, name)
    return float(np.median(one / other)) if average is None else average(one) / average(other)


def draw_figure(lines: list[Row], path: Path) -> None:
    """Plot coverage (left), and errors and times relative to the other fit (right), per kind."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 0.6 + 0.42 * len(lines)), sharey=True, layout="constrained"
    )
    place = np.arange(len(lines))[::-1]
    for level, shade in ((50, "C1"), (90, "C0")):
        name = f"coverage{level}"
        left.errorbar(
            column(lines, name),
            place,
            xerr=1.96 * column(lines, f"standard error of {name}"),
            fmt="o",
            color=shade,
            capsize=3,
        )
        left.axvline(level / 100, color=shade, linestyle="--", linewidth=1)
    left.set_yticks(place, [str(line["kind"]) for line in lines])
    left.set_xlabel("coverage of 50% and 90% intervals, with 95% intervals")
    compared = [(p, line) for p, line in zip(place, lines, strict=True) if line["compared with"]]
    for name, marker in (("error ratio", "o"), ("time ratio", "s")):
        with_ratio = [(p, line) for p, line in compared if line[name]]
        values = column([line for _, line in with_ratio], name)
        right.plot(values, [p for p, _ in with_ratio], marker, label=name.replace(" ratio", ""))
    right.axvline(1, color="0.6", linewidth=0.8, zorder=0)
    right.set_xlabel("ratio to the twin, to leaving them out,\nor to the rows themselves")
    legend(right)
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=40, rows=1000)
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.rows = 2, 120
    kinds = args.kinds or (QUICK_KINDS if args.quick else KINDS)
    jobs = [
        {"kind": kind, "seed": seed, "rows": args.rows, "quick": args.quick}
        for seed in range(args.models)
        for kind in kinds
    ]
    command = command_of("covariates", args, "models", "rows")
    _, lines = publish_study("covariates", args, score, jobs, command, summary)
    draw_figure(lines, args.output / "covariates")


if __name__ == "__main__":
    main()

"""Calibration of credible intervals: coverage in simulated worlds, and simulated ranks.

    python analyses/calibration.py [--models 40] [--actions 3] [--rows 1000]
        [--kinds "rare binary" zeros ...] [--points 1000] [--simulations 200] [--seed 40000]

Coverage: ``--models`` random worlds of every kind that satisfies the assumptions, default
settings, unknown graph; the share of joint points whose credible intervals contain the true
effect, its change from the lowest value of all actions, and outcomes. Worlds with effects too
rough for the default model have a separate table, with the share of fits that report lack of fit.
Defaults were chosen on worlds with seeds from 1000, so the seeds of this table start elsewhere
(``--seed``).

Ranks: simulation-based calibration of the GP and the spline model at fixed actions; if sampling is
correct, the ranks of the true values are uniform. Beside them, for a quarter of the simulations,
the default fit, which estimates the variance function and typical scales from the data, and a
wrong noise prior as a negative control; ``--simulations 0`` omits them. Results are saved one by
one; an interrupted run resumes.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from _study_worlds import FewDoses, Mistyped, Steep, Stepped, UniformDesign

import bayes_intgen as bi
from bayes_intgen.simulators import (
    Binary,
    Counts,
    DoseResponse,
    Linear,
    MediaMix,
    Ordered,
    Polynomial,
    StructuralCausalModel,
    ZeroInflated,
)

from _figures import column, legend, save_figure
from _scores import QUICK, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, options, run_study
from _tables import print_table, publish_table, write_table

SMOOTH = (Polynomial, Linear, MediaMix, DoseResponse)


def mistyped(actions: int, seed: int, strength: float) -> Mistyped:
    """Smooth world, of a kind that depends on the seed, with an outlier in one cell."""
    return Mistyped(SMOOTH[seed % len(SMOOTH)].random(actions, seed), strength)


# Constructors of random worlds, from a number of actions and a seed.
WORLDS: dict[str, Callable[[int, int], StructuralCausalModel]] = {
    "polynomial": Polynomial.random,
    "linear": Linear.random,
    "media mix": MediaMix.random,
    "dose response": DoseResponse.random,
    "binary": Binary.random,
    "rare binary": partial(Binary.random, share=(0.05, 0.1)),
    "3 levels": partial(Ordered.random, levels=3),
    "5 levels": partial(Ordered.random, levels=5),
    "counts": Counts.random,
    "uniform": UniformDesign.random,
    "two points": partial(FewDoses.random, doses=2),
    "doses": partial(FewDoses.random, doses=4),
    "zeros": ZeroInflated.random,
    "emax": Steep.random,
    "hill": partial(Steep.random, hill=True),
    "hinge": partial(Stepped.random, shape="hinge"),
    "u shape": partial(Stepped.random, shape="u"),
    "outlier 1e4": partial(mistyped, strength=1e4),
    "outlier 1e6": partial(mistyped, strength=1e6),
    "steps": partial(Stepped.random, shape="step"),
    "sigmoid": partial(Stepped.random, shape="sigmoid"),
    "sine 1": partial(Stepped.random, shape="sine 1"),
    "sine 2": partial(Stepped.random, shape="sine 2"),
    "5 unordered levels": partial(Ordered.random, levels=5, monotone=False),
}
# Too rough for the default model: fits should report it.
ROUGH = ("steps", "sigmoid", "sine 1", "sine 2", "5 unordered levels")
QUICK_KINDS = ("binary", "dose response", "steps")
OF = ("effect", "change", "outcome")
EXACT: dict[str, Any] = {"spread": "constant"}
# Exact models match the simulation: one variance, and every scale under its prior.
MODELS: dict[str, dict[str, Any]] = {
    "gp": {"model": bi.models.additive("gp", **EXACT), "simplify": False},
    "spline": {"model": bi.models.additive("spline", **EXACT), "simplify": False},
    "gp, default fit": {"model": bi.models.additive("gp")},
    "gp, wrong noise": {
        "model": bi.models.additive("gp", **EXACT),
        "fitted": bi.models.additive("gp", noise_scale=bi.LogNormal(0.2, 0.1), **EXACT),
    },
}
CONTROLS = ("gp, default fit", "gp, wrong noise")
# Level of the smallest p value of a model after Bonferroni's correction.
ALPHA = 0.01


def score_coverage(
    seed: int, kind: str, actions: int, rows: int, points: int, quick: bool
) -> list[Row]:
    """Coverage, width and errors of all intervals in one world, with the fit's warnings."""
    job: Row = {"seed": seed, "kind": kind, "actions": actions, "rows": rows, "points": points}
    job["quick"] = quick
    table, failure = None, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            table = bi.calibration.coverage(
                WORLDS[kind](actions, seed),
                rows=rows,
                points=points,
                seed=seed + 10_000,
                **(QUICK if quick else {}),
            )
        except Exception as error:
            # A failed fit must not end the study; the table counts it.
            failure = f"{type(error).__name__}: {error}"
    outcome = {
        "divergences": 0 if table is None else int(table["divergences"]),
        "warnings": " ".join(sorted(warning.category.__name__ for warning in caught)),
        "failure": failure,
    }
    if table is None:
        empty = dict.fromkeys(("of", "level", "coverage", "width", "rms z", "error"), "")
        return [{**job, **empty, **outcome}]
    return [
        {
            **job,
            "of": of,
            "level": float(level),
            "coverage": f"{float(table['coverage'].sel(of=of, level=level)):.4f}",
            "width": f"{float(table['width'].sel(of=of, level=level)):.5f}",
            "rms z": f"{float(table['z_rms'].sel(of=of)):.4f}",
            "error": f"{float(table['error']):.6f}",
            **outcome,
        }
        for of in OF
        for level in table["level"].to_numpy()
    ]


def design(quick: bool) -> bi.RegimeData:
    """Actions and masks at which outcomes are simulated, and the scale of the outcomes."""
    world = DoseResponse.random(2, seed=5)
    return world.dataset(30 if quick else 60, seed=5)


def score_ranks(seed: int, name: str, quick: bool) -> list[Row]:
    """Ranks of the true values in one simulation."""
    settings = {"draws": 60, "warmup": 60, "chains": 2} if quick else {}
    tree = bi.calibration.ranks(design(quick), simulations=[seed], **MODELS[name], **settings)
    job = {"seed": seed, "name": name, "quick": quick}
    rows = []
    for variable, values in tree["prior_sbc"].data_vars.items():
        flat = values.squeeze(("chain", "draw"), drop=True)
        if flat.ndim == 0:
            rows.append({**job, "quantity": variable, "share": float(flat)})
            continue
        for label, value in zip(flat[flat.dims[0]].to_numpy(), flat.to_numpy(), strict=True):
            rows.append({**job, "quantity": f"{variable}[{label}]", "share": float(value)})
    return rows


def coverage_lines(rows: list[dict[str, str]], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Means over worlds with standard errors, over all kinds and for each kind."""
    lines = []
    for of in OF:
        for kind in ("all", *kinds):
            for level in bi.calibration.LEVELS:
                own = [
                    row
                    for row in rows
                    if row["of"] == of
                    and float(row["level"]) == level
                    and row["kind"] in (kinds if kind == "all" else (kind,))
                ]
                if len(own) < 2:
                    continue
                mean, error = mean_and_error(column(own, "coverage"))
                lines.append(
                    {
                        "intervals of": of,
                        "kind": kind,
                        "worlds": len(own),
                        "level": level,
                        "coverage": f"{mean:.4f}",
                        "standard error": f"{error:.4f}",
                        "mean width": f"{column(own, 'width').mean():.3f}",
                        "rms z": f"{rms(column(own, 'rms z')):.3f}",
                    }
                )
    return lines


def fit_lines(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Failures, divergences and warnings of the fits, per kind of world."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        # One row per world.
        own = list({row["seed"]: row for row in rows if row["kind"] == kind}.values())
        caught = [row["warnings"].split() for row in own]
        divergences = [int(row["divergences"]) for row in own]
        reported = np.mean(["LackOfFitWarning" in names for names in caught])
        lines.append(
            {
                "kind": kind,
                "worlds": len(own),
                "failures": sum(bool(row["failure"]) for row in own),
                "worlds with divergences": sum(number > 0 for number in divergences),
                "divergences": sum(divergences),
                "worlds with warnings": sum(bool(names) for names in caught),
                "warnings": sum(map(len, caught)),
                "lack of fit reported": f"{reported:.3f}",
            }
        )
    return lines


def rank_lines(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """P values of uniform ranks for every quantity of every model."""
    lines = []
    for name in MODELS:
        for quantity in dict.fromkeys(row["quantity"] for row in rows if row["name"] == name):
            shares = _shares(rows, name, quantity)
            if len(shares) < 10:
                continue
            data = xr.Dataset({"x": (("chain", "draw"), shares[None])})
            p = float(data.azstats.uniformity_test()[0]["x"])
            lines.append(
                {
                    "model": name,
                    "quantity": quantity,
                    "simulations": len(shares),
                    "p of uniformity": f"{p:.4f}",
                }
            )
    return lines


def _shares(rows: list[dict[str, str]], name: str, quantity: str) -> np.ndarray:
    own = [row for row in rows if row["name"] == name and row["quantity"] == quantity]
    return column(own, "share")


def draw_coverage(lines: list[dict[str, Any]], path: Path) -> None:
    """Plot the coverage of 50% and 90% intervals by kind, with two standard errors."""
    kinds = list(dict.fromkeys(line["kind"] for line in lines))
    height = 1.2 + 0.24 * len(kinds)
    figure, axes = plt.subplots(1, 3, figsize=(11, height), sharey=True, layout="constrained")
    titles = {
        "effect": "true joint effect",
        "change": "its change from the lowest values",
        "outcome": "joint outcomes",
    }
    for ax, (of, title) in zip(axes, titles.items(), strict=True):
        for level, colour in ((0.5, "C1"), (0.9, "C0")):
            ax.axvline(level, color=colour, linewidth=1)
            own = [x for x in lines if x["intervals of"] == of and float(x["level"]) == level]
            ax.errorbar(
                column(own, "coverage"),
                [kinds.index(line["kind"]) for line in own],
                xerr=2 * column(own, "standard error"),
                fmt="o",
                markersize=4,
                color=colour,
                label=f"{level:.0%} intervals",
            )
        ax.set_xlim(-0.02, 1.02)
        ax.set_title(title, fontsize=10)
        ax.grid(axis="x", alpha=0.25)
    axes[0].set_yticks(range(len(kinds)), ["all kinds" if k == "all" else k for k in kinds])
    axes[0].set_ylim(len(kinds) - 0.5, -0.5)
    axes[1].set_xlabel("coverage, +- 2 standard errors over worlds; lines: nominal")
    legend(axes[2], loc="lower left")
    save_figure(figure, path)


def draw_ranks(rows: list[dict[str, str]], path: Path) -> None:
    """Plot the ranks of the main quantities with ArviZ, one figure per model."""
    quantities = ("joint_effect[0]", "joint_effect[1]", "intercept", "noise_sd")
    trees = {}
    for name in MODELS:
        shares = {q: _shares(rows, name, q) for q in quantities}
        count = min(map(len, shares.values()))
        if count >= 10:
            group = {q: (("chain", "draw"), v[None, :count]) for q, v in shares.items()}
            trees[name] = xr.DataTree.from_dict({"prior_sbc": xr.Dataset(group)})
    for name, tree in trees.items():
        plots = az.plot_ecdf_pit(
            tree,
            backend="matplotlib",
            figure_kwargs={"figsize": (12, 3.4), "layout": "constrained"},
        )
        figure = plots.get_viz("figure")
        figure.suptitle(
            f"{name}: distribution of the shares of draws below the truth, less the uniform one",
            fontsize=11,
        )
        for ax in figure.axes:
            ax.set_xlabel("share of draws below the truth")
        suffix = name.replace(", ", "_").replace(" ", "_")
        save_figure(figure, path.with_name(f"{path.name}_{suffix}"))


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a quick run has few and small worlds."""
    parser = arguments(__doc__, models=40, actions=3, rows=1000, points=1000, simulations=200)
    add_kinds(parser, WORLDS)
    parser.add_argument("--seed", type=int, default=40_000, help="of the first world of a kind")
    args = parser.parse_args(words)
    if args.quick:
        args.models, args.actions, args.rows, args.points = 2, 2, 60, 100
        args.simulations = min(args.simulations, 1)
    return args


def command_line(args: argparse.Namespace) -> str:
    """Command that runs the study with these options."""
    names = ("models", "actions", "rows", "points", "simulations", "seed")
    return command_of("calibration", args, *names)


def kinds_of(args: argparse.Namespace) -> list[str]:
    """Kinds of worlds of the study."""
    return args.kinds or (list(QUICK_KINDS) if args.quick else list(WORLDS))


def world_jobs(args: argparse.Namespace) -> list[Row]:
    """Jobs of all worlds, by seed, so that an interrupted run has some of every kind."""
    common = options(args, "actions", "rows", "points", "quick")
    return [
        {"seed": args.seed + i, "kind": kind, **common}
        for i in range(args.models)
        for kind in kinds_of(args)
    ]


def main() -> None:
    """Run from the command line."""
    args = parse_arguments()
    score_worlds(args)
    if args.simulations:
        score_simulations(args)


def score_worlds(args: argparse.Namespace) -> None:
    """Fit random worlds; write tables and figures of coverage."""
    command, kinds = command_line(args), kinds_of(args)
    path = args.output / "calibration_worlds.csv"
    rows = run_study(score_coverage, world_jobs(args), path, command, args.processes)
    fits = fit_lines(rows)
    publish_table(args.output / "calibration_fits.csv", fits, command, path)
    reported = {line["kind"]: line["lack of fit reported"] for line in fits}
    for name, group in (
        ("calibration_coverage", [kind for kind in kinds if kind not in ROUGH]),
        ("calibration_lack_of_fit", [kind for kind in kinds if kind in ROUGH]),
    ):
        lines = coverage_lines(rows, group)
        if lines:
            lines = [
                {**line, "lack of fit reported": reported.get(line["kind"], "")} for line in lines
            ]
            print_table([line for line in lines if line["level"] in (0.5, 0.9)])
            write_table(args.output / f"{name}.csv", lines, command, path)
            draw_coverage(lines, args.output / name)


def score_simulations(args: argparse.Namespace) -> None:
    """Fit outcomes simulated from the prior; write tables and figures of ranks."""
    command = command_line(args)
    jobs = [
        {"seed": seed, "name": name, "quick": args.quick}
        for name in MODELS
        for seed in range(args.simulations // (4 if name in CONTROLS else 1))
    ]
    path = args.output / "calibration_simulations.csv"
    rows = run_study(score_ranks, jobs, path, command, args.processes)
    lines = rank_lines(rows)
    if lines:
        publish_table(args.output / "calibration_ranks.csv", lines, command, path)
        draw_ranks(rows, args.output / "calibration_ranks")
        for name in MODELS:
            own = [float(line["p of uniformity"]) for line in lines if line["model"] == name]
            if own:
                verdict = "not uniform" if min(own) * len(own) < ALPHA else "no sign against it"
                print(f"{name}: smallest p of {len(own)} is {min(own):.4f}: {verdict}")


if __name__ == "__main__":
    main()

"""Coverage of single outcomes under joint interventions: skewed, heavy-tailed, discrete, products.

    python analyses/outcomes.py [--models 40] [--rows 1000] [--kinds KIND ...] [--quick]

Random worlds of three actions whose hidden causes and noise are normal, gamma, lognormal or
Student-t with three degrees of freedom, or whose hidden causes matter more at some values of
their action than at others; worlds whose outcome is binary or a Poisson count with a mean of
about 1.5 or 20; and worlds whose outcome has an additive logarithm. Default fits to observational
rows and single interventions, those of log-additive outcomes with the multiplicative model,
predict outcomes with all actions set. Coverage is that of central predictive intervals; of
discrete outcomes by randomised ranks. The slope is that of binary outcomes on their predicted
probability. Of log-additive outcomes also the
coverage of 90% intervals of E[Y | do(a)], and scores of two estimates that know how E[Y | do(a)]
follows from the mean of the logarithm: "known factor" has the fitted mean, the oracle a mean by
least squares with known forms of all functions, but for the level of each bias. Errors are over
the standard deviation of E[Y | do(a)]. Seconds are those of the processor. An interrupted run
resumes.
"""

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import bayes_intgen as bi
from bayes_intgen.posterior.draws import prediction_of

from _figures import column, save_figure
from _outcome_worlds import KINDS, LOG_ADDITIVE, OutcomeWorld
from _scores import LEVELS, QUICK, STUDY, coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, publish_study

POINTS = 1000
QUICK_KINDS = ("gamma", "binary", "counts of 1.5", LOG_ADDITIVE)
COVERAGES = ("effect coverage90", "known factor coverage90")
OF_PRODUCTS = (*COVERAGES, "known factor error", "oracle error")
PERCENT = tuple(round(100 * level) for level in LEVELS)


def ranks(draws: np.ndarray, outcome: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ranks of outcomes (n,) among draws (chain, draw, n), uniform if the law is right."""
    below, equal = ((op(draws, outcome)).mean(axis=(0, 1)) for op in (np.less, np.equal))
    return np.asarray(below + rng.random(len(outcome)) * equal)


def score(kind: str, seed: int, rows: int, quick: bool) -> list[Row]:
    """Score predictions of single outcomes in one world."""
    world = OutcomeWorld(kind, seed)
    data = world.data(rows, seed + 10_000)
    settings, prior = (QUICK, "linear") if quick else (STUDY, "gp")
    began = time.process_time()
    build = bi.models.multiplicative if kind == LOG_ADDITIVE else bi.models.additive
    posterior = bi.fit(data, build(prior), seed=seed, progress=False, **settings)
    seconds = time.process_time() - began
    rng = np.random.default_rng([seed, 12])
    points, outcome = world.sample(world.names, POINTS, rng)
    truth = world.joint_effect(points)
    effect = posterior.joint_effect(points).to_numpy()
    error = rms(effect.mean(axis=(0, 1)) - truth) / truth.std()
    products = dict.fromkeys(OF_PRODUCTS, "")
    if kind == LOG_ADDITIVE:
        products = scores_of_products(world, data, posterior, points)
    draws = posterior.outcome(points, seed=seed).to_numpy()
    at = ranks(draws, outcome, rng)
    line: Row = {"kind": kind, "seed": seed, "rows": rows, "quick": quick}
    for level, percent in zip(LEVELS, PERCENT, strict=True):
        line[f"coverage{percent}"] = f"{np.mean(np.abs(at - 0.5) < level / 2):.4f}"
    line["below 2.5%"], line["above 97.5%"] = (
        f"{np.mean(side < 0.025):.4f}" for side in (at, 1 - at)
    )
    line["slope"] = ""
    if kind == "binary":
        line["slope"] = f"{np.polyfit(draws.mean(axis=(0, 1)), outcome, 1)[0]:.4f}"
    line["negative"] = f"{np.mean(draws < 0):.4f}"
    line["error"], line["seconds"] = f"{error:.4f}", f"{seconds:.2f}"
    return [{**line, **products}]


def scores_of_products(
    world: OutcomeWorld, data: bi.RegimeData, posterior: bi.Posterior, points: np.ndarray
) -> dict[str, str]:
    """Coverage of E[Y | do(a)], and errors of estimates that know more."""
    truth, factor = world.joint_effect(points), world.log_mean_factor(points)
    all_set = np.ones(points.shape, dtype=bool)
    known = np.exp(prediction_of(posterior).predictor(points, all_set) + factor)
    errors = (known.mean(axis=(0, 1)) - truth, world.oracle(data, points) - truth)
    draws = (posterior.joint_effect(points).to_numpy(), known)
    covered = (coverage(own, truth, 0.9) for own in draws)
    scores = (*covered, *(rms(error) / truth.std() for error in errors))
    return dict(zip(OF_PRODUCTS, (f"{score:.4f}" for score in scores), strict=True))


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Mean coverage with standard errors over worlds, per kind."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        line: Row = {"kind": kind, "worlds": len(own)}
        for percent in PERCENT:
            name = f"coverage{percent}"
            mean, error = mean_and_error([float(row[name]) for row in own])
            line |= {name: f"{mean:.3f}", f"standard error of {name}": f"{error:.3f}"}
        for name in ("below 2.5%", "above 97.5%"):
            line[name] = f"{column(own, name).mean():.4f}"
        line["slope"], line["standard error of slope"] = "", ""
        if own[0]["slope"]:
            mean, error = mean_and_error([float(row["slope"]) for row in own])
            line |= {"slope": f"{mean:.3f}", "standard error of slope": f"{error:.3f}"}
        line["negative"] = f"{column(own, 'negative').mean():.4f}"
        line["error"] = f"{rms(column(own, 'error')):.3f}"
        line["seconds"] = f"{np.median(column(own, 'seconds')):.1f}"
        for name in OF_PRODUCTS:
            is_coverage, given = name in COVERAGES, bool(own[0][name])
            line[name] = f"{rms(column(own, name)):.3f}" if given and not is_coverage else ""
            if is_coverage:
                line[f"standard error of {name}"] = ""
            if is_coverage and given:
                mean, error = mean_and_error([float(row[name]) for row in own])
                line |= {name: f"{mean:.3f}", f"standard error of {name}": f"{error:.3f}"}
        lines.append(line)
    return lines


def draw_figure(lines: list[Row], path: Path) -> None:
    """Plot coverage minus its level, by level."""
    kinds = [str(line["kind"]) for line in lines]
    figure, axes = plt.subplots(
        1, len(PERCENT), figsize=(11, 0.9 + 0.42 * len(kinds)), sharey=True, layout="constrained"
    )
    place = np.arange(len(kinds))[::-1]
    for ax, percent in zip(axes, PERCENT, strict=True):
        ax.axvspan(-1.5, 1.5, color="0.92", zorder=0)
        ax.axvline(0, color="0.6", linewidth=0.8, zorder=0)
        name = f"coverage{percent}"
        ax.errorbar(
            100 * column(lines, name) - percent,
            place,
            xerr=196 * column(lines, f"standard error of {name}"),
            fmt="o",
            markersize=4,
            capsize=2,
        )
        ax.set_title(f"{percent}% intervals", fontsize="medium")
        ax.set_xlabel("coverage minus level (points)")
    axes[0].set_yticks(place, kinds)
    axes[0].set_ylim(-0.6, len(kinds) - 0.4)
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=40, rows=1000)
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.rows = 2, 150
    kinds = args.kinds or (QUICK_KINDS if args.quick else KINDS)
    jobs = [
        {"kind": kind, "seed": seed, "rows": args.rows, "quick": args.quick}
        for kind in kinds
        for seed in range(args.models)
    ]
    command = command_of("outcomes", args, "models", "rows")
    _, lines = publish_study("outcomes", args, score, jobs, command, summary)
    draw_figure(lines, args.output / "outcomes")


if __name__ == "__main__":
    main()

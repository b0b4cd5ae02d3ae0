"""Predicted and true gains of plans that were chosen because they looked best.

    python analyses/chosen_plans.py [--models 20] [--kinds KIND ...] [--method laplace] [--quick]

The best of many plans is best in part by chance, so that its predicted gain is too large: the
optimizer's curse. In each random world (`_decision_worlds.py`), and in each draw of a real table
(`real_worlds.py`), a fit chooses plans, and the true effects judge them:

- cautious: `posterior.best` with its default objective, the lower end of the gain's interval;
- mean: `posterior.best` for the posterior mean;
- frontier: the plan of three quarters of the budget, where actions cost something;
- cheapest: `posterior.cheapest` for the joint effect of the baseline plus half of the predicted
  gain, where actions cost something. Its numbers are gains over this target;
- experiment: the default experiment with the highest expected value of sample information in
  `posterior.experiments`. The prediction is this value, and what comes true is the gain of the best
  plan by the mean of all rows, after the experiment was run, over the best one before.

The table has the means over the worlds of a kind: the predicted gain before and after the
correction that `posterior.best` makes, the true gain, their difference in posterior standard
deviations, and the coverage of 90% intervals. ``kept`` is the share of worlds in which the plan is
the baseline. Their gains are zero and exact, and left out of excesses and of the coverage where
plans move; to move is a choice, too. In the kind "equal returns" the baseline is the optimum. The
true gains of real tables have standard errors, which count as part of the intervals. An interrupted
run resumes.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from _decision_worlds import KINDS as RANDOM_KINDS
from _decision_worlds import DecisionWorld, RandomWorld, decision_world
from real_worlds import KINDS as REAL_WORLDS

import bayes_intgen as bi

from _figures import column, legend, save_figure
from _scores import QUICK, mean_and_error
from _study import Row, add_kinds, arguments, command_of, options, publish_study

REAL_KINDS = ("compiler", "tax plans", "immigrants")
KINDS = (*RANDOM_KINDS, *REAL_KINDS)
QUICK_KINDS = ("unequal returns", "compiler")
CAUTIOUS, MEAN, FRONTIER, CHEAPEST = "cautious", "mean", "frontier", "cheapest"
EXPERIMENT = "experiment"
SHARE_OF_BUDGET, SHARE_OF_GAIN = 0.75, 0.5
SECOND_SEED = 29


def real_world(kind: str, seed: int) -> DecisionWorld:
    """A draw of a real table, whose baseline is one of its settings at random."""
    known = REAL_WORLDS[kind](seed)
    joint, names = known.joint, list(known.actions)
    settings = joint[names].to_numpy(object)
    start = settings[np.random.default_rng([seed, SECOND_SEED]).integers(len(settings))]

    # Plans of numbers and names are as text.
    numeric = [not isinstance(value, str) for value in settings[0]]

    def position(plan: np.ndarray) -> int:
        own = [float(v) if is_number else v for v, is_number in zip(plan, numeric, strict=True)]
        return settings.tolist().index(own)

    at = ["effect", "standard_error"]
    return DecisionWorld(
        known.data,
        bi.models.additive(),
        bi.Decision(baseline=dict(zip(names, start.tolist(), strict=True))),
        lambda plans: np.array([joint[at[0]].iloc[position(plan)] for plan in plans]),
        lambda plans: np.array([joint[at[1]].iloc[position(plan)] for plan in plans]),
    )


def score(kind: str, seed: int, method: str, quick: bool) -> list[Row]:
    """Choose plans in a world, and judge them by its true effects."""
    world = (real_world if kind in REAL_KINDS else decision_world)(kind, seed)
    settings: dict[str, Any] = QUICK if quick else {}
    posterior = bi.fit(
        world.data, world.model, method=method, seed=seed, progress=False, **settings
    )
    rng, decision = np.random.default_rng(seed), world.decision
    job: Row = {"kind": kind, "seed": seed, "method": method, "quick": quick}
    best = posterior.best(decision)
    plans = {CAUTIOUS: best, MEAN: posterior.best(decision, "mean")}
    rows = []
    for choice, plan in plans.items():
        truth, unsure = world.gain(plan.point, plan.baseline)
        rows.append(line(choice, plan.gain.to_numpy(), plan.optimism, truth, unsure, rng))
    if decision.budget is not None:
        base = best.baseline
        rows += with_less_money(posterior, world, base, float(plans[MEAN].gain.mean()), rng)
    if isinstance(world, RandomWorld):
        rows.append(after_experiment(posterior, world, plans[MEAN].point, rng))
    return [job | row for row in rows]


def with_less_money(
    posterior: bi.Posterior,
    world: DecisionWorld,
    baseline: Mapping[str, Any],
    gain: float,
    rng: np.random.Generator,
) -> list[Row]:
    """Choose a plan of a smaller budget, and the cheapest one for a part of the predicted gain.

    Rows may support no plan of a smaller budget, and no plan may reach the target.
    """
    rows, decision = [], world.decision
    assert decision.budget is not None
    with suppress(bi.ModelError):
        table = posterior.frontier(decision, [SHARE_OF_BUDGET * decision.budget]).isel(budget=0)
        point = dict(zip(posterior.actions, table["plan"].to_numpy(), strict=True))
        low, mean, high = (float(table[name]) for name in ("gain_low", "gain", "gain_high"))
        # The table has intervals, not draws.
        draws = mean + (high - low) / 3.29 * rng.normal(size=20_000)
        excess = float(table["optimism"])
        rows.append(line(FRONTIER, draws, excess, *world.gain(point, baseline), rng))
    target = float(posterior.joint_effect(baseline).mean()) + SHARE_OF_GAIN * max(gain, 0.0)
    with suppress(bi.ModelError):
        plan = posterior.cheapest(decision, target)
        truth, unsure = world.level(plan.point)
        draws = plan.effect.to_numpy() - target
        rows.append(line(CHEAPEST, draws, plan.optimism, truth - target, unsure, rng))
    return rows


def after_experiment(
    posterior: bi.Posterior, world: RandomWorld, plan: Mapping[str, Any], rng: np.random.Generator
) -> Row:
    """Run the experiment with the highest expected value, and choose again."""
    table = posterior.experiments(world.decision).isel(experiment=0)
    label = str(table["experiment"].item())
    chosen = label.removeprefix("do(").removesuffix(")").split(", ")
    mask = np.array([name in chosen for name in posterior.actions])
    later = posterior.update(world.more(mask, int(table["rows"]), rng), progress=False)
    truth, _ = world.gain(later.best(world.decision, "mean").point, plan)
    value = float(table["evsi"])
    return {
        "choice": EXPERIMENT,
        "uncorrected": f"{value:.5g}",
        "predicted": f"{value:.5g}",
        "true": f"{truth:.5g}",
        "sd": f"{float(table['width_before']) / 3.29:.5g}",
        # It is an expectation over what the experiment may show, without an interval.
        "contains": "",
        # Plans that stay come true as well.
        "kept": 0,
    }


def line(
    choice: str,
    draws: np.ndarray,
    optimism: float,
    truth: float,
    unsure: float,
    rng: np.random.Generator,
) -> Row:
    """Predicted and true gain of a plan, and whether its interval contains the truth."""
    draws = draws.ravel()
    low, high = np.quantile(draws + unsure * rng.normal(size=len(draws)), [0.05, 0.95])
    sd = float(np.hypot(draws.std(), unsure))
    return {
        "choice": choice,
        "uncorrected": f"{draws.mean() + optimism:.5g}",
        "predicted": f"{draws.mean():.5g}",
        "true": f"{truth:.5g}",
        "sd": f"{sd:.5g}",
        "contains": int(low <= truth <= high),
        "kept": int(draws.std() == 0),
    }


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Means over the worlds of each kind, and over all random worlds."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    groups = {kind: (kind,) for kind in kinds}
    if len(kinds) > 1:
        groups["all random worlds"] = tuple(kind for kind in kinds if kind in RANDOM_KINDS)
    lines = []
    for choice in dict.fromkeys(row["choice"] for row in rows):
        for name, among in groups.items():
            own = [row for row in rows if row["choice"] == choice and row["kind"] in among]
            if own:
                lines.append({"choice": choice, "kind": name, **means(own)})
    return lines


def means(rows: list[Mapping[str, str]]) -> Row:
    """Means over worlds, with standard errors where they matter."""
    moved = [row for row in rows if row["kept"] == "0"]
    out: Row = {"worlds": len(rows), "kept": f"{column(rows, 'kept').mean():.2f}"}
    for name in ("uncorrected", "predicted", "true"):
        out[name] = f"{column(rows, name).mean():.4g}"
    ratios = ["excess in sd", "excess in sd, uncorrected"]
    for name, of in zip(ratios, ("predicted", "uncorrected"), strict=True):
        values = (column(moved, of) - column(moved, "true")) / column(moved, "sd")
        out[name] = "{:.2f} +- {:.2f}".format(*mean_and_error(values)) if len(moved) > 1 else ""
    for name, among in (("coverage", rows), ("coverage where plans move", moved)):
        contains = column([row for row in among if row["contains"]], "contains")
        text = "{:.3f} +- {:.3f}"
        out[name] = text.format(*mean_and_error(contains)) if len(contains) > 1 else ""
    return out


def plot(rows: list[dict[str, str]], path: Path) -> None:
    """True against predicted gains in standard deviations, before and after the correction."""
    own = [row for row in rows if row["choice"] == CAUTIOUS and row["kept"] == "0"]
    own = [row for row in own if row["kind"] in RANDOM_KINDS]
    sd, true = column(own, "sd"), column(own, "true")
    with plt.rc_context({"font.size": 13, "axes.titlesize": 13}):
        figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), sharex=True, sharey=True)
        titles = {"uncorrected": "Posterior mean", "predicted": "Gain of the plan, corrected"}
        for (name, title), ax in zip(titles.items(), axes, strict=True):
            x, y = column(own, name) / sd, true / sd
            ax.axline((0, 0), slope=1, color="0.5", lw=1, label="prediction comes true")
            ax.fill_between([-4, 12], [-5.645, 10.355], [-2.355, 13.645], color="0.92", zorder=0)
            ax.plot(x, y, "o", ms=4, alpha=0.6, mew=0)
            ax.set(title=f"{title}: {np.mean(x - y):+.2f} sd", xlabel="predicted gain in sd")
            ax.set(xlim=(-3, 11), ylim=(-6, 12), xticks=range(-2, 11, 2))
        axes[0].set_ylabel("true gain in sd")
        legend(axes[0], loc="lower right")
        figure.tight_layout()
        save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=20, method="laplace")
    add_kinds(parser, KINDS)
    parser.add_argument("--seed", type=int, default=2000, help="of the first world")
    args = parser.parse_args()
    kinds = args.kinds or (QUICK_KINDS if args.quick else KINDS)
    jobs: list[Row] = [
        {"kind": kind, "seed": args.seed + i, **options(args, "method", "quick")}
        for i in range(min(args.models, 2) if args.quick else args.models)
        for kind in kinds
    ]
    command = command_of("chosen_plans", args, "models", "seed", "method")
    rows, _ = publish_study("chosen_plans", args, score, jobs, command, summary)
    plot(rows, args.output / "chosen_plans")


if __name__ == "__main__":
    main()

"""Two worlds with the same data, and two answers to what happens when both actions are set.

    python analyses/non_identifiable.py [--quick] [--output FOLDER]

Two actions, each with a hidden cause C_k, standard normal. Where nobody sets action k it is its
cause: A_k := C_k. The outcome is

    Y := sin(A_1) + 0.5 C_1 + 0.7 A_2 - 0.4 C_2 + b (A_1 - C_1) (A_2 - C_2) + U

In one world b is 0 and the outcome adds up over the actions; in the other b is 1. Wherever one
action at most is set, one factor of the product is zero, and the two worlds have the same rows.
With both set their means differ by b a_1 a_2. So no method can tell the worlds apart by data on
one action at a time, nor any check that uses such data. The additive model answers for b = 0,
with narrow bands: they hold if additivity does. A few rows with both actions set do tell.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import bayes_intgen as bi
from bayes_intgen.plots.bands import draw_bands

from _scores import cover, rms, timed
from _tables import print_table, write_table

WORLDS = {"additive world": 0.0, "interacting world": 1.0}
COLOURS = {"additive world": "C2", "interacting world": "C3"}
NAMES = ("a1", "a2")
REACH = 2.0  # settings are uniform from -REACH to REACH
NOISE_SD = 0.3
OBSERVED_ROWS, SET_ROWS = 800, 400
FAR = (1.5, 1.5)
JOINT_ROWS = (3, 5, 10, 20, 50, 100)
SETS = 40  # sets of joint rows, each with rows added one after another
THRESHOLD = 2.0


def sample(
    b: float, was_set: tuple[bool, bool], rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Actions, shape (rows, 2), and outcome of the world with this b in one regime."""
    causes = rng.normal(size=(rows, 2))
    settings = rng.uniform(-REACH, REACH, size=(rows, 2))
    actions = np.where(was_set, settings, causes)
    outcome = (
        np.sin(actions[:, 0])
        + 0.5 * causes[:, 0]
        + 0.7 * actions[:, 1]
        - 0.4 * causes[:, 1]
        + b * np.prod(actions - causes, axis=1)
        + rng.normal(scale=NOISE_SD, size=rows)
    )
    return actions, outcome


def joint_truth(b: float, points: np.ndarray) -> np.ndarray:
    """E[Y | do(a_1, a_2)]: the causes have mean zero and are independent."""
    return np.asarray(np.sin(points[:, 0]) + 0.7 * points[:, 1] + b * points.prod(axis=1))


def training_rows(b: float, share: float, seed: int) -> bi.RegimeData:
    """Rows of one world in which one action at most was set."""
    rng = np.random.default_rng(seed)
    masks = [(False, False), (True, False), (False, True)]
    counts = [int(share * n) for n in (OBSERVED_ROWS, SET_ROWS, SET_ROWS)]
    pieces = [sample(b, mask, n, rng) for mask, n in zip(masks, counts, strict=True)]
    return bi.RegimeData.from_arrays(
        np.concatenate([actions for actions, _ in pieces]),
        np.concatenate([outcome for _, outcome in pieces]),
        np.repeat(masks, counts, axis=0),
        NAMES,
    )


def z_scores(posterior: bi.Posterior, b: float, counts: tuple[int, ...], seed: int) -> np.ndarray:
    """How far the first rows with both actions set are from what the posterior expects.

    The statistic is the slope of the outcome on the product a_1 a_2. Outcomes drawn from the
    posterior give its mean and its standard deviation, which thus has both the noise of the
    rows and what is not known of the joint effect in it.
    """
    points, outcome = sample(b, (True, True), max(counts), np.random.default_rng(seed))
    drawn = posterior.outcome(points, seed=seed).to_numpy().reshape(-1, max(counts))
    product = points.prod(axis=1)
    scores = []
    for count in counts:
        weights = product[:count] / (product[:count] ** 2).sum()
        expected = drawn[:, :count] @ weights
        scores.append((outcome[:count] @ weights - expected.mean()) / expected.std())
    return np.array(scores)


def rows_needed(rejected: np.ndarray, share: float = 0.9) -> str:
    """The least number of joint rows from which on this share of sets is rejected."""
    enough = rejected.mean(axis=0) >= share
    for i, count in enumerate(JOINT_ROWS):
        if enough[i:].all():
            return str(count)
    return f"over {JOINT_ROWS[-1]}"


def draw_data(ax: Axes, worlds: dict[str, bi.RegimeData]) -> None:
    """The rows with the first action set: one world's dots lie in the other's circles."""
    marks = {"additive world": ("o", 28, "none"), "interacting world": (".", 14, "C3")}
    for name, data in worlds.items():
        rows = data.only([NAMES[0]])
        marker, size, face = marks[name]
        ax.scatter(
            rows.actions[:150, 0],
            rows.outcome[:150],
            marker=marker,
            s=size,
            facecolors=face,
            edgecolors=COLOURS[name],
            linewidths=0.8,
            label=f"{name}, b = {WORLDS[name]:.0f}",
        )
    ax.set_xlabel("a1, set")
    ax.set_ylabel("outcome")
    ax.set_title("Rows with one action set are the same")


def draw_answer(ax: Axes, posterior: bi.Posterior) -> None:
    """The posterior of the joint effect far out, and the truth of each world."""
    along = np.linspace(-REACH, REACH, 80)
    points = np.stack([along, np.full(80, FAR[1])], axis=1)
    draws = posterior.joint_effect(points).to_numpy().reshape(-1, 80)
    draw_bands(ax, along, draws, (0.5, 0.9), "C0")
    for name, b in WORLDS.items():
        ax.plot(
            along,
            joint_truth(b, points),
            color=COLOURS[name],
            linestyle="--",
            label=f"truth, {name}",
        )
    ax.set_xlabel("a1, set")
    ax.set_ylabel(f"mean outcome, a2 set to {FAR[1]:g}")
    ax.set_title("One answer, two truths")


def draw_check(ax: Axes, scores: dict[str, np.ndarray]) -> None:
    """The z-score against the number of joint rows, a thin line a set of rows."""
    for name, values in scores.items():
        for line in values[:15]:
            ax.plot(JOINT_ROWS, line, color=COLOURS[name], linewidth=0.6, alpha=0.5)
        ax.plot(
            JOINT_ROWS,
            np.median(values, axis=0),
            color=COLOURS[name],
            linewidth=2.2,
            label=f"{name}, median",
        )
    for sign in (-1, 1):
        ax.axhline(sign * THRESHOLD, color="k", linestyle=":", linewidth=1, label="_")
    ax.axhline(np.nan, color="k", linestyle=":", linewidth=1, label="plus or minus 2")
    ax.set_xscale("log")
    ax.set_xticks(JOINT_ROWS, [str(n) for n in JOINT_ROWS])
    ax.minorticks_off()
    ax.set_xlabel("rows with both actions set")
    ax.set_ylabel("z-score of the slope on a1 a2")
    ax.set_title("A few joint rows tell")


def draw_figure(
    worlds: dict[str, bi.RegimeData],
    posterior: bi.Posterior,
    scores: dict[str, np.ndarray],
    path: Path,
) -> None:
    """What the worlds share, what is inferred from it, and what tells them apart."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    draw_data(axes[0], worlds)
    draw_answer(axes[1], posterior)
    draw_check(axes[2], scores)
    for ax in axes:
        ax.legend(frameon=False, fontsize=8, loc="upper left")
        low, high = ax.get_ylim()
        # Room above for the legend.
        ax.set_ylim(low, high + 0.15 * (high - low))
    figure.savefig(path.with_suffix(".png"), dpi=150)
    figure.savefig(path.with_suffix(".svg"))
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows and draws, for a test")
    parser.add_argument("--output", type=Path, default=Path("output/non_identifiable"))
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    size = {"draws": 100, "warmup": 100, "chains": 2} if chosen.quick else {}
    share = 0.25 if chosen.quick else 1.0

    worlds = {name: training_rows(b, share, chosen.seed) for name, b in WORLDS.items()}
    first, second = worlds.values()
    # Not close but equal: a factor of the product is zero to the last bit.
    same = bool(
        np.array_equal(first.actions, second.actions)
        and np.array_equal(first.outcome, second.outcome)
    )
    assert same, "the two worlds must have the same rows"
    print(first)
    print("The two worlds have the same rows, to the last bit.")

    rows: list[dict[str, str]] = []

    def note(world: str, what: str, value: str) -> None:
        rows.append({"world": world, "what": what, "value": value})

    note("both", "training rows are equal", "yes")
    posterior, seconds = timed(lambda: bi.fit(first, seed=chosen.seed, **size))
    print(f"Additive model fitted in {seconds:.0f} s")
    saturated, seconds = timed(
        lambda: bi.fit(first, bi.models.saturated(), seed=chosen.seed, **size)
    )
    print(f"Saturated model fitted in {seconds:.0f} s")

    far = np.array([FAR])
    draws = posterior.joint_effect(far).to_numpy()
    low, high = np.quantile(draws, [0.05, 0.95])
    where = f"joint effect at ({FAR[0]:g}, {FAR[1]:g})"
    note("both", f"{where}, posterior mean", f"{draws.mean():.3f}")
    note("both", f"{where}, 90% band", f"{low:.3f} to {high:.3f}")
    grid = np.linspace(-REACH, REACH, 21)
    square = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    over = posterior.joint_effect(square).to_numpy()
    for name, b in WORLDS.items():
        truth = joint_truth(b, square)
        note(name, f"{where}, truth", f"{joint_truth(b, far)[0]:.3f}")
        note(
            name, "root mean square error over the square", f"{rms(over.mean((0, 1)) - truth):.3f}"
        )
        note(name, "cover of 90% bands over the square", f"{cover(over, truth, 0.9):.2f}")

    models = {"additive": posterior, "saturated": saturated}
    found = {
        name: az.loo(fitted.with_log_likelihood(first, rows=None), pointwise=True)
        for name, fitted in models.items()
    }
    for name, elpd in found.items():
        above = int((elpd.pareto_k > elpd.good_k).sum())
        note("both", f"rows of {len(first)} with a Pareto k that is too high, {name}", str(above))
    table = az.compare(found, reference="additive", round_to="none")
    gain, error = (float(table.loc["saturated", column]) for column in ("elpd_diff", "dse"))
    note("both", "elpd of saturated less additive, training rows", f"{gain:.1f}")
    note("both", "its standard error", f"{error:.1f}")

    seeds = [1000 + i for i in range(SETS)]
    scores = {
        name: np.stack([z_scores(posterior, b, JOINT_ROWS, seed) for seed in seeds])
        for name, b in WORLDS.items()
    }
    for name, values in scores.items():
        rejected = np.abs(values) > THRESHOLD
        for i, count in enumerate(JOINT_ROWS):
            note(name, f"median z-score, {count} joint rows", f"{np.median(values[:, i]):.1f}")
            note(
                name,
                f"share of {SETS} sets rejected, {count} joint rows",
                f"{rejected[:, i].mean():.2f}",
            )
        if b := WORLDS[name]:
            what = f"joint rows for 90% of sets to be rejected, b = {b:g}"
            note(name, what, rows_needed(rejected))

    print()
    print_table(rows)
    write_table(chosen.output / "non_identifiable.csv", rows, "python analyses/non_identifiable.py")
    draw_figure(worlds, posterior, scores, chosen.output / "non_identifiable")
    print(f"\nFigure and table are in {chosen.output}")


if __name__ == "__main__":
    main()

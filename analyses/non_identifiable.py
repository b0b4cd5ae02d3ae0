"""Non-identifiability: two worlds with the same data and different joint effects.

    python analyses/non_identifiable.py [--quick] [--output FOLDER]

Two actions, each with a standard normal hidden cause C_k. In observational rows A_k := C_k. The
outcome is

    Y := sin(A_1) + 0.5 C_1 + 0.7 A_2 - 0.4 C_2 + b (A_1 - C_1) (A_2 - C_2) + U

In one world b is 0 and the outcome is additive in the actions; in the other b is 1. With at most
one intervened action, one factor of the product is zero, and the two worlds have the same rows.
Under joint interventions their means differ by b a_1 a_2. No method, nor any check, can distinguish
the worlds from single interventions. The additive model estimates the world with b = 0, with narrow
intervals that are valid only under additivity. A few joint rows distinguish the worlds.
"""

from pathlib import Path

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import bayes_intgen as bi
from bayes_intgen.plots.bands import draw_bands

from _figures import headroom, legend, log_scale, save_figure
from _scores import coverage, rms, timed
from _study import story_arguments
from _tables import publish_table

WORLDS = {"additive world": 0.0, "interacting world": 1.0}
COLOURS = {"additive world": "C2", "interacting world": "C3"}
NAMES = ("a1", "a2")
REACH = 2.0  # settings are uniform from -REACH to REACH
NOISE_SD = 0.3
OBSERVED_ROWS, SET_ROWS = 800, 400
EXTREME_POINT = (1.5, 1.5)
JOINT_ROWS = (3, 5, 10, 20, 50, 100)
SETS = 40  # random sequences of joint rows; each check uses the first rows
THRESHOLD = 2.0


def sample(
    b: float, was_set: tuple[bool, bool], rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sample actions, shape (rows, 2), and outcomes of the world with this b in one regime."""
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
    """Sample observational rows and single interventions of one world."""
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
    """Posterior predictive z-scores of the slope on a_1 a_2 over the first joint rows.

    Outcomes from the posterior predictive give the slope's mean and standard deviation, which
    includes both the noise of the rows and the uncertainty of the joint effect.
    """
    points, outcome = sample(b, (True, True), max(counts), np.random.default_rng(seed))
    prediction = posterior.outcome(points, seed=seed).to_numpy().reshape(-1, max(counts))
    product = points.prod(axis=1)
    scores = []
    for count in counts:
        weights = product[:count] / (product[:count] ** 2).sum()
        expected = prediction[:, :count] @ weights
        scores.append((outcome[:count] @ weights - expected.mean()) / expected.std())
    return np.array(scores)


def rows_needed(rejected: np.ndarray, share: float = 0.9) -> str:
    """Smallest number of joint rows from which at least this share of sets is rejected."""
    enough = rejected.mean(axis=0) >= share
    for i, count in enumerate(JOINT_ROWS):
        if enough[i:].all():
            return str(count)
    return f"over {JOINT_ROWS[-1]}"


def draw_data(ax: Axes, worlds: dict[str, bi.RegimeData]) -> None:
    """Plot rows under do(a1): dots of one world coincide with circles of the other."""
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
    ax.set_title("Same rows under single interventions")


def draw_answer(ax: Axes, posterior: bi.Posterior) -> None:
    """Plot the posterior of the joint effect at extreme points, and each world's true effect."""
    along = np.linspace(-REACH, REACH, 80)
    points = np.stack([along, np.full(80, EXTREME_POINT[1])], axis=1)
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
    ax.set_ylabel(f"mean outcome, a2 set to {EXTREME_POINT[1]:g}")
    ax.set_title("One posterior, two true effects")


def draw_check(ax: Axes, scores: dict[str, np.ndarray]) -> None:
    """Plot z-scores against the number of joint rows, one thin line per set of rows."""
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
    log_scale(ax, "x", JOINT_ROWS)
    ax.set_xlabel("rows with both actions set")
    ax.set_ylabel("z-score of the slope on a1 a2")
    ax.set_title("A few joint rows distinguish them")


def draw_figure(
    worlds: dict[str, bi.RegimeData],
    posterior: bi.Posterior,
    scores: dict[str, np.ndarray],
    path: Path,
) -> None:
    """Plot shared rows, the posterior from them, and the check by joint rows."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    draw_data(axes[0], worlds)
    draw_answer(axes[1], posterior)
    draw_check(axes[2], scores)
    for ax in axes:
        legend(ax, loc="upper left")
        headroom(ax, 0.15)
    save_figure(figure, path)


class Findings:
    """Table of results, one row per statement about one world or both."""

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []

    def note(self, world: str, what: str, value: str) -> None:
        """Add a row."""
        self.rows.append({"world": world, "what": what, "value": value})


def note_effects(findings: Findings, posterior: bi.Posterior) -> None:
    """Compare the joint effect with each world's true effect."""
    far = np.array([EXTREME_POINT])
    draws = posterior.joint_effect(far).to_numpy()
    low, high = np.quantile(draws, [0.05, 0.95])
    where = f"joint effect at ({EXTREME_POINT[0]:g}, {EXTREME_POINT[1]:g})"
    findings.note("both", f"{where}, posterior mean", f"{draws.mean():.3f}")
    findings.note("both", f"{where}, 90% band", f"{low:.3f} to {high:.3f}")
    grid = np.linspace(-REACH, REACH, 21)
    square = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    over = posterior.joint_effect(square).to_numpy()
    for name, b in WORLDS.items():
        truth = joint_truth(b, square)
        error = rms(over.mean((0, 1)) - truth)
        share = coverage(over, truth, 0.9)
        findings.note(name, f"{where}, truth", f"{joint_truth(b, far)[0]:.3f}")
        findings.note(name, "root mean square error over the square", f"{error:.3f}")
        findings.note(name, "coverage of 90% bands over the square", f"{share:.2f}")


def note_comparison(
    findings: Findings, data: bi.RegimeData, posterior: bi.Posterior, saturated: bi.Posterior
) -> None:
    """Compare both models by leave-one-out cross-validation on the training rows."""
    models = {"additive": posterior, "saturated": saturated}
    elpds = {
        name: az.loo(fitted.to_arviz(data, rows=None), pointwise=True)
        for name, fitted in models.items()
    }
    for name, elpd in elpds.items():
        above = int((elpd.pareto_k > elpd.good_k).sum())
        what = f"rows of {len(data)} with a Pareto k that is too high, {name}"
        findings.note("both", what, str(above))
    table = az.compare(elpds, reference="additive", round_to="none")
    gain, error = (float(table.loc["saturated", column]) for column in ("elpd_diff", "dse"))
    findings.note("both", "elpd of saturated less additive, training rows", f"{gain:.1f}")
    findings.note("both", "its standard error", f"{error:.1f}")


def note_scores(findings: Findings, scores: dict[str, np.ndarray]) -> None:
    """Power of the check by joint rows in each world."""
    for name, values in scores.items():
        rejected = np.abs(values) > THRESHOLD
        for i, count in enumerate(JOINT_ROWS):
            median, share = np.median(values[:, i]), rejected[:, i].mean()
            findings.note(name, f"median z-score, {count} joint rows", f"{median:.1f}")
            what = f"share of {SETS} sets rejected, {count} joint rows"
            findings.note(name, what, f"{share:.2f}")
        if b := WORLDS[name]:
            what = f"joint rows for 90% of sets to be rejected, b = {b:g}"
            findings.note(name, what, rows_needed(rejected))


def main() -> None:
    """Run from the command line."""
    args = story_arguments(__doc__, "non_identifiable").parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    size = {"draws": 100, "warmup": 100, "chains": 2} if args.quick else {}
    share = 0.25 if args.quick else 1.0

    worlds = {name: training_rows(b, share, args.seed) for name, b in WORLDS.items()}
    first, second = worlds.values()
    # Exactly equal: a factor of the product is zero to the last bit.
    same = bool(
        np.array_equal(first.actions, second.actions)
        and np.array_equal(first.outcome, second.outcome)
    )
    assert same, "the two worlds must have the same rows"
    print(first)
    print("The two worlds have the same rows, to the last bit.")
    findings = Findings()
    findings.note("both", "training rows are equal", "yes")

    posterior, seconds = timed(lambda: bi.fit(first, seed=args.seed, **size))
    print(f"Additive model fitted in {seconds:.0f} s")
    model = bi.models.saturated()
    saturated, seconds = timed(lambda: bi.fit(first, model, seed=args.seed, **size))
    print(f"Saturated model fitted in {seconds:.0f} s")
    note_effects(findings, posterior)
    note_comparison(findings, first, posterior, saturated)
    scores = {
        name: np.stack([z_scores(posterior, b, JOINT_ROWS, 1000 + i) for i in range(SETS)])
        for name, b in WORLDS.items()
    }
    note_scores(findings, scores)

    print()
    table = args.output / "non_identifiable.csv"
    publish_table(table, findings.rows, "python analyses/non_identifiable.py")
    draw_figure(worlds, posterior, scores, args.output / "non_identifiable")
    print(f"\nFigure and table are in {args.output}")


if __name__ == "__main__":
    main()

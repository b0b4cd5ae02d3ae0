"""The loop from rows to a decision to the next experiment, against experiments chosen otherwise.

    python analyses/experiment_loop.py [--models 60] [--processes 2] [--quick] [--output FOLDER]

Firms with three channels, as in `media_mix.py`, have a short history and a small lift test per
channel, and split a fixed budget. They collect rows in batches of equal size: of a test of one
channel or of all channels at once, or of more history; where a test of all is out of the question,
of the others. A firm that runs the experiment with the highest expected value of sample
information, fits again, and so on, is compared with one that chooses at random and one that runs
all in turn. After each batch the best plan of the posterior is compared with the simulator's.

The measure is the share of rows: the further rows with which the chosen experiments have the mean
regret of the others, over those of the others. It is given for the simulator's regret, and for the
posterior's expected regret, which varies less between firms. Rows of the same experiment are the
same in all loops. Fits are Laplace approximations, which take a fraction of the time.
"""

import zlib
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from decide import decision_of, true_best
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import bayes_intgen as bi
from bayes_intgen.simulators import MediaMix

from _figures import column, headroom, legend, save_figure
from _study import Row, arguments, command_of, publish_study
from _tables import print_table
from media_mix import CHANNELS

HISTORY_ROWS, LIFT_ROWS = 300, 50
BATCH, N_BATCHES, EVERY = 50, 6, 2
STRATEGIES = ("chosen", "random", "equal")
LABELS = {"chosen": "highest value", "random": "at random", "equal": "all in turn"}
COLOURS = {"chosen": "C0", "random": "C3", "equal": "C2"}
Regime = tuple[str, ...]
REGIMES: tuple[Regime, ...] = (*((name,) for name in CHANNELS), (), tuple(CHANNELS))
# Experiments to choose from.
KINDS: dict[str, tuple[Regime, ...]] = {
    "every test": REGIMES,
    "one channel at a time": REGIMES[:-1],
}
# Firms of the study; those of other seeds were used to write it.
FIRST_SEED = 60_000
N_BOOTSTRAP = 2_000


def rows_of(firm: MediaMix, regime: Sequence[str], count: int, seed: int, batch: int) -> Row:
    """Rows of a regime: actions, outcome and names of the actions set."""
    stream = zlib.crc32("+".join(regime).encode())
    spend, sales = firm.sample(list(regime), count, np.random.default_rng([seed, stream, batch]))
    return {"actions": spend, "outcome": sales, "intervened": list(regime)}


def fit(pieces: Sequence[Row], seed: int) -> bi.Posterior:
    """Fit all rows collected so far."""
    mask = [np.isin(CHANNELS, own["intervened"]) for own in pieces]
    data = bi.RegimeData.from_arrays(
        np.concatenate([own["actions"] for own in pieces]),
        np.concatenate([own["outcome"] for own in pieces]),
        np.repeat(mask, [len(own["outcome"]) for own in pieces], axis=0),
        names=CHANNELS,
    )
    return bi.fit(data, method="laplace", seed=seed, progress=False)


def next_regime(
    strategy: str,
    regimes: Sequence[Regime],
    posterior: bi.Posterior | None,
    decision: bi.Decision,
    step: int,
    rng: np.random.Generator,
) -> Regime:
    """Actions that are set in the next batch."""
    if strategy == "random":
        return regimes[rng.integers(len(regimes))]
    if strategy == "equal":
        return regimes[step % len(regimes)]
    assert posterior is not None
    plans = [bi.Experiment(own or None, BATCH) for own in regimes]
    table = posterior.experiments(decision, plans, beyond_support=True)
    return regimes[[own.label for own in plans].index(str(table.experiment[0].item()))]


def run_loop(seed: int, kind: str, strategy: str, batches: int) -> list[Row]:
    """Regrets of one firm after every second batch of rows."""
    firm = MediaMix.random(len(CHANNELS), seed)
    pieces = [
        rows_of(firm, own, LIFT_ROWS if own else HISTORY_ROWS, seed, 0)
        for own in REGIMES
        if len(own) <= 1
    ]
    history = pieces[-1]["actions"]
    today = dict(zip(CHANNELS, np.median(history, axis=0).tolist(), strict=True))
    decision = decision_of(today, sum(today.values()))
    limit = float(firm.joint_effect(true_best(firm, decision)[None])[0])
    rng = np.random.default_rng([seed, STRATEGIES.index(strategy)])
    counts = dict.fromkeys(REGIMES, 0)
    rows = []
    for step in range(batches + 1):
        reported = step % EVERY == 0
        posterior = fit(pieces, seed) if reported or strategy == "chosen" else None
        if reported:
            assert posterior is not None
            plan = posterior.best(decision, "mean", beyond_support=True)
            point = [[float(plan.point[name]) for name in CHANNELS]]
            rows.append(
                {
                    "seed": seed,
                    "kind": kind,
                    "strategy": strategy,
                    "batches": batches,
                    "further rows": step * BATCH,
                    "regret": max(limit - float(firm.joint_effect(point)[0]), 0.0),
                    "expected regret": float(plan.regret.mean()),
                    **{
                        bi.Experiment(own or None, BATCH).label: count
                        for own, count in counts.items()
                    },
                }
            )
        if step < batches:
            regime = next_regime(strategy, KINDS[kind], posterior, decision, step, rng)
            pieces.append(rows_of(firm, regime, BATCH, seed, counts[regime] + 1))
            counts[regime] += 1
    return rows


def curves(
    rows: list[dict[str, str]], of: str = "regret"
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Numbers of further rows, and regrets per strategy, shape (firms, numbers)."""
    numbers = np.unique(column(rows, "further rows"))
    regrets = {}
    for name in STRATEGIES:
        own = [row for row in rows if row["strategy"] == name]
        regrets[name] = column(own, of).reshape(-1, len(numbers))
    return numbers, regrets


def share_of_rows(numbers: np.ndarray, chosen: np.ndarray, other: np.ndarray) -> float:
    """Rows with which the chosen experiments have the mean regret of others, as a share of theirs.

    By linear interpolation, on average over the numbers of rows of the others; 1 where the chosen
    experiments do not have that regret before.
    """
    chosen, goals = chosen.mean(axis=0), other.mean(axis=0)
    shares = []
    for number, goal in zip(numbers[1:], goals[1:], strict=True):
        end = int((chosen <= goal).argmax())
        if chosen[end] > goal or numbers[end] > number:
            shares.append(1.0)
        elif end == 0:
            shares.append(0.0)
        else:
            part = (chosen[end - 1] - goal) / (chosen[end - 1] - chosen[end])
            at = numbers[end - 1] + part * (numbers[end] - numbers[end - 1])
            shares.append(float(at / number))
    return float(np.mean(shares))


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Mean regrets with standard errors, and shares of rows with 90% intervals."""
    return [line for kind in KINDS for line in _lines(kind, of_kind(rows, kind))]


def of_kind(rows: list[dict[str, str]], kind: str) -> list[dict[str, str]]:
    """Rows of one choice of experiments."""
    return [row for row in rows if row["kind"] == kind]


def _lines(kind: str, rows: list[dict[str, str]]) -> list[Row]:
    """Summary of one choice of experiments, a line per strategy."""
    numbers, regrets = curves(rows)
    _, expected = curves(rows, "expected regret")
    lines = []
    for name, own in regrets.items():
        line: Row = {"experiments": kind, "chosen by": LABELS[name], "firms": len(own)}
        for number, values in zip(numbers, own.T, strict=True):
            error = values.std(ddof=1) / np.sqrt(len(values))
            line[f"regret, {number:.0f} rows"] = f"{values.mean():.2f} +- {error:.2f}"
        for of, curve in (("regret", regrets), ("expected regret", expected)):
            text = "" if name == "chosen" else _share(numbers, curve["chosen"], curve[name])
            line[f"share of rows, {of}"] = text
        last = [
            row
            for row in rows
            if row["strategy"] == name and float(row["further rows"]) == numbers[-1]
        ]
        for regime in REGIMES:
            label = bi.Experiment(regime or None, BATCH).label
            line[label] = round(BATCH * float(column(last, label).mean()))
        lines.append(line)
    return lines


def _share(numbers: np.ndarray, chosen: np.ndarray, other: np.ndarray) -> str:
    """Share of rows with its 90% interval, from a bootstrap over firms."""
    picks = np.random.default_rng(0).integers(0, len(other), (N_BOOTSTRAP, len(other)))
    shares = [share_of_rows(numbers, chosen[i], other[i]) for i in picks]
    low, high = np.quantile(shares, [0.05, 0.95])
    return f"{share_of_rows(numbers, chosen, other):.2f} ({low:.2f} to {high:.2f})"


def draw_regrets(ax: Axes, kind: str, rows: list[dict[str, str]]) -> None:
    """Mean regret against further rows, with one standard error."""
    numbers, regrets = curves(rows)
    for name, own in regrets.items():
        mean, error = own.mean(axis=0), own.std(axis=0, ddof=1) / np.sqrt(len(own))
        ax.fill_between(
            numbers, mean - error, mean + error, color=COLOURS[name], alpha=0.15, linewidth=0
        )
        ax.plot(
            numbers, mean, "o-", color=COLOURS[name], markersize=4, label=f"{LABELS[name]}, ± 1 se"
        )
    ax.set_ylim(bottom=0)
    ax.set_xlabel("further rows")
    ax.set_title(kind.capitalize())
    legend(ax, loc="upper right")


def draw_counts(ax: Axes, lines: list[Row]) -> None:
    """Mean number of rows of each experiment, for the highest value."""
    labels = [bi.Experiment(own or None, BATCH).label for own in REGIMES]
    own = [line for line in lines if line["chosen by"] == LABELS["chosen"]]
    for i, line in enumerate(own):
        heights = [line[label] for label in labels]
        ax.bar(
            np.arange(len(labels)) + 0.4 * (i - 0.5),
            heights,
            0.38,
            color=("C0", "C9")[i],
            label=line["experiments"],
        )
    ax.set_xticks(range(len(labels)), [*CHANNELS, "history", "all three"])
    ax.set_xlabel("experiment")
    ax.set_ylabel("mean number of rows")
    ax.set_title("Experiments of the highest value")
    legend(ax, loc="upper left")
    headroom(ax, 0.2)


def draw_figure(rows: list[dict[str, str]], lines: list[Row]) -> Figure:
    """Regrets for each choice of experiments, and the experiments of the highest value."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
    for ax, kind in zip(axes, KINDS, strict=False):
        draw_regrets(ax, kind, of_kind(rows, kind))
    axes[0].set_ylabel("mean regret: weekly sales lost (thousands)")
    axes[1].sharey(axes[0])
    draw_counts(axes[2], lines)
    return figure


def main() -> None:
    """Run from the command line."""
    args = arguments(__doc__, models=60).parse_args()
    models, batches = (2, 2) if args.quick else (args.models, N_BATCHES)
    jobs = [
        {
            "seed": FIRST_SEED + i,
            "kind": kind,
            "strategy": name,
            "batches": batches,
        }
        for i in range(models)
        for kind in KINDS
        for name in STRATEGIES
    ]
    args.models = models
    command = command_of("experiment_loop", args, "models")
    rows, lines = publish_study("experiment_loop", args, run_loop, jobs, command, summary)
    print_table(lines)
    save_figure(draw_figure(rows, lines), args.output / "experiment_loop")


if __name__ == "__main__":
    main()

"""Interacting actions: errors and coverage of the joint effect, and what additive worlds pay.

    python analyses/interactions.py [--models 40] [--rows 1000] [--kinds KIND ...] [--quick]

Random worlds in which one pair of two actions, or two pairs of four, interact: by a product, by a
product of a saturating and a linear function, or by a random table of named levels. The interaction
has 5, 15 or 30% of the variance of the joint effect; without one the same world is fitted with and
without candidates for interactions. Regimes are the observational rows and one action set at a
time. Errors are relative to those in the same world, with the same noise, without the interaction.
Seconds are those of the processor. An interrupted run resumes.
"""

import time
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import bayes_intgen as bi
from bayes_intgen.simulators import DoseResponse, MediaMix, Ordered, Polynomial

from _figures import column, save_figure
from _scores import QUICK, STUDY, coverage, mean_and_error, rms
from _study import Row, add_kinds, arguments, command_of, publish_study

POINTS = 100
KINDS = ("product", "saturating", "table")
COUNTS = (2, 4)
SHARES = (0.0, 0.05, 0.15, 0.3)
BASES = (MediaMix, DoseResponse, Polynomial)
LEVELS = np.array(["low", "middle", "high"], dtype=object)


class World:
    """A random world, with interactions that have a share of the joint effect's variance."""

    def __init__(self, kind: str, count: int, share: float, seed: int) -> None:
        rng = np.random.default_rng([seed, count, KINDS.index(kind)])
        self.kind = kind
        self.base = Ordered.random(count, seed) if kind == "table" else BASES[seed % 3].random(
            count, seed
        )  # fmt: skip
        pairs = list(combinations(range(count), 2))
        chosen = rng.permutation(len(pairs))[: max(1, count // 2)]
        self.pairs = [pairs[i] for i in chosen]
        self.tables = [rng.normal(size=(3, 3)) for _ in self.pairs]
        self.swapped = (rng.random(len(self.pairs)) < 0.5).tolist()
        draws = self.base.sample(self.base.names, 4000, np.random.default_rng([seed, 3]))[0]
        self.mean, self.sd = draws.mean(axis=0), draws.std(axis=0)
        variance = np.var(self.base.joint_effect(draws))
        self.scale = 1.0
        unscaled = self.interaction(draws).std()
        self.scale = float(np.sqrt(share / (1 - share) * variance) / unscaled)

    def interaction(self, actions: np.ndarray) -> np.ndarray:
        """Sum of the interactions at actions, shape (n,)."""
        out = np.zeros(len(actions))
        z = (actions - self.mean) / self.sd
        for (j, k), table, swapped in zip(self.pairs, self.tables, self.swapped, strict=True):
            if self.kind == "table":
                out += table[actions[:, j].astype(int), actions[:, k].astype(int)]
                continue
            one, other = (z[:, k], z[:, j]) if swapped else (z[:, j], z[:, k])
            out += (one if self.kind == "product" else np.tanh(1.5 * one)) * other
        return self.scale * out

    def data(self, rows: int, seed: int) -> bi.RegimeData:
        """Rows of each regime."""
        base = self.base.dataset(rows, seed)
        outcome = base.outcome + self.interaction(base.actions)
        return bi.RegimeData.from_arrays(
            self.values(base.actions), outcome, base.intervened, base.names
        )

    def values(self, actions: np.ndarray) -> np.ndarray:
        """Actions as in a table: levels by name."""
        return LEVELS[actions.astype(int)] if self.kind == "table" else actions

    def points(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Points of the experiments' own distributions, and the joint effect there."""
        points = self.base.sample(self.base.names, POINTS, np.random.default_rng(seed))[0]
        return self.values(points), self.base.joint_effect(points) + self.interaction(points)


def score(kind: str, actions: int, seed: int, rows: int, quick: bool) -> list[Row]:
    """Score fits to one world with each share of interaction."""
    shares = (0.0, 0.3) if quick else SHARES
    settings, prior = (QUICK, "linear") if quick else (STUDY, "gp")
    fits = [(share, "auto") for share in shares] + [(0.0, None)]
    lines = []
    for share, interactions in fits[:: 1 if seed % 2 else -1]:
        world = World(kind, actions, share, seed)
        data = world.data(rows, seed + 10_000)
        points, truth = world.points(seed + 20_000)
        model = bi.models.additive(prior, interactions=interactions)
        began = time.process_time()
        posterior = bi.fit(data, model, seed=seed, progress=False, **settings)
        seconds = time.process_time() - began
        answer = posterior.joint_effect(points)
        effect = answer.transpose("chain", "draw", ...).to_numpy()
        supported = answer["supported"].to_numpy()
        true_pairs = {tuple(sorted(pair)) for pair in world.pairs}
        selected = set(posterior.terms.interactions)
        line: Row = {"kind": kind, "actions": actions, "seed": seed, "rows": rows, "quick": quick}
        line |= {"share": share, "candidates": interactions or "none"}
        line["error"] = f"{rms(effect.mean(axis=(0, 1)) - truth):.5f}"
        for percent in (50, 90):
            line[f"coverage{percent}"] = f"{coverage(effect, truth, percent / 100):.3f}"
        inside = coverage(effect[..., supported], truth[supported], 0.9) if supported.any() else ""
        line["coverage90 where supported"] = f"{inside:.3f}" if supported.any() else ""
        line["supported"] = f"{supported.mean():.2f}"
        line["true pairs"] = len(selected & true_pairs)
        line["other pairs"] = len(selected - true_pairs)
        line["pairs"] = len(true_pairs)
        line["seconds"] = f"{seconds:.2f}"
        lines.append(line)
    return lines


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Coverage, errors and times relative to the additive twin, per kind, count and share."""
    lines = []
    cases = dict.fromkeys((r["kind"], r["actions"], r["share"], r["candidates"]) for r in rows)
    groups = [
        *(("all", "all", share, "auto") for share in sorted({r["share"] for r in rows}, key=float)),
        *sorted(
            (case for case in cases if case[3] == "auto"),
            key=lambda case: (KINDS.index(case[0]), case[1], float(case[2])),
        ),
    ]
    for kind, actions, share, candidates in groups:
        world = [r for r in rows if kind in ("all", r["kind"]) and actions in ("all", r["actions"])]
        own = [r for r in world if (r["share"], r["candidates"]) == (share, candidates)]
        additive = [r for r in world if (float(r["share"]), r["candidates"]) == (0.0, "auto")]
        without = [r for r in world if r["candidates"] == "none"]
        twins = without if float(share) == 0 else additive
        line: Row = {"kind": kind, "actions": actions, "share": share, "worlds": len(own)}
        for name in ("coverage50", "coverage90"):
            mean, error = mean_and_error([float(r[name]) for r in own])
            line |= {name: f"{mean:.3f}", f"standard error of {name}": f"{error:.3f}"}
        inside = [float(r["coverage90 where supported"]) for r in own if r["supported"] != "0.00"]
        line["coverage90 where supported"] = f"{np.mean(inside):.3f}"
        ratios = column(own, "error") / column(twins, "error")
        line["error relative to"] = "no candidates" if float(share) == 0 else "no interaction"
        line["error ratio"] = f"{np.exp(np.log(ratios).mean()):.3f}"
        line["time ratio"] = ""
        if float(share) == 0:
            # The first fit of each world may compile; the order alternates.
            times = column(own, "seconds") / column(twins, "seconds")
            line["time ratio"] = f"{np.median(times):.3f}"
        line["true pairs"] = f"{column(own, 'true pairs').sum() / column(own, 'pairs').sum():.2f}"
        line["other pairs per fit"] = f"{column(own, 'other pairs').mean():.2f}"
        lines.append(line)
    return lines


def draw_figure(lines: list[Row], path: Path) -> None:
    """Plot coverage (left) and errors (right) by share of the interaction."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    cases = dict.fromkeys((line["kind"], line["actions"]) for line in lines)
    for i, case in enumerate(case for case in cases if case[0] != "all"):
        own = [line for line in lines if (line["kind"], line["actions"]) == case]
        shift = 0.45 * (i - 2.5)
        shares = 100 * column(own, "share") + shift
        style = "-" if case[1] == "2" else "--"
        label, color = f"{case[0]}, {case[1]} actions", f"C{KINDS.index(str(case[0]))}"
        error = 1.96 * column(own, "standard error of coverage90")
        left.errorbar(shares, column(own, "coverage90"), error, fmt=style, marker="o", markersize=3,
                      color=color, capsize=2)  # fmt: skip
        some = [line for line in own if float(line["share"]) > 0]
        right.plot(100 * column(some, "share"), column(some, "error ratio"), style, marker="o",
                   markersize=3, color=color, label=label)  # fmt: skip
    left.axhline(0.9, color="0.5", linewidth=0.8, linestyle=":")
    left.set_ylabel("coverage of 90% intervals")
    right.axhline(1.0, color="0.5", linewidth=0.8, linestyle=":")
    right.set_ylabel("error relative to no interaction")
    for ax in (left, right):
        ax.set_xlabel("share of the interaction in the effect's variance (%)")
    left.set_title("with 95% intervals over worlds", fontsize="small")
    figure.legend(loc="outside lower center", ncol=3, fontsize="small", frameon=False)
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=40, rows=1000)
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.rows = 2, 150
    jobs = [
        {"kind": kind, "actions": actions, "seed": seed, "rows": args.rows, "quick": args.quick}
        for seed in range(args.models)
        for actions in ((2,) if args.quick else COUNTS)
        for kind in args.kinds or KINDS
    ]
    command = command_of("interactions", args, "models", "rows")
    _, lines = publish_study("interactions", args, score, jobs, command, summary)
    draw_figure(lines, args.output / "interactions")


if __name__ == "__main__":
    main()

"""Do the bands mean what they say? Cover over known worlds, and simulation-based calibration.

    python analyses/calibration.py [--models 200] [--actions 3] [--rows 1000]
        [--simulations 200]

Cover: random models of all four simulators that satisfy the assumptions, default settings,
graph unknown; the share of joint points at which bands hold the true effect, and outcomes.
Ranks: outcomes drawn from the prior of the GP and of the spline model at fixed actions, fitted
again under the same prior; where sampling is right the ranks of the truths are uniform. Beside
them, for a quarter of the simulations, the default fit, which takes the variance function and
typical scales from the data, and as a negative control a wrong prior of the noise. Saves as
it goes, and a run that was stopped goes on where it was.
"""

from pathlib import Path
from typing import Any

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import bayes_intgen as bi
from bayes_intgen.simulators import DoseResponse, Linear, MediaMix, Polynomial

from _scores import QUICK, mean_and_error
from _study import Row, arguments, run_study
from _tables import print_table, write_table

WORLDS = {
    "polynomial": Polynomial,
    "linear": Linear,
    "media mix": MediaMix,
    "dose response": DoseResponse,
}
EXACT: dict[str, Any] = {"spread": "constant"}
# As the outcomes are simulated: one variance, every scale under its prior. Beside it the default
# fit, which estimates a variance function and typical scales from the same rows, and a wrong one.
MODELS: dict[str, dict[str, Any]] = {
    "gp": {"model": bi.models.additive("gp", **EXACT), "simplify": False},
    "spline": {"model": bi.models.additive("spline", **EXACT), "simplify": False},
    "gp, default fit": {"model": bi.models.additive("gp")},
    "gp, wrong noise": {
        "model": bi.models.additive("gp", **EXACT),
        "fitted": bi.models.additive("gp", noise_scale=bi.LogNormal(0.05, 0.1), **EXACT),
    },
}
CONTROLS = ("gp, default fit", "gp, wrong noise")
# Of the smallest p value of a model, times their number (Bonferroni).
ALPHA = 0.01


def score_cover(seed: int, kind: str, actions: int, rows: int, quick: bool) -> list[Row]:
    """Cover and width of all bands in one world."""
    world = WORLDS[kind].random(actions, seed)
    found = bi.calibration.cover(world, rows=rows, seed=seed + 10_000, **(QUICK if quick else {}))
    job = {"seed": seed, "kind": kind, "actions": actions, "rows": rows, "quick": quick}
    return [
        {
            **job,
            "of": of,
            "level": float(level),
            "cover": f"{float(found['cover'].sel(of=of, level=level)):.4f}",
            "width": f"{float(found['width'].sel(of=of, level=level)):.5f}",
            "error": f"{float(found['error']):.6f}",
            "divergences": int(found["divergences"]),
        }
        for of in ("effect", "outcome")
        for level in found["level"].to_numpy()
    ]


def design(quick: bool) -> bi.RegimeData:
    """Actions and masks at which outcomes are simulated, on the scale of these outcomes."""
    world = DoseResponse.random(2, seed=5)
    return world.dataset(30 if quick else 60, seed=5)


def score_ranks(seed: int, name: str, quick: bool) -> list[Row]:
    """Ranks of one simulation's truths."""
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


def cover_lines(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Means over worlds with standard errors, for every kind and for all."""
    lines = []
    for of in ("effect", "outcome"):
        for kind in ("all", *WORLDS):
            for level in bi.calibration.LEVELS:
                own = [
                    row
                    for row in rows
                    if row["of"] == of
                    and float(row["level"]) == level
                    and kind in ("all", row["kind"])
                ]
                if len(own) < 2:
                    continue
                mean, error = mean_and_error([float(row["cover"]) for row in own])
                lines.append(
                    {
                        "bands of": of,
                        "kind": kind,
                        "worlds": len(own),
                        "level": level,
                        "cover": f"{mean:.4f}",
                        "standard error": f"{error:.4f}",
                        "mean width": f"{np.mean([float(row['width']) for row in own]):.3f}",
                    }
                )
    return lines


def rank_lines(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """P values of uniformity for every quantity of every model."""
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
    return np.array(
        [float(r["share"]) for r in rows if r["name"] == name and r["quantity"] == quantity]
    )


def draw_cover(lines: list[dict[str, Any]], path: Path) -> None:
    """Cover less nominal level, with two standard errors, for effects and outcomes."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharex=True, layout="constrained")
    for ax, of in zip(axes, ("effect", "outcome"), strict=True):
        ax.axhline(0, color="k", linewidth=1)
        for i, kind in enumerate(("all", *WORLDS)):
            own = [line for line in lines if line["bands of"] == of and line["kind"] == kind]
            at = np.arange(len(own)) + (i - 2) * 0.13
            gap = [100 * (float(line["cover"]) - line["level"]) for line in own]
            bars = [200 * float(line["standard error"]) for line in own]
            colour, size = ("k", 7) if kind == "all" else (f"C{i - 1}", 4)
            ax.errorbar(at, gap, bars, fmt="o", markersize=size, color=colour, label=kind)
        ax.set_xticks(
            range(len(bi.calibration.LEVELS)), [f"{v:.0%}" for v in bi.calibration.LEVELS]
        )
        ax.set_xlabel("nominal level of the band")
        what = "true joint effect" if of == "effect" else "joint outcomes"
        ax.set_title(f"bands of {'the ' if of == 'effect' else ''}{what}", fontsize=10)
        ax.grid(axis="y", alpha=0.25)
    axes[0].set_ylabel("cover less nominal level\n(points, +- 2 standard errors)")
    axes[1].legend(frameon=False, fontsize=8)
    _save(figure, path)


def draw_ranks(rows: list[dict[str, str]], path: Path) -> None:
    """ArviZ's picture of the ranks of the quantities that matter, a row a model."""
    chosen = ("joint_effect[0]", "joint_effect[1]", "intercept", "noise_sd")
    trees = {}
    for name in MODELS:
        shares = {q: _shares(rows, name, q) for q in chosen}
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
        _save(figure, path.with_name(f"{path.name}_{name.replace(', ', '_').replace(' ', '_')}"))


def _save(figure: Any, path: Path) -> None:
    for suffix in (".png", ".svg"):
        figure.savefig(path.parent / f"{path.name}{suffix}", dpi=150)
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=200, actions=3, rows=1000, simulations=200)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.models, chosen.actions, chosen.rows, chosen.simulations = 4, 2, 60, 1
    command = (
        f"python analyses/calibration.py --models {chosen.models} --actions {chosen.actions} "
        f"--rows {chosen.rows} --simulations {chosen.simulations}"
    )
    kinds = list(WORLDS)
    jobs = [
        {
            "seed": 1000 + i // len(kinds),
            "kind": kinds[i % len(kinds)],
            "actions": chosen.actions,
            "rows": chosen.rows,
            "quick": chosen.quick,
        }
        for i in range(chosen.models)
    ]
    path = chosen.output / "calibration_worlds.csv"
    lines = cover_lines(run_study(score_cover, jobs, path, command, chosen.processes))
    if lines:
        print_table([line for line in lines if line["kind"] == "all"])
        write_table(chosen.output / "calibration_cover.csv", lines, command)
        draw_cover(lines, chosen.output / "calibration_cover")

    jobs = [
        {"seed": seed, "name": name, "quick": chosen.quick}
        for name in MODELS
        for seed in range(chosen.simulations // (4 if name in CONTROLS else 1))
    ]
    path = chosen.output / "calibration_simulations.csv"
    rows = run_study(score_ranks, jobs, path, command, chosen.processes)
    lines = rank_lines(rows)
    if lines:
        print_table(lines)
        write_table(chosen.output / "calibration_ranks.csv", lines, command)
        draw_ranks(rows, chosen.output / "calibration_ranks")
        for name in MODELS:
            own = [float(line["p of uniformity"]) for line in lines if line["model"] == name]
            if own:
                verdict = "not uniform" if min(own) * len(own) < ALPHA else "no sign against it"
                print(f"{name}: smallest p of {len(own)} is {min(own):.4f}: {verdict}")


if __name__ == "__main__":
    main()

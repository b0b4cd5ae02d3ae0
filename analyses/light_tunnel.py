"""Main workflow, end to end: from a data file of a light tunnel to joint effects.

    python analyses/light_tunnel.py [--quick] [--output FOLDER]

A tunnel contains a light source with red, green and blue LEDs and an infrared sensor. The package
``causalchamber`` simulates the sensor with parameters fitted to the real device. Unmeasured
daylight leaks in, in each colour. An operator who sees a bright tunnel turns the LEDs of that
colour down, and turns green up a little with red. The leaked light reaches the sensor too, so
brightness and reading share a hidden cause in each colour.

The file has rows under the operator and rows in which an experimenter set one colour at random.
The estimand is the mean reading under joint interventions on all three colours.
"""

import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from causalchamber.simulators import lt

import bayes_intgen as bi
from bayes_intgen.plots.bands import draw_bands as band

from _figures import legend, save_figure
from _study import story_arguments
from _tables import publish_table

COLOURS = ["red", "green", "blue"]
LEAK_MEAN, LEAK_SD = 40.0, 15.0  # leaked light, in LED brightness units
READING_SD = 30.0

# Fitted to the device by the authors of causalchamber, from the tutorial of the simulator
# ``lt.Deterministic`` in version 0.2.8 of the package.
DEVICE = {
    "S": np.array([[4.34165202, 2.8594438, 1.91565691], [0.89410569, 1.58679242, 2.68477163]]),
    "d1": 0.1,
    "d2": 0.17,
    "d3": 0.25,
    "Ts": np.array([0.42685688, 0.41231782, 0.46652526]),
    "Tp": np.array([0.2909342, 0.29624314, 0.30526271]),
    "Tc": np.array([0.00431032, 0.01447611, 0.02041075]),
    "Q": np.array([0.12834946, 0.12870338, 0.13078523]),
    "C0": 58.13307318503893,
    "A": 1.42261211,
    "a1": 506.8049747171294,
    "a2": 510.98343062774353,
}


def infrared(light: np.ndarray) -> np.ndarray:
    """Infrared reading of the simulator for light of three colours, shape (n, 3)."""
    inputs = pd.DataFrame(light, columns=COLOURS)
    for name in lt.Deterministic.inputs_names:
        if name not in COLOURS:
            inputs[name] = 5.0 if name.startswith("v_") else 0.0
    return np.asarray(lt.Deterministic(**DEVICE).simulate_from_inputs(inputs)[0])


def run_tunnel(rows: int, colour: str | None, rng: np.random.Generator) -> pd.DataFrame:
    """Sample rows of one regime: under the operator, or with ``colour`` set at random."""
    leak = rng.normal(LEAK_MEAN, LEAK_SD, size=(rows, 3)).clip(0)
    level = np.empty((rows, 3))
    for k, name in enumerate(COLOURS):
        if name == colour:
            level[:, k] = rng.uniform(0, 255, size=rows)
        else:
            level[:, k] = 128 - 2.5 * (leak[:, k] - LEAK_MEAN) + rng.normal(scale=20, size=rows)
            if name == "green":
                level[:, k] += 0.3 * (level[:, 0] - 128)
    level = level.round().clip(0, 255)
    reading = infrared(level + leak) + rng.normal(scale=READING_SD, size=rows)
    frame = pd.DataFrame(level, columns=COLOURS)
    return frame.assign(infrared=reading.round(1), regime=colour)


def write_data(path: Path, rows: int, seed: int) -> None:
    """Write the data file, with twice as many observational rows as rows per experiment."""
    rng = np.random.default_rng(seed)
    pieces = [run_tunnel(2 * rows, None, rng), *(run_tunnel(rows, c, rng) for c in COLOURS)]
    pd.concat(pieces).sample(frac=1, random_state=seed).to_csv(path, index=False)


def truth(points: np.ndarray) -> np.ndarray:
    """True joint effect: the simulator is linear in light, so mean leakage gives the mean."""
    leak = np.random.default_rng(0).normal(LEAK_MEAN, LEAK_SD, size=1_000_000).clip(0).mean()
    return infrared(points + leak)


def effects(posterior: bi.Posterior) -> list[dict[str, str]]:
    """Joint effects with intervals, beside the simulator and the observational means."""
    settings = np.array(
        [[40, 40, 40], [40, 40, 215], [40, 215, 40], [215, 40, 40], [215, 215, 40],
         [215, 40, 215], [40, 215, 215], [215, 215, 215]],
        dtype=float,
    )  # fmt: skip
    effect = posterior.joint_effect(settings)
    mean = effect.mean(("chain", "draw")).to_numpy()
    low, high = effect.quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
    observational = posterior.effect(settings, intervened=[]).mean(("chain", "draw")).to_numpy()
    simulated = truth(settings)
    return [
        {
            **{name: f"{value:.0f}" for name, value in zip(COLOURS, point, strict=True)},
            "joint effect": f"{mean[i]:.1f}",
            "90% band": f"{low[i]:.1f} to {high[i]:.1f}",
            "simulator": f"{simulated[i]:.1f}",
            "only observed": f"{observational[i]:.1f}",
        }
        for i, point in enumerate(settings)
    ]


def draw_figure(posterior: bi.Posterior, path: Path) -> None:
    """Plot the joint effect with bands (top) and its error (bottom), one column per colour."""
    figure, axes = plt.subplots(
        2,
        3,
        figsize=(11, 6),
        sharex="col",
        sharey="row",
        height_ratios=[2, 1],
        layout="constrained",
    )
    for colour, (top, bottom) in zip(COLOURS, axes.T, strict=True):
        at = {name: 128.0 for name in COLOURS if name != colour}
        shade = f"tab:{colour}"
        posterior.plot_joint_effect(colour, at=at, color=shade, ax=top)
        along = np.asarray(top.lines[0].get_xdata(), dtype=float)
        points = np.stack([along if n == colour else np.full(100, 128.0) for n in COLOURS], axis=1)
        true_effect = truth(points)
        observational = posterior.effect(points, intervened=[]).mean(("chain", "draw"))
        top.plot(along, true_effect, "k--", linewidth=1.2, label="simulator")
        top.plot(along, observational, color="0.45", linestyle=":", label="observational mean")
        top.set_xlabel("")
        legend(top, loc="lower right")
        draws = posterior.joint_effect(points).to_numpy().reshape(-1, 100)
        band(bottom, along, draws - true_effect, (0.5, 0.9), shade)
        bottom.axhline(0, color="k", linestyle="--", linewidth=1.2)
        bottom.set_xlabel(f"{colour} brightness (0 to 255)")
        if colour == "red":
            top.set_ylabel("infrared reading, all colours set")
            bottom.set_ylabel("estimate less simulator")
        else:
            top.set_ylabel("")
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    args = story_arguments(__doc__, "light_tunnel").parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    file = args.output / "light_tunnel.csv"
    write_data(file, rows=100 if args.quick else 400, seed=args.seed)
    print(f"Data written to {file}")

    data = bi.RegimeData.from_frame(pd.read_csv(file), COLOURS, "infrared", "regime")
    print(data)
    began = time.perf_counter()
    posterior = bi.fit(
        data, seed=args.seed, **({"draws": 100, "warmup": 100} if args.quick else {})
    )
    print(f"Fitted in {time.perf_counter() - began:.0f} s")

    print("\nInfrared reading when all three colours are set, never seen together in the data:")
    table = args.output / "light_tunnel_effects.csv"
    publish_table(table, effects(posterior), "python analyses/light_tunnel.py")
    posterior.save(args.output / "light_tunnel.nc")
    with warnings.catch_warnings():
        # The figure hatches values that the data do not support.
        warnings.simplefilter("ignore", bi.SupportWarning)
        draw_figure(posterior, args.output / "light_tunnel")
    print(f"\nPosterior, figure and table are in {args.output}")


if __name__ == "__main__":
    main()

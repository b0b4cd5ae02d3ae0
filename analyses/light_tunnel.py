"""The main job, end to end: from a data file of a light tunnel to joint effects with bands.

    python analyses/light_tunnel.py [--quick] [--output FOLDER]

A tunnel holds a light source with red, green and blue LEDs and an infrared sensor. The
package ``causalchamber`` simulates the sensor with parameters fitted to the real device.
In each colour some daylight leaks in; nobody measures it. An operator who sees a bright
tunnel turns the LEDs of that colour down, and turns green up a little with red. The leaked
light reaches the sensor too, so brightness and reading share a hidden cause in each colour.

The file holds rows in which the operator ran the lights and rows in which an experimenter
set one colour at random. The question is what the sensor reads when all three are set.
"""

import argparse
import time
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from causalchamber.simulators import lt

import bayes_intgen as bi
from bayes_intgen.plots.bands import draw_bands as band

from _tables import print_table, write_table

COLOURS = ["red", "green", "blue"]
LEAK_MEAN, LEAK_SD = 40.0, 15.0  # leaked light, in LED brightness units
READING_SD = 30.0

# Fitted to the device by the authors of causalchamber, as given in the tutorial of the
# simulator ``lt.Deterministic`` that version 0.2.8 of the package contains.
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
    """The simulator's infrared reading for light of three colours, shape (n, 3)."""
    inputs = pd.DataFrame(light, columns=COLOURS)
    for name in lt.Deterministic.inputs_names:
        if name not in COLOURS:
            inputs[name] = 5.0 if name.startswith("v_") else 0.0
    return np.asarray(lt.Deterministic(**DEVICE).simulate_from_inputs(inputs)[0])


def run_tunnel(rows: int, colour: str | None, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of one regime: the operator runs the lights, or ``colour`` is set at random."""
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
    """Write the data file: twice as many observational rows as rows of each experiment."""
    rng = np.random.default_rng(seed)
    pieces = [run_tunnel(2 * rows, None, rng), *(run_tunnel(rows, c, rng) for c in COLOURS)]
    pd.concat(pieces).sample(frac=1, random_state=seed).to_csv(path, index=False)


def truth(points: np.ndarray) -> np.ndarray:
    """The simulator's own answer: it is linear in light, so mean leakage gives the mean."""
    leak = np.random.default_rng(0).normal(LEAK_MEAN, LEAK_SD, size=1_000_000).clip(0).mean()
    return infrared(points + leak)


def draw_figure(posterior: bi.Posterior, path: Path) -> None:
    """A column a colour: the joint effect with bands, and its distance from the truth."""
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
        answer = truth(points)
        seen = posterior.effect(points, intervened=[]).mean(("chain", "draw"))
        top.plot(along, answer, "k--", linewidth=1.2, label="simulator's answer")
        top.plot(along, seen, color="0.45", linestyle=":", label="mean when only observed")
        top.set_xlabel("")
        top.legend(frameon=False, fontsize=8, loc="upper left")
        draws = posterior.joint_effect(points).to_numpy().reshape(-1, 100)
        band(bottom, along, draws - answer, (0.5, 0.9), shade)
        bottom.axhline(0, color="k", linestyle="--", linewidth=1.2)
        bottom.set_xlabel(f"{colour} brightness (0 to 255)")
        if colour == "red":
            top.set_ylabel("infrared reading, all colours set")
            bottom.set_ylabel("estimate less simulator")
        else:
            top.set_ylabel("")
    figure.savefig(path.with_suffix(".png"), dpi=150)
    figure.savefig(path.with_suffix(".svg"))
    plt.close(figure)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows and draws, for a test")
    parser.add_argument("--output", type=Path, default=Path("output/light_tunnel"))
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)

    file = chosen.output / "light_tunnel.csv"
    write_data(file, rows=100 if chosen.quick else 400, seed=chosen.seed)
    print(f"Data written to {file}")

    data = bi.RegimeData.from_frame(pd.read_csv(file), COLOURS, "infrared", "regime")
    print(data)
    began = time.perf_counter()
    posterior = bi.fit(
        data, seed=chosen.seed, **({"draws": 100, "warmup": 100} if chosen.quick else {})
    )
    print(f"Fitted in {time.perf_counter() - began:.0f} s")

    settings = np.array(
        [[40, 40, 40], [40, 40, 215], [40, 215, 40], [215, 40, 40], [215, 215, 40],
         [215, 40, 215], [40, 215, 215], [215, 215, 215]],
        dtype=float,
    )  # fmt: skip
    effect = posterior.joint_effect(settings)
    mean = effect.mean(("chain", "draw")).to_numpy()
    low, high = effect.quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
    seen = posterior.effect(settings, intervened=[]).mean(("chain", "draw")).to_numpy()
    rows = [
        {
            **{name: f"{value:.0f}" for name, value in zip(COLOURS, point, strict=True)},
            "joint effect": f"{mean[i]:.1f}",
            "90% band": f"{low[i]:.1f} to {high[i]:.1f}",
            "simulator": f"{truth(settings)[i]:.1f}",
            "only observed": f"{seen[i]:.1f}",
        }
        for i, point in enumerate(settings)
    ]
    print("\nInfrared reading when all three colours are set, never seen together in the data:")
    print_table(rows)

    posterior.save(chosen.output / "light_tunnel.nc")
    draw_figure(posterior, chosen.output / "light_tunnel")
    write_table(chosen.output / "light_tunnel_effects.csv", rows, "python analyses/light_tunnel.py")
    print(f"\nPosterior, figure and table are in {chosen.output}")


if __name__ == "__main__":
    main()

"""Seconds of a question to a saved fit, whole process, beside those of importing NumPyro.

    python analyses/saved_fit_speed.py [--repetitions 15] [--quick]

Fits three actions, 1,000 rows per regime, and saves the posterior. New processes then, in turn,
import NumPyro, load the fit and compute one effect in Python, and run ``bayes-intgen effect``.
Each runs once before it is timed, so that its modules are compiled to bytecode.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

from _study import RESULTS, command_of
from _tables import publish_table

LOAD = """import warnings; warnings.simplefilter("ignore")
import bayes_intgen as bi
bi.load({path!r}).joint_effect([{point}])"""
REFERENCE = "import numpyro"


def questions(path: Path, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Commands by name, the reference first."""
    script = Path(sys.executable).with_name("bayes-intgen")
    point = [0.1] * len(names)
    setting = ",".join(f"{name}={value}" for name, value in zip(names, point, strict=True))
    return {
        REFERENCE: [sys.executable, "-c", REFERENCE],
        "bi.load and joint_effect": [
            sys.executable,
            "-c",
            LOAD.format(path=str(path), point=point),
        ],
        "bayes-intgen effect": [str(script), "effect", str(path), "--set", setting],
    }


def seconds_of(command: list[str]) -> float:
    """Wall-clock seconds of a process."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="two repetitions, for a test")
    parser.add_argument("--output", type=Path, help="folder of the table")
    args = parser.parse_args()
    if args.quick:
        args.repetitions = 2
    output = args.output or (Path("output/quick") if args.quick else RESULTS)
    warnings.simplefilter("ignore", bi.BayesIntgenWarning)
    data = Polynomial.random(3, seed=300).dataset(1000, seed=300)
    posterior = bi.fit(data, method="laplace", progress=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.nc"
        posterior.save(path)
        commands = questions(path, data.names)
        for command in commands.values():
            seconds_of(command)
        # In turn, so that a busy machine slows all of them.
        times = [[seconds_of(c) for c in commands.values()] for _ in range(args.repetitions)]
    medians = np.median(times, axis=0)
    rows = [
        {
            "process": name,
            "seconds": f"{median:.2f}",
            f"times {REFERENCE}": f"{median / medians[0]:.2f}",
        }
        for name, median in zip(commands, medians, strict=True)
    ]
    command = command_of("saved_fit_speed", args, "repetitions")
    publish_table(output / "saved_fit_speed.csv", rows, command)


if __name__ == "__main__":
    main()

"""Time and memory of describing a wide frame, relative to pandas' own ``describe``.

    python analyses/describe_speed.py [--rows 1000000] [--columns 300] [--quick]

Reads a frame of normal numbers, one action set in each row or none, and prints the summary that
``bayes-intgen describe`` prints. Seconds are processor time, which other processes do not change,
of all threads. Memory is the peak of the process; the size of the frame is that of its numbers.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

import bayes_intgen as bi
from bayes_intgen.assess.summary import summarise_data

from _study import RESULTS, command_of
from _tables import publish_table

GB = 1e9


def wide_frame(rows: int, columns: int) -> tuple[pd.DataFrame, list[str]]:
    """A frame of actions, an outcome and regimes, and the names of the actions."""
    rng = np.random.default_rng(0)
    names = [f"action {k}" for k in range(columns)]
    frame = pd.DataFrame(rng.standard_normal((rows, columns)), columns=names)
    labels = np.array(["", *names])[rng.integers(0, columns + 1, rows)]
    outcome = frame.iloc[:, 0] + rng.standard_normal(rows)
    return pd.concat(
        [frame, outcome.rename("outcome"), pd.Series(labels, name="regime")], axis=1
    ), names


def peak() -> float:
    """Peak memory of the process, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=300, help="number of actions")
    parser.add_argument("--quick", action="store_true", help="a small frame, for a test")
    parser.add_argument("--output", type=Path, help="folder of the table")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.columns = 2_000, 20
    output = args.output or (Path("output/quick") if args.quick else RESULTS)
    frame, names = wide_frame(args.rows, args.columns)
    began = time.process_time()
    frame.describe()
    pandas_seconds = time.process_time() - began
    print(f"pandas: {pandas_seconds:.1f} s", flush=True)
    began = time.process_time()
    data = bi.RegimeData.from_frame(frame, names, "outcome", "regime")
    reading = time.process_time() - began
    report = summarise_data(data, support=False)
    length = len(str(report))
    seconds = time.process_time() - began
    size = frame[names].memory_usage(index=False).sum() / GB
    row = {
        "rows": args.rows,
        "columns": args.columns,
        "pandas' describe, s": round(pandas_seconds, 1),
        "reading, s": round(reading, 1),
        "all, s": round(seconds, 1),
        "ratio of times": round(seconds / pandas_seconds, 2),
        "frame, GB": round(size, 2),
        "peak, GB": round(peak(), 2),
        "ratio of memory": round(peak() / size, 2),
        "characters": length,
    }
    command = command_of("describe_speed", args, "rows", "columns")
    publish_table(output / "describe_speed.csv", [row], command)


if __name__ == "__main__":
    main()

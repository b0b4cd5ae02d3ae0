"""Files, streams and environments: each gives the rows it holds, or one error of the package.

Text files with defects of every kind, Parquet and Arrow files that are cut or altered, sources that
change between two passes, and the command line in unusual processes. Part of `bad_input`.
"""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import bayes_intgen as bi
from bayes_intgen import cli

from _attempts import attempt, expect

COLUMNS = (["x", "z"], "y", "regime")
Rng = np.random.Generator


def table(rng: Rng) -> pd.DataFrame:
    """Thirty to sixty rows, of two actions and three regimes."""
    rows = 3 * int(rng.integers(10, 20))
    values = rng.normal(size=(rows, 3)).round(6) * 10.0 ** rng.integers(-3, 4)
    frame = pd.DataFrame(values, columns=["x", "z", "y"])
    return frame.assign(regime=np.resize(["", "x", "z"], rows))


def text_of(frame: pd.DataFrame, separator: str = ",") -> str:
    """The frame as CSV."""
    return frame.to_csv(index=False, sep=separator)


def altered(text: str, rng: Rng, change: Callable[[str], str]) -> str:
    """Change one line of a text, but not the header."""
    lines = text.splitlines()
    row = int(rng.integers(1, len(lines)))
    lines[row] = change(lines[row])
    return "\n".join(lines) + "\n"


def cell(line: str, value: str) -> str:
    """Replace the first cell of a line."""
    return ",".join([value, *line.split(",")[1:]])


# Texts, as functions of a frame and a generator, and whether they hold the frame's rows.
TEXTS: dict[str, tuple[bool, Callable[[pd.DataFrame, Rng], str | bytes]]] = {
    "plain": (True, lambda f, rng: text_of(f)),
    "semicolons": (True, lambda f, rng: text_of(f, ";")),
    "tabs": (True, lambda f, rng: text_of(f, "\t")),
    "byte order mark": (True, lambda f, rng: "\ufeff" + text_of(f)),
    "Windows line ends": (True, lambda f, rng: text_of(f).replace("\n", "\r\n")),
    "no last line end": (True, lambda f, rng: text_of(f).rstrip("\n")),
    "trailing separators": (True, lambda f, rng: text_of(f).replace("\n", ",\n")),
    "quoted": (True, lambda f, rng: f.to_csv(index=False, quoting=1)),
    "other order": (True, lambda f, rng: text_of(f[["regime", "y", "z", "x"]])),
    "further column": (True, lambda f, rng: text_of(f.assign(note="a,b"))),
    "old Mac line ends": (True, lambda f, rng: text_of(f).replace("\n", "\r")),
    "decimal commas": (False, lambda f, rng: text_of(f).replace(".", ",")),
    "thousands": (False, lambda f, rng: altered(text_of(f), rng, lambda s: cell(s, "1,000"))),
    "long line": (False, lambda f, rng: altered(text_of(f), rng, lambda s: s + ",3")),
    "text": (False, lambda f, rng: altered(text_of(f), rng, lambda s: cell(s, "abc"))),
    "infinite": (False, lambda f, rng: altered(text_of(f), rng, lambda s: cell(s, "inf"))),
    "missing": (False, lambda f, rng: altered(text_of(f), rng, lambda s: cell(s, ""))),
    "unknown label": (False, lambda f, rng: altered(text_of(f), rng, lambda s: s + "w")),
    "open quote": (False, lambda f, rng: altered(text_of(f), rng, lambda s: '"' + s)),
    "two equal columns": (False, lambda f, rng: text_of(f).replace("x,z", "x,x", 1)),
    "no header": (False, lambda f, rng: text_of(f).split("\n", 1)[1]),
    "long header": (False, lambda f, rng: text_of(f).replace("x", "x" * 140_000, 1)),
    "no column": (False, lambda f, rng: text_of(f).replace("regime", "group", 1)),
    "empty": (False, lambda f, rng: ""),
    "header alone": (False, lambda f, rng: text_of(f[:0])),
    "blank lines": (False, lambda f, rng: "\n\n\n"),
    "UTF-16": (True, lambda f, rng: text_of(f).encode("utf-16")),
    "random bytes": (False, lambda f, rng: rng.bytes(300)),
    "zeros": (False, lambda f, rng: b"\0" * 300),
}


def as_bytes(content: str | bytes) -> bytes:
    """Encode text as UTF-8."""
    return content if isinstance(content, bytes) else content.encode()


def assert_same(rows: bi.Rows, frame: pd.DataFrame) -> str:
    """Compare rows with the frame of which they were read."""
    pieces = list(rows.batches(1000))
    actions = np.concatenate([piece.actions for piece in pieces])
    outcome = np.concatenate([piece.outcome for piece in pieces])
    np.testing.assert_allclose(actions, frame[["x", "z"]], rtol=1e-12)
    np.testing.assert_allclose(outcome, frame["y"], rtol=1e-12)
    return "answer"


def read_text(path: Path, content: bytes, frame: pd.DataFrame) -> str:
    """Write and read a text file."""
    path.write_bytes(content)
    return assert_same(bi.read(path, *COLUMNS, progress=False), frame)


def text_case(folder: Path, rng: Rng) -> tuple[str, str]:
    """A text file, half of them compressed."""
    frame, kind = table(rng), str(rng.choice(list(TEXTS)))
    is_right, make = TEXTS[kind]
    content, path = as_bytes(make(frame, rng)), folder / "rows.csv"
    if rng.random() < 0.5:
        content, path = gzip.compress(content), folder / "rows.csv.gz"
    outcome = expect(attempt(read_text, path, content, frame), is_right)
    return f"text file, {kind}", outcome


def damaged_case(folder: Path, rng: Rng) -> tuple[str, str]:
    """A compressed file that is cut short, or has one altered bit: its rows or an error."""
    frame = table(rng)
    content = bytearray(gzip.compress(text_of(frame).encode(), mtime=0))
    how = str(rng.choice(["flipped bit", "cut short"]))
    if how == "cut short":
        del content[int(rng.integers(0, len(content))) :]
    else:
        # The header has the time and the name of the system, which do not matter.
        content[int(rng.integers(10, len(content)))] ^= 1 << int(rng.integers(0, 8))
    outcome = attempt(read_text, folder / "rows.csv.gz", bytes(content), frame)
    # The last byte of the compressed rows has unused bits.
    return f"gzip file, {how}", expect(outcome, False) if how == "cut short" else outcome


def binary_case(folder: Path, rng: Rng) -> tuple[str, str]:
    """A Parquet or Arrow file, whole or cut short."""
    frame, kind = table(rng), str(rng.choice(["parquet", "feather"]))
    path, is_right = folder / f"rows.{kind}", bool(rng.random() < 0.5)
    getattr(frame, f"to_{kind}")(path)
    if not is_right:
        content = path.read_bytes()
        path.write_bytes(content[: int(rng.integers(0, len(content) - 1))])

    def read() -> str:
        return assert_same(bi.read(path, *COLUMNS, progress=False), frame)

    state = "whole" if is_right else "cut short"
    return f"{kind} file, {state}", expect(attempt(read), is_right)


def _one_cell(frame: pd.DataFrame, rng: Rng, value: float | None = None) -> pd.DataFrame:
    changed, row = frame.copy(), int(rng.integers(0, len(frame)))
    column = str(rng.choice(["x", "z", "y"]))
    old = float(changed.loc[row, column])
    changed.loc[row, column] = np.nextafter(old, np.inf) if value is None else value
    return changed


CHANGES: dict[str, tuple[bool, Callable[[pd.DataFrame, Rng], pd.DataFrame]]] = {
    "same rows": (True, lambda f, rng: f),
    "another order": (True, lambda f, rng: f.sample(frac=1, random_state=int(rng.integers(1e6)))),
    "one bit": (False, lambda f, rng: _one_cell(f, rng)),
    "NaN": (False, lambda f, rng: _one_cell(f, rng, np.nan)),
    "infinity": (False, lambda f, rng: _one_cell(f, rng, np.inf)),
    "far cell": (False, lambda f, rng: _one_cell(f, rng, 1e200)),
    "negated": (False, lambda f, rng: f.assign(y=-f["y"])),
    "swapped regimes": (False, lambda f, rng: f.assign(regime=f["regime"].replace(
        {"x": "z", "z": "x"}))),
    "row lost": (False, lambda f, rng: f.drop(index=int(rng.integers(0, len(f))))),
    "row twice": (False, lambda f, rng: pd.concat([f, f[:1]])),
    "column lost": (False, lambda f, rng: f.drop(columns="z")),
    "other type": (False, lambda f, rng: f.assign(x="text")),
    "no rows": (False, lambda f, rng: f[:0]),
}  # fmt: skip


def stream_case(folder: Path, rng: Rng) -> tuple[str, str]:
    """A source that gives other rows, or the same, when it is read again."""
    frame, kind = table(rng), str(rng.choice(list(CHANGES)))
    is_right, change = CHANGES[kind]
    source = [frame]

    def tables() -> list[pd.DataFrame]:
        size = int(rng.integers(5, 40))
        return [source[0][i : i + size] for i in range(0, len(source[0]), size)]

    rows = bi.StreamedData.from_batches(tables, *COLUMNS, progress=False)

    def read_again() -> str:
        source[0] = change(frame, rng)
        assert sum(map(len, rows.batches(17))) == len(frame)
        return "answer"

    return f"stream, {kind}", expect(attempt(read_again), is_right)


def command_case(folder: Path, rng: Rng) -> tuple[str, str]:
    """`bayes-intgen describe` of a text file, in this process: exit code 0 or 1."""
    frame, kind = table(rng), str(rng.choice(list(TEXTS)))
    is_right, make = TEXTS[kind]
    (folder / "rows.csv").write_bytes(as_bytes(make(frame, rng)))
    words = ["describe", str(folder / "rows.csv"), "-y", "y", "--quiet"]
    columns = [["-a", "x,z", "-r", "regime"], []][
        int(kind != "further column" and rng.random() < 0.3)
    ]
    with open(os.devnull, "w") as nowhere:
        out, err, sys.stdout, sys.stderr = sys.stdout, sys.stderr, nowhere, nowhere
        try:
            code = cli.main([*words, *columns])
        finally:
            sys.stdout, sys.stderr = out, err
    # Without named columns a column of text is no action, and one less is no error.
    outcome = {0: "answer", 1: "DataError"}.get(code, f"FAILURE: exit code {code}")
    return f"command, {kind}", expect(outcome, is_right) if columns else outcome


CASES = (text_case, damaged_case, binary_case, stream_case, stream_case, command_case)

# Shell command, further environment, exit code, and words in its output. {d} is the data file.
DESCRIBE = "{python} -m bayes_intgen describe {d} -y y -a x,z"
FIT = "{python} -m bayes_intgen fit {d} -y y -a x,z --prior linear -o {o} --draws 4"
ENVIRONMENTS: dict[str, tuple[str, dict[str, str], int, str]] = {
    "plain": (DESCRIBE, {}, 0, "observational"),
    "stdout closed": (DESCRIBE + " >&-", {}, 1, "standard output is closed"),
    "stderr closed": (DESCRIBE + " 2>&-", {}, 0, "observational"),
    "stderr closed, error": (DESCRIBE + " -r nothing 2>&-", {}, 1, ""),
    "stdin closed": (DESCRIBE + " <&-", {}, 0, "observational"),
    "full device": (DESCRIBE + " > /dev/full", {}, 1, "No space left"),
    "ASCII": (DESCRIBE, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, 0, "-"),
    "no home": (DESCRIBE, {"HOME": "/nonexistent"}, 0, "observational"),
    "no folder for temporary files": (DESCRIBE, {"TMPDIR": "/nonexistent"}, 0, "observational"),
    "one thread": (DESCRIBE, {"OMP_NUM_THREADS": "1"}, 0, "observational"),
    "pipe": ("mkfifo {d}.csv; cat {d} > {d}.csv & " + DESCRIBE.replace("{d}", "{d}.csv"), {}, 0,
             "observational"),
    "no such platform": (FIT, {"JAX_PLATFORMS": "cuda"}, 1, "set JAX_PLATFORMS=cpu"),
    "folder that does not exist": (FIT.replace("{o}", "/none/x.nc"), {}, 1, "no folder"),
}  # fmt: skip


def environment_case(folder: Path, kind: str) -> tuple[str, str]:
    """The command line in an unusual process."""
    shell, more, code, words = ENVIRONMENTS[kind]
    data = folder / f"{kind.replace(' ', '_')}.csv"
    data.write_text(text_of(table(np.random.default_rng(0))))
    command = shell.format(python=sys.executable, d=f"'{data}'", o=f"'{folder / 'fit.nc'}'")

    def run() -> str:
        result = subprocess.run(
            command.replace("'.csv", ".csv'"), shell=True, env={**os.environ, **more},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        output = result.stdout + result.stderr
        assert result.returncode == code, f"exit code {result.returncode}: {output[-200:]}"
        assert words in output, output[-200:]
        assert "Traceback" not in output, output[-200:]
        return "answer" if code == 0 else "BayesIntgenError"

    return f"environment, {kind}", expect(attempt(run), code == 0)


def results(count: int, folder: Path) -> list[tuple[str, str]]:
    """Pairs of kind and outcome of random files and streams."""
    rng = np.random.default_rng(0)
    out = []
    for i in range(count):
        kind, outcome = CASES[i % len(CASES)](folder, rng)
        if outcome.startswith("FAILURE"):
            print(kind, outcome, flush=True)
        out.append((kind, outcome))
    return out


def environments(folder: Path, kinds: list[str] | None = None) -> list[tuple[str, str]]:
    """Pairs of kind and outcome of unusual processes."""
    out = list(map(partial(environment_case, folder), kinds or ENVIRONMENTS))
    for kind, outcome in out:
        if outcome.startswith("FAILURE"):
            print(kind, outcome, flush=True)
    return out

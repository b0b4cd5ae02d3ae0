"""Tables of results in CSV files with their provenance: command, versions and commits."""

import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("bayes-intgen", "numpyro", "jax", "arviz", "numpy")
ROOT = Path(__file__).parents[1]
# First word of the line with the commits.
COMMIT = "commit "


def versions() -> str:
    """Versions of Python and of the packages behind a table."""
    return ", ".join(
        [f"Python {sys.version.split()[0]}", *(f"{name} {version(name)}" for name in PACKAGES)]
    )


@cache
def commit() -> str:
    """Short hash of the checkout's commit, "+" if tracked files differ; empty without git.

    It is that of the first call: the code in memory stays, whatever is committed later.
    """
    # A study that writes its tables does not change the code that makes them.
    changes = ["status", "--porcelain", "--untracked-files=no", "--", ":!analyses/results"]
    try:
        name, changed = (
            subprocess.run(
                ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], changes)
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{name}+" if changed else name


def commits(path: Path) -> list[str]:
    """Commits that made a table; none if it does not say."""
    with path.open() as file:
        lines = [line.removeprefix("# ").strip() for line in file if line.startswith("# ")]
    named = [line.removeprefix(COMMIT) for line in lines if line.startswith(COMMIT)]
    return named[0].split(", ") if named else []


def write_table(
    path: Path, rows: Sequence[Mapping[str, Any]], command: str, earlier: Path | None = None
) -> None:
    """Write rows as CSV below comment lines with their provenance.

    Rows come from ``earlier``, a table of this or other commits, if it is given and exists.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    before = commits(earlier) if earlier is not None and earlier.exists() else []
    made_by = ", ".join(filter(None, dict.fromkeys([*before, commit()])))
    provenance = [command, versions(), *([f"{COMMIT}{made_by}"] if made_by else [])]
    # A run that is killed while it writes must not lose earlier results.
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        file.writelines(f"# {line}\n" for line in provenance)
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table of :func:`write_table`."""
    with path.open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows with aligned columns."""
    heads = list(rows[0])
    cells = [heads, *([str(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def publish_table(
    path: Path, rows: Sequence[Mapping[str, Any]], command: str, earlier: Path | None = None
) -> None:
    """Print a table and write it with :func:`write_table`."""
    print_table(rows)
    write_table(path, rows, command, earlier)

"""Tables of results in CSV files with their provenance: command and versions."""

import csv
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("bayes-intgen", "numpyro", "jax", "arviz", "numpy")


def provenance(command: str) -> list[str]:
    """Lines with the command and the versions behind a table or figure."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [command, f"Python {sys.version.split()[0]}, {versions}"]


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], command: str) -> None:
    """Write rows as CSV below comment lines with their provenance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A run that is killed while it writes must not lose earlier results.
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        file.writelines(f"# {line}\n" for line in provenance(command))
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


def publish_table(path: Path, rows: Sequence[Mapping[str, Any]], command: str) -> None:
    """Print a table and write it."""
    print_table(rows)
    write_table(path, rows, command)

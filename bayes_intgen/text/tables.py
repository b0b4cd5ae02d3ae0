"""Formatting of results as aligned tables, CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bayes_intgen.text.number_format import (
    decimals_for,
    format_interval,
    format_to_uncertainty,
    format_value,
)

if TYPE_CHECKING:
    import xarray as xr


def format_effects(table: "xr.Dataset", style: str) -> str:
    """Format the result of :func:`bayes_intgen.posterior.effects.effect_table`.

    Parameters
    ----------
    table : Dataset
    style : {"table", "csv", "json"}
        "table" rounds numbers to their uncertainty; the others write all digits.
    """
    styles = {"table": _effects_as_table, "csv": _effects_as_csv, "json": _effects_as_json}
    return styles[style](table)


def to_json(document: Any) -> str:
    """Encode a document as JSON, with null for NaN and infinity, which JSON lacks.

    Examples
    --------
    >>> print(to_json({"p": float("nan")}))
    {
      "p": null
    }
    """
    return json.dumps(_without_nonfinite(document), ensure_ascii=False, indent=2)


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nonfinite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def align_columns(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Align cells in columns: the first ``left`` columns flush left, the others flush right.

    Examples
    --------
    >>> print(align_columns(["regime", "rows"], [["do(a)", "5"], ["do(b)", "1,000"]]))
    regime   rows
    do(a)       5
    do(b)   1,000
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(map(_terminal_width, column)) for column in zip(*lines, strict=True)]

    def padded(cell: str, column: int) -> str:
        padding = " " * (widths[column] - _terminal_width(cell))
        return cell + padding if column < left else padding + cell

    return "\n".join(
        "  ".join(padded(cell, column) for column, cell in enumerate(line)).rstrip()
        for line in lines
    )


def _terminal_width(text: str) -> int:
    """Count the terminal columns of a text."""
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _effects_as_table(table: "xr.Dataset") -> str:
    level = f"{100 * table.attrs['level']:g}%"
    names = [str(name) for name in table["action"].values]
    intervened = table.attrs["intervened"]
    condition = ", ".join(
        [f"do({', '.join(intervened)})", *(name for name in names if name not in intervened)]
    )
    binary = "probability" in table
    head = [*names, "mean", f"{level} band", "P(1)" if binary else "outcomes"]
    if "change" in table:
        head += ["change", f"{level} band", "P(> 0)"]
    all_supported = bool(table["supported"].values.all())
    columns = {str(name): column.values for name, column in table.data_vars.items()}
    rows = [
        _effect_cells(
            {name: column[i] for name, column in columns.items()},
            all_supported,
            table.attrs.get("outcome_kind", "continuous"),
        )
        for i in range(table.sizes["point"])
    ]
    population = table.attrs.get("population")
    lines = [
        f"Mean of {table.attrs['outcome']} given {condition}; band: where the mean lies with "
        f"probability {level};",
        "P(1): probability that a single outcome is 1."
        if binary
        else "outcomes: where a single outcome does.",
        *([f"Population: {population}."] if population else []),
        "",
        align_columns(head, rows, left=0),
    ]
    if binary and (outside := float(table["outside_0_1"].values.max())) > 0:
        lines += [
            "",
            f"Up to {_share(outside)} of a band's draws lie outside [0, 1]: the mean adds up over "
            "the actions; P(1) is clipped.",
        ]
    if not all_supported:
        lines += [
            "",
            "* no rows near this point identify its effect: the answer rests on the prior",
        ]
    return "\n".join(lines)


def _effect_cells(point: dict[str, Any], all_supported: bool, kind: str) -> list[str]:
    """Cells of one point: values of the actions, mean, intervals, and the change if present."""
    values = point["value"]
    before = point.get("baseline", values)
    number = {name: cell.item() for name, cell in point.items() if not cell.ndim}
    mean = format_to_uncertainty(number["mean"], decimals_for(number["high"] - number["low"]))
    mark = "" if all_supported else " " if number["supported"] else "*"
    cells = [
        format_value(b) if a == b else f"{format_value(a)} → {format_value(b)}"
        for a, b in zip(before, values, strict=True)
    ]
    cells += [mean + mark, _interval(number["low"], number["high"]), _single_outcome(number, kind)]
    if "change" in number:
        low, high = number["change_low"], number["change_high"]
        cells += [
            format_to_uncertainty(number["change"], decimals_for(high - low), sign=True),
            _interval(low, high, sign=True),
            _probability(number["above_zero"]),
        ]
    return cells


def _single_outcome(number: dict[str, float], kind: str) -> str:
    """Probability of a binary outcome, or interval of single outcomes."""
    if kind == "binary":
        return f"{number['probability']:.2f}"
    low, high = number["outcome_low"], number["outcome_high"]
    return f"{low:,.0f} to {high:,.0f}" if kind == "count" else _interval(low, high)


def _share(share: float) -> str:
    return "less than 1%" if share < 0.01 else f"{share:.0%}"


def _interval(low: float, high: float, *, sign: bool = False) -> str:
    return format_interval(low, high, decimals_for(high - low), sign=sign)


def _probability(share: float) -> str:
    """Format a share of draws, without a claim of certainty."""
    return "> 0.99" if share > 0.995 else "< 0.01" if share < 0.005 else f"{share:.2f}"


def _numbers(table: "xr.Dataset") -> list[str]:
    """Names of the variables with one number per point."""
    return [str(name) for name in table.data_vars if table[name].dims == ("point",)]


def _effects_as_csv(table: "xr.Dataset") -> str:
    names, columns = table["action"].values.tolist(), _numbers(table)
    before = [f"{name} (from)" for name in names] if "baseline" in table else []
    parts = [table["value"], *([table["baseline"]] if before else []), *(table[n] for n in columns)]
    cells = [part.values.reshape(table.sizes["point"], -1).tolist() for part in parts]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *before, *columns])
    writer.writerows([cell for part in row for cell in part] for row in zip(*cells, strict=True))
    return text.getvalue()


def _effects_as_json(table: "xr.Dataset") -> str:
    points: list[dict[str, Any]] = [{} for _ in range(table.sizes["point"])]
    for key, name in (("values", "value"), ("from", "baseline")):
        if name in table:
            for point, values in zip(points, table[name].values.tolist(), strict=True):
                point[key] = dict(zip(table["action"].values.tolist(), values, strict=True))
    for name in _numbers(table):
        for point, number in zip(points, table[name].values.tolist(), strict=True):
            point[name] = number
    return to_json({**table.attrs, "points": points})

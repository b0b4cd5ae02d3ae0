"""Results as text: aligned tables, CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bayes_intgen.numerals import decimals, plain, spell

if TYPE_CHECKING:
    import xarray as xr

    from bayes_intgen.checks import Check


def effects(table: "xr.Dataset", style: str) -> str:
    """What :func:`bayes_intgen.effects.effect_table` gives, as text.

    Parameters
    ----------
    table : Dataset
    style : {"table", "csv", "json"}
        To read, with figures as their uncertainty allows; or for programs, with every digit.
    """
    return {"table": _read, "csv": _csv, "json": _json}[style](table)


def check(found: "Check") -> str:
    """What :func:`bayes_intgen.check` found, as JSON."""
    table = found.table
    tests = []
    for i, name in enumerate(table["test"].to_numpy()):
        entry: dict[str, Any] = {"test": str(name), "kind": str(table["kind"].to_numpy()[i])}
        columns = ("p", "p_familywise", "log_bayes_factor", "weight", "size", "detectable")
        entry |= {column: table[column].to_numpy()[i].item() for column in columns}
        tests.append(entry)
    whole = {
        "violated": found.violated,
        "p": found.p,
        "level": found.level,
        "likeliest": found.likeliest,
        "statement": found.sentences(),
        "held_out": {str(k): v.item() for k, v in found.held_out.data_vars.items()},
        "tests": tests,
    }
    return json.dumps(_finite(whole), ensure_ascii=False, indent=2)


def _finite(value: Any) -> Any:
    """The same without what JSON has no word for: NaN and infinity become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Cells in columns, the first ``left`` of them flush left and numbers flush right.

    Examples
    --------
    >>> print(aligned(["regime", "rows"], [["do(a)", "5"], ["do(b)", "1,000"]]))
    regime   rows
    do(a)       5
    do(b)   1,000
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]

    def padded(cell: str, at: int) -> str:
        room = " " * (widths[at] - _width(cell))
        return cell + room if at < left else room + cell

    spelled = ["  ".join(padded(cell, at) for at, cell in enumerate(line)) for line in lines]
    return "\n".join(line.rstrip() for line in spelled)


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _read(table: "xr.Dataset") -> str:
    level = f"{100 * table.attrs['level']:g}%"
    names = [str(name) for name in table["action"].to_numpy()]
    intervened = table.attrs["intervened"]
    seen = [name for name in names if name not in intervened]
    outcome = table.attrs["outcome"]
    asked = f"do({', '.join(intervened)})" + f", {', '.join(seen)}" * bool(seen)
    said = [
        f"Mean of {outcome} given {asked}; band: where the mean lies with probability {level};",
        "outcomes: where a single outcome does.",
    ]
    changed = "change" in table
    head = [*names, "mean", f"{level} band", "outcomes"]
    if changed:
        head += ["change", f"{level} band", "P(> 0)"]
    rows = []
    marks = (" ", "*") if not table["supported"].all() else ("", "")
    for i in range(table.sizes["point"]):
        row = {str(name): table[name].to_numpy()[i] for name in table.data_vars}
        start = row.get("baseline", row["value"])
        cells = [
            _spelled(b) if a == b else f"{_spelled(a)} → {_spelled(b)}"
            for a, b in zip(start, row["value"], strict=True)
        ]
        fine = decimals(row["high"] - row["low"])
        cells += [
            spell(float(row["mean"]), fine) + marks[not row["supported"]],
            _band(row["low"], row["high"]),
            _band(row["outcome_low"], row["outcome_high"]),
        ]
        if changed:
            places = decimals(row["change_high"] - row["change_low"])
            cells += [
                spell(float(row["change"]), places, sign=True),
                _band(row["change_low"], row["change_high"], sign=True),
                _share(float(row["above_zero"])),
            ]
        rows.append(cells)
    said += ["", aligned(head, rows, left=0)]
    if not table["supported"].all():
        said += ["", "* no rows near this point identify its effect: the answer rests on the prior"]
    return "\n".join(said)


def _spelled(value: Any) -> str:
    """A value of an action, or the name of a level."""
    return str(value) if isinstance(value, str | bool) else plain(float(value))


def _band(low: float, high: float, *, sign: bool = False) -> str:
    places = decimals(high - low)
    return f"{spell(float(low), places, sign=sign)} to {spell(float(high), places, sign=sign)}"


def _share(share: float) -> str:
    """A share of draws, without a claim of certainty."""
    return "> 0.99" if share > 0.995 else "< 0.01" if share < 0.005 else f"{share:.2f}"


def _numbers(table: "xr.Dataset") -> list[str]:
    """Columns with a number for each point."""
    return [str(name) for name in table.data_vars if table[name].dims == ("point",)]


def _csv(table: "xr.Dataset") -> str:
    names = [str(name) for name in table["action"].to_numpy()]
    columns = _numbers(table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    before = [f"{name} (from)" for name in names] if "baseline" in table else []
    writer.writerow([*names, *before, *columns])
    for i in range(table.sizes["point"]):
        asked = [*table["value"].to_numpy()[i].tolist()]
        if before:
            asked += table["baseline"].to_numpy()[i].tolist()
        writer.writerow([*asked, *(table[name].to_numpy()[i].item() for name in columns)])
    return text.getvalue()


def _json(table: "xr.Dataset") -> str:
    names = [str(name) for name in table["action"].to_numpy()]

    def point(values: Any) -> dict[str, Any]:
        return dict(zip(names, values.tolist(), strict=True))

    points = []
    for i in range(table.sizes["point"]):
        entry: dict[str, Any] = {"values": point(table["value"].to_numpy()[i])}
        if "baseline" in table:
            entry["from"] = point(table["baseline"].to_numpy()[i])
        entry |= {name: table[name].to_numpy()[i].item() for name in _numbers(table)}
        points.append(entry)
    whole = {**table.attrs, "points": points}
    return json.dumps(whole, ensure_ascii=False, indent=2)

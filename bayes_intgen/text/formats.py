"""Numbers, tables and results as text, with no more digits than their uncertainty supports."""

import json
import math
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
# Maximum number of decimals, and magnitude, beyond which a power of ten is written.
MAX_DECIMALS, MAX_MAGNITUDE = 6, 1e9
# Minimum and maximum characters in a line of a printed screen.
MIN_WIDTH, MAX_WIDTH = 40, 100


def line_width() -> int:
    """Width of lines: that of the terminal, or of the variable COLUMNS, within bounds.

    Examples
    --------
    >>> 40 <= line_width() <= 100
    True
    """
    columns = get_terminal_size((MAX_WIDTH, 24)).columns
    return min(max(columns, MIN_WIDTH), MAX_WIDTH)


def decimals_for(width: float) -> int:
    """Number of decimals that shows an interval of this width to two figures; negative if wide.

    Examples
    --------
    >>> decimals_for(0.031), decimals_for(4.0), decimals_for(120.0)
    (3, 1, -1)
    """
    if not (math.isfinite(width) and width > 0):
        return 3
    return 1 - math.floor(math.log10(width))


def format_to_uncertainty(value: float, decimals: int, *, sign: bool = False) -> str:
    """Format a number to some decimals, with a true minus and commas between thousands.

    Parameters
    ----------
    value : float
    decimals : int
        From :func:`decimals_for`.
    sign : bool
        Write a plus before positive numbers.

    Examples
    --------
    >>> format_to_uncertainty(-1234.567, 1), format_to_uncertainty(0.5, 2, sign=True)
    ('\N{MINUS SIGN}1,234.6', '+0.50')
    >>> format_to_uncertainty(2.5e-9, 10)
    '2.5\N{MULTIPLICATION SIGN}10⁻⁹'
    """
    if not math.isfinite(value):
        return str(value)
    if decimals > MAX_DECIMALS or abs(value) >= MAX_MAGNITUDE:
        return _with_power(value, decimals, sign)
    text = f"{value:{'+' if sign else ''},.{max(decimals, 0)}f}"
    # A number that rounds to zero has no sign.
    return (text if text.strip("+-0.,") else text.lstrip("+-")).replace("-", MINUS)


def format_interval(low: float, high: float, decimals: int, *, sign: bool = False) -> str:
    """Format both ends of an interval, as :func:`format_to_uncertainty`.

    Examples
    --------
    >>> format_interval(-0.51, 2.0, 1)
    '\N{MINUS SIGN}0.5 to 2.0'
    """
    ends = (format_to_uncertainty(float(end), decimals, sign=sign) for end in (low, high))
    return " to ".join(ends)


def format_estimate(mean: float, low: float, high: float, *, sign: bool = False) -> tuple[str, str]:
    """Format an estimate and its interval to the figures that the interval supports.

    Examples
    --------
    >>> format_estimate(1.234, 1.1, 1.4)
    ('1.23', '1.10 to 1.40')
    """
    decimals = decimals_for(float(high - low))
    middle = format_to_uncertainty(float(mean), decimals, sign=sign)
    return middle, format_interval(low, high, decimals, sign=sign)


def format_number(value: float) -> str:
    """Format a number without uncertainty, such as a setting, to at most six figures.

    Examples
    --------
    >>> format_number(0.1 + 0.2), format_number(-1500.0), format_number(2.5e-9)
    ('0.3', '\N{MINUS SIGN}1,500', '2.5\N{MULTIPLICATION SIGN}10⁻⁹')
    """
    if value == 0 or not math.isfinite(value):
        return str(value) if value else "0"
    order = math.floor(math.log10(abs(value)))
    if not -5 < order < 9:
        mantissa, *power = _with_power(value, 5 - order, False).partition(TIMES)
        return mantissa.rstrip("0").rstrip(".") + "".join(power)
    text = f"{value:,.{max(5 - order, 0)}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", MINUS)


def shorter_number(value: float, figures: int = 4) -> str:
    """Format a number without uncertainty to few figures.

    Examples
    --------
    >>> shorter_number(2313.0883)
    '2,313'
    """
    return format_number(float(f"{value:.{figures}g}"))


def format_value(value: str | bool | float) -> str:
    """Format a value of an action, or the name of a level."""
    return str(value) if isinstance(value, str | bool) else format_number(float(value))


def _with_power(value: float, decimals: int, sign: bool) -> str:
    if not value:
        return "0"
    order = math.floor(math.log10(abs(value)))
    figures = min(max(order + decimals, 0), 12)
    mantissa, exponent = f"{value:{'+' if sign else ''}.{figures}e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    return f"{mantissa}{TIMES}10{power}".replace("-", MINUS)


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


def frame_along(table: "xr.Dataset", dim: str) -> "pd.DataFrame":
    """Frame with a row per entry along a dimension, of the variables without another one."""
    along = table[[name for name, own in table.data_vars.items() if own.dims == (dim,)]]
    return along.to_dataframe().reset_index()


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


def effects_in_text(table: "xr.Dataset") -> str:
    """Effects of :func:`bayes_intgen.posterior.effects.effect_table`, rounded to uncertainty."""
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
            f"Up to {share_text(outside)} of a band's draws lie outside [0, 1]: the mean adds up "
            "over the actions; P(1) is clipped.",
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
    mean, band = format_estimate(*(number[name] for name in ("mean", "low", "high")))
    mark = "" if all_supported else " " if number["supported"] else "*"
    cells = [
        format_value(b) if a == b else f"{format_value(a)} → {format_value(b)}"
        for a, b in zip(before, values, strict=True)
    ]
    cells += [mean + mark, band, _single_outcome(number, kind)]
    if "change" in number:
        ends = number["change"], number["change_low"], number["change_high"]
        cells += [*format_estimate(*ends, sign=True), _probability(number["above_zero"])]
    return cells


def _single_outcome(number: dict[str, float], kind: str) -> str:
    """Probability of a binary outcome, or interval of single outcomes."""
    if kind == "binary":
        return f"{number['probability']:.2f}"
    low, high = number["outcome_low"], number["outcome_high"]
    if kind == "count":
        return f"{low:,.0f} to {high:,.0f}"
    return format_interval(low, high, decimals_for(high - low))


def share_text(share: float) -> str:
    """Format a positive share, however small, as a percentage."""
    return "less than 1%" if share < 0.01 else f"{share:.0%}"


def _probability(share: float) -> str:
    """Format a share of draws, without a claim of certainty."""
    return "> 0.99" if share > 0.995 else "< 0.01" if share < 0.005 else f"{share:.2f}"


def _numbers(table: "xr.Dataset") -> list[str]:
    """Names of the variables with one number per point."""
    return [str(name) for name in table.data_vars if table[name].dims == ("point",)]


def effects_frame(table: "xr.Dataset") -> "pd.DataFrame":
    """Frame of effects: a row per point, a column per action and per number."""
    import pandas as pd

    parts = [table["value"].to_pandas(), table[_numbers(table)].to_pandas()]
    if "baseline" in table:
        parts.insert(1, table["baseline"].to_pandas().add_suffix(" (from)"))
    return pd.concat(parts, axis=1)


def effects_document(table: "xr.Dataset") -> dict[str, Any]:
    """Effects as nested dicts and numbers."""
    points: list[dict[str, Any]] = [{} for _ in range(table.sizes["point"])]
    for key, name in (("values", "value"), ("from", "baseline")):
        if name in table:
            for point, values in zip(points, table[name].values.tolist(), strict=True):
                point[key] = dict(zip(table["action"].values.tolist(), values, strict=True))
    for name in _numbers(table):
        for point, number in zip(points, table[name].values.tolist(), strict=True):
            point[name] = number
    return {**table.attrs, "points": points}

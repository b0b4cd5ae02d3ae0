"""Numbers, tables and results as text, with no more digits than their uncertainty supports."""

import json
import math
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

# Suffix of the name of an action that is called like a number beside it.
ACTION = " (action)"
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
    finite = json.loads(json.dumps(document), parse_constant=lambda name: None)
    return json.dumps(finite, ensure_ascii=False, indent=2)


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


def format_level(level: float) -> str:
    """Format the probability of an interval as a percentage, with all its figures.

    Examples
    --------
    >>> format_level(0.9), format_level(0.975)
    ('90%', '97.5%')
    """
    return f"{100 * level:.12g}%"


def share_text(share: float) -> str:
    """Format a positive share, however small, as a percentage."""
    return "less than 1%" if share < 0.01 else f"{share:.0%}"


def format_probability(share: float) -> str:
    """Format a share of draws as a probability, without a claim of certainty."""
    return "> 0.99" if share > 0.995 else "< 0.01" if share < 0.005 else f"{share:.2f}"

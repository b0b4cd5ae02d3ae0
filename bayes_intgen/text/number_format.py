"""Formatting of numbers, with no more digits than their uncertainty supports."""

import math

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
# Maximum number of decimals, and magnitude, beyond which a power of ten is written.
MAX_DECIMALS, MAX_MAGNITUDE = 6, 1e9


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
    order = math.floor(math.log10(abs(value))) if value else 0
    figures = min(max(order + decimals, 0), 12)
    mantissa, exponent = f"{value:{'+' if sign else ''}.{figures}e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    return f"{mantissa}{TIMES}10{power}".replace("-", MINUS)

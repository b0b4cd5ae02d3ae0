"""Numbers as readers like them: no more digits than their uncertainty leaves meaning to."""

import math

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
# Beyond these a number is written with a power of ten.
MOST_DECIMALS, LARGEST = 6, 1e9


def decimals(width: float) -> int:
    """Decimals that show two figures of an interval of this width; below zero: none are known.

    Examples
    --------
    >>> decimals(0.031), decimals(4.0), decimals(120.0)
    (3, 1, -1)
    """
    if not (math.isfinite(width) and width > 0):
        return 3
    return 1 - math.floor(math.log10(width))


def spell(value: float, places: int, *, sign: bool = False) -> str:
    """A number to so many decimals, with a true minus and commas between thousands.

    Parameters
    ----------
    value : float
    places : int
        As :func:`decimals` gives them.
    sign : bool
        Whether positive numbers have a plus.

    Examples
    --------
    >>> spell(-1234.567, 1), spell(0.5, 2, sign=True), spell(2.5e-9, 10)
    ('\N{MINUS SIGN}1,234.6', '+0.50', '2.5\N{MULTIPLICATION SIGN}10⁻⁹')
    """
    if not math.isfinite(value):
        return str(value)
    if places > MOST_DECIMALS or abs(value) >= LARGEST:
        return _with_power(value, places, sign)
    text = f"{value:{'+' if sign else ''},.{max(places, 0)}f}"
    # No sign for what rounds to zero.
    return (text if text.strip("+-0.,") else text.lstrip("+-")).replace("-", MINUS)


def _with_power(value: float, places: int, sign: bool) -> str:
    order = math.floor(math.log10(abs(value))) if value else 0
    figures = min(max(order + places, 0), 12)
    mantissa, exponent = f"{value:{'+' if sign else ''}.{figures}e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    return f"{mantissa}{TIMES}10{power}".replace("-", MINUS)


def plain(value: float) -> str:
    """A given value, such as a setting, to at most six figures.

    Examples
    --------
    >>> plain(0.1 + 0.2), plain(-1500.0), plain(2.5e-9)
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

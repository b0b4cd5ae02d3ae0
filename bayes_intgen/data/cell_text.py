"""Recognition of numbers and dates that are written as text, and code that converts them."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CURRENCY = r"[$€£¥₹]|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CAD|AUD"
# Units such as mg, km/h, °C, kg/m² and %, at most six characters long.
UNIT = r"[a-zA-Zµμ°/%‰²³]{1,6}"
# Thousands may be separated by points, commas, apostrophes and spaces.
NUMBER = r"\d{1,3}(?:[., '\u2019\u00a0\u202f]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?"
NUMBER_AS_TEXT = re.compile(
    rf"(?!.*[+-].*[+-])([+-]?)\s*({CURRENCY})?\s*([+-]?(?:{NUMBER}))\s*({CURRENCY}|{UNIT})?"
)
DATE = re.compile(
    r"\d{4}-\d{1,2}(-\d{1,2})?([ T]\d{1,2}:.*)?|\d{4}/\d{1,2}/\d{1,2}|"
    r"\d{1,2}([./-])\d{1,2}\3\d{2,4}"
)


class NumbersAsText(NamedTuple):
    """Form of numbers that are written as text.

    Attributes
    ----------
    decimal : {".", ","} or None
        Decimal mark of numbers with units, currencies or separated thousands; None if ``float``
        reads all of them.
    """

    decimal: str | None

    def conversion(self, column: str) -> str:
        """Line of code that converts a column of a pandas frame.

        Examples
        --------
        >>> print(NumbersAsText(None).conversion("tv"))
        frame['tv'] = frame['tv'].astype(float)
        """
        cell = f"frame[{column!r}]"
        others = rf"r'[^\d{self.decimal}-]'"
        strip = "" if self.decimal is None else f".str.replace({others}, '', regex=True)"
        point = ".str.replace(',', '.')" if self.decimal == "," else ""
        return f"{cell} = {cell}{strip}{point}.astype(float)"


def numbers_as_text(texts: Sequence[str]) -> NumbersAsText | None:
    """Form of the numbers in texts; None unless all are numbers of one form and unit.

    Examples
    --------
    >>> numbers_as_text(["€13,125", "€800"]), numbers_as_text(["1.234,5"])
    (NumbersAsText(decimal='.'), NumbersAsText(decimal=','))
    >>> numbers_as_text(["10 mg", "20 mg"]), numbers_as_text(["0.5", "1e3"])
    (NumbersAsText(decimal='.'), NumbersAsText(decimal=None))
    >>> numbers_as_text(["10 mg", "1 g"]) is numbers_as_text(["low", "high"]) is None
    True
    """
    if texts and all(map(is_number, texts)):
        return NumbersAsText(None)
    matches = [NUMBER_AS_TEXT.fullmatch(text.strip()) for text in texts]
    numbers = [match for match in matches if match]
    units = {match[2] or match[4] for match in numbers} - {None}
    if not numbers or len(numbers) < len(texts) or len(units) > 1:
        return None
    marks = {mark for match in numbers for mark in _decimal_marks(match[3])}
    return NumbersAsText(marks.pop() if marks else ".") if len(marks) < 2 else None


def are_dates(texts: Iterable[str]) -> bool:
    """Whether all of some texts are dates.

    Examples
    --------
    >>> are_dates(["2026-01-31", "2026-02-01"]), are_dates(["31.1.2026"]), are_dates(["1.2"])
    (True, True, False)
    """
    matches = [DATE.fullmatch(text.strip()) for text in texts]
    return bool(matches) and None not in matches


def is_number(text: str) -> bool:
    """Whether ``float`` reads a text."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _decimal_marks(number: str) -> set[str]:
    """Decimal mark that a number implies, if any: one thousand may be 1.000 or 1,000."""
    marks = re.findall(r"[.,]", number)
    if not marks:
        return set()
    other = {".": ",", ",": "."}
    if len(marks) > 1:
        # The last mark is decimal, unless it separates thousands like the others.
        return {marks[-1]} if marks[-1] != marks[0] else {other[marks[0]]}
    if re.search(r"[.,]\d{3}$", number) and not number.startswith(("0", "-0", "+0")):
        return {"."} if marks[0] == "," else set()
    return {marks[0]}

"""Text for terminals and files of any encoding."""

import json
import re

# Control characters except line ends and tabs; and those that change the direction of text.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Typographic signs of the package's own tables, and their substitutes.
PLAIN = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u2192": "->", "\u2026": "...", "\u00d7": "x", "\u00b1": "+-"}
)


def printable(text: str, encoding: str | None = "utf-8") -> str:
    r"""Escape control characters, and characters that an encoding lacks, as JSON does.

    Names may come from files: a terminal would execute their control sequences.

    Examples
    --------
    >>> print(printable("tv\x1b[2J"))
    tv\u001b[2J
    >>> print(printable("\u22121.5 n\xe9", "ascii"))
    -1.5 n\u00e9
    """
    text = CONTROLS.sub(lambda control: _escaped(control[0]), text)
    if _fits(text, encoding):
        return text
    text = text.translate(PLAIN)
    return "".join(sign if _fits(sign, encoding) else _escaped(sign) for sign in text)


def _fits(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _escaped(sign: str) -> str:
    # The standard's escapes for what ASCII contains too, such as the escape character.
    return json.dumps(sign)[1:-1] if sign > "\x7f" or sign < " " else f"\\u{ord(sign):04x}"

"""Wording that error messages of several modules share."""

from collections.abc import Sequence
from difflib import get_close_matches


def unknown_action(name: object, known: Sequence[str]) -> str:
    """Message on a name that is not among the actions, with the closest one as a hint.

    Examples
    --------
    >>> print(unknown_action("gren", ["red", "green"]))
    unknown action 'gren'; did you mean 'green'? The actions are 'red', 'green'
    """
    return f"unknown action {name!r}; {hint(name, known)} actions are {quoted(known)}"


def hint(name: object, known: Sequence[str]) -> str:
    """First half of "the names are ...", after the closest name if there is one.

    Examples
    --------
    >>> hint("gren", ["red", "green"]), hint("blue", ["red", "green"])
    ("did you mean 'green'? The", 'the')
    """
    close = get_close_matches(name, known, n=1) if isinstance(name, str) else []
    return f"did you mean {close[0]!r}? The" if close else "the"


def quoted(names: Sequence[object]) -> str:
    """Names in quotation marks, separated by commas."""
    return ", ".join(map(repr, names))

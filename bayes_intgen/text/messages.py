"""Wording that error messages of several modules share."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

# Maximum number of names that a message lists, and maximum number of parts of a warning.
MAX_NAMES, MAX_PARTS = 20, 3


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

    Names are compared regardless of case; a name that is a word of the text is close, too.

    Examples
    --------
    >>> hint("gren", ["red", "green"]), hint("blue", ["red", "green"])
    ("did you mean 'green'? The", 'the')
    >>> hint("Red test", ["red", "green"])
    "did you mean 'red'? The"
    """
    if not isinstance(name, str):
        return "the"
    folded = {str(other).casefold(): other for other in known}
    close = get_close_matches(name.casefold(), folded, n=1)
    words = [other for other in folded if other in re.findall(r"\w+", name.casefold())]
    return f"did you mean {folded[[*close, *words][0]]!r}? The" if close or words else "the"


def in_words(names: Sequence[str]) -> str:
    """Names as a list in a sentence.

    Examples
    --------
    >>> in_words(["tv"]), in_words(["tv", "radio", "print"])
    ('tv', 'tv, radio and print')
    """
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def quoted(names: Sequence[object]) -> str:
    """Names in quotation marks, separated by commas; the first of very many.

    Examples
    --------
    >>> quoted(["red", "green"]), quoted(range(300))[-12:]
    ("'red', 'green'", '19, 280 more')
    """
    more = [f"{len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    return ", ".join([*map(repr, names[:MAX_NAMES]), *more])


def first_few(parts: Sequence[str], most: int = MAX_PARTS) -> str:
    """Parts of a warning, separated by commas; the first of many.

    Examples
    --------
    >>> first_few(["'red'", "'green'"]), first_few(["a", "b", "c", "d", "e"])
    ("'red', 'green'", 'a, b, c and 2 more')
    """
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more

"""Wording that messages of several modules share, and text for terminals of any encoding."""

import re
import shlex
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Literal

from bayes_intgen.errors import BayesIntgenError

# Why rows do not identify an effect, in the words of pictures and pages.
BETWEEN, OUTSIDE = "between tested levels", "outside the rows"
# Maximum number of names that a message lists, and maximum number of parts of a warning.
MAX_NAMES, MAX_PARTS = 20, 3
# Control characters except line ends and tabs; and those that change the direction of text.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Typographic signs of the package's own tables, and their substitutes.
PLAIN = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u2192": "->", "\u2026": "...", "\u00d7": "x", "\u00b1": "+-"}
)


def unknown_action(name: object, known: Sequence[str]) -> str:
    """Message on a name that is not among the actions, with the closest one as a hint.

    Examples
    --------
    >>> print(unknown_action("gren", ["red", "green"]))
    unknown action 'gren'; did you mean 'green'? The actions are 'red', 'green'
    """
    return unknown_name("unknown action", name, known, "actions are")


def unknown_name(what: str, name: object, known: Sequence[str], which: str) -> str:
    """Message on a name that is not known, with the closest one as a hint, before those that are.

    Examples
    --------
    >>> print(unknown_name("no column", "ag", ["age", "sex"], "columns are"))
    no column 'ag'; did you mean 'age'? The columns are 'age', 'sex'
    """
    return f"{what} {name!r}; {hint(name, known)} {which} {quoted(known) or 'none'}"


def refuse_unknown_actions(
    some: Iterable[object], names: Sequence[str], error: type[BayesIntgenError], where: str = ""
) -> None:
    """Raise an error of a class if some names are not among those of the actions.

    Examples
    --------
    >>> refuse_unknown_actions(["gren"], ["red", "green"], bi.ModelError, "graph: ")
    Traceback (most recent call last):
    bayes_intgen.errors.ModelError: graph: unknown action 'gren'; did you mean 'green'? The \
actions are 'red', 'green'
    """
    for name in some:
        if not isinstance(name, str) or name not in names:
            raise error(f"{where}{unknown_action(name, names)}")


def hint(name: object, known: Sequence[str]) -> str:
    """First half of "the names are ...", after the closest name if there is one.

    Names are compared regardless of case; a name that is a word of the text, or the other way
    round, is close, too.

    Examples
    --------
    >>> hint("gren", ["red", "green"]), hint("blue", ["red", "green"])
    ("did you mean 'green'? The", 'the')
    >>> hint("Red test", ["red", "green"]), hint("tv", ["Radio spend", "TV spend"])
    ("did you mean 'red'? The", "did you mean 'TV spend'? The")
    """
    if not isinstance(name, str):
        return "the"
    folded = {str(other).casefold(): other for other in known}
    text = name.casefold()
    close = get_close_matches(text, folded, n=1)
    words = [o for o in folded if o in re.findall(r"\w+", text) or text in re.findall(r"\w+", o)]
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
    return ", ".join(some_of([repr(name) for name in names], MAX_NAMES))


def some_of(parts: Sequence[str], most: int, more: str = "{} more") -> list[str]:
    """Parts of a list in a sentence, and how many more there are than ``most``.

    Examples
    --------
    >>> some_of(["tv", "radio", "print"], 2), some_of(["tv", "radio", "print"], 3)
    (['tv', 'radio', '1 more'], ['tv', 'radio', 'print'])
    """
    rest = len(parts) - most
    return [*parts[:most], *[more.format(rest)] * (rest > 0)]


def first_few(parts: Sequence[str], most: int = MAX_PARTS) -> str:
    """Parts of a warning, separated by commas; the first of many.

    Examples
    --------
    >>> first_few(["'red'", "'green'"]), first_few(["a", "b", "c", "d", "e"])
    ("'red', 'green'", 'a, b, c and 2 more')
    """
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more


def printable(text: str, encoding: str | None = "utf-8") -> str:
    r"""Escape control characters, and characters that an encoding lacks.

    Names may come from files: a terminal would execute their control sequences.

    Examples
    --------
    >>> print(printable("tv\x1b[2J"))
    tv\u001b[2J
    >>> print(printable("\u22121.5 n\xe9", "ascii"))
    -1.5 n\xe9
    """
    text = CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", text)
    encoding = encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


# Interface in use, in whose words messages name their remedies.
interface: ContextVar[Literal["python", "command line"]] = ContextVar("interface", default="python")
# Text in both interfaces, between control characters.
_BOTH = re.compile("\x1e([^\x1e\x1f]*)\x1f([^\x1e\x1f]*)\x1e")
# Values that are no text in Python.
_CODE = re.compile(r"[-\d{\[(]|(True|False|None)$")


def option(name: str, value: str = "", *, command: str | None = None) -> str:
    """Spell an argument, and perhaps its value, in the interface in use.

    Parameters
    ----------
    name : str
        Name of the argument in Python, or a piece of code.
    value : str
    command : str, optional
        What the command line says instead of the option of this name.

    Examples
    --------
    >>> option("missing", "drop"), option("draws", "800"), option("bi.check", command="`check`")
    ("missing='drop'", 'draws=800', 'bi.check')
    >>> token = interface.set("command line")
    >>> option("missing", "drop"), option("beyond_support", "True")
    ('--missing drop', '--beyond-support')
    >>> option("bi.check", command="`check`")
    '`check`'
    >>> interface.reset(token)
    """
    python = name
    if value:
        python += f"={value if _CODE.match(value) else repr(value)}"
    if command is None:
        flag = f"--{name.replace('_', '-')}"
        command = flag if value in ("", "True") else f"{flag} {shlex.quote(value)}"
    return spoken(in_both(python, command))


def in_both(python: str, command: str) -> str:
    """Text that is stored: :func:`spoken` chooses the words of the interface that shows it."""
    return f"\x1e{python}\x1f{command}\x1e"


def spoken(text: str) -> str:
    """Text in the words of the interface in use.

    Examples
    --------
    >>> spoken(f"draw more: {in_both('draws=800', '--draws 800')}")
    'draw more: draws=800'
    """
    return _BOTH.sub(r"\1" if interface.get() == "python" else r"\2", text)

"""Numbers, dates and missing cells in columns of text, as spreadsheets of many countries have them.

A column is converted if its cells, or other columns of the same file, leave one reading. Otherwise
it stays text, and the choice is a question to the user.
"""

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from bayes_intgen.data.covariates import ISO_DATE
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import MAX_PARTS, option, quoted

Decimal = Literal[".", ","]
Dates = Literal["day", "month", "year"]

# Markers of missing cells that programs write.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
# Markers in columns of text, where "-" may be a level; and further ones in other columns.
MISSING_TEXTS = frozenset([*MISSING, "n/a", "#N/A", "#NV", "<NA>"])
MISSING_VALUES = MISSING_TEXTS | {
    *("-", "--", "\u2013", "\u2014", ".", "..", "...", "?", "na", "n.a.", "N.A.", "k.A.", "k. A."),
    *("#DIV/0!", "#VALUE!", "#WERT!", "#REF!", "#BEZUG!", "#NAME?", "#NUM!", "#ZAHL!"),
}
# Words for missing cells, in any case, in columns of numbers or dates; and for numbers.
MISSING_WORDS = {text.casefold() for text in MISSING_VALUES - {"None"}} | {
    "unk", "unknown", "missing", "nd", "n.d.", "n/d", "nr", "n.r.", "no data", "not available",
    "not known", "not done", "not measured", "not reported", "not recorded", "not determined",
    "unbekannt", "fehlt", "keine angabe", "keine daten", "nicht bekannt", "nicht erhoben", "n.v.",
}  # fmt: skip
WORDS = dict.fromkeys(["none", "no", "n", "nil", "nein", "kein", "keine", "placebo"], "0")
WORDS |= dict.fromkeys(["yes", "y", "ja", "j"], "1")
# Cells of signs only, other than those of currencies: accounts have "$ -" for zero.
SIGNS = re.compile(r"[^\w€$£¥₹]+|_+")
BOOLEANS = dict.fromkeys(["True", "TRUE", "true"], True) | dict.fromkeys(
    ["False", "FALSE", "false"], False
)

CURRENCY = r"(?:US|A|C|R)?[$]|[€£¥₹]|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CAD|AUD|Fr\.|kr"
# Units such as mg, km/h, °C, kg/m² and %.
UNIT = r"[a-zA-Zäöüµμ°/%‰²³]{1,12}"
BLANKS = " \u00a0\u202f"
# The minus may be a hyphen, a sign or, in accounts, parentheses or a hyphen at the end.
NUMBER = re.compile(
    rf"(\()?\s*([-+\u2212])?\s*({CURRENCY})?\s*([-+\u2212])?\s*"
    rf"([.,]?[0-9](?:[0-9.,'\u2019{BLANKS}]*[0-9.,])?(?:[eE][-+]?[0-9]+)?)"
    rf"\s*({CURRENCY}|{UNIT})?\s*(-)?(\))?"
)
SIMPLE = re.compile("[-+]?[0-9.,]*[0-9][0-9.,]*")
PLAIN_NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
THOUSANDS = {".": f",'\u2019{BLANKS}", ",": f".'\u2019{BLANKS}"}
# Digits by decimal mark: plain ones, or with a mark between thousands.
DIGITS = {
    mark: re.compile(
        rf"(?:[0-9]+(?:[{mark}][0-9]*)?|[{mark}][0-9]+)(?:[eE][-+]?[0-9]+)?"
        rf"|[1-9][0-9]{{0,2}}([{thousands}])[0-9]{{3}}(?:\1[0-9]{{3}})*(?:[{mark}][0-9]+)?"
    )
    for mark, thousands in THOUSANDS.items()
}
TO_PYTHON = {mark: str.maketrans(mark, ".", thousands) for mark, thousands in THOUSANDS.items()}
MAX_WHOLE = 2**63 - 1

TIME = (
    r"(?:(?:[T,]|\s)\s*([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]+)?)?\s*([aApP])?(?:\.?[mM]\.?)?"
    r"\s*(?:Z|UTC|[-+][0-9]{2}:?[0-9]{2})?)?"
)
ZONE = re.compile(r":[0-9]{2}(?:\.[0-9]+)?\s*(Z|UTC|[-+][0-9]{2}:?[0-9]{2})$")
WEEKDAY = r"(?i:(?:mo|tu|we|th|fr|sa|su|di|mi|do|so)[^\W\d_]*\.?,?\s+)?"
YEAR_FIRST = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})(?:\2([0-9]{1,2}))?" + TIME)
YEAR_LAST = re.compile(WEEKDAY + r"([0-9]{1,2})([-/.]) ?([0-9]{1,2})\2 ?([0-9]{4}|[0-9]{2})" + TIME)
DAY_AND_NAME = re.compile(
    WEEKDAY + r"([0-9]{1,2})\.?[ -]?([^\W\d_]{3,})[.,]?[ -]?([0-9]{4}|[0-9]{2})" + TIME
)
NAME_FIRST = re.compile(r"([^\W\d_]{3,})\.?(?:\s+([0-9]{1,2}),)?[ -]?\s*([0-9]{4})" + TIME)
MONTHS = (
    ("january", "januar", "jänner"), ("february", "februar"), ("march", "märz", "mrz", "maerz"),
    ("april",), ("may", "mai"), ("june", "juni"), ("july", "juli"), ("august",), ("september",),
    ("october", "oktober"), ("november",), ("december", "dezember"),
)  # fmt: skip
# Years of two digits from here on are in the last century, as in POSIX.
FIRST_SHORT_YEAR = 69

# Answers to questions, on the command line.
ANSWERS: Mapping[str, Mapping[str, str]] = {
    "decimal": {",": "comma", ".": "point"},
    "dates": {order: order for order in ("day", "month", "year")},
}
Cells = Mapping[str, str | float | None]
QUESTIONS = {"numbers": "decimal", "dates": "dates"}
# Number of distinct texts that show what a column holds.
FIRST_TEXTS = 1000
# Maximum number of distinct texts among which most may be numbers, and the column have levels; and
# of others among more numbers.
MAX_NUMBERS_AS_TEXT, MAX_ODD = 20, 5


class Question(NamedTuple):
    """Question of how to read a column of cells with two readings, or with one unknown text.

    Attributes
    ----------
    column, cell : str
    readings : mapping from str to str
        What the cell may be, by answer, the most likely first.
    option : str
        Argument of :func:`bayes_intgen.clean` that answers it: "decimal", "dates" or "cells".
    """

    column: str
    cell: str
    readings: Mapping[str, str]
    option: str

    def words(self, answer: str | None = None) -> list[str]:
        """Option of the command line with an answer, by default the most likely one."""
        answer = next(iter(self.readings)) if answer is None else answer
        if self.option == "cells":
            return words_of_cells({self.cell: answer})
        return [f"--{self.option}", ANSWERS[self.option][answer]]

    def __str__(self) -> str:
        """The question, with the options that answer it in the interface in use."""
        parts = []
        for answer, value in self.readings.items():
            code = repr({self.cell: answer or None}) if self.option == "cells" else answer
            spelled = option(self.option, code, command=shlex.join(self.words(answer)))
            parts.append(f"{value} ({spelled})")
        return f"{self.cell!r} may be {' or '.join(parts)}"

    def in_words(self) -> str:
        """The question, and which function or command has the options."""
        # Every command that reads text files has --cell.
        command = "" if self.option == "cells" else " in `bayes-intgen clean`"
        return f"{self}{option(' in bi.clean', command=command)}"


def by_answer(questions: Iterable[Question]) -> list[tuple[str, Question]]:
    """The columns that need one answer, and its question, for each answer that is needed."""
    alike: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        key = question.option, question.cell.casefold() if question.option == "cells" else ""
        alike.setdefault(key, []).append(question)
    return [
        (f"{first.column!r}" + f" (and {len(more)} more)" * bool(more), first)
        for first, *more in alike.values()
    ]


def words_of_cells(cells: Cells) -> list[str]:
    """Options of the command line that say what texts stand for.

    Examples
    --------
    >>> words_of_cells({"none": "0", "lost": None})
    ['--cell', 'none=0', '--cell', 'lost=']
    """
    spelled = (f"{text}={'' if meaning is None else meaning}" for text, meaning in cells.items())
    return [word for pair in spelled for word in ("--cell", pair)]


class CleanedColumn(NamedTuple):
    """How a column was read.

    Attributes
    ----------
    name : str
    kind : str
        "numbers", perhaps with a unit, "dates", "true or false" or "text".
    raw, value : str
        A cell, and what it was read as.
    missing : int
        Number of missing cells.
    markers : tuple of str
        Texts of missing cells, apart from those that programs write.
    plain : bool
        Whether every program would read the column in the same way.
    reason : str
        Why a column that resembles numbers or dates stays text.
    questions : tuple of Question
    """

    name: str
    kind: str
    raw: str = ""
    value: str = ""
    missing: int = 0
    markers: tuple[str, ...] = ()
    plain: bool = True
    reason: str = ""
    questions: tuple[Question, ...] = ()

    def __str__(self) -> str:
        """What was read, in a few words."""
        read = [f"{self.raw!r} read as {self.value}"]
        if self.raw == self.value and self.markers:
            read = []
        if self.markers:
            cells = "cell" if self.missing == 1 else "cells"
            such = ", ".join(map(repr, self.markers[:MAX_PARTS]))
            read.append(f"{self.missing} {cells} such as {such} as missing")
        return f"{self.name!r}: {', '.join(read)}"


class Reading(NamedTuple):
    """What distinct texts are.

    Attributes
    ----------
    kind : str
        "numbers", "dates" or "text"; what texts resemble if there are no values.
    values : mapping from str to list
        Their values, by the answer to the question (decimal mark; day or month first) under which
        all of them have one.
    votes : frozenset of str
        Answers for which something speaks in texts that have values under several answers.
    sure : bool
        Whether votes suffice without evidence elsewhere.
    unit : str
    reason : str
        Why texts that resemble numbers or dates are neither.
    odd : tuple of str
        The texts among them that are neither.
    asks : bool
        Whether these may be missing cells, or zeros, rather than names of levels.
    """

    kind: str = "text"
    values: Mapping[str, Sequence[Any]] = {}
    votes: frozenset[str] = frozenset()
    sure: bool = True
    unit: str = ""
    reason: str = ""
    odd: tuple[str, ...] = ()
    asks: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the texts have different values under several answers."""
        return len({tuple(values) for values in self.values.values()}) > 1


def reading_of(texts: Sequence[str]) -> Reading:
    """Read distinct texts, without those of missing cells, as numbers or dates.

    Examples
    --------
    >>> reading_of(["€13,125", "€800"]).values
    {',': [13.125, 800], '.': [13125, 800]}
    >>> reading_of(["€13,125.50", "€800"]).values
    {'.': [13125.5, 800]}
    >>> reading_of(["10 mg", "5MG", "1 g"]).reason
    "units 'mg' and 'g'"
    """
    similar = Reading()
    for kind in ("dates", "numbers"):
        answers = ANSWERS[QUESTIONS[kind]]
        reading = _read(kind, texts[:FIRST_TEXTS], answers)
        if reading.kind == kind and len(texts) > FIRST_TEXTS:
            reading = _read(kind, texts, reading.values or answers)
        if reading.values:
            return reading
        similar = reading if reading.reason else similar
    return similar


def is_value(text: str) -> bool:
    """Whether a text is a number or a date.

    Examples
    --------
    >>> is_value("€13,125"), is_value("3 Mar 2024"), is_value("EUR")
    (True, True, False)
    """
    number = _number_in(text)
    is_number = number is not None and any(_value(number, mark) is not None for mark in DIGITS)
    return is_number or _date_in(text) is not None


def number_of(text: str) -> float | None:
    """Number in a text with a decimal point, perhaps with a currency; None with any other unit.

    Examples
    --------
    >>> number_of("£14,000"), number_of("10 mg"), number_of("-1e3"), number_of("14k")
    (14000.0, None, -1000.0, None)
    """
    number = _number_in(text.strip())
    if number is None or (number.unit and not re.fullmatch(CURRENCY, number.unit)):
        return None
    value = _value(number, ".")
    return None if value is None else float(value)


def read_columns(
    columns: Mapping[str, pd.Series],
    *,
    decimal: Decimal | None = None,
    dates: Dates | None = None,
    cells: Cells | None = None,
    evidence: Collection[str] = (),
    convention: Collection[str] = (),
) -> tuple[dict[str, pd.Series], list[CleanedColumn]]:
    r"""Read the columns of text of one table.

    Parameters
    ----------
    columns : mapping from str to Series of str
        Texts; missing cells may be null.
    decimal, dates : str, optional
        Answers to questions.
    cells : mapping from str to str, optional
        What texts stand for in columns that then are numbers or dates; None for missing cells.
    evidence : collection of str
        Answers that other columns of the table imply.
    convention : collection of str
        Answers that hold where no column implies one.

    Returns
    -------
    columns : dict from str to Series
    read : list of CleanedColumn

    Raises
    ------
    DataError
        If a text in ``cells`` does not occur, or is to stand for something else.

    Examples
    --------
    >>> texts = {"tv": pd.Series(["1.234", "800", "-"]), "radio": pd.Series(["0,5", "1", "2"])}
    >>> columns, read = read_columns(texts)
    >>> print(*read, sep="\n")
    'tv': '1.234' read as 1234, 1 cell such as '-' as missing
    'radio': '0,5' read as 0.5
    """
    factorized = {name: pd.factorize(cells) for name, cells in columns.items()}
    texts = {
        name: [str(text).strip() for text in distinct] for name, (_, distinct) in factorized.items()
    }
    meant, readings = _readings(texts, cells or {})
    certain = (reading.values for reading in readings.values() if len(reading.values) == 1)
    implied = frozenset(evidence).union(*certain)
    given: Mapping[str, str | None] = {"numbers": decimal, "dates": dates}
    converted, read = {}, []
    for name, (codes, _) in factorized.items():
        reading = readings[name]
        answer = given.get(reading.kind)
        if answer not in reading.values:
            answer = _answer(reading, implied, convention)
        converted[name], column = _converted(
            name, texts[name], meant[name], reading, answer, codes, columns[name]
        )
        # What no cell of the table decided is said.
        guessed = reading.is_open and not implied & {*reading.values}
        read.append(column._replace(plain=column.plain and not guessed))
    return converted, read


def _readings(
    texts: Mapping[str, Sequence[str]], cells: Cells
) -> tuple[dict[str, Sequence[str]], dict[str, Reading]]:
    """What the distinct texts of columns stand for, and their readings."""
    answers = {text.strip().casefold(): (text, meaning) for text, meaning in cells.items()}
    stand_for = {
        key: "" if meaning is None else str(meaning).strip()
        for key, (_, meaning) in answers.items()
    }
    meant: dict[str, Sequence[str]] = {}
    readings, used = {}, set()
    for name, own in texts.items():
        answered = [stand_for.get(text.casefold(), text) for text in own]
        unit = reading_of(present_texts(answered)).unit if answered != own else ""
        # Numbers that are said without a unit have that of the others.
        answered = [
            f"{to} {unit}".strip() if to != text and SIMPLE.fullmatch(to) else to
            for text, to in zip(own, answered, strict=True)
        ]
        meant[name], readings[name] = answered, reading_of(present_texts(answered))
        if readings[name].kind != "text":
            used |= {text.casefold() for text in own}
        elif answered != own:
            meant[name], readings[name] = own, reading_of(present_texts(own))
    for key, (text, meaning) in answers.items():
        reason = "no column of numbers or dates has such a cell" if key not in used else ""
        if stand_for[key] and not is_value(stand_for[key]):
            reason = f"{meaning!r} is neither a number nor a date"
        if reason:
            spelled = shlex.join(words_of_cells({text: meaning}))
            named = option("cells", repr({text: meaning}), command=spelled)
            raise DataError(f"{named}: {reason}")
    return meant, readings


def open_questions(
    table: "nw.DataFrame[Any]", actions: Collection[str] = (), outcomes: Collection[str] = ()
) -> list[Question]:
    """Questions of how to read columns of text that may be numbers or dates.

    Texts that could be levels are asked about in ``actions`` only, and all in ``outcomes``.

    Examples
    --------
    >>> table = nw.from_dict({"day": ["1/2/2024", "2/2/2024"], "y": [1, 2]}, backend="pandas")
    >>> print(*open_questions(table))
    '1/2/2024' may be 2024-02-01 (dates='day') or 2024-01-02 (dates='month')
    """
    questions: list[Question] = []
    for name in table.columns:
        if table[name].dtype in (nw.String, nw.Object):
            cells = table[name].drop_nulls().unique(maintain_order=True).to_list()
            texts = present_texts(cells) if all(isinstance(cell, str) for cell in cells) else []
            reading = reading_of(texts)
            if name in outcomes and reading.kind == "text":
                reading = Reading("numbers", odd=_distinct(texts))
            if name in {*actions, *outcomes} and len(reading.odd) <= MAX_ODD:
                reading = reading._replace(asks=bool(reading.odd))
            questions += _questions(name, texts, reading)
    return questions


def remedy_of_text(column: str, texts: Sequence[str]) -> str:
    """What texts are where numbers are needed, and the remedy; empty if they are no numbers.

    Examples
    --------
    >>> print("text such as '€13,125'" + remedy_of_text("tv", ["€13,125", "€800"]))
    text such as '€13,125' that reads as numbers; bi.clean(frame) converts it
    >>> print("text such as '1'" + remedy_of_text("tv", ["1", "2", "<1"]))
    text such as '1', but '<1' may be missing (cells={'<1': None}) or a number (cells={'<1': \
'NUMBER'}) in bi.clean
    >>> remedy_of_text("tv", ["low", "high"])
    ''
    """
    texts = present_texts(texts)
    reading = reading_of(texts)
    converts = f"{option('bi.clean(frame)', command='`bayes-intgen clean`')} converts it"
    if reading.is_open and _answer(reading, frozenset(), ()) is None:
        return f" with two readings; {converts}: {_questions(column, texts, reading)[0]}"
    if reading.values:
        return f" that reads as {reading.kind}; {converts}"
    if 0 < len(reading.odd) <= MAX_ODD:
        more = f" and {len(reading.odd) - 1} more such texts" if len(reading.odd) > 1 else ""
        question = _questions(column, texts, reading._replace(asks=True))[0]
        return f", but {question.in_words()}{more}"
    return f", but {reading.reason}; correct or empty such cells" if reading.reason else ""


def present_texts(texts: Iterable[str]) -> list[str]:
    """Distinct texts without blanks around them, except markers of missing cells."""
    stripped = dict.fromkeys(str(text).strip() for text in texts)
    return [text for text in stripped if not is_missing(text)]


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts that differ in more than case, each as it occurs last."""
    return tuple({text.casefold(): text for text in texts}.values())


def is_missing(text: str) -> bool:
    """Whether a text marks a missing cell in a column of numbers or dates.

    Examples
    --------
    >>> [text for text in ("ND", "Not reported", "---", "$ -", "none", "") if is_missing(text)]
    ['ND', 'Not reported', '---', '']
    """
    known = text in MISSING_VALUES or text.casefold() in MISSING_WORDS
    return known or SIGNS.fullmatch(text) is not None


def _questions(column: str, texts: Sequence[str], reading: Reading) -> tuple[Question, ...]:
    """Questions to a column that is open, or whose odd texts may be missing cells or zeros."""
    if reading.asks:
        kind = reading.kind.removesuffix("s")
        missing, in_unit = {"": "missing"}, f" in {reading.unit}" * bool(reading.unit)
        unknown = {**missing, kind.upper(): f"a {kind}{in_unit}"}
        known = WORDS if reading.kind == "numbers" else {}
        zero_or_one = [known.get(text.casefold()) for text in reading.odd]
        return tuple(
            Question(column, text, {word: word, **missing} if word else unknown, "cells")
            for text, word in zip(reading.odd, zero_or_one, strict=True)
        )
    if not reading.is_open:
        return ()
    rows = zip(*reading.values.values(), strict=True)
    row, values = next((i, values) for i, values in enumerate(rows) if len({*values}) > 1)
    shown = dict(zip(reading.values, map(_shown, values), strict=True))
    return (Question(column, texts[row], shown, QUESTIONS[reading.kind]),)


def _answer(reading: Reading, implied: frozenset[str], convention: Collection[str]) -> str | None:
    """Answer under which texts are read; None if nothing decides, or evidence contradicts."""
    if not reading.is_open:
        return next(iter(reading.values), None)
    others = (implied & {*reading.values}) or frozenset(convention) & {*reading.values}
    votes = reading.votes | others
    return next(iter(votes)) if len(votes) == 1 and (reading.sure or others) else None


def _converted(
    name: str,
    texts: Sequence[str],
    meant: Sequence[str],
    reading: Reading,
    answer: str | None,
    codes: Any,
    cells: pd.Series,
) -> tuple[pd.Series, CleanedColumn]:
    """Cells of a column, given the distinct texts of its codes and what these stand for."""
    present = present_texts(meant)
    values: dict[str, Any] = {}
    kind, reason = "text", reading.reason
    if answer is not None:
        of_present = dict(zip(present, reading.values[answer], strict=True))
        pairs = zip(texts, meant, strict=True)
        values = {text: of_present[own] for text, own in pairs if own in of_present}
        kind = reading.kind
    elif present and all(text in BOOLEANS for text in present):
        values, kind = {text: BOOLEANS[text] for text in present}, "true or false"
    whole = kind == "numbers" and all(isinstance(value, int) for value in values.values())
    if whole and any(abs(value) > MAX_WHOLE for value in values.values()):
        kind, reason, whole = "text", "whole numbers of more than 18 digits", False
    # Signs and words alone, such as "+" and "-", are levels.
    if kind == "text" and not MISSING_VALUES.issuperset(texts):
        values = {text: text for text in texts if text not in MISSING_TEXTS}
    # Code -1 is a missing cell, the last of these.
    distinct = [*(values.get(text) for text in texts), None]
    absent = np.array([value is None for value in distinct])[codes]
    # Programs write "None", too, but people may mean zero.
    unsaid = {*MISSING} - {"None"}
    marks = [text for text in texts if text not in values and text not in unsaid]
    # What only people would take for a missing cell comes first.
    marks.sort(key=MISSING_VALUES.__contains__)
    odd = next((text for text in values if not _is_plain(text, kind, answer)), "")
    if odd and kind == "dates":
        # A late day shows what comes first.
        odd = max(values, key=lambda text: values[text].day)
    raw = odd or next(iter(values), "")
    unit = f" in {reading.unit}" if kind == "numbers" and reading.unit else ""
    asked = () if answer is not None else _questions(name, present, reading)
    column = CleanedColumn(
        name, kind + unit, raw, _shown(values.get(raw, "")), int(absent.sum()), tuple(marks),
        not (odd or marks or asked), reason if kind == "text" else "",
        asked,
    )  # fmt: skip
    types = {"numbers": "Int64" if whole else "float64", "dates": "datetime64[us]"}
    types["true or false"] = "boolean"
    out = (
        pd.Series(distinct, dtype=types.get(kind, "object" if values else "float64"))
        .take(codes)
        .set_axis(cells.index)
    )
    if not absent.any() and (whole or kind == "true or false"):
        out = out.astype("int64" if whole else "bool")
    return out.infer_objects(), column


def _is_plain(text: str, kind: str, answer: str | None) -> bool:
    if kind == "numbers":
        return PLAIN_NUMBER.fullmatch(text) is not None and not (answer == "," and "." in text)
    return kind != "dates" or ISO_DATE.fullmatch(text) is not None


def _shown(value: Any) -> str:
    """A value as text: dates without a time at midnight."""
    if isinstance(value, datetime):
        return str(value.date() if value == datetime(*value.timetuple()[:3]) else value)
    return str(value)


class _Number(NamedTuple):
    digits: str
    negative: bool
    unit: str


def _number_in(text: str) -> _Number | None:
    if SIMPLE.fullmatch(text):
        return _Number(text.lstrip("+-"), text[0] == "-", "")
    match = NUMBER.fullmatch(text)
    if not match:
        return None
    opening, *signs, digits, after, hyphen, closing = (match[i] for i in (1, 2, 4, 5, 6, 7, 8))
    signs = [sign for sign in (*signs, hyphen, opening) if sign]
    # In Switzerland 5.- is five.
    if len(signs) > 1 or bool(opening) != bool(closing) or (hyphen and digits[-1] in ".,"):
        return None
    unit = " ".join(filter(None, (match[3], after)))
    return _Number(digits, bool(signs) and signs != ["+"], unit)


def _value(number: _Number, mark: str) -> int | float | None:
    """Value of a number with a decimal mark; None if it cannot have that mark."""
    if not DIGITS[mark].fullmatch(number.digits):
        return None
    text = number.digits.translate(TO_PYTHON[mark])
    value = int(text) if text.isdecimal() else float(text)
    return -value if number.negative else value


def _read(kind: str, texts: Sequence[str], answers: Iterable[str]) -> Reading:
    """Read texts as "numbers" or "dates", if most are, by the answers under which all are."""
    # A date is a dict of what it is under each answer.
    readers: Any = {
        "numbers": (_number_in, _value, _about_numbers),
        "dates": (_date_in, dict.get, _about_dates),
    }
    find, value, about = readers[kind]
    known = {text: own for text in texts if (own := find(text)) is not None}
    unknown = [text for text in texts if text not in known]
    if 2 * len(unknown) >= len(texts):
        return Reading()
    reading: Reading = about([*known], [*known.values()])
    if odd := _distinct([*unknown, *reading.odd]):
        few = len(odd) <= MAX_ODD and 2 * len(odd) < len(texts)
        asks = few and (reading.unit != "" or len(texts) > MAX_NUMBERS_AS_TEXT)
        reason = f"{odd[0]!r} is not a {kind.removesuffix('s')}" if unknown else reading.reason
        return Reading(kind, unit=reading.unit, reason=reason, odd=odd, asks=asks)
    if reading.reason:
        return reading
    values = {answer: [value(own, answer) for own in known.values()] for answer in answers}
    usable = {answer: own for answer, own in values.items() if None not in own}
    if usable:
        return reading._replace(values=usable)
    best = min(values.values(), key=lambda own: own.count(None))
    text = texts[best.index(None)]
    return Reading(kind, reason=f"{text!r} is not a {kind.removesuffix('s')} if the others are")


def _about_numbers(texts: Sequence[str], numbers: Sequence[_Number]) -> Reading:
    """Unit and decimal mark of numbers, or the reason why they are of several kinds."""
    units = {number.unit.casefold(): number.unit for number in reversed(numbers) if number.unit}
    several = [*reversed(units.values())]
    # A zero needs no unit.
    own = {
        text: number.unit.casefold()
        for text, number in zip(texts, numbers, strict=True)
        if number.unit or number.digits.strip("0.,")
    }
    usual = Counter(own.values()).most_common(1)[0][0] if own else ""
    # 0.3 beside 30%, or 800 beside 13k, may be in another unit; amounts without a currency are not.
    is_money = len(units) == 1 and re.fullmatch(CURRENCY, several[0])
    if odd := () if is_money else tuple(text for text, unit in own.items() if unit != usual):
        bare = next((text for text, unit in own.items() if not unit), "")
        reason = f"units {quoted(several[:2]).replace(', ', ' and ')}"
        if len(several) == 1:
            reason = f"{bare!r} has no unit, others have {several[0]!r}"
        return Reading("numbers", unit=units.get(usual, ""), reason=reason, odd=odd)
    digits = [number.digits for number in numbers]
    # Programs write 1.125 beside 2, but would not end 1.130 with a zero.
    sure = any("," in own or re.search("[.].*0$", own) for own in digits)
    return Reading("numbers", {}, _votes(digits), sure, "".join(several))


def _about_dates(texts: Sequence[str], _: Any) -> Reading:
    """Order of day, month and year of dates, or the reason why they are of several kinds."""
    zones = {zone and zone[1] for zone in map(ZONE.search, texts)}
    if len(zones) > 1:
        return Reading("dates", reason="times are of several zones: write all in UTC")
    # Countries with points put the day first.
    with_points = any(match[2] == "." for match in map(YEAR_LAST.fullmatch, texts) if match)
    return Reading("dates", votes=frozenset({"day"} if with_points else ()))


def _votes(digits: Sequence[str]) -> frozenset[str]:
    """Decimal marks for which numbers without a mark speak, beside numbers such as 1.234.

    Numbers from 1000 on have no mark between thousands if 1500 has none. If 800 is not 800.000,
    then 1.234 has no decimals.
    """
    marks = {mark for mark in ".," for number in digits if mark in number}
    if len(marks) != 1:
        return frozenset(marks)
    (mark,) = marks
    (other,) = {*".,"} - marks
    bare = [number for number in digits if mark not in number and number.strip("0")]
    # Blanks between thousands, and powers of ten, show that this mark is no such mark.
    if any(len(number) > 3 or not number.isdecimal() for number in bare):
        return frozenset({mark})
    return frozenset({other} if bare else ())


def _date_in(text: str) -> Mapping[str, datetime] | None:
    """Moments that a text may be, by the order of day, month and year; None if it is no date."""
    if match := YEAR_LAST.fullmatch(text):
        first, mark, second, year, *time = match.groups()
        parts = {"day": (year, second, first), "month": (year, first, second)}
        # Of dates that start with a year, only the order of ISO, without the century, is in use.
        if len(year) == 2 and mark == "-":
            parts["year"] = (first, second, year)
        return _moments(parts, time)
    if match := YEAR_FIRST.fullmatch(text):
        year, mark, month, day, *time = match.groups()
        if day is None and mark == ".":
            return None
        return _moments(dict.fromkeys(ANSWERS["dates"], (year, month, day)), time)
    if match := DAY_AND_NAME.fullmatch(text):
        day, name, year, *time = match.groups()
    elif match := NAME_FIRST.fullmatch(text):
        name, day, year, *time = match.groups()
    else:
        return None
    word = name.casefold()
    months = [i for i, names in enumerate(MONTHS, 1) if any(n.startswith(word) for n in names)]
    return (
        _moments(dict.fromkeys(ANSWERS["dates"], (year, months[0], day)), time) if months else None
    )


def _moments(
    parts: Mapping[str, tuple[str, str | int, str | None]], time: Sequence[str | None]
) -> Mapping[str, datetime]:
    """Moments by order, from years, months and days, without those that do not exist."""
    hour, minute, second, fraction, half = time
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + 12 * (half in "pP")
    seconds = int(second or 0) + float(fraction or 0)
    of_day = timedelta(hours=hours, minutes=int(minute or 0), seconds=seconds)
    out = {}
    for order, (year, month, day) in parts.items():
        century = 0 if len(year) == 4 else 1900 if int(year) >= FIRST_SHORT_YEAR else 2000
        with suppress(ValueError):
            start = datetime(century + int(year), int(month), int(day or 1))
            if of_day < timedelta(days=1):
                out[order] = start + of_day
    return out

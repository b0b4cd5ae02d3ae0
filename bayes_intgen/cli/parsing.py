"""Parsers of the texts of options: points, graphs and lists of columns."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

from bayes_intgen.errors import DataError, ModelError, PointsError

if TYPE_CHECKING:
    from cyclopts import Token

    from bayes_intgen.models.carryover import Adstock
    from bayes_intgen.models.mechanisms.mechanism import Mechanism

# The graph without edges, and unknown parents.
NO_EDGES, UNKNOWN = "none", "?"
# A treatment of missing cells, perhaps of one column, whose name may contain commas.
TREATMENT = re.compile(r"(?:(.+?)=)??\s*(error|drop|level)\s*(?:,\s*|$)")
# A number with commas between thousands, where a value starts and ends.
_THOUSANDS = re.compile(
    r"(?:^|(?<=[=|:\s+$€£¥₹-])|(?<=\.\.))\d{1,3}(?:,\d{3})+(?=[.,|:\s%$€£¥₹]|$)"
)


def parse_point(text: str | None, names: Sequence[str] = ()) -> dict[str, Any]:
    """Parse a point from ``tv=2,drug=on``, or from JSON if names or levels contain commas.

    Empty without a text. Values stay text, because their meaning depends on the action. Names may
    differ from the known ``names`` in case and spaces; commas between thousands are left out.

    Raises
    ------
    PointsError
        If a part is not ``name=value``, or a name occurs twice.

    Examples
    --------
    >>> parse_point("tv=2, drug=on")
    {'tv': '2', 'drug': 'on'}
    >>> parse_point("tv spend=40,000,radio=5", ["TV spend", "radio"])
    {'TV spend': '40000', 'radio': '5'}
    >>> parse_point('{"spend, online": 3}')
    {'spend, online': 3}
    """
    if text is None:
        return {}
    if text.lstrip().startswith("{"):
        try:
            pairs = [(str(name), value) for name, value in json.loads(text).items()]
        except ValueError as error:
            raise PointsError(f"{text!r} starts like JSON but is not ({error})") from error
    else:
        pairs = []
        for part in filter(str.strip, without_thousands(text).split(",")):
            name, equals, value = part.rpartition("=")
            if not equals or not name.strip():
                such = "; decimals have a point, tv=2.5" if part.isdigit() else ", such as tv=2"
                raise PointsError(f"{part.strip()!r} is not name=value{such}")
            pairs.append((name.strip(), value.strip()))
    point: dict[str, Any] = {}
    for typed, value in pairs:
        name = matched(typed, names)
        if name in point:
            raise PointsError(f"{name!r} has two values in {text!r}")
        if not isinstance(value, str | int | float):
            raise PointsError(f"{name!r} is {value!r}, which is neither a number nor a level")
        point[name] = value
    if not point:
        raise PointsError(f"{text!r} sets nothing; write name=value, such as tv=2")
    return point


def parse_given(texts: Sequence[str], names: Sequence[str] = ()) -> dict[str, Any]:
    """Parse values of covariates and groups; several texts with a value of one give a list.

    Examples
    --------
    >>> parse_given(["age=40, region=north", "region=south"])
    {'age': '40', 'region': ['north', 'south']}
    """
    values: dict[str, list[Any]] = {}
    for text in texts:
        for name, value in parse_point(text, names).items():
            values.setdefault(name, []).append(value)
    return {name: own if len(own) > 1 else own[0] for name, own in values.items()}


def parse_graph(
    texts: Sequence[str],
) -> Mapping[str, tuple[str, ...] | None] | Literal["any"] | None:
    """Parse a graph from ``child=parent,parent`` per child; None without texts.

    ``none`` alone is the graph in which no action affects another, and ``any`` alone that in which
    every action may affect every other. ``child=?`` means that the parents of a child are unknown.

    Raises
    ------
    ModelError
        If a text has another form, or a child occurs twice.

    Examples
    --------
    >>> parse_graph(["green=red", "blue=red,green"])
    {'green': ('red',), 'blue': ('red', 'green')}
    >>> parse_graph(["green=?"]), parse_graph(["none"]), parse_graph(["any"]), parse_graph([])
    ({'green': None}, {}, 'any', None)
    """
    if not texts:
        return None
    graph: dict[str, tuple[str, ...] | None] = {}
    if list(texts) == [NO_EDGES]:
        return graph
    if list(texts) == ["any"]:
        return "any"
    for text in texts:
        child, equals, parents = text.partition("=")
        if not equals or not child.strip() or not parents.strip():
            raise ModelError(
                f"{text!r} is not child=parent,parent; write {NO_EDGES!r} if no action affects "
                "another, and child=? if the parents of a child are unknown"
            )
        if child.strip() in graph:
            raise ModelError(f"the graph gives the parents of {child.strip()!r} twice")
        names = tuple(p.strip() for p in parents.split(",") if p.strip())
        graph[child.strip()] = None if names == (UNKNOWN,) else names
    return graph


def parse_interactions(
    texts: Sequence[str],
) -> Literal["auto"] | list[tuple[str, ...]] | None:
    """Parse pairs of actions from ``action,action`` each; ``"auto"`` without texts.

    ``none`` alone means that no actions interact.

    Examples
    --------
    >>> parse_interactions(["tv,radio"]), parse_interactions(["none"]), parse_interactions([])
    ([('tv', 'radio')], None, 'auto')
    """
    if list(texts) in ([], ["auto"]):
        return "auto"
    if list(texts) == [NO_EDGES]:
        return None
    return parse_name_groups(texts)


def parse_name_groups(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Parse groups of names, separated by commas within each.

    Examples
    --------
    >>> parse_name_groups(["tv, radio", "a,b,c"])
    [('tv', 'radio'), ('a', 'b', 'c')]
    """
    return [tuple(name.strip() for name in text.split(",")) for text in texts]


def parse_moderators(texts: Sequence[str]) -> dict[str, list[str]]:
    """Parse covariates by action from ``action:covariate``, separated by commas.

    Raises
    ------
    ModelError
        If a part has another form.

    Examples
    --------
    >>> parse_moderators(["drug:age,drug:sex", "tv:season"])
    {'drug': ['age', 'sex'], 'tv': ['season']}
    """
    moderators: dict[str, list[str]] = {}
    for part in parse_names(texts):
        action, colon, covariate = (piece.strip() for piece in part.partition(":"))
        if not action or not colon or not covariate:
            raise ModelError(f"{part!r} is not action:covariate, such as drug:age")
        moderators.setdefault(action, []).append(covariate)
    return moderators


def parse_carryover(texts: Sequence[str]) -> "dict[str, Adstock]":
    """Parse actions that carry over, with their rates where these are known.

    Raises
    ------
    ModelError
        If a rate is no number, or out of range.

    Examples
    --------
    >>> parse_carryover(["tv,radio=0.5"])["radio"].rate
    0.5
    """
    from bayes_intgen.models.carryover import Adstock

    parts = [part.partition("=") for part in parse_names(texts)]
    return {
        name.strip(): Adstock(number(rate, f"the rate of {name.strip()}") if equals else None)
        for name, equals, rate in parts
    }


def parse_shapes(
    texts: Sequence[str], prior: str, levels: "Mapping[str, Mechanism]"
) -> "dict[str, Mechanism]":
    """Parse the shapes of effects, as priors of actions.

    Raises
    ------
    ModelError
        If a shape is unknown, or the prior cannot have one.

    Examples
    --------
    >>> parse_shapes(["tv=increasing concave"], "gp", {})["tv"].shape
    'increasing concave'
    """
    from bayes_intgen.models.mechanisms.parametric import Levels
    from bayes_intgen.models.mechanisms.smooth import GP, Spline
    from bayes_intgen.models.specification import as_mechanism

    out: dict[str, Mechanism] = {}
    for part in parse_names(texts):
        name, _, shape = (text.strip() for text in part.partition("="))
        own = levels.get(name) or as_mechanism(cast(Any, prior))
        if not isinstance(own, GP | Spline | Levels):
            raise ModelError(f"--shape needs --prior gp or spline, not {prior}")
        out[name] = replace(own, shape=cast(Any, shape))
    return out


def parse_names(texts: Sequence[str] | None, whole: Sequence[str] = ()) -> list[str]:
    """Split texts at commas into names; names in ``whole`` are not split.

    Names may differ from those in ``whole`` in case and spaces.

    Examples
    --------
    >>> parse_names(["tv,radio", "print"])
    ['tv', 'radio', 'print']
    >>> parse_names(["spend, online", "TV"], whole=["spend, online", "tv"])
    ['spend, online', 'tv']
    """
    names = []
    for text in texts or ():
        parts = [text] if matched(text, whole) in whole else map(str.strip, text.split(","))
        names += [matched(part, whole) for part in parts if part]
    return names


def parse_labels(texts: Sequence[str] | None) -> dict[str, str]:
    """Parse meanings of regime labels from ``label=action``, split at the last ``=``.

    Raises
    ------
    DataError
        If a text has another form, or a label has two meanings.

    Examples
    --------
    >>> parse_labels(["TV geo test (spring)=tv", "BAU="])
    {'TV geo test (spring)': 'tv', 'BAU': ''}
    """
    such = "label=action, such as 'TV test=tv', or BAU= where no action was set"
    return _meanings(texts, "label", such)


def parse_cells(texts: Sequence[str] | None) -> dict[str, str | float | None]:
    """Parse what texts in cells stand for from ``text=value``, missing cells from ``text=``.

    Raises
    ------
    DataError
        If a text has another form, or two meanings.

    Examples
    --------
    >>> parse_cells(["none=0", "not reported="])
    {'none': '0', 'not reported': None}
    """
    such = "text=value, such as none=0, or lost= for missing cells"
    return {text: value or None for text, value in _meanings(texts, "cell", such).items()}


def _meanings(texts: Sequence[str] | None, option: str, such: str) -> dict[str, str]:
    """Parse meanings of texts, split at the last ``=``."""
    meanings: dict[str, str] = {}
    for text in texts or ():
        name, equals, meaning = text.rpartition("=")
        if not equals:
            raise DataError(f"--{option} {text!r} is not {such}")
        if meanings.setdefault(name, meaning) != meaning:
            raise DataError(f"--{option} gives {name!r} two meanings, {meanings[name]!r} and "
                            f"{meaning!r}")  # fmt: skip
    return meanings


def parse_missing(texts: Sequence[str] | None) -> dict[str, Any]:
    """Parse treatments of missing cells from ``drop,holiday=level``; under "" that of the others.

    Raises
    ------
    DataError
        If a part is neither a treatment nor ``column=treatment``.

    Examples
    --------
    >>> parse_missing(["drop,holiday=level"]), parse_missing(["spend, online=drop"])
    ({'': 'drop', 'holiday': 'level'}, {'spend, online': 'drop'})
    """
    treatments: dict[str, Any] = {}
    for text in texts or ():
        rest = text.strip()
        while rest:
            part = TREATMENT.match(rest)
            if part is None:
                raise DataError(
                    f"--missing {text!r} is not error, drop or level, for a column age=drop, or "
                    "for the others, too: drop,holiday=level"
                )
            treatments[(part[1] or "").strip()] = part[2]
            rest = rest[part.end() :]
    return treatments


def matched(name: str, known: Sequence[str]) -> str:
    """Find the known name that equals a name but for case and spaces; the name itself if none does.

    Examples
    --------
    >>> matched("tv  spend", ["TV spend"]), matched("A", ["a", "a "]), matched("radio", ["tv"])
    ('TV spend', 'A', 'radio')
    """
    same = [own for own in known if _folded(own) == _folded(name)]
    return name if name in known or len(same) != 1 else same[0]


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


def parse_costs(text: str | None, names: Sequence[str] = ()) -> dict[str, float]:
    """Parse costs per unit from ``tv=1,radio=0.4``, or one of all; empty without a text.

    Raises
    ------
    ModelError
        If a cost is not a number.

    Examples
    --------
    >>> parse_costs("tv=1,radio=0.4"), parse_costs("1", ["tv", "radio"])
    ({'tv': 1.0, 'radio': 0.4}, {'tv': 1.0, 'radio': 1.0})
    """
    if text and not set(text) & set("={"):
        return dict.fromkeys(names, number(text, "cost"))
    costs = parse_point(text, names)
    return {name: number(value, f"cost of {name!r}") for name, value in costs.items()}


def parse_bounds(text: str | None, names: Sequence[str] = ()) -> dict[str, Any]:
    """Parse bounds from ``tv=0..60,drug=off|on,radio=20``; empty without a text.

    Raises
    ------
    ModelError
        If the ends of a range are not numbers.

    Examples
    --------
    >>> parse_bounds("tv=0..60,000,drug=off|on,radio=20")
    {'tv': (0.0, 60000.0), 'drug': ('off', 'on'), 'radio': '20'}
    """
    bounds: dict[str, Any] = {}
    for name, value in parse_point(text, names).items():
        low, dots, high = str(value).partition("..")
        if dots:
            bounds[name] = tuple(number(end, f"bounds of {name!r}") for end in (low, high))
        elif "|" in str(value):
            bounds[name] = tuple(part.strip() for part in str(value).split("|"))
        else:
            bounds[name] = value
    return bounds


def number(text: Any, name: str) -> float:
    """Parse a number; raises ModelError on other texts.

    Examples
    --------
    >>> number("2.5", "cost"), number("£38,900", "budget")
    (2.5, 38900.0)
    """
    from bayes_intgen.data.cells import number_of

    try:
        return float(text)
    except ValueError as error:
        amount = number_of(text)
        if amount is None:
            mark = "; decimals have a point" if "," in text else ""
            raise ModelError(f"{name} is {text!r}, which is not a number{mark}") from error
        return amount


def count(text: str, name: str) -> int:
    """Parse a whole number; raises ModelError on other texts.

    Examples
    --------
    >>> count("1,000", "rows")
    1000
    """
    value = number(text, name)
    if not value.is_integer():
        raise ModelError(f"{name} is {text!r}, which is not a whole number")
    return int(value)


def without_thousands(text: str) -> str:
    """Leave out the commas between thousands of the numbers in a text.

    Examples
    --------
    >>> without_thousands("tv=£10,000..60,000.50,drug=on,radio=1,200=5")
    'tv=£10000..60000.50,drug=on,radio=1,200=5'
    """
    return _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)


def as_number(_: Any, tokens: "Sequence[Token]") -> float:
    """Convert the text of an option to a number."""
    return number(tokens[0].value, "the value")


def as_count(_: Any, tokens: "Sequence[Token]") -> int:
    """Convert the text of an option to a whole number."""
    return count(tokens[0].value, "the value")

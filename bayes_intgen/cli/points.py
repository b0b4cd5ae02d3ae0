"""Points of actions from the command line, checked against a posterior."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bayes_intgen.cli.console import log
from bayes_intgen.cli.parsing import parse_point
from bayes_intgen.errors import PointsError
from bayes_intgen.text.messages import refuse_unknown_actions

if TYPE_CHECKING:
    from bayes_intgen.api.posterior import Posterior
    from bayes_intgen.basis.categories import Categories, Label

Point = dict[str, "Label"]


def checked_point(text: str | None, posterior: "Posterior") -> Point:
    """Parse a point and validate its values, levels by their names; empty without a text."""
    from bayes_intgen.data.queries import checked_value

    point = parse_point(text, posterior.actions)
    refuse_unknown_actions(point, posterior.actions, PointsError)
    levels = dict(zip(posterior.actions, posterior.categories, strict=True))
    return {
        name: _label(checked_value(value, name, levels[name]), levels[name])
        for name, value in point.items()
    }


def default_point(posterior: "Posterior") -> Point:
    """The posterior's default point, with numbers rounded to about a hundredth of their spread."""
    from bayes_intgen.posterior.defaults import levels_of
    from bayes_intgen.text.formats import decimals_for

    terms = posterior.terms
    values = posterior.default_point.tolist()
    columns = zip(terms.names, values, terms.coordinates, levels_of(posterior), strict=True)
    return {
        name: round(value, decimals_for(c.spread) + 1) if levels is None else _label(value, levels)
        for name, value, c, levels in columns
    }


def spelled_point(point: Point) -> str:
    """Text of a point, as JSON where names or levels contain signs that separate parts.

    Examples
    --------
    >>> spelled_point({"tv": 2.0, "drug": "on"}), spelled_point({"spend, online": 0.5})
    ('tv=2,drug=on', '{"spend, online": 0.5}')
    """
    cells = {name: f"{v:.12g}" if type(v) is float else str(v) for name, v in point.items()}
    text = ",".join(f"{name}={cell}" for name, cell in cells.items())
    with suppress(PointsError):
        if parse_point(text) == cells:
            return text
    return json.dumps(point)


def completed(points: list[Point], observed: Point, posterior: "Posterior") -> list[Point]:
    """Complete points with observed values and default values; log the defaults."""
    from bayes_intgen.basis.categories import spelled_label

    default = default_point(posterior)
    missing = {n for point in points for n in posterior.actions if n not in {**point, **observed}}
    if missing:
        own = (f"{n} = {spelled_label(default[n])}" for n in posterior.actions if n in missing)
        log(f"note: {', '.join(own)} by default, from the observational row nearest to the medians")
    return [{**default, **observed, **point} for point in points]


def refuse_observed(names: Iterable[str], observed: Point, message: str) -> None:
    """Raise PointsError if actions that are set are observed."""
    for name in names:
        if name in observed:
            raise PointsError(f"{message.format(name=name)}; leave it out of one of the options")


def points_of_file(path: Path, observed: Point, posterior: "Posterior") -> list[Point]:
    """Read points from a table with a column per action that is not observed."""
    import narwhals as nw

    from bayes_intgen.basis.categories import decoded_table
    from bayes_intgen.data.files import read_table, regular_file
    from bayes_intgen.data.queries import checked_points

    with regular_file(path) as source:
        table = read_table(source)
    refuse_observed(table.columns, observed, f"{{name!r}} is both observed and a column of {path}")
    table = table.with_columns(nw.lit(value).alias(name) for name, value in observed.items())
    missing = [name for name in posterior.actions if name not in table.columns]
    if missing:
        raise PointsError(f"{path} has no column {', '.join(map(repr, missing))}")
    if not len(table):
        raise PointsError(f"{path} holds no points")
    values = checked_points(table, posterior.actions, posterior.categories)
    rows = decoded_table(values, posterior.categories).tolist()
    return [dict(zip(posterior.actions, row, strict=True)) for row in rows]


def _label(value: float, levels: "Categories | None") -> "Label":
    import numpy as np

    label: Label = value if levels is None else levels.decode(np.array([value])).tolist()[0]
    return label

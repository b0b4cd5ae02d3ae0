"""HTML page of a report: content from a posterior, rendered by a template."""

import json
import os
import warnings
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from numpy.typing import NDArray

from bayes_intgen._arguments import instance
from bayes_intgen._atomic import atomic_write
from bayes_intgen.assess.checks import Check
from bayes_intgen.decide.decision import Decision
from bayes_intgen.errors import ModelError, SupportWarning
from bayes_intgen.posterior.draws import PosteriorDraws, support_of
from bayes_intgen.report.content import content_of
from bayes_intgen.report.explorer import explorer_data, has_explorer, sliders_of
from bayes_intgen.report.planner import plans_of

FOLDER = Path(__file__).parent
# Scripts of the page in the order in which they run; they share one scope.
SCRIPTS = ("effects.js", "number_format.js", "explorer.js")
# Escapes of characters that could end a script element or begin a comment in one.
_UNSAFE = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"})


def write_report(
    posterior: PosteriorDraws,
    path: str | os.PathLike[str],
    *,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
    level: float = 0.9,
    decision: Decision | None = None,
) -> None:
    """Write the report of a posterior, with its check if it has one, to one file.

    Parameters
    ----------
    posterior : PosteriorDraws
        Of an additive model.
    path : path
        Written atomically: a failure leaves an older file intact.
    given, population
        As in ``posterior.joint_effect``.
    level : float
        Probability of bands.
    decision : Decision, optional
        Whose best plans the report has.

    Raises
    ------
    ModelError
        Where the model is a regression, which has no mechanisms, and as ``posterior.best``.
    PointsError
        Where ``level`` is not a probability, and as in ``posterior.joint_effect``.

    Examples
    --------
    >>> write_report(posterior, folder / "report.html")
    >>> "<title>" in (folder / "report.html").read_text()
    True
    """
    text = page_of(posterior, given=given, population=population, level=level, decision=decision)
    atomic_write(path, text.encode())


def page_of(
    posterior: PosteriorDraws,
    *,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
    level: float = 0.9,
    decision: Decision | None = None,
) -> str:
    """Render the report as HTML.

    Examples
    --------
    >>> page_of(posterior).startswith("<!doctype html>")
    True
    """
    if any(term.role == "regression" for term in posterior.terms.terms):
        raise ModelError(
            f"{type(posterior.model).__name__} has no mechanisms to report; fit models.additive()"
        )
    environment = Environment(
        loader=PackageLoader("bayes_intgen", "report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sha256"] = _sha256
    content = content_of(posterior, level, given, population)
    averages = support_of(posterior).standardisation(given, population)
    plans = data = None
    sliders = sliders_of(posterior)
    with warnings.catch_warnings():
        # The page itself states which plans are not supported.
        warnings.simplefilter("ignore", SupportWarning)
        if decision is not None:
            instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
            plans = plans_of(
                posterior, decision, sliders, level, {"given": given, "population": population}
            )
        if has_explorer(posterior, averages):
            data = explorer_data(posterior, sliders, averages, level)
            if plans is not None and plans["costs"]:
                data["costs"] = plans["cost_of_stops"]
    return environment.get_template("page.html.j2").render(
        content=content,
        check=Check.of_tree(posterior.tree),
        style=_file("page.css"),
        script=_script(),
        plans=plans,
        data=None if data is None else _json(data),
    )


def _sha256(text: str) -> str:
    """Source expression of a Content Security Policy that allows one inline element."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _file(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))


def _script() -> Markup:
    """All scripts in one function, so that none of their names is global."""
    return Markup("\n").join(
        [Markup('"use strict";\n(() => {'), *(_file(name) for name in SCRIPTS), Markup("})();\n")]
    )


def _json(value: Any) -> Markup:
    """Encode a value as JSON that cannot end the script element around it."""
    return Markup(json.dumps(value, default=_packed).translate(_UNSAFE))


def _packed(values: NDArray[Any]) -> dict[str, str]:
    """Encode an array as base64 of its little-endian numbers in row-major order."""
    numbers = np.ascontiguousarray(values, dtype="<f8").tobytes()
    return {"float64": b64encode(numbers).decode()}

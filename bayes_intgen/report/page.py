"""The page: content from a posterior, laid out by a template."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bayes_intgen.atomic import whole_file
from bayes_intgen.errors import ModelError
from bayes_intgen.report.content import content_of
from bayes_intgen.report.explorer import explorer_data

if TYPE_CHECKING:
    from bayes_intgen.posterior import Posterior

FOLDER = Path(__file__).parent
# What would end a script element, or begin a comment in one, within JSON.
_UNSAFE = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&'\u2028\u2029"})


def write_report(
    posterior: "Posterior",
    path: str | os.PathLike[str],
    *,
    checks: object = None,
    level: float = 0.9,
) -> None:
    """Write the report of a posterior to one file; as ``Posterior.report``.

    Parameters
    ----------
    posterior : Posterior
        Of an additive model.
    path : path
        An older file stays whole until the new one is.
    checks : object, optional
        What :func:`bayes_intgen.check` found; its ``str`` is shown. What the posterior keeps
        of a check where it is left out.
    level : float
        Probability of bands.

    Raises
    ------
    ModelError
        Where the model is a regression: it has no mechanisms to report.
    PointsError
        Where ``level`` is no probability.

    Examples
    --------
    >>> write_report(posterior, folder / "report.html")
    >>> "<title>" in (folder / "report.html").read_text()
    True
    """
    text = page_of(posterior, checks=checks, level=level)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def page_of(posterior: "Posterior", *, checks: object = None, level: float = 0.9) -> str:
    """The report as HTML.

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
    content = content_of(posterior, level)
    checks = posterior.check if checks is None else checks
    return environment.get_template("page.html.j2").render(
        content=content,
        checks=None if checks is None else str(checks),
        violated=getattr(checks, "violated", None),
        style=_file("page.css"),
        script=_file("explorer.js"),
        data=_json({**explorer_data(posterior), "level": level}),
    )


def _file(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))


def _json(value: Any) -> Markup:
    """JSON that cannot end the element that it stands in."""
    return Markup(json.dumps(value).translate(_UNSAFE))

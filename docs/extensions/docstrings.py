"""Docstrings as pages: links to other pages, and no methods that a base class wrote."""

import re
from typing import Any

from sphinx.application import Sphinx

PAGE = re.compile(r"\bdocs/([\w/-]+)\.md")


def link_pages(_: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Link the pages that docstrings name by their files, for readers of the code."""
    lines[:] = [PAGE.sub(r":doc:`/\1`", line) for line in lines]


def skip_routing(
    _: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the methods that scikit-learn makes for the routing of metadata."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both."""
    app.connect("autodoc-process-docstring", link_pages)
    app.connect("autodoc-skip-member", skip_routing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

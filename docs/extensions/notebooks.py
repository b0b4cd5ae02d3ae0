"""Tutorials as notebooks: each page of that part links to itself as one, which lies beside it."""

import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

import nbformat
from sphinx.application import Sphinx

LINK = '<p><a class="reference download" href="{}.ipynb" download>This page as a notebook</a></p>'

# Of Sphinx, not of notebooks; and where a link to a page of the site leads.
DIRECTIVE = re.compile(r"^```\{.*?^```\n", re.DOTALL | re.MULTILINE)
TARGET = re.compile(r"(?<=\]\()(?!#)[^)]+")


def is_tutorial(page: str) -> bool:
    """Whether a page is one of the executed ones that readers may want to run."""
    folder, _, name = page.rpartition("/")
    return folder == "tutorials" and name != "index"


def add_link(_: Sphinx, page: str, template: str, context: dict[str, Any], source: Any) -> None:
    """Write the link below the title."""
    if is_tutorial(page):
        link = "</h1>\n" + LINK.format(PurePosixPath(page).name)
        context["body"] = context["body"].replace("</h1>", link, 1)


def copy_notebooks(app: Sphinx, failure: Exception | None) -> None:
    """Copy the executed notebooks, without progress, warnings and links to files of the site."""
    if failure or app.builder.format != "html":
        return
    project = tomllib.loads((Path(app.srcdir).parent / "pyproject.toml").read_text())["project"]
    for page in filter(is_tutorial, app.env.found_docs):
        executed = Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb"
        notebook = nbformat.read(executed, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                home = urljoin(project["urls"]["Documentation"], page)
                text = DIRECTIVE.sub("", cell.source)
                cell.source = TARGET.sub(lambda own, home=home: urljoin(home, own[0]), text)
            if "outputs" in cell:
                cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
        nbformat.write(notebook, Path(app.outdir) / f"{page}.ipynb")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both."""
    app.connect("html-page-context", add_link)
    app.connect("build-finished", copy_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""`llms.txt`, an index of the site for programs that read it: pages and their first sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

SENTENCE = re.compile(r".*?[.?!](?=\s|$)")


def first_sentence(page: nodes.document) -> str:
    """First sentence of the first paragraph that has one."""
    for paragraph in page.findall(nodes.paragraph):
        if found := SENTENCE.match(" ".join(paragraph.astext().split())):
            return found[0]
    return ""


def pages_below(app: Sphinx, name: str) -> Iterator[str]:
    """Pages in the order of the table of contents."""
    for child in app.env.toctree_includes.get(name, ()):
        yield child
        yield from pages_below(app, child)


def write_index(app: Sphinx, failure: Exception | None) -> None:
    """List all pages, as https://llmstxt.org proposes."""
    if failure or app.builder.format != "html":
        return
    root = app.config.root_doc
    lines = [f"# {app.config.project}", "", f"> {first_sentence(app.env.get_doctree(root))}", ""]
    for name in pages_below(app, root):
        title, target = app.env.titles[name].astext(), app.builder.get_target_uri(name)
        lines.append(f"- [{title}]({target}): {first_sentence(app.env.get_doctree(name))}")
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the index after the pages."""
    app.connect("build-finished", write_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

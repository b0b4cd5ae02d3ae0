"""Figures as wide as the text, each a link to the whole picture, which phones need."""

from docutils import nodes
from sphinx.application import Sphinx


def widen(_: Sphinx, page: nodes.document) -> None:
    """Give a width to images without one; with `html_scaled_image_link` they become links."""
    for image in page.findall(nodes.image):
        image.setdefault("width", "100%")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the change of pages."""
    app.connect("doctree-read", widen)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

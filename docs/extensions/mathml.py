"""Mathematics as MathML, made while the site is built: pages need no script and fetch nothing."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# A single upright letter, which the converter takes for an operator with space about it.
UPRIGHT = re.compile(r"<mo>([A-Za-z])</mo>")
# What the converter takes for variables without space about them.
SPACED = {
    "<mi>log</mi>": '<mo lspace="0.167em" rspace="0.167em">log</mo>',
    "<mi>&#x0007E;</mi>": "<mo>&#x0223C;</mo>",
}


def mathml(tex: str, display: str) -> str:
    """Convert TeX; `display` is inline or block."""
    tex = re.sub(r"\\mathrm\{([A-Za-z])\}", r"\\operatorname{\1}", tex.strip())
    written = UPRIGHT.sub(r'<mi mathvariant="normal">\1</mi>', convert(tex, display=display))
    for variable, operator in SPACED.items():
        written = written.replace(variable, operator)
    return written


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line."""
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula of its own, which scrolls where it is wider than the page."""
    self.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the writer of formulas."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

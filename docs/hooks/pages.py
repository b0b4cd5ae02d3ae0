"""What the site does with its pages: mathematics as MathML, figures of the analyses, files of the
repository.

Everything happens while the site is built, so that a page needs no script for its mathematics and
fetches nothing.
"""

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "analyses" / "results"
# What pymdownx.arithmatex leaves of $...$ and $$...$$.
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
DISPLAY = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.DOTALL)
# Roles of reStructuredText, as docstrings have them, once Markdown has seen them.
ROLE = re.compile(r":(?:meth|class|func|mod|attr):<code>~?([\w.]+)</code>")
# A single upright letter, which the converter takes for an operator with space about it.
UPRIGHT = re.compile(r"<mo>([A-Za-z])</mo>")


def on_files(files: Files, config: Any) -> Files:
    """Take the committed figures that pages show."""
    pages = "".join(file.content_string for file in files.documentation_pages())
    for name in sorted(set(re.findall(r"\(results/([\w.]+)\)", pages))):
        path = RESULTS / name
        files.append(File.generated(config, f"results/{name}", abs_src_path=str(path)))
    return files


def on_page_content(content: str, **_: Any) -> str:
    """Turn the mathematics of a page into MathML, and roles of docstrings into plain code."""
    content = ROLE.sub(lambda found: f"<code>{found[1].rpartition('.')[2]}</code>", content)
    content = DISPLAY.sub(lambda found: _mathml(found[1], "block"), content)
    return INLINE.sub(lambda found: _mathml(found[1], "inline"), content)


def _mathml(tex: str, display: str) -> str:
    tex = re.sub(r"\\mathrm\{([A-Za-z])\}", r"\\operatorname{\1}", html.unescape(tex).strip())
    return UPRIGHT.sub(r'<mi mathvariant="normal">\1</mi>', convert(tex, display=display))

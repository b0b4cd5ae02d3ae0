"""The site: Sphinx, with pages that are executed while it is built.

    sphinx-build -W --keep-going -b html docs build/site

With `-D nb_execution_mode=off` no page is executed, with
`-D nb_execution_mode=cache` those that have changed.
"""

import os
import sys
from pathlib import Path

from nbclient import NotebookClient

DOCS = Path(__file__).parent
sys.path.append(str(DOCS / "extensions"))
# Executed pages use this checkout, and their figures this style.
os.environ["PYTHONPATH"] = str(DOCS.parent)
os.environ["MATPLOTLIBRC"] = str(DOCS / "matplotlibrc")
# The command is the one installed beside the Python that builds.
BIN = str(Path(sys.executable).parent)
os.environ["PATH"] = os.pathsep.join([BIN, os.environ["PATH"]])
# Text is wrapped as in a terminal that fits into the page.
os.environ["COLUMNS"] = "76"
# Output of commands arrives in pieces; nb_merge_streams would end a line
# after each.
NotebookClient.coalesce_streams = True

project = "bayes-intgen"
author = "the authors of bayes-intgen"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "docstrings",
    "figures",
    "llms",
    "mathml",
    "notebooks",
]
exclude_patterns = ["extensions"]
# A link to a heading, and to a file of the repository, leads somewhere.
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4

# Cells of other languages, where pages are not executed.
suppress_warnings = ["misc.highlighting_failure"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_execution_in_temp = True
# Progress and warnings.
nb_output_stderr = "remove"
nb_merge_streams = True
nb_render_image_options = {"alt": "Figure made by the code above"}

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = False
numpydoc_show_class_members = False
# Names in docstrings lead somewhere.
nitpicky = True
# Publishers, to which these lead, answer browsers alone.
linkcheck_ignore = [r"https://doi\.org/"]
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "bayes-intgen"
html_static_path = ["static"]
html_css_files = ["site.css"]
# Pages without others beside them.
html_sidebars = {
    page: [] for page in ("index", "gallery", "contributing", "search")
}
html_math_renderer = "mathml"
html_show_sphinx = False
html_show_copyright = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_align": "left",
    "show_nav_level": 2,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": [],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_exclude = ".linenos, .gp, .go"

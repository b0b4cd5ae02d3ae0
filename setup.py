"""Refuse to build from a checkout without symbolic links, and complete the links of the README.

pyproject.toml has everything else.
"""

import re
import runpy
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
runpy.run_path(str(HERE / "bayes_intgen" / "_checkout.py"))["require_models"]()

from setuptools import setup  # noqa: E402

project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
# The package index shows the README alone, with files and pictures of the tagged commit.
readme = (HERE / "README.md").read_text("utf-8")
for view, label in (("raw", r"!\[[^]]*\]"), ("blob", r"(?<!!)\[[^]]*\]")):
    home = f"{project['urls']['Repository']}/{view}/v{project['version']}/"
    readme = re.sub(rf"({label}\()(?!https://)", rf"\g<1>{home}", readme)
setup(long_description=readme, long_description_content_type="text/markdown")

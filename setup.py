"""Refuse to build from a checkout without symbolic links; pyproject.toml has everything else."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).with_name("bayes_intgen") / "_checkout.py"))["require_models"]()

from setuptools import setup  # noqa: E402

setup()

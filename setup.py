"""Refuse to build from a checkout without symbolic links; pyproject.toml has everything else."""

import runpy
from pathlib import Path

from setuptools import setup

runpy.run_path(str(Path(__file__).with_name("bayes_intgen") / "_checkout.py"))["require_models"]()
setup()

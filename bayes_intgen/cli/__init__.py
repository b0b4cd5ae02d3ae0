"""The command line ``bayes-intgen``."""

from bayes_intgen.cli.process import main, run

__all__ = ["main", "run"]

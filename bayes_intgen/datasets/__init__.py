"""Real tables whose joint answer is known, with confounding of known strength."""

from bayes_intgen.datasets.confounding import Dataset, confound
from bayes_intgen.datasets.tables import compiler, light_tunnel, tax_plans

__all__ = ["Dataset", "compiler", "confound", "light_tunnel", "tax_plans"]

"""The model that options of the command line describe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bayes_intgen.cli import options
from bayes_intgen.cli.parsing import parse_graph, parse_interactions

if TYPE_CHECKING:
    from bayes_intgen.models import AdditiveModel


def model_of(
    prior: options.Prior,
    graph: Sequence[str] | None,
    interactions: Sequence[str] | None,
    **settings: Any,
) -> "AdditiveModel":
    """Build an additive model from texts; ``settings`` are those of ``additive``.

    Raises
    ------
    ModelError
        If a text has a wrong form.

    Examples
    --------
    >>> model_of("gp", ["green=red"], ["none"]).graph
    {'green': ('red',)}
    """
    from bayes_intgen.models import additive

    pairs = parse_interactions(interactions or ())
    return additive(prior, parse_graph(graph or ()), interactions=pairs, **settings)

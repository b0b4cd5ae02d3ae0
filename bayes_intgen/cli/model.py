"""The model that options of the command line describe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bayes_intgen.cli import options
from bayes_intgen.cli.parsing import parse_graph, parse_interactions, parse_moderators
from bayes_intgen.errors import ModelError

if TYPE_CHECKING:
    from bayes_intgen.models import AdditiveModel


def model_of(
    prior: options.Prior,
    graph: Sequence[str] | None,
    interactions: Sequence[str] | None,
    multiplies: bool = False,
    *,
    moderators: Sequence[str] | None = None,
    noise: options.Noise = "gaussian",
) -> "AdditiveModel":
    """Build an additive or a multiplicative model from texts.

    Raises
    ------
    ModelError
        If a text has a wrong form, or a multiplicative outcome has Student-t noise.

    Examples
    --------
    >>> model_of("gp", ["green=red"], ["none"]).graph
    {'green': ('red',)}
    """
    from bayes_intgen.models import additive, multiplicative

    edges, pairs = parse_graph(graph or ()), parse_interactions(interactions or ())
    moderated = parse_moderators(moderators or ())
    if not multiplies:
        return additive(prior, edges, interactions=pairs, moderators=moderated, noise=noise)
    if noise != "gaussian":
        raise ModelError(
            "with --multiplicative, Student-t noise leaves the outcome without a mean; omit --noise"
        )
    return multiplicative(prior, edges, interactions=pairs, moderators=moderated)

"""The command ``best``: the best plan of a decision."""

# Commands import heavy modules themselves, so that help appears at once.
from typing import TYPE_CHECKING, Any

from bayes_intgen.cli import options
from bayes_intgen.cli.console import DONE, write
from bayes_intgen.cli.parsing import parse_point
from bayes_intgen.cli.points import checked_point, read_population
from bayes_intgen.errors import ModelError

if TYPE_CHECKING:
    from bayes_intgen.api.posterior import Posterior
    from bayes_intgen.decide.decision import Decision
    from bayes_intgen.decide.objectives import Objective
    from bayes_intgen.decide.plan import Plan

MEAN, TO, OR = "mean", "..", "|"


def best(
    fit: options.Fit,
    *,
    cost: options.Cost = None,
    budget: options.Budget = None,
    bounds: options.Bounds = None,
    baseline: options.Baseline = None,
    risk: options.Risk = MEAN,
    beyond_support: options.BeyondSupport = False,
    given: options.Given = None,
    population: options.Population = None,
    format: options.TableOrJson = "table",
) -> int:
    """Find the values of all actions with the best mean outcome, within a budget.

    Without --bounds an action may take every value that the rows support.
    """
    from bayes_intgen.api.loading import load
    from bayes_intgen.text.tables import to_json

    posterior = load(fit)
    decision = read_decision(posterior, cost, budget, bounds, baseline)
    over = read_population(given, population)
    plan = posterior.best(decision, parse_risk(risk), beyond_support=beyond_support, **over)
    write(str(plan) if format == "table" else to_json(as_document(plan)))
    return DONE


def read_decision(
    posterior: "Posterior",
    cost: str | None,
    budget: float | None,
    bounds: str | None,
    baseline: str | None,
) -> "Decision":
    """Parse the parts of a decision on the actions of a fit."""
    from bayes_intgen.decide.decision import Decision

    return Decision(
        parse_costs(cost), budget, parse_bounds(bounds), checked_point(baseline, posterior)
    )


def as_document(plan: "Plan") -> dict[str, Any]:
    """Plan as nested dicts and numbers."""
    table = plan.summary()
    numbers = {
        str(name): {column: float(table[column].sel(quantity=name)) for column in table.data_vars}
        for name in table["quantity"].to_numpy()
    }
    return {
        "plan": plan.point,
        "baseline": plan.baseline,
        "outcome": table.attrs["outcome"],
        "level": table.attrs["level"],
        "value": plan.value,
        **numbers,
        "probability_better": plan.probability_better,
        "cost": plan.cost,
        "budget": plan.budget,
        "shadow_price": plan.shadow_price,
        "supported": plan.supported,
    }


def parse_costs(text: str | None) -> dict[str, float]:
    """Parse costs per unit from ``tv=1,radio=0.4``; empty without a text.

    Raises
    ------
    ModelError
        If a cost is not a number.

    Examples
    --------
    >>> parse_costs("tv=1,radio=0.4")
    {'tv': 1.0, 'radio': 0.4}
    """
    if text is None:
        return {}
    return {name: number(value, f"cost of {name!r}") for name, value in parse_point(text).items()}


def parse_bounds(text: str | None) -> dict[str, Any]:
    """Parse bounds from ``tv=0..60,drug=off|on,radio=20``; empty without a text.

    Raises
    ------
    ModelError
        If the ends of a range are not numbers.

    Examples
    --------
    >>> parse_bounds("tv=0..60,drug=off|on,radio=20")
    {'tv': (0.0, 60.0), 'drug': ('off', 'on'), 'radio': '20'}
    """
    if text is None:
        return {}
    bounds: dict[str, Any] = {}
    for name, value in parse_point(text).items():
        low, dots, high = str(value).partition(TO)
        if dots:
            bounds[name] = tuple(number(end, f"bounds of {name!r}") for end in (low, high))
        elif OR in str(value):
            bounds[name] = tuple(part.strip() for part in str(value).split(OR))
        else:
            bounds[name] = value
    return bounds


def parse_risk(text: str) -> "Objective":
    """Parse an objective from ``mean``, ``cvar=0.1`` or ``quantile=0.1``.

    Raises
    ------
    ModelError
        On anything else.

    Examples
    --------
    >>> parse_risk("mean"), parse_risk("cvar=0.1")
    ('mean', CVaR(share=0.1))
    """
    from bayes_intgen.decide.objectives import CVaR, Quantile

    if text == MEAN:
        return "mean"
    name, _, value = text.partition("=")
    kinds: dict[str, type[CVaR] | type[Quantile]] = {"cvar": CVaR, "quantile": Quantile}
    if name not in kinds:
        raise ModelError(f"unknown risk {text!r}; write mean, cvar=0.1 or quantile=0.1")
    return kinds[name](number(value, name))


def number(text: Any, name: str) -> float:
    """Parse a number; raises ModelError on other texts.

    Examples
    --------
    >>> number("2.5", "cost")
    2.5
    """
    try:
        return float(text)
    except ValueError as error:
        raise ModelError(f"{name} is {text!r}, which is not a number") from error

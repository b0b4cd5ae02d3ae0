"""Commands about decisions: best plans, what actions bring, and what to run next."""

# Commands import heavy modules themselves, so that help appears at once.
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bayes_intgen.cli.console import DONE, answer
from bayes_intgen.cli.options import (
    Bands,
    BeyondSupport,
    Count,
    Fit,
    Format,
    Limits,
    Number,
    Over,
    Plans,
    Points,
    Texts,
    Worth,
    load_fit,
)
from bayes_intgen.cli.parsing import count, matched, number, parse_point, without_thousands
from bayes_intgen.cli.tables import (
    as_document,
    budgets_in_text,
    contributions_in_text,
    plan_document,
    plan_frame,
    ranking_in_text,
    shares_in_text,
)
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.regimes import regime_label

if TYPE_CHECKING:
    import xarray as xr

    from bayes_intgen.decide.best import Plan
    from bayes_intgen.decide.decision import Objective
    from bayes_intgen.decide.experiments import Experiment

HISTORY, ALL = "history", "all"


def best(
    fit: Fit,
    *,
    choice: Plans = Plans(),
    risk: str = "quantile=0.05",
    over: Over = Over(),
    format: Format = "table",
) -> int:
    """Find the values of all actions with the best joint effect, or with --value the best profit.

    Without --bounds an action may take every value that the rows support.

    Parameters
    ----------
    risk
        Objective: mean, cvar=0.1 (worst tenth of the draws), or quantile=0.05 of the gain over the
        baseline, the lower end of its 90% interval.
    """
    posterior = load_fit(fit)
    decision, objective = choice.decision(posterior), parse_risk(risk)
    view, beyond = over.view(posterior), choice.beyond_support
    _answer_plan(format, view.best(decision, objective, beyond_support=beyond))
    return DONE


def frontier(
    fit: Fit,
    *,
    budget: list[Number],
    limits: Limits = Limits(),
    risk: str = "quantile=0.05",
    over: Bands = Bands(),
    beyond_support: BeyondSupport = False,
    format: Format = "table",
) -> int:
    """Find the best plan of each of several budgets.

    Parameters
    ----------
    budget
        Largest total cost; repeat it for further budgets.
    risk
        Objective, as in `best`.
    """
    import pandas as pd

    from bayes_intgen.text.formats import ACTION, frame_along, to_json

    posterior = load_fit(fit)
    table = over.view(posterior).frontier(
        limits.decision(posterior), budget, parse_risk(risk),
        level=over.level, beyond_support=beyond_support,
    )  # fmt: skip
    document = as_document(table, "budget")
    plans = pd.DataFrame(table["plan"].to_numpy(), columns=table["action"].to_numpy())
    for record, plan in zip(document["budgets"], plans.to_dict("records"), strict=True):
        record |= {"plan": plan, "remarks": record["remarks"].splitlines()}
    frame = frame_along(table, "budget").join(plans, rsuffix=ACTION)
    answer(format, budgets_in_text(table, limits.value), to_json(document), frame)
    return DONE


def cheapest(
    fit: Fit,
    *,
    target: Number,
    choice: Plans = Plans(),
    risk: str = "mean",
    over: Over = Over(),
    format: Format = "table",
) -> int:
    """Find the cheapest plan whose mean outcome, or profit, reaches a target.

    Parameters
    ----------
    target
        In the units of the outcome; with --value, a profit.
    risk
        Objective, as in `best`.
    """
    posterior = load_fit(fit)
    decision, objective = choice.decision(posterior), parse_risk(risk)
    view, beyond = over.view(posterior), choice.beyond_support
    _answer_plan(format, view.cheapest(decision, target, objective, beyond_support=beyond))
    return DONE


def contributions(
    fit: Fit,
    *,
    worth: Worth = Worth(),
    over: Bands = Bands(),
    format: Format = "table",
) -> int:
    """Estimate what each action brings at the baseline, and what its next unit would bring.

    An action is compared with zero where that is supported, otherwise with its lowest supported
    value. With --cost the next unit is also one of cost.
    """
    posterior = load_fit(fit)
    decision = worth.decision(posterior)
    table = over.view(posterior).contributions(decision, level=over.level)
    _answer_table(format, contributions_in_text(table), table, "action")
    return DONE


def next_(
    fit: Fit,
    *,
    experiment: Annotated[Texts, Parameter(alias="-e")] = None,
    rows: Count | None = None,
    horizon: Number = 1.0,
    choice: Plans = Plans(),
    over: Bands = Bands(),
    format: Format = "table",
) -> int:
    """Rank experiments by their value for a decision: which one to run next.

    Without --experiment: each action alone, all together, and more history.

    Parameters
    ----------
    experiment
        Experiment to rank, as radio:500:3 (actions, rows, cost), tv+radio=0|20:500, or
        history:1000; repeat it.
    rows
        Number of further rows; of each experiment that names none.
    horizon
        Number of units to which the plan will apply; multiplies its value.
    """
    posterior = load_fit(fit)
    decision = choice.decision(posterior)
    planned = None
    if experiment:
        planned = [parse_experiment(text, rows, posterior.actions) for text in experiment]
    table = over.view(posterior).experiments(
        decision, planned, rows=None if experiment else rows, horizon=horizon, level=over.level,
        beyond_support=choice.beyond_support,
    )  # fmt: skip
    _answer_table(format, ranking_in_text(table), table, "experiment")
    return DONE


@Parameter(name="*")
@dataclass(frozen=True)
class FurtherRows:
    """Rows to split over regimes.

    Attributes
    ----------
    rows
        Number of further rows.
    width
        Mean width of the intervals; the rows that it needs are split.
    row_cost
        Cost of a row per regime, as tv=3,tv+radio=5,history=0.1; 1 for the others. --rows is then
        the number of rows at a cost of 1 that would cost as much.
    regimes
        Regime to use, as tv, tv+radio, history or all; repeat it. By default those of the data,
        each action alone, all together, and history.
    """

    rows: Count | None = None
    width: Number | None = None
    row_cost: str | None = None
    regimes: Annotated[Texts, Parameter(name="--regime")] = None


def split(
    fit: Fit,
    *,
    further: FurtherRows = FurtherRows(),
    points: Points = Points(),
    choice: Plans = Plans(),
    over: Bands = Bands(),
    format: Format = "table",
) -> int:
    """Split further rows over regimes, or count those that narrow intervals to a width.

    The intervals are of the joint effects at the points of --set or --points, otherwise of the
    gains of the plans that may be best, as in the command ``next``.
    """
    rows, width, regimes = further.rows, further.width, further.regimes
    if (rows is None) == (width is None):
        raise ModelError("give either --rows, to split them, or --width, to count the rows")
    if points != Points() and replace(choice, beyond_support=False) != Plans():
        raise ModelError("give either --set or --points, or options of a decision such as --cost")
    posterior = load_fit(fit)
    target: Any = points.read(posterior, observed={}) or choice.decision(posterior)
    settings: dict[str, Any] = {
        "costs": _row_costs(further.row_cost, posterior.actions),
        "regimes": None if regimes is None else [_names(own, posterior.actions) for own in regimes],
        "level": over.level,
        "beyond_support": choice.beyond_support,
    }
    posterior = over.view(posterior)
    if rows is None:
        assert width is not None
        rows = max(1, posterior.rows_for(width, target, **settings))
    table = posterior.split(rows, target, **settings)
    _answer_table(format, shares_in_text(table), table, "regime")
    return DONE


# Commands about a decision, called like their functions.
DECISIONS = (best, frontier, cheapest, contributions, next_, split)


def _answer_plan(format: Format, plan: "Plan") -> None:
    from bayes_intgen.text.formats import to_json

    answer(format, str(plan), to_json(plan_document(plan)), plan_frame(plan))


def _answer_table(format: Format, text: str, table: "xr.Dataset", dim: str) -> None:
    """Print a table, of whose entries along a dimension other formats have a record each."""
    from bayes_intgen.text.formats import frame_along, to_json

    answer(format, text, to_json(as_document(table, dim)), frame_along(table, dim))


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
    from bayes_intgen.decide.decision import CVaR, Quantile

    if text == "mean":
        return "mean"
    name, _, value = text.partition("=")
    kinds: dict[str, type[CVaR] | type[Quantile]] = {"cvar": CVaR, "quantile": Quantile}
    if name not in kinds:
        raise ModelError(f"unknown risk {text!r}; write mean, cvar=0.1 or quantile=0.1")
    return kinds[name](number(value, name))


def parse_experiment(text: str, rows: int | None, actions: Sequence[str]) -> "Experiment":
    """Parse an experiment from ``tv+radio=0|20:500:3``: actions, values, rows and cost.

    Raises
    ------
    ModelError
        Where rows are missing, or rows or the cost are not numbers.

    Examples
    --------
    >>> parse_experiment("tv+radio=0|20:500:3", None, ["tv", "radio"]).label
    'do(tv, radio=0|20)'
    """
    from bayes_intgen.decide.experiments import Experiment

    regime, *rest = without_thousands(text).split(":")
    option = f"--experiment {text!r}"
    if len(rest) > 2:
        raise ModelError(f"{option} has too many parts; write actions:rows:cost")
    if rest and rest[0]:
        rows = count(rest[0], f"the number of rows in {option}")
    if rows is None:
        raise ModelError(f"{option} has no rows; write {regime}:500, or add --rows 500")
    cost = number(rest[1], f"the cost in {option}") if len(rest) == 2 else 0.0
    values, names = {}, []
    for part in regime.split("+"):
        name, equals, own = part.partition("=")
        names.append(matched(name.strip(), actions))
        if equals:
            values[names[-1]] = [value.strip() for value in own.split("|")]
    chosen = _names("+".join(names), actions)
    return Experiment(chosen, rows, values or None, cost)


def _names(text: str, actions: Sequence[str]) -> tuple[str, ...]:
    """Actions of a regime: names joined by plus signs, ``history`` or ``all``."""
    if text == HISTORY and HISTORY not in actions:
        return ()
    if text == ALL and ALL not in actions:
        return tuple(actions)
    return tuple(matched(name.strip(), actions) for name in text.split("+"))


def _row_costs(text: str | None, actions: Sequence[str]) -> dict[str, float]:
    """Costs of a row by the label of its regime, from ``tv=3,tv+radio=5,history=0.1``."""
    out = {}
    for own, cost in parse_point(text).items():
        chosen = _names(own, actions)
        label = regime_label([name for name in actions if name in chosen])
        if not set(chosen) <= set(actions):
            label = own
        out[label] = number(cost, f"the cost of a row of {own!r}")
    return out

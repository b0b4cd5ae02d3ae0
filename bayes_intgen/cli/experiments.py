"""The commands ``next`` and ``split``: which experiment to run, and with how many rows."""

# Commands import heavy modules themselves, so that help appears at once.
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bayes_intgen.cli import options
from bayes_intgen.cli.console import DONE, write
from bayes_intgen.cli.decisions import best, number, read_decision
from bayes_intgen.cli.parsing import parse_point
from bayes_intgen.cli.points import checked_point, completed, points_of_file, read_population
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.labels import regime_label

if TYPE_CHECKING:
    import xarray as xr

    from bayes_intgen.api.posterior import Posterior
    from bayes_intgen.decide.experiment import Experiment

HISTORY, ALL = "history", "all"


def next_experiment(
    fit: options.Fit,
    *,
    experiment: options.PlannedExperiments = None,
    rows: options.PlannedRows = None,
    horizon: options.Horizon = 1.0,
    cost: options.Cost = None,
    budget: options.Budget = None,
    bounds: options.Bounds = None,
    baseline: options.Baseline = None,
    beyond_support: options.BeyondSupport = False,
    given: options.Given = None,
    population: options.Population = None,
    level: options.Level = 0.9,
    format: options.TableOrJson = "table",
) -> int:
    """Rank experiments by their value for a decision: which one to run next.

    Without --experiment: each action alone, all together, and more history.
    """
    from bayes_intgen.api.loading import load
    from bayes_intgen.text.tables import to_json

    posterior = load(fit)
    decision = read_decision(posterior, cost, budget, bounds, baseline)
    planned = None
    if experiment:
        planned = [parse_experiment(text, rows, posterior.actions) for text in experiment]
    table = posterior.experiments(
        decision,
        planned,
        rows=None if experiment else rows,
        horizon=horizon,
        level=level,
        beyond_support=beyond_support,
        **read_population(given, population),
    )
    text = _ranking if format == "table" else lambda own: to_json(as_document(own, "experiment"))
    write(text(table))
    return DONE


def split(
    fit: options.Fit,
    *,
    rows: options.PlannedRows = None,
    width: options.Width = None,
    row_cost: options.RowCost = None,
    regimes: options.PlannedRegimes = None,
    set: options.Set = None,
    points: options.Points = None,
    cost: options.Cost = None,
    budget: options.Budget = None,
    bounds: options.Bounds = None,
    baseline: options.Baseline = None,
    beyond_support: options.BeyondSupport = False,
    given: options.Given = None,
    population: options.Population = None,
    level: options.Level = 0.9,
    format: options.TableOrJson = "table",
) -> int:
    """Split further rows over regimes, or count those that narrow intervals to a width.

    The intervals are of the joint effects at the points of --set or --points, otherwise of the
    gains of the plans that may be best, as in the command ``next``.
    """
    from bayes_intgen.api.loading import load
    from bayes_intgen.text.tables import to_json

    if (rows is None) == (width is None):
        raise ModelError("give either --rows, to split them, or --width, to count the rows")
    posterior = load(fit)
    target: Any = _points(set, points, posterior) or read_decision(
        posterior, cost, budget, bounds, baseline
    )
    settings: dict[str, Any] = {
        "costs": _row_costs(row_cost, posterior.actions),
        "regimes": None if regimes is None else [_names(own, posterior.actions) for own in regimes],
        "level": level,
        "beyond_support": beyond_support,
        **read_population(given, population),
    }
    if rows is None:
        assert width is not None
        rows = max(1, posterior.rows_for(width, target, **settings))
    table = posterior.split(rows, target, **settings)
    text = _shares if format == "table" else lambda own: to_json(as_document(own, "regime"))
    write(text(table))
    return DONE


# Commands about a decision, by their names.
DECISIONS: dict[str, Callable[..., int]] = {"best": best, "next": next_experiment, "split": split}


def as_document(table: "xr.Dataset", dim: str) -> dict[str, Any]:
    """Dataset as nested dicts and numbers: a record per entry along a dimension."""
    document: dict[str, Any] = {
        str(name): value for name, value in table.attrs.items() if name != "beyond_support"
    }
    for name, column in table.data_vars.items():
        if not column.dims:
            document[str(name)] = column.item()
    records = [
        {
            dim: label,
            **{str(n): c[i].item() for n, c in table.data_vars.items() if c.dims == (dim,)},
        }
        for i, label in enumerate(table[dim].to_numpy().tolist())
    ]
    document[f"{dim}s"] = records
    if "width_of_total" in table:
        document["width_of_total"] = {
            str(total): width
            for total, width in zip(
                table["total"].to_numpy().tolist(),
                table["width_of_total"].to_numpy().tolist(),
                strict=True,
            )
        }
    return document


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
    from bayes_intgen.decide.experiment import Experiment

    regime, *rest = text.split(":")
    if len(rest) > 2:
        raise ModelError(f"--experiment {text!r} has too many parts; write actions:rows:cost")
    if rest and rest[0]:
        count = number(rest[0], f"the number of rows in --experiment {text!r}")
        if not count.is_integer():
            raise ModelError(f"the number of rows in --experiment {text!r} is not whole")
        rows = int(count)
    if rows is None:
        raise ModelError(
            f"--experiment {text!r} has no rows; write {regime}:500, or add --rows 500"
        )
    cost = number(rest[1], f"the cost in --experiment {text!r}") if len(rest) == 2 else 0.0
    values, names = {}, []
    for part in regime.split("+"):
        name, equals, own = part.partition("=")
        names.append(name.strip())
        if equals:
            values[name.strip()] = [value.strip() for value in own.split("|")]
    chosen = _names("+".join(names), actions)
    return Experiment(chosen, rows, values or None, cost)


def _names(text: str, actions: Sequence[str]) -> tuple[str, ...]:
    """Actions of a regime: names joined by plus signs, ``history`` or ``all``."""
    if text == HISTORY and HISTORY not in actions:
        return ()
    if text == ALL and ALL not in actions:
        return tuple(actions)
    return tuple(name.strip() for name in text.split("+"))


def _row_costs(text: str | None, actions: Sequence[str]) -> dict[str, float]:
    """Costs of a row by the label of its regime, from ``tv=3,tv+radio=5,history=0.1``."""
    costs = {} if text is None else parse_point(text)
    out = {}
    for own, cost in costs.items():
        chosen = _names(own, actions)
        label = regime_label([name for name in actions if name in chosen])
        if not set(chosen) <= set(actions):
            label = own
        out[label] = number(cost, f"the cost of a row of {own!r}")
    return out


def _points(set: Any, points: Any, posterior: "Posterior") -> Any:
    if points is not None:
        return points_of_file(points, posterior)
    own = [checked_point(text, posterior) for text in set or []]
    return completed(own, {}, posterior) if own else None


def _ranking(table: "xr.Dataset") -> str:
    """Table of experiments, the best first, and sentences."""
    from bayes_intgen.text.number_format import decimals_for, format_to_uncertainty
    from bayes_intgen.text.tables import align_columns

    decimals = decimals_for(float(table["width_before"].max()))
    finer = 1 + decimals_for(float(table["evpi"]))
    costs = bool((table["cost"] > 0).any())
    rows = []
    for i, label in enumerate(table["experiment"].to_numpy()):
        own = table.isel(experiment=i)
        cells = [str(label), f"{int(own['rows']):,}"]
        cells.append(format_to_uncertainty(float(own["width_after"]), decimals))
        cells.append(format_to_uncertainty(float(own["evsi"]), finer))
        if costs:
            money = (float(own["cost"]), float(own["net_benefit"]))
            cells += [f"{money[0]:g}", format_to_uncertainty(money[1], finer)]
        rows.append(cells)
    level = f"{table.attrs['level']:.0%}"
    now = format_to_uncertainty(float(table["width_before"][0]), decimals)
    head = ["", "rows", "width after", "value", *(["cost", "net benefit"] if costs else [])]
    return "\n".join(
        [
            f"Experiments for {table.attrs['outcome']}, the most useful first",
            "",
            align_columns(head, rows),
            "",
            f"width: of the {level} interval of the gain of {table.attrs['plan']}",
            f"       over {table.attrs['baseline']}, now {now}",
            "value: expected gain from choosing the plan after the experiment; perfect",
            f"       information is worth {format_to_uncertainty(float(table['evpi']), finer)}",
            *_lines_on_others(table, "experiment"),
            *_line_on_support(table),
        ]
    )


def _shares(table: "xr.Dataset") -> str:
    """Table of shares, and widths as a function of the number of rows."""
    from bayes_intgen.text.number_format import decimals_for, format_to_uncertainty
    from bayes_intgen.text.tables import align_columns

    decimals = 1 + decimals_for(float(table["width"]))

    def width(value: Any) -> str:
        return format_to_uncertainty(float(value), decimals)

    rows = [
        [str(label), f"{float(table['share'][i]):.0%}", f"{int(table['rows'][i]):,}"]
        for i, label in enumerate(table["regime"].to_numpy())
    ]
    curve = [
        [f"{int(total):,}", width(own)]
        for total, own in zip(
            table["total"].to_numpy(), table["width_of_total"].to_numpy(), strict=True
        )
    ]
    total = int(table["rows"].sum())
    return "\n".join(
        [
            f"Best split of {total:,} further rows for {table.attrs['outcome']}",
            "",
            align_columns(["", "share", "rows"], rows),
            "",
            f"{table.attrs['level']:.0%} intervals of {table.attrs['target']}: mean width now "
            f"{width(table['width_before'])},",
            f"{width(table['width'])} after this split, {width(table['width_of_equal_split'])} "
            "after equal shares",
            "",
            align_columns(["rows", "width"], curve, left=0),
            *_lines_on_others(table, "regime"),
            *_line_on_support(table),
        ]
    )


def _lines_on_others(table: "xr.Dataset", dim: str) -> list[str]:
    """Origins of the values of actions that are not set, where they are not those of rows."""
    labels, others = table[dim].to_numpy().tolist(), table["others"].to_numpy().tolist()
    lines = [
        f"{label}: {own}"
        for label, own in zip(labels, others, strict=True)
        if own not in ("none", "as in the rows of the regime")
    ]
    return ["", "Other actions in planned rows:", *lines] if lines else []


def _line_on_support(table: "xr.Dataset") -> list[str]:
    attrs: Mapping[str, Any] = table.attrs
    if not attrs.get("beyond_support"):
        return []
    return ["", "Plans that no rows support are considered: their values rest on the prior."]

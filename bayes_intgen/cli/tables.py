"""Answers as tables of text, as documents for JSON, and as frames for CSV."""

# Commands import heavy modules themselves, so that help appears at once.
from textwrap import fill
from typing import TYPE_CHECKING, Any

from bayes_intgen.text.formats import (
    ACTION,
    align_columns,
    decimals_for,
    format_estimate,
    format_interval,
    format_level,
    format_number,
    format_probability,
    format_to_uncertainty,
    format_value,
    frame_along,
    line_width,
    share_text,
    shorter_number,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayes_intgen.decide.best import Plan


def effects_in_text(table: "xr.Dataset") -> str:
    """Effects of :func:`bayes_intgen.posterior.effects.effect_table`, rounded to uncertainty."""
    level = format_level(table.attrs["level"])
    names = [str(name) for name in table["action"].values]
    intervened = table.attrs["intervened"]
    condition = ", ".join(
        [f"do({', '.join(intervened)})", *(name for name in names if name not in intervened)]
    )
    binary = "probability" in table
    head = [*names, "mean", f"{level} interval", "P(1)" if binary else "outcomes"]
    if "change" in table:
        head += ["change", f"{level} interval", "P(> 0)"]
    all_supported = bool(table.get("change_supported", table["supported"]).values.all())
    values, kind = table["value"], table.attrs.get("outcome_kind", "continuous")
    before, numbers = table.get("baseline", values), _numbers(table).to_dict("records")
    rows = [
        _effect_cells(*point, all_supported, kind)
        for point in zip(before.values, values.values, numbers, strict=True)
    ]
    single = "outcomes: where a single outcome does."
    if binary:
        single = "P(1): probability that a single outcome is 1."
    text = f"Mean of {table.attrs['outcome']} given {condition}; interval: where the mean lies "
    words = [f"{text}with probability {level}; {single}", *_population(table)]
    lines = [*map(wrapped, words), "", align_columns(head, rows, left=0)]
    said = []
    if binary and (outside := float(table["outside_0_1"].values.max())) > 0:
        said.append(
            f"Up to {share_text(outside)} of a mean's draws lie outside [0, 1]: the mean adds up "
            "over the actions; P(1) is clipped."
        )
    if not all_supported:
        said.append(
            "* no rows near this point, or near the start of this change, identify its effect: the "
            "answer interpolates or rests on the prior"
        )
    return "\n".join([*lines, *(line for note in said for line in ("", wrapped(note)))])


def _effect_cells(
    before: Any, values: Any, number: dict[Any, Any], all_supported: bool, kind: str
) -> list[str]:
    """Cells of one point: values of the actions, mean, intervals, and the change if present."""
    mean, band = format_estimate(*(number[name] for name in ("mean", "low", "high")))
    mark, mark_of_change = (
        "" if all_supported else " " if number.get(name, True) else "*"
        for name in ("supported", "change_supported")
    )
    cells = [
        format_value(b) if a == b else f"{format_value(a)} → {format_value(b)}"
        for a, b in zip(before, values, strict=True)
    ]
    cells += [mean + mark, band, _single_outcome(number, kind)]
    if "change" in number:
        ends = number["change"], number["change_low"], number["change_high"]
        change, band = format_estimate(*ends, sign=True)
        cells += [change + mark_of_change, band, format_probability(number["above_zero"])]
    return cells


def _single_outcome(number: dict[str, float], kind: str) -> str:
    """Probability of a binary outcome, or interval of single outcomes."""
    if kind == "binary":
        return f"{number['probability']:.2f}"
    low, high = number["outcome_low"], number["outcome_high"]
    if kind == "count":
        return f"{low:,.0f} to {high:,.0f}"
    return format_interval(low, high, decimals_for(high - low))


def _numbers(table: "xr.Dataset") -> "pd.DataFrame":
    """Frame of the variables with one number per point."""
    return frame_along(table, "point").drop(columns="point")


def effects_frame(table: "xr.Dataset") -> "pd.DataFrame":
    """Frame of effects: a row per point, a column per action and per number."""
    values, numbers = table["value"].to_pandas(), _numbers(table)
    if "baseline" in table:
        numbers = table["baseline"].to_pandas().add_suffix(" (from)").join(numbers)
    return values.join(numbers, lsuffix=ACTION)


def effects_document(table: "xr.Dataset") -> dict[str, Any]:
    """Effects as nested dicts and numbers."""
    points = _numbers(table).to_dict("records")
    for key, name in (("from", "baseline"), ("values", "value")):
        if name in table:
            plans: Any = table[name].to_pandas()
            records = plans.to_dict("records")
            points = [{key: own, **point} for own, point in zip(records, points, strict=True)]
    return {**table.attrs, "points": points}


def plan_document(plan: "Plan") -> dict[str, Any]:
    """Plan as nested dicts and numbers."""
    table = plan.summary()
    numbers = table.to_dataframe().to_dict("index")
    names = ("optimism", "probability_better", "cost", "budget", "shadow_price", "supported")
    return {
        "plan": plan.point, "baseline": plan.baseline, "outcome": table.attrs["outcome"],
        "level": table.attrs["level"], "value": plan.value,
        **numbers, **{name: getattr(plan, name) for name in names},
        "remarks": list(plan.remarks),
    }  # fmt: skip


def plan_frame(plan: "Plan") -> "pd.DataFrame":
    """Plan and baseline, then other quantities, as rows; actions and numbers as columns."""
    import pandas as pd

    points = pd.DataFrame([plan.point, plan.baseline], index=["plan", "baseline"])
    numbers = plan.summary().to_dataframe().rename(index={"effect": "plan"})
    order = ["plan", "baseline", *(name for name in numbers.index if name != "plan")]
    numbers.loc["plan", "cost"] = plan.cost
    numbers.loc["gain", "probability_better"] = plan.probability_better
    frame = points.join(numbers, how="outer", lsuffix=ACTION).reindex(order)
    return frame.reset_index(names="quantity")


def as_document(table: "xr.Dataset", dim: str) -> dict[str, Any]:
    """Dataset as nested dicts and numbers: a record per entry along a dimension."""
    document = {str(name): own for name, own in table.attrs.items() if name != "beyond_support"}
    document |= {str(name): own.item() for name, own in table.data_vars.items() if not own.dims}
    document[f"{dim}s"] = frame_along(table, dim).to_dict("records")
    if "width_of_total" in table:
        widths = table["width_of_total"].to_series()
        document["width_of_total"] = {str(total): width for total, width in widths.items()}
    return document


def budgets_in_text(table: "xr.Dataset", value: float | None) -> str:
    """Table of the best plan of each budget."""
    from bayes_intgen.basis.categories import short_label

    width = float((table["gain_high"] - table["gain_low"]).median())
    decimals, actions = decimals_for(width), [str(name) for name in table["action"].values]
    # A gain in profit is in another unit than the mean.
    of_mean = decimals_for(width / abs(value or 1.0))
    head = ["budget", *actions, "cost", f"mean {table.attrs['outcome']}"]
    head += ["gain" if value is None else "gain in profit", "interval", "P(> 0)"]
    budgets = list(frame_along(table, "budget").itertuples())
    rows = [
        [
            format_number(own.budget), *map(short_label, plan), shorter_number(own.cost),
            format_to_uncertainty(own.effect, of_mean),
            format_to_uncertainty(own.gain, decimals, sign=True),
            format_interval(own.gain_low, own.gain_high, decimals, sign=True),
            format_probability(own.probability_better),
        ]
        for own, plan in zip(budgets, table["plan"].values.tolist(), strict=True)
    ]  # fmt: skip
    title = f"Best plans for {table.attrs['outcome']}, by budget"
    if value is not None:
        title = f"Best plans for profit, a unit of {table.attrs['outcome']} worth "
        title += f"{format_number(value)}, by budget"
    level = f"Gains are over the baseline; intervals: {format_level(table.attrs['level'])}."
    text = align_columns(head, rows, left=0)
    said = [
        f"{format_number(own.budget)}: {remark}"
        for own in budgets
        for remark in own.remarks.splitlines()
    ]
    return "\n".join([title, "", text, "", *said, level, *_population(table)])


def wrapped(text: str) -> str:
    """Lines of words, each as several that fit into the terminal."""
    return "\n".join(fill(line, line_width()) for line in text.splitlines())


def _population(table: "xr.Dataset") -> list[str]:
    """Over whom effects are averaged, if units differ."""
    return [f"Population: {table.attrs['population']}."] if "population" in table.attrs else []


def contributions_in_text(table: "xr.Dataset") -> str:
    """Table of what each action brings, and of its next unit."""
    from bayes_intgen.decide.contributions import cells_of, notes_on

    outcome, level = table.attrs["outcome"], format_level(table.attrs["level"])
    lines = [f"What actions bring to {outcome} at the baseline; intervals: {level}"]
    lines += [*_population(table), "", align_columns(*cells_of(table))]
    return "\n".join([*lines, *(line for note in notes_on(table) for line in ("", note))])


def ranking_in_text(table: "xr.Dataset") -> str:
    """Table of experiments, the best first, and sentences."""
    decimals = decimals_for(float(table["width_before"].max()))
    finer = 1 + decimals_for(float(table["evpi"]))
    costs = bool((table["cost"] > 0).any())
    rows = [
        [
            own.experiment, f"{own.rows:,}", format_to_uncertainty(own.width_after, decimals),
            format_to_uncertainty(own.evsi, finer),
            *((shorter_number(own.cost), format_to_uncertainty(own.net_benefit, finer))
              if costs else ()),
        ]
        for own in frame_along(table, "experiment").itertuples()
    ]  # fmt: skip
    level = format_level(table.attrs["level"])
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
            *_footnotes(table, "experiment"),
        ]
    )


def shares_in_text(table: "xr.Dataset") -> str:
    """Table of shares, and widths as a function of the number of rows."""
    decimals = 1 + decimals_for(float(table["width"]))

    def width(value: Any) -> str:
        return format_to_uncertainty(float(value), decimals)

    shares = frame_along(table, "regime").itertuples()
    rows = [[own.regime, f"{own.share:.0%}", f"{own.rows:,}"] for own in shares]
    curve = [[f"{n:,}", width(own)] for n, own in table["width_of_total"].to_series().items()]
    total = int(table["rows"].sum())
    return "\n".join(
        [
            f"Best split of {total:,} further rows for {table.attrs['outcome']}",
            "",
            align_columns(["", "share", "rows"], rows),
            "",
            f"{format_level(table.attrs['level'])} intervals of {table.attrs['target']}: "
            f"mean width now {width(table['width_before'])},",
            f"{width(table['width'])} after this split, {width(table['width_of_equal_split'])} "
            "after equal shares",
            "",
            align_columns(["rows", "width"], curve, left=0),
            *_footnotes(table, "regime"),
        ]
    )


def _footnotes(table: "xr.Dataset", dim: str) -> list[str]:
    """Origins of actions that are not set, unless they are rows' own, and a lack of support."""
    origins = zip(table[dim].values.tolist(), table["others"].values.tolist(), strict=True)
    usual = ("none", "as in the rows of the regime")
    lines = [f"{label}: {origin}" for label, origin in origins if origin not in usual]
    notes = ["", "Other actions in planned rows:", *lines] if lines else []
    if table.attrs.get("beyond_support"):
        text = "Plans that no rows support are considered: their values interpolate or extrapolate."
        notes += ["", text]
    return notes

"""Tables of decisions as text: plans, what actions bring, experiments, and splits of rows."""

# Commands import heavy modules themselves, so that help appears at once.
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr


def budgets_in_text(table: "xr.Dataset", value: float | None) -> str:
    """Table of the best plan of each budget."""
    from bayes_intgen.basis.categories import short_label
    from bayes_intgen.text import formats

    width = float((table["gain_high"] - table["gain_low"]).median())
    decimals, actions = formats.decimals_for(width), [str(name) for name in table["action"].values]
    head = ["budget", *actions, "cost", f"mean {table.attrs['outcome']}"]
    head += ["gain" if value is None else "gain in profit", "band", "P(> 0)"]
    rows = []
    for budget in range(table.sizes["budget"]):
        own = table.isel(budget=budget)
        values = own["plan"].values.tolist()
        gain, low, high = (float(own[f"gain{end}"]) for end in ("", "_low", "_high"))
        rows.append(
            [
                formats.format_number(float(own["budget"])),
                *map(short_label, values),
                formats.shorter_number(float(own["cost"])),
                formats.format_to_uncertainty(float(own["effect"]), decimals),
                formats.format_to_uncertainty(gain, decimals, sign=True),
                formats.format_interval(low, high, decimals, sign=True),
                f"{float(own['probability_better']):.2f}",
            ]
        )
    title = f"Best plans for {table.attrs['outcome']}, by budget"
    if value is not None:
        title = f"Best plans for profit, a unit of {table.attrs['outcome']} worth "
        title += f"{formats.format_number(value)}, by budget"
    band = f"Gains are over the baseline; band: {table.attrs['level']:.0%} interval."
    text = formats.align_columns(head, rows, left=0)
    columns = (table[name].values.tolist() for name in ("budget", "remarks"))
    said = [
        f"{formats.format_number(budget)}: {remark}"
        for budget, remarks in zip(*columns, strict=True)
        for remark in remarks.splitlines()
    ]
    return "\n".join([title, "", text, *said, "", band, *_population(table)])


def _population(table: "xr.Dataset") -> list[str]:
    """Over whom effects are averaged, if units differ."""
    return [f"Population: {table.attrs['population']}."] if "population" in table.attrs else []


def contributions_in_text(table: "xr.Dataset") -> str:
    """Table of what each action brings, and of its next unit."""
    from bayes_intgen.decide.contributions import cells_of, notes_on
    from bayes_intgen.text.formats import align_columns

    outcome, level = table.attrs["outcome"], f"{table.attrs['level']:.0%}"
    lines = [f"What actions bring to {outcome} at the baseline; band: {level} interval"]
    lines += [*_population(table), "", align_columns(*cells_of(table))]
    return "\n".join([*lines, *(line for note in notes_on(table) for line in ("", note))])


def ranking_in_text(table: "xr.Dataset") -> str:
    """Table of experiments, the best first, and sentences."""
    from bayes_intgen.text.formats import (
        align_columns,
        decimals_for,
        format_to_uncertainty,
        shorter_number,
    )

    decimals = decimals_for(float(table["width_before"].max()))
    finer = 1 + decimals_for(float(table["evpi"]))
    costs = bool((table["cost"] > 0).any())
    names = ("experiment", "rows", "width_after", "evsi", "cost", "net_benefit")
    rows = [
        [
            label, f"{count:,}", format_to_uncertainty(width, decimals),
            format_to_uncertainty(evsi, finer),
            *([shorter_number(cost), format_to_uncertainty(net, finer)] if costs else []),
        ]
        for label, count, width, evsi, cost, net in zip(
            *(table[name].values.tolist() for name in names), strict=True
        )
    ]  # fmt: skip
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
            *_footnotes(table, "experiment"),
        ]
    )


def shares_in_text(table: "xr.Dataset") -> str:
    """Table of shares, and widths as a function of the number of rows."""
    from bayes_intgen.text.formats import align_columns, decimals_for, format_to_uncertainty

    decimals = 1 + decimals_for(float(table["width"]))

    def width(value: Any) -> str:
        return format_to_uncertainty(float(value), decimals)

    columns = (table[name].values.tolist() for name in ("regime", "share", "rows"))
    rows = [[label, f"{s:.0%}", f"{n:,}"] for label, s, n in zip(*columns, strict=True)]
    widths = (table[name].values.tolist() for name in ("total", "width_of_total"))
    curve = [[f"{n:,}", width(own)] for n, own in zip(*widths, strict=True)]
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
        text = "Plans that no rows support are considered: their values rest on the prior."
        notes += ["", text]
    return notes

"""Tables of measurements in README.md, docs and the paper, computed from results/*.csv.

    python analyses/readme_table.py [--write]

Prints the tables, each with the commits that made its results. With --write it replaces them
in those files, between the comments `<!-- table: NAME -->` and `<!-- end of table -->`; nothing
else in the files changes.
"""

import argparse
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

import bayes_intgen as bi

from _tables import commits, read_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "analyses" / "results"
PAGES = tuple(
    ROOT / page for page in ("README.md", "docs/explanation/performance.md", "paper/paper.md")
)
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(\n<!-- end of table -->)", re.DOTALL)

Row = dict[str, str]
OURS = "this library"
PUBLISHED, TOPLINE = "published (ridge per regime)", "topline (ridge on joint rows)"
LEVELS = ("0.5", "0.9")
BY_HAND = {"pooled rows": "pooled rows", "by hand": "experiments combined by hand"}
INTERVALS = {
    "effect": "joint effect",
    "change": "its change from the lowest values set",
    "outcome": "joint outcomes",
}


def rows_of(name: str, **where: str) -> list[Row]:
    """Rows of results/NAME.csv whose cells equal those of `where`."""
    rows = read_table(RESULTS / f"{name}.csv")
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def row_of(name: str, **where: str) -> Row:
    """The only such row."""
    (row,) = rows_of(name, **where)
    return row


def number(value: float | str, digits: int = 2) -> str:
    """Decimal number with thousands separators, halves rounded up."""
    scale = 10**digits
    return f"{math.floor(float(value) * scale + 0.5) / scale:,.{digits}f}"


def seconds(value: float | str) -> str:
    """Seconds without decimals, or with one below a second."""
    return number(value, 0 if float(value) >= 1 else 1)


def with_error(mean: str, error: str, digits: int = 3) -> str:
    """Mean and standard error."""
    return f"{number(mean, digits)} ± {number(error, digits)}"


def mean(rows: Sequence[Row], column: str) -> float:
    """Mean of a column."""
    return math.fsum(float(row[column]) for row in rows) / len(rows)


def root_mean_square(rows: Sequence[Row], column: str) -> float:
    """Root mean square of a column."""
    return math.sqrt(math.fsum(float(row[column]) ** 2 for row in rows) / len(rows))


def main_error(estimator: str, column: str = "error against the true effect") -> str:
    """Mean error in the published experiment, with its standard error."""
    return with_error(*row_of("published_main", estimator=estimator)[column].split(" +- "))


def cases(prefix: str) -> list[Row]:
    """Rows of the benchmark whose case begins with `prefix`."""
    return [row for row in rows_of("benchmark_cases") if row["case"].startswith(prefix)]


def coverage(of: str, level: str, kind: str = "all", table: str = "calibration_coverage") -> str:
    """Coverage of intervals with its standard error over worlds."""
    row = row_of(table, **{"intervals of": of, "kind": kind, "level": level})
    return with_error(row["coverage"], row["standard error"])


def kinds(table: str) -> list[str]:
    """Kinds of worlds in a table of coverage."""
    every = [row["kind"] for row in rows_of(table, **{"intervals of": "effect", "level": "0.9"})]
    return [kind for kind in every if kind != "all"]


def speed(what: str, actions: int, rows: int, column: str = "time", digits: int = 2) -> str:
    """Median seconds of models, or another column; empty where nothing was measured."""
    every = rows_of("benchmark_speed", what=what, actions=str(actions), rows=str(rows))
    values = [float(row[column]) for row in every if row[column]]
    if not values:
        return ""
    if column != "time" or digits != 2:
        return number(median(values), digits)
    bound = any(row["times"] == "at best" for row in every)
    return ("> " if bound else "") + seconds(median(values))


def made_by(*names: str) -> str:
    """Commits that made these tables of results, and the tables that do not name theirs."""
    of = {name: commits(RESULTS / f"{name}.csv") for name in names}
    every = dict.fromkeys(f"`{commit}`" for own in of.values() for commit in own)
    silent = [name for name, own in of.items() if not own]
    if not silent:
        return f"Made by commit {', '.join(every)}."
    if not every:
        return "Made by an earlier commit that was not recorded."
    return f"Made by commit {', '.join(every)}; {', '.join(silent)}: by one that was not recorded."


def source(name: str) -> str:
    """Link from the README to a table of results."""
    return f"[{name}](analyses/results/{name}.csv)"


def example_rows() -> list[list[str]]:
    """First rows of each regime of the table that the README's example fits."""
    frame = bi.datasets.light_tunnel().frame
    rows = frame.groupby("regime").head(2).itertuples(index=False)
    lines = [[str(row[0]), str(row[1]), number(row[2], 0), str(row[3])] for row in rows]
    return [[str(name) for name in frame.columns], *lines]


def summary() -> list[list[str]]:
    """The table of the README."""
    head = ["measure", "this library", "for comparison", "source"]
    return [
        head,
        *summary_of_real_outcomes(),
        *summary_of_errors(),
        *summary_of_coverage(),
        *summary_of_speed(),
    ]


def summary_of_real_outcomes() -> list[list[str]]:
    """Errors and coverage where outcomes are real, and in stress tests."""
    lines = rows_of("real_worlds")
    groups = {
        "error / sd of the answer and coverage of 90% intervals, real outcomes": "0",
        "the same in stress tests": "1",
    }
    cells = []
    for text, stress in groups.items():
        own = [line for line in lines if line["stress"] == stress]
        draws = f"{sum(int(line['draws']) for line in own)} draws"
        draws += f" of {len(own)} kinds" if len(own) > 1 else ""
        others = (f"{name}: {number(mean(own, f'error, {key}'))}" for key, name in BY_HAND.items())
        cells.append(
            [
                f"{text}, {draws}",
                f"{number(mean(own, 'error, library'))}; {number(mean(own, 'coverage90'))}",
                "; ".join(others),
                source("real_worlds"),
            ]
        )
    return cells


def summary_of_errors() -> list[list[str]]:
    """Errors in the published experiment and relative to attainable ones."""
    without_graph, four = rows_of("accuracy_K5_N2000"), cases("polynomial_K5_N10000")
    models = row_of("published_main", estimator=OURS)["models"]
    return [
        [
            f"error of the joint effect, {models} models of the published simulator",
            main_error(OURS),
            f"published estimator: {main_error(PUBLISHED)}; "
            f"ridge on rows with all actions set: {main_error(TOPLINE)}",
            source("published_main"),
        ],
        [
            f"error / attainable error, {len(without_graph)} models, graph unknown",
            number(root_mean_square(without_graph, "error/limit")),
            "all functional forms known: 1",
            source("accuracy_K5_N2000"),
        ],
        [
            f"error / attainable error, {len(four)} models with 10,000 rows per regime",
            number(root_mean_square(four, "error/limit")),
            f"mgcv: {number(root_mean_square(four, 'mgcv/limit'))}; "
            f"published estimator: {number(root_mean_square(four, 'published/limit'), 1)}",
            source("benchmark_cases"),
        ],
    ]


def summary_of_coverage() -> list[list[str]]:
    """Coverage of intervals, and false alarms of checks."""
    worlds = row_of(
        "calibration_coverage", **{"intervals of": "effect", "kind": "all", "level": "0.9"}
    )
    alarms = row_of("checks", kind="all", violation="none", together="", graph="False")
    return [
        [
            f"coverage of 90% credible intervals of the joint effect, {worlds['worlds']} worlds "
            f"of {len(kinds('calibration_coverage'))} kinds",
            coverage("effect", "0.9"),
            "nominal: 0.9",
            source("calibration_coverage"),
        ],
        [
            "coverage of 90% prediction intervals, same worlds",
            coverage("outcome", "0.9"),
            "nominal: 0.9",
            source("calibration_coverage"),
        ],
        [
            f"false alarms of `bi.check`, {alarms['models']} models",
            number(alarms["found"], 3),
            f"upper 95% confidence limit: {number(alarms['high'], 3)}",
            source("checks"),
        ],
    ]


def summary_of_speed() -> list[list[str]]:
    """Seconds to a posterior."""
    return [
        [
            "seconds to a posterior, 5 actions, 20,000 rows; 10,000,000 rows",
            f"{speed(OURS, 5, 20_000)}; {speed(OURS, 5, 10_000_000)}",
            f"NumPyro's NUTS row by row (extrapolated): {speed('NumPyro', 5, 20_000)}",
            source("benchmark_speed"),
        ],
    ]


def paper() -> list[list[str]]:
    """The table of the paper: what commands of this repository reproduce anywhere."""
    main, *_ = summary_of_errors()
    lines = [*summary_of_real_outcomes(), main, *summary_of_coverage()]
    return [["measure", "this library", "for comparison"], *(line[:3] for line in lines)]


def real() -> list[list[str]]:
    """Errors and coverage of intervals, by kind of real table."""
    columns = {"error, library": OURS} | {f"error, {key}": of for key, of in BY_HAND.items()}
    lines = [["table", *columns.values(), "coverage of 90% intervals"]]
    for row in rows_of("real_worlds"):
        covered = with_error(row["coverage90"], row["standard error of coverage90"])
        lines.append([row["kind"], *(row[key] for key in columns), covered])
    return lines


def published() -> list[list[str]]:
    """Errors of all estimators in the published experiment."""
    names = {
        OURS: OURS,
        TOPLINE: "ridge on joint rows",
        PUBLISHED: "published",
        "pooled (ridge)": "ridge on all rows",
        "observational (ridge)": "ridge on history",
    }
    lines = ([text, main_error(name)] for name, text in names.items())
    return [["estimator", "error of the joint effect"], *lines]


def convergence() -> list[list[str]]:
    """Error and coverage against the number of rows."""
    head = ["rows in all", OURS, "published estimator", "ridge on joint rows", "attainable"]
    lines = [[*head, "coverage of 90% intervals"]]
    totals = dict.fromkeys(row["total"] for row in rows_of("published_convergence"))
    for total in [*totals][::2]:
        ours, *others = (
            row_of("published_convergence", total=total, estimator=name)
            for name in (OURS, PUBLISHED, TOPLINE)
        )
        errors = (row["mean"] for row in (ours, *others))
        cells = (number(error, 4) for error in (*errors, ours["limit"]))
        lines.append([number(total, 0), *cells, ours["coverage90"].replace("+-", "±")])
    return lines


def attainable() -> list[list[str]]:
    """Errors relative to the attainable one, beside mgcv and the published estimator."""
    head = ["models", "actions", "rows per regime", OURS, "mgcv", "published"]
    lines = [[*head, "coverage of 90% intervals"]]
    groups = {row["case"].rpartition("_seed")[0] for row in rows_of("benchmark_cases")}
    for group in sorted(groups, key=lambda name: [int(size) for size in re.findall(r"\d+", name)]):
        own = cases(f"{group}_")
        actions, rows = re.findall(r"_[KN](\d+)", group)
        lines.append(
            [
                str(len(own)),
                actions,
                number(rows, 0),
                number(root_mean_square(own, "error/limit")),
                number(root_mean_square(own, "mgcv/limit")),
                number(root_mean_square(own, "published/limit"), 1),
                number(mean(own, "coverage90")),
            ]
        )
    many = rows_of("accuracy_K5_N2000")
    error, covered = root_mean_square(many, "error/limit"), mean(many, "coverage90")
    size = [str(len(many)), many[0]["actions"], number(many[0]["rows"], 0)]
    return [*lines, [*size, number(error), "", "", number(covered)]]


def times() -> list[list[str]]:
    """Time and memory against rows and actions."""
    measurements = {
        (int(r["actions"]), int(r["rows"])) for r in rows_of("benchmark_speed", what=OURS)
    }
    varying_rows = sorted(pair for pair in measurements if pair[0] == 5 and pair[1] > 20_000)
    varying_actions = sorted(pair for pair in measurements if pair[1] == 20_000)
    columns = {
        "first fit": (OURS, "time", 2),
        "later fit": (OURS, "warm", 1),
        "Laplace": ("this library, Laplace", "warm", 1),
        **{name: (name, "warm", 2) for name in ("mgcv", "scikit-learn", "pyfixest")},
    }
    measured = {row["what"] for row in rows_of("benchmark_speed")}
    columns = {name: cell for name, cell in columns.items() if cell[0] in measured}
    lines = [["actions", "rows", *columns]]
    for actions, rows in (*varying_rows, *varying_actions):
        cells = (speed(what, actions, rows, *column) for what, *column in columns.values())
        lines.append([str(actions), number(rows, 0), *cells])
    return lines


def intervals() -> list[list[str]]:
    """Coverage over all worlds."""
    lines = [["coverage of intervals of", *(f"{100 * float(level):.0f}%" for level in LEVELS)]]
    for of, text in INTERVALS.items():
        lines.append([text, *(coverage(of, level) for level in LEVELS)])
    return lines


def between(rows: Sequence[Row], column: str) -> str:
    """Smallest and largest value of a column, or its only one."""
    values = sorted((number(row[column]) for row in rows), key=float)
    return " to ".join(dict.fromkeys((values[0], values[-1])))


def settings() -> list[list[str]]:
    """Coverage, and errors relative to those of another fit, in worlds of further kinds."""
    lines = [["worlds", "coverage of 90% intervals", "error", "relative to"]]

    def add(name: str, text: str, rows: list[Row], other: str = "", covered: str = "90") -> None:
        error = between(rows, "error ratio") if other else ""
        link = f"[{text}](../../analyses/results/{name}.csv)"
        lines.append([link, between(rows, f"coverage{covered}"), error, other])

    rough = rows_of("calibration_lack_of_fit", **{"intervals of": "effect", "level": "0.9"})
    rough = [row for row in rough if row["kind"] != "all"]
    add("calibration_lack_of_fit", "rougher than the default model", rough, covered="")
    outcomes = rows_of("outcomes")
    add("outcomes", f"single outcomes of {len(outcomes)} kinds", outcomes)
    means = [row for row in outcomes if row["oracle error"]]
    add(
        "outcomes",
        "mean of outcomes that multiply",
        [{"coverage90": r["effect coverage90"]} for r in means],
    )
    for noise, text in (("gaussian", "Gaussian"), ("student_t", "Student-t")):
        clean, *_, far = rows_of("outliers", kind="normal", noise=noise)
        ratio = {"error ratio": str(float(far["error"]) / float(clean["error"]))}
        share = f"{100 * float(far['share']):.0f}% outliers, fitted with {text} noise"
        add("outliers", share, [far | ratio], "no outliers")
    panels = rows_of("covariates", **{"compared with": "twin"})
    add("covariates", "panels of regions with a season", panels, "neither regions nor season")
    visits = [row for row in rows_of("covariates") if "visit" in row["kind"]]
    add("covariates", "trials with repeated visits", visits)
    pairs = [row for row in rows_of("interactions", kind="all") if float(row["share"])]
    shares = f"{100 * float(pairs[0]['share']):.0f} to {100 * float(pairs[-1]['share']):.0f}%"
    add(
        "interactions",
        f"interactions with {shares} of the effect's variance",
        pairs,
        "no interaction",
    )
    return lines


def panels() -> list[list[str]]:
    """Errors in panels whose regions move all actions, and coverage, beside mgcv."""
    names = {"library": OURS, "sum": "mgcv, sum", "control": "mgcv, control variable"}
    lines = [["panels", *(f"{name}: error; coverage" for name in names.values())]]
    for row in rows_of("panels"):
        cells = (f"{row[f'error, {key}']}; {row[f'coverage90, {key}']}" for key in names)
        lines.append([row["kind"], *(cell.replace("+-", "±") for cell in cells)])
    return lines


def weeks() -> list[list[str]]:
    """Coverage in panels of weeks, without and with the columns that say what follows what."""
    every = {"effects": "effects", "changes": "changes between plans"}
    fits = ("without", "with")
    lines = [["panels of weeks", *(f"{text}, {fit}" for text in every.values() for fit in fits)]]
    kinds = (
        "independent, held 1",
        "noise and causes 0.8, held 1",
        "noise and causes 0.8, held 4",
        "carry-over 0.6, held 1",
        "carry-over 0.6, held 8",
    )
    for kind in kinds:
        rows = [row_of("rows_in_time", kind=kind, fit=fit) for fit in fits]
        covered = [number(row[f"coverage of {of}"]) for of in every for row in rows]
        lines.append([kind, *covered])
    return lines


def chosen() -> list[list[str]]:
    """Predicted less true gains of chosen plans, before and after the correction, and coverage."""
    names = {
        "mean": "largest expected gain",
        "cautious": "a cautious choice",
        "frontier": "best plan of another budget",
        "cheapest": "cheapest plan with half the gain",
    }
    columns = ("excess in sd, uncorrected", "excess in sd", "coverage")
    lines = [["choice", "uncorrected", "corrected", "coverage of 90% intervals"]]
    for choice, text in names.items():
        row = row_of("chosen_plans", choice=choice, kind="all random worlds")
        lines.append([text, *(row[name].replace("+-", "±") for name in columns)])
    return lines


def violations() -> list[list[str]]:
    """How often `bi.check` declares a violation, with an unknown graph."""
    lines = [["violation", "joint rows", "share declared"]]
    names = {
        "none": "none",
        "interacting": "interaction, 5% of the outcome's variance",
        "confounded interaction": "interaction of hidden causes",
        "shared confounder": "shared hidden cause",
    }
    for row in rows_of("checks", kind="all", graph="False"):
        if row["violation"] in names and row["together"] != "two":
            name = names[row["violation"]]
            if row["violation"] == "shared confounder":
                name += f" of {row['actions']} actions, strength {row['strength']}"
            found, low, high = (number(row[column]) for column in ("found", "low", "high"))
            lines.append([name, number(row["several"], 0), f"{found} ({low} to {high})"])
    return lines


# Results in the tables of both README and paper.
SHOWN = ("real_worlds", "published_main", "calibration_coverage", "checks")
# Each table, and the results that it shows.
TABLES: dict[str, tuple[Callable[[], list[list[str]]], tuple[str, ...]]] = {
    "rows": (example_rows, ()),
    "summary": (summary, (*SHOWN, "accuracy_K5_N2000", "benchmark_cases", "benchmark_speed")),
    "paper": (paper, SHOWN),
    "real": (real, ("real_worlds",)),
    "published": (published, ("published_main",)),
    "convergence": (convergence, ("published_convergence",)),
    "attainable": (attainable, ("benchmark_cases", "accuracy_K5_N2000")),
    "times": (times, ("benchmark_speed",)),
    "intervals": (intervals, ("calibration_coverage",)),
    "settings": (
        settings,
        ("calibration_lack_of_fit", "outcomes", "outliers", "covariates", "interactions"),
    ),
    "panels": (panels, ("panels",)),
    "weeks": (weeks, ("rows_in_time",)),
    "chosen": (chosen, ("chosen_plans",)),
    "violations": (violations, ("checks",)),
}


def markdown(lines: Iterable[Sequence[str]]) -> str:
    """The lines as a Markdown table, the first as its head."""
    head, *body = lines
    every = [head, ["---"] * len(head), *body]
    return "\n".join(
        "|" + "".join(f" {cell} |".replace("  ", " ") for cell in line) for line in every
    )


def block(name: str) -> str:
    """A table, and below it the commits that made its results."""
    table, results = TABLES[name]
    return markdown(table()) + (f"\n\n{made_by(*results)}" if results else "")


def updated(text: str) -> str:
    """The text with its tables computed anew."""
    return BLOCK.sub(lambda match: f"{match[1]}\n{block(match[2])}\n{match[3]}", text)


def main() -> None:
    """Print the tables or update the pages."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="update the pages")
    if parser.parse_args().write:
        for page in PAGES:
            page.write_text(updated(page.read_text()))
    else:
        for name in TABLES:
            print(f"{name}\n\n{block(name)}\n")


if __name__ == "__main__":
    main()

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
OURS, OURS_GRAPH = "this library", "this library, graph given"
PUBLISHED, TOPLINE = "published (ridge a regime)", "topline (ridge on joint rows)"
LEVELS = ("0.5", "0.8", "0.9", "0.95")
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
    """Commits that made these tables of results, where they say so."""
    every = [commit for name in names for commit in commits(RESULTS / f"{name}.csv")]
    return ", ".join(f"`{commit}`" for commit in dict.fromkeys(every))


def source(name: str) -> str:
    """Link from the README to a table of results, and the commits that made it."""
    link, by = f"[{name}](analyses/results/{name}.csv)", made_by(name)
    return f"{link}, commit {by}" if by else link


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
        "real outcomes": [line for line in lines if line["stress"] == "0"],
        "the same in stress tests": [line for line in lines if line["stress"] == "1"],
    }
    cells = []
    for name, own in groups.items():
        draws = f"{sum(int(line['draws']) for line in own)} draws"
        draws += f" of {len(own)} kinds" if len(own) > 1 else ""
        others = (f"{name}: {number(mean(own, f'error, {key}'))}" for key, name in BY_HAND.items())
        cells.append(
            [
                f"{name}, {draws}: error / sd of the answer; coverage of 90% intervals",
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
            "coverage of 90% prediction intervals of joint outcomes, same worlds",
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
            f"mgcv: {speed('mgcv', 5, 20_000)}; NumPyro's NUTS row by row (extrapolated): "
            f"{speed('NumPyro', 5, 20_000)}",
            source("benchmark_speed"),
        ],
    ]


def paper() -> list[list[str]]:
    """The table of the paper: what commands of this repository reproduce anywhere."""
    main, *_ = summary_of_errors()
    lines = [*summary_of_real_outcomes(), main, *summary_of_coverage()]
    return [["measure", "this library", "for comparison"], *(line[:3] for line in lines)]


def real() -> list[list[str]]:
    """Errors of all estimators and coverage of intervals, by kind of real table."""
    columns = {
        "draws": "draws",
        "error, library": OURS,
        **{f"error, {key}": name for key, name in BY_HAND.items()},
        "error, published": "published",
        "error, history": "history",
        "error, joint rows": "rows together alone",
        "share of draws below the better": "share it wins",
    }
    head = ["table", *columns.values(), "coverage of 90% intervals", "`bi.check` reports"]
    lines = [head]
    for row in rows_of("real_worlds"):
        covered = with_error(row["coverage90"], row["standard error of coverage90"])
        lines.append([row["kind"], *(row[key] for key in columns), covered, row["reported"]])
    return lines


def published() -> list[list[str]]:
    """Errors of all estimators in the published experiment."""
    names = {
        OURS: OURS,
        TOPLINE: "ridge on as many joint rows, where one has them",
        PUBLISHED: "published: one ridge per regime, combined",
        "pooled (ridge)": "one ridge on all rows",
        "observational (ridge)": "ridge on the observational rows",
    }
    noisy = "rmse against noisy outcomes"
    return [
        ["estimator", "error against noisy outcomes", "error against the true effect"],
        *([text, main_error(name, noisy), main_error(name)] for name, text in names.items()),
    ]


def convergence() -> list[list[str]]:
    """Error and coverage against the number of rows."""
    head = ["rows in all", OURS, "coverage of 90% intervals"]
    lines = [[*head, "published estimator", "ridge on joint rows", "attainable"]]
    for total in dict.fromkeys(row["total"] for row in rows_of("published_convergence")):
        cells = []
        for name in (OURS, PUBLISHED, TOPLINE):
            row = row_of("published_convergence", total=total, estimator=name)
            cells.append(with_error(row["mean"], row["standard error"], 4))
            if row["coverage90"]:
                cells.append(row["coverage90"].replace("+-", "±"))
        limit = row_of("published_convergence", total=total, estimator=OURS)["limit"]
        lines.append([number(total, 0), *cells, number(limit, 4)])
    return lines


def attainable() -> list[list[str]]:
    """Errors relative to the attainable one, beside mgcv and the published estimator."""
    groups = {row["case"].rpartition("_seed")[0] for row in rows_of("benchmark_cases")}
    lines = [
        [
            "cases",
            "actions",
            "rows per regime",
            "error/limit",
            "mgcv",
            "published",
            "coverage of 90% intervals",
            "mgcv's coverage",
            "seconds",
        ]
    ]
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
                number(mean(own, "mgcv coverage90")),
                seconds(mean(own, "seconds")),
            ]
        )
    return lines


def accuracy() -> list[list[str]]:
    """Errors relative to the attainable one over many models."""
    lines = [["graph", "models", "error/limit", "true edges likely", "absent edges likely"]]
    for graph, name in (("unknown", "accuracy_K5_N2000"), ("known", "accuracy_K5_N2000_graph")):
        rows = rows_of(name)
        line = [graph, str(len(rows)), number(root_mean_square(rows, "error/limit"))]
        for kind in ("edges", "absent"):
            counts = [sum(int(r.get(c, 0)) for r in rows) for c in (f"{kind} likely", kind)]
            line.append(f"{counts[0]} of {counts[1]}" if counts[1] else "")
        lines.append(line)
    return lines


def times() -> list[list[str]]:
    """Time and memory against rows and actions."""
    measurements = {
        (int(r["actions"]), int(r["rows"])) for r in rows_of("benchmark_speed", what=OURS)
    }
    varying_rows = sorted(pair for pair in measurements if pair[0] == 5 and pair[1] != 20_000)
    varying_actions = sorted(pair for pair in measurements if pair[1] == 20_000)
    columns = {
        "first fit": (OURS, "time", 2),
        "later fit": (OURS, "warm", 1),
        "Laplace": ("this library, Laplace", "warm", 1),
        "graph known": (OURS_GRAPH, "time", 2),
        **{name: (name, "time", 2) for name in ("mgcv", "scikit-learn", "pyfixest", "NumPyro")},
        "GB": (OURS, "peak GB", 2),
    }
    measured = {row["what"] for row in rows_of("benchmark_speed")}
    columns = {name: cell for name, cell in columns.items() if cell[0] in measured}
    lines = [["actions", "rows", *columns]]
    for actions, rows in (*varying_rows, *varying_actions):
        cells = (speed(what, actions, rows, *column) for what, *column in columns.values())
        lines.append([str(actions), number(rows, 0), *cells])
    return lines


def updates() -> list[list[str]]:
    """Updates beside fits of all rows."""
    lines = [["worlds", "update", "another seed", "another order", "without new rows", "time"]]
    for row in rows_of("updates", **{"worlds of": "all"}):
        fits = ("update", "other", "order", "before")
        cells = [number(row[f"distance, {of}"], 3) for of in fits]
        lines.append([row["worlds"], *cells, row["time ratio"]])
    return lines


def intervals() -> list[list[str]]:
    """Coverage over all worlds."""
    lines = [["coverage of intervals of", "50%", "80%", "90%", "95%"]]
    for of, text in INTERVALS.items():
        lines.append([text, *(coverage(of, level) for level in LEVELS)])
    return lines


def rough() -> list[list[str]]:
    """Coverage of 90% intervals in worlds rougher than the default model can follow."""
    table = "calibration_lack_of_fit"
    lines = [["kind of world", *INTERVALS.values(), "fits with a warning"]]
    for kind in kinds(table):
        row = row_of(table, **{"intervals of": "effect", "kind": kind, "level": "0.9"})
        shares = [coverage(of, "0.9", kind, table) for of in INTERVALS]
        lines.append([kind, *shares, number(row["lack of fit reported"])])
    return lines


def covariates() -> list[list[str]]:
    """Coverage, errors and times with covariates and groups, by kind of table."""
    lines = [["table", "coverage of 50%", "of 90%", "error", "time", "compared with"]]
    others = {"twin": "no regions and season", "without": "leaving them out",
              "raw": "the rows themselves"}  # fmt: skip
    for row in rows_of("covariates"):
        ratios = [number(row[n]) if row[n] else "" for n in ("error ratio", "time ratio")]
        covered = (
            with_error(row[name], row[f"standard error of {name}"])
            for name in ("coverage50", "coverage90")
        )
        lines.append([row["kind"], *covered, *ratios, others.get(row["compared with"], "")])
    return lines


def panels() -> list[list[str]]:
    """Errors and coverage in panels whose regions move all actions, beside mgcv."""
    names = {"library": OURS, "sum": "mgcv, sum", "control": "mgcv, control variable"}
    head = ["panels", "tables", *names.values()]
    lines = [[*head, *(f"coverage of 90%, {name}" for name in names.values())]]
    for row in rows_of("panels"):
        covered = (row[f"coverage90, {key}"].replace("+-", "±") for key in names)
        errors = (row[f"error, {key}"] for key in names)
        lines.append([row["kind"], row["panels"], *errors, *covered])
    return lines


def outcomes() -> list[list[str]]:
    """Coverage of single outcomes with all actions set, by kind of world."""
    percent = (50, 90)
    lines = [["world", *(f"coverage of {p}%" for p in percent)]]
    for row in rows_of("outcomes"):
        covered = (
            with_error(row[f"coverage{p}"], row[f"standard error of coverage{p}"]) for p in percent
        )
        lines.append([row["kind"], *covered])
    return lines


def products() -> list[list[str]]:
    """Coverage and errors of mean outcomes in log-additive worlds."""
    row = next(r for r in rows_of("outcomes") if r["oracle error"])
    lines = [["estimate", "coverage of 90%", "error"]]
    for label, name in (("multiplicative", "effect"), ("known factor", "known factor")):
        covered = (row[f"{start}{name} coverage90"] for start in ("", "standard error of "))
        error = row["error" if name == "effect" else "known factor error"]
        lines.append([label, with_error(*covered), number(error)])
    return [*lines, ["oracle", "", number(row["oracle error"])]]


def outliers() -> list[list[str]]:
    """Coverage, errors, reports and times by the share of outliers and the noise of the model."""
    head = ["outliers", "noise of the model", "worlds", "coverage of 50%", "of 90%", "error"]
    lines = [[*head, "reported", "processor time"]]
    for row in rows_of("outliers"):
        covered = (
            with_error(row[f"coverage{p}"], row[f"standard error of coverage{p}"]) for p in (50, 90)
        )
        noise = {"gaussian": "Gaussian", "student_t": "Student-t"}[row["noise"]]
        skewed = ", skewed noise" if row["kind"] == "skewed" else ""
        share = f"{100 * float(row['share']):.0f}%{skewed}"
        reported = "" if row["noise"] == "student_t" else f"{100 * float(row['reported']):.0f}%"
        time = row["ratio of processor seconds"]
        cells = [share, noise, row["worlds"], *covered, number(row["error"]), reported]
        lines.append([*cells, f"{number(time, 1)} times" if time else ""])
    return lines


def interactions() -> list[list[str]]:
    """Coverage, errors and times by the share of an interaction, over all worlds."""
    lines = [["share", "worlds", "coverage of 50%", "of 90%", "error", "time"]]
    for row in rows_of("interactions", kind="all"):
        covered = (
            with_error(row[name], row[f"standard error of {name}"])
            for name in ("coverage50", "coverage90")
        )
        share, time = f"{100 * float(row['share']):.0f}%", row["time ratio"]
        cells = [share, row["worlds"], *covered, number(row["error ratio"])]
        lines.append([*cells, number(time) if time else ""])
    return lines


def violations() -> list[list[str]]:
    """How often `bi.check` declares a violation."""
    lines = [["violation", "graph", "rows with several actions set", "models", "share declared"]]
    names = {
        "none": "none",
        "interacting": "interaction, 5% of the outcome's variance",
        "smallest detectable interaction": "interaction of the detectable size",
        "confounded interaction": "interaction with hidden causes",
        "shared confounder": "correlated hidden causes",
    }
    for row in rows_of("checks", kind="all"):
        if row["violation"] in names and row["together"] != "two":
            shared = f" of {row['actions']} actions, strength {row['strength']}"
            lines.append(
                [
                    names[row["violation"]]
                    + (shared if row["violation"] == "shared confounder" else ""),
                    "known" if row["graph"] == "True" else "unknown",
                    number(row["several"], 0),
                    row["models"],
                    f"{number(row['found'])} ({number(row['low'], 3)} to {number(row['high'], 3)})",
                ]
            )
    return lines


# Each table, and the results that it shows.
TABLES: dict[str, tuple[Callable[[], list[list[str]]], tuple[str, ...]]] = {
    "rows": (example_rows, ()),
    "summary": (summary, ()),  # which names the commits beside each row
    "paper": (paper, ("real_worlds", "published_main", "calibration_coverage", "checks")),
    "real": (real, ("real_worlds",)),
    "published": (published, ("published_main",)),
    "convergence": (convergence, ("published_convergence",)),
    "attainable": (attainable, ("benchmark_cases",)),
    "accuracy": (accuracy, ("accuracy_K5_N2000", "accuracy_K5_N2000_graph")),
    "times": (times, ("benchmark_speed",)),
    "updates": (updates, ("updates",)),
    "intervals": (intervals, ("calibration_coverage",)),
    "rough": (rough, ("calibration_lack_of_fit",)),
    "covariates": (covariates, ("covariates",)),
    "panels": (panels, ("panels",)),
    "outcomes": (outcomes, ("outcomes",)),
    "products": (products, ("outcomes",)),
    "outliers": (outliers, ("outliers",)),
    "interactions": (interactions, ("interactions",)),
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
    by = made_by(*results)
    return markdown(table()) + (f"\n\nMade by commit {by}." if by else "")


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

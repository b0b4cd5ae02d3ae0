"""Real outcomes with a known joint answer: errors and coverage beside other estimators.

    python analyses/real_worlds.py [--models 20] [--kinds "tax plans" ...] [--quick]

In each table several things were set at random together. A draw chooses actions among them, and
for each another one as its hidden cause; :func:`bayes_intgen.datasets.confound` selects the rows of
a history and of one experiment per action, and hides the causes. Outcomes and mechanisms are real,
and the joint answer is known from all rows. Choices depend on the seed alone. Kinds:

- light tunnel: two colours, whose causes are two parts of the third; each colour and sensor;
- compiler, compiler of five: run time with three or five of the ten passes that matter most, and as
  many of them as causes;
- tax plans, immigrants: whether people chose a plan or a person; two attributes of ordered levels;
- stream processing, stream processing of three: throughput with two or three settings of a program.
  With three, settings and hidden settings interact in threes: a stress test;
- stencil code: performance of generated code with three settings of the generator, whose causes are
  three others. Settings and hidden settings interact: a stress test. Also with a hundred rows in
  which all three actions were set.

Errors are root mean squares over the settings of the joint answer, in units of its standard
deviation over them. The answer's own standard error is part of the intervals whose coverage is
counted. ``reported`` is the share of the draws in which `bi.check` finds a violation.

Others: the published estimator (one regression per regime), experiments combined by hand (the
experiments' means of their own action, less K - 1 times the mean of the history), one regression on
the pooled rows, and one on the history; and, where R is installed, what this library assumes in
mgcv (``additive.R``). Regressions are means of cells where actions have levels, and cubic ridge
regressions of numbers. Where some rows have all actions set, also a ridge
regression on these alone, and experiments by hand corrected by a ridge regression of what they
leave of these rows. An interrupted run resumes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayes_intgen as bi
from bayes_intgen.data.regime_labels import SEPARATOR
from bayes_intgen.datasets.tables import COLOURS, SENSORS

from _figures import column, legend, log_scale, save_figure
from _mgcv import answer_of, gaussian_draws, has_mgcv
from _ridge import ridge
from _scores import QUICK, coverage, mean_and_error, rms, timed
from _study import Row, add_kinds, arguments, command_of, publish_study

DATA = Path(__file__).parent / "data"
# The ten passes with the largest effects on the run time, in this order.
PASSES = (
    "called_value_propagation", "ipsccp", "pgo_memop_opt", "inline", "adce", "tailcallelim",
    "licm", "jump_threading", "sink", "instcombine",
)  # fmt: skip
BRACKETS = tuple(f"taxrate{i}" for i in range(1, 7))
ORDERS = {
    "Education": ("No Formal", "4th Grade", "8th Grade", "High School", "Two-Year College",
                  "College Degree", "Graduate Degree"),
    "Gender": ("Female", "Male"),
    "JobExperience": ("None", "1-2 Years", "3-5 Years", "5+ Years"),
    "JobPlans": ("No Plans to Look for Work", "Will Look for Work", "Interviews with Employer",
                 "Contract with Employer"),
    "PriorEntry": ("Once w/o Authorization", "Never", "Once as Tourist", "Many Times as Tourist",
                   "Six Months with Family"),
    "LanguageSkills": ("Used Interpreter", "Tried English but Unable", "Broken English",
                       "Fluent English"),
}  # fmt: skip
LIBRARY, MGCV, PUBLISHED, HAND = "library", "mgcv", "published", "by hand"
POOLED, HISTORY = "pooled rows", "history"
JOINT, CORRECTED = "joint rows", "by hand, corrected"
ESTIMATORS = (LIBRARY, MGCV, PUBLISHED, HAND, POOLED, HISTORY, JOINT, CORRECTED)
# Strength of the confounding where it is not the default: the stream processor's table is small.
WEAKER = 0.5

Predict = Callable[[pd.DataFrame], np.ndarray]


def light_tunnel(seed: int) -> bi.datasets.Dataset:
    """Next choice of hidden colour and sensor."""
    sensor, colour = divmod(seed, len(COLOURS))
    return bi.datasets.light_tunnel(COLOURS[colour], SENSORS[sensor % len(SENSORS)], seed=seed)


def compiler(seed: int, count: int) -> bi.datasets.Dataset:
    """Random choice among the passes that matter."""
    actions, causes = roles(PASSES, count, seed)
    return bi.datasets.compiler(actions, causes, rows=1500 if count == 3 else None, seed=seed)


def tax_plans(seed: int) -> bi.datasets.Dataset:
    """Random choice of brackets."""
    return bi.datasets.tax_plans(*roles(BRACKETS, 2, seed), seed=seed)


def immigrants(seed: int) -> bi.datasets.Dataset:
    """Random choice of attributes."""
    table = pd.read_csv(DATA / "immigration.csv.gz", keep_default_na=False)
    for name, labels in ORDERS.items():
        table[name] = pd.Categorical(table[name], labels, ordered=True)
    chosen = roles(tuple(ORDERS), 2, seed)
    return bi.datasets.confound(table, *chosen, "ChosenImmigrant", seed=seed)


def stream_processing(seed: int, count: int) -> bi.datasets.Dataset:
    """Random choice of settings."""
    table = pd.read_csv(DATA / "stream_processing.csv.gz")
    chosen = roles(tuple(table.columns.drop("throughput")), count, seed)
    return bi.datasets.confound(table, *chosen, "throughput", strength=WEAKER, seed=seed)


def stencil_code(seed: int, joint_rows: int) -> bi.datasets.Dataset:
    """Random choice of settings of the code generator."""
    table = pd.read_csv(DATA / "stencil_code.csv.gz")
    actions, causes = roles(tuple(table.columns.drop("performance")), 3, seed)
    if all(name.startswith("tile") for name in actions):
        # 512 joint settings are more than there are rows for.
        actions, causes = causes, actions
    return bi.datasets.confound(
        table, actions, causes, "performance", rows=1500, joint_rows=joint_rows, seed=seed
    )


def roles(columns: Sequence[str], count: int, seed: int) -> tuple[list[str], list[str]]:
    """Choose actions and as many causes at random."""
    chosen = np.random.default_rng([seed, 31]).permutation(columns)[: 2 * count].tolist()
    return chosen[:count], chosen[count:]


KINDS: dict[str, Callable[[int], bi.datasets.Dataset]] = {
    "light tunnel": light_tunnel,
    "compiler": lambda seed: compiler(seed, 3),
    "compiler of five": lambda seed: compiler(seed, 5),
    "tax plans": tax_plans,
    "immigrants": immigrants,
    "stream processing": lambda seed: stream_processing(seed, 2),
    "stream processing of three": lambda seed: stream_processing(seed, 3),
    "stencil code": lambda seed: stencil_code(seed, 0),
    "stencil code, joint rows": lambda seed: stencil_code(seed, 100),
}
STRESS = ("stream processing of three", "stencil code", "stencil code, joint rows")


def regression(rows: pd.DataFrame, names: Sequence[str], outcome: str) -> Predict:
    """Mean outcome given some actions: of cells if they have levels, else a cubic ridge."""
    names = list(names)
    if all(rows[name].nunique() <= 10 for name in names):
        means = rows.groupby(names, observed=True)[outcome].mean()
        every = rows[outcome].mean()

        def of_cells(points: pd.DataFrame) -> np.ndarray:
            keys = [points[name] for name in names]
            index = keys[0] if len(keys) == 1 else pd.MultiIndex.from_arrays(keys)
            return means.reindex(index).fillna(every).to_numpy()

        return of_cells
    fitted = ridge(rows[names].to_numpy(float), rows[outcome].to_numpy(float))
    return lambda points: fitted(points[names].to_numpy(float))


def other_estimates(known: bi.datasets.Dataset) -> dict[str, np.ndarray]:
    """Estimates of the joint effect at the settings of the answer, without the library."""
    frame, names, outcome = known.frame, list(known.actions), known.outcome
    points, less = known.joint[names], len(names) - 1
    history = frame[frame["regime"] == "observational"]
    tests = {name: frame[frame["regime"] == name] for name in names}
    by_regime = [regression(rows, names, outcome)(points) for rows in (history, *tests.values())]
    alone = [regression(rows, [name], outcome)(points) for name, rows in tests.items()]
    out = {
        PUBLISHED: np.sum(by_regime[1:], axis=0) - less * by_regime[0],
        HAND: np.sum(alone, axis=0) - less * history[outcome].mean(),
        POOLED: regression(frame, names, outcome)(points),
        HISTORY: by_regime[0],
    }
    together = frame[frame["regime"] == SEPARATOR.join(names)]
    if len(together):
        at, observed = together[names].to_numpy(float), together[outcome].to_numpy(float)
        settings = points.to_numpy(float)
        out[JOINT] = ridge(at, observed)(settings)
        by_hand = [regression(rows, [name], outcome)(together) for name, rows in tests.items()]
        left = observed - (np.sum(by_hand, axis=0) - less * history[outcome].mean())
        out[CORRECTED] = out[HAND] + ridge(at, left)(settings)
    return out


def by_mgcv(known: bi.datasets.Dataset) -> np.ndarray:
    """Draws of the joint effect at the settings of the answer, by mgcv."""
    names = [f"a{i}" for i in range(len(known.actions))]
    new = dict(zip((*known.actions, known.outcome), (*names, "outcome"), strict=True))
    rows = known.frame[[*new, "regime"]].rename(columns=new)
    labels = rows["regime"].str.split(SEPARATOR)
    rows["regime"] = ["-".join(new.get(name, name) for name in label) for label in labels]
    points = known.joint[list(known.actions)].rename(columns=new)
    for name in names:
        if isinstance(rows[name].dtype, pd.CategoricalDtype):
            order = rows[name].cat.categories
            rows[name], points[name] = (x[name].map(order.get_loc) for x in (rows, points))
    return gaussian_draws(answer_of("additive.R", {"rows": rows, "points": points}, *names))


def score(kind: str, seed: int, mgcv: bool, quick: bool) -> list[Row]:
    """Score all estimators on one draw."""
    known = KINDS[kind](seed)
    data, answer = known.data, known.joint["effect"].to_numpy()
    settings = QUICK if quick else {}
    posterior, seconds = timed(lambda: bi.fit(data, seed=seed, progress=False, **settings))
    effect = posterior.joint_effect(known.joint[list(known.actions)])
    draws = {LIBRARY: effect.to_numpy().reshape(-1, len(answer))}
    if mgcv:
        draws[MGCV] = by_mgcv(known)
    error = known.joint["standard_error"].to_numpy()
    held_out = {"held_out": 0.0} if quick else {}
    found = bi.check(data, seed=seed, progress=False, **held_out).violated
    job: Row = {"kind": kind, "seed": seed, "mgcv": mgcv, "quick": quick}
    job |= {"actions": " ".join(known.actions), "rows": len(data)}
    means = {name: own.mean(axis=0) for name, own in draws.items()}
    lines = []
    for name, estimate in (means | other_estimates(known)).items():
        line = job | {"estimator": name, "error": f"{rms(estimate - answer) / answer.std():.4f}"}
        line |= {"coverage50": "", "coverage90": "", "reported": "", "seconds": ""}
        if name in draws:
            unsure = error * np.random.default_rng(seed).normal(size=draws[name].shape)
            for percent in (50, 90):
                covered = coverage((draws[name] + unsure)[None], answer, percent / 100)
                line[f"coverage{percent}"] = f"{covered:.4f}"
        if name == LIBRARY:
            line |= {"reported": int(found is True), "seconds": f"{seconds:.1f}"}
        lines.append(line)
    return lines


def errors(rows: list[dict[str, str]], estimator: str) -> np.ndarray:
    """Errors of an estimator, in the order of the draws."""
    return column([row for row in rows if row["estimator"] == estimator], "error")


def better(rows: list[dict[str, str]]) -> np.ndarray:
    """Error of the better of experiments combined by hand and pooled rows, of each draw."""
    return np.minimum(errors(rows, HAND), errors(rows, POOLED))


def summary(rows: list[dict[str, str]]) -> list[Row]:
    """Mean errors of all estimators, and the library beside the better one, per kind."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        cell = [row for row in rows if row["kind"] == kind]
        own = [row for row in cell if row["estimator"] == LIBRARY]
        if len(own) < 2:
            continue
        line: Row = {"kind": kind, "stress": int(kind in STRESS), "draws": len(own)}
        for name in ESTIMATORS:
            of_name = errors(cell, name)
            line[f"error, {name}"] = f"{of_name.mean():.3f}" if len(of_name) else ""
        least = better(cell)
        line["share of draws below the better"] = f"{np.mean(errors(cell, LIBRARY) < least):.2f}"
        line["error over the better"] = f"{errors(cell, LIBRARY).mean() / least.mean():.2f}"
        for name in ("coverage50", "coverage90"):
            mean, error = mean_and_error(column(own, name))
            line |= {name: f"{mean:.3f}", f"standard error of {name}": f"{error:.3f}"}
        by_other = column([row for row in cell if row["estimator"] == MGCV], "coverage90")
        line["coverage90, mgcv"] = f"{by_other.mean():.3f}" if len(by_other) else ""
        line["reported"] = f"{column(own, 'reported').mean():.2f}"
        lines.append(line)
    return lines


def draw_figure(rows: list[dict[str, str]], lines: list[Row], path: Path) -> None:
    """Plot the library's errors against those of the better alternative, and its coverage."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 4.6), width_ratios=[1.15, 1], layout="constrained"
    )
    for i, line in enumerate(lines):
        cell = [row for row in rows if row["kind"] == line["kind"]]
        marker = "x" if line["kind"] in STRESS else "o"
        left.plot(better(cell), errors(cell, LIBRARY), marker, color=f"C{i}", markersize=5,
                  label=line["kind"])  # fmt: skip
        right.errorbar(
            float(line["coverage90"]), i, xerr=float(line["standard error of coverage90"]),
            fmt=marker, color=f"C{i}", capsize=3,
        )  # fmt: skip
    ends = np.array([left.get_xlim(), left.get_ylim()])
    ends = np.array([max(ends[:, 0].min(), 0.01), ends[:, 1].max()])
    left.plot(ends, ends, color="0.6", linewidth=1, label="equal errors")
    for which in ("x", "y"):
        log_scale(left, which)
    left.set_xlabel("error of the better of pooled rows and experiments by hand")
    left.set_ylabel("error of this library")
    left.set_title("root mean square error / sd of the answer", fontsize=9)
    legend(left, loc="upper left")
    right.axvline(0.9, color="0.6", linewidth=1)
    right.set_yticks(range(len(lines)), [line["kind"] for line in lines])
    right.invert_yaxis()
    right.set_xlim(0.5, 1)
    right.set_xlabel("coverage of 90% intervals, with standard errors")
    save_figure(figure, path)


def main() -> None:
    """Run from the command line."""
    parser = arguments(__doc__, models=20)
    add_kinds(parser, KINDS)
    args = parser.parse_args()
    if args.quick:
        args.models, args.kinds = 2, args.kinds or ["compiler", "stream processing"]
    command = command_of("real_worlds", args, "models")
    mgcv = has_mgcv()
    jobs = [
        {"kind": kind, "seed": seed, "mgcv": mgcv, "quick": args.quick}
        for kind in args.kinds or KINDS
        for seed in range(args.models)
    ]
    rows, lines = publish_study("real_worlds", args, score, jobs, command, summary)
    draw_figure(rows, lines, args.output / "real_worlds")


if __name__ == "__main__":
    main()

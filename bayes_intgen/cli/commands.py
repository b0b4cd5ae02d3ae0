"""Commands of ``bayes-intgen``; ``EPILOGUE`` has their exit codes."""

# Commands import heavy modules themselves, so that help appears at once.
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from bayes_intgen._atomic import atomic_write, writable_target
from bayes_intgen.cli import parsing
from bayes_intgen.cli.console import (
    DONE,
    DOUBTFUL,
    PIPES,
    answer,
    log,
    recorded,
    show_all,
    show_progress,
    verbosity,
    write,
    written,
)
from bayes_intgen.cli.decisions import DECISIONS
from bayes_intgen.cli.options import (
    REGIME,
    Bands,
    Choice,
    Columns,
    Count,
    Data,
    Fit,
    Format,
    ModelOptions,
    Output,
    Pairs,
    Points,
    RowsOfFit,
    Texts,
    load_fit,
)
from bayes_intgen.cli.points import (
    Point,
    checked_point,
    default_point,
    refuse_observed,
    spelled_point,
)
from bayes_intgen.cli.tables import effects_document, effects_frame, effects_in_text, wrapped
from bayes_intgen.errors import DataError, PointsError, SamplingWarning
from bayes_intgen.text.messages import refuse_unknown_actions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayes_intgen.api.posterior import Posterior

# Panels of a picture in a row, and their width and height in inches.
PANELS_PER_ROW, PANEL_SIZE = 2, (6.4, 4.2)
HELP = """Estimate joint effects of several actions from data in which one was set at a time.

A data file has a column for each action, one for the outcome, and one for the regime: the actions
set in the row, none (empty, or observational), one (red), or several (red+green).
`bayes-intgen describe FILE` explains a file, other labels too, and says what to run next.
"""
EPILOGUE = """Everywhere: --quiet (-q) shows warnings and errors only, --debug shows where an error
comes from. Results go to standard output, progress and warnings to standard error.
Exit codes: 0 done, 1 the input cannot be used, 2 wrong command line, 3 done but not reliable
(check and a violation or nothing to test; --strict and draws that are not reliable, or an answer
that rows do not support), 70 a defect of the program, 130 interrupted."""

app = App(
    name="bayes-intgen",
    help=HELP,
    help_epilogue=EPILOGUE,
    version_flags=["--version"],
    default_parameter=Parameter(negative=()),
    result_action="return_value",
)

app.register_install_completion_command(
    help="Complete commands and options in this shell: bash, zsh, fish or PowerShell."
)


@app.command(sort_key=1)
def describe(data: Data, *, columns: Columns = Columns(), format: Format = "table") -> int:
    """Summarise a file without a fit: columns, regimes, identified effects, ranges, and problems.

    Without --outcome, --actions or a column of regimes, explain all columns and propose roles.
    """
    from bayes_intgen.cli.proposal import command, explained, named_after
    from bayes_intgen.data.column_notes import explain_columns
    from bayes_intgen.data.files import read_table, regular_file

    with regular_file(data) as source:
        cells = parsing.parse_cells(columns.cell)
        table = read_table(source, columns.regime or REGIME, head=True, cells=cells)
        if columns.lacks(table):
            report: Any = explained(data, source, columns)
            notes = report.notes
        else:
            from bayes_intgen.assess.advice import few_valued
            from bayes_intgen.assess.summary import summarise_data
            from bayes_intgen.data.proposed_roles import propose_roles
            from bayes_intgen.data.validation import check_covariates

            rows = columns.rows(source, require_observational=False)
            check_covariates(rows)
            roles = {columns.regime or REGIME: "regime", **columns.roles(table.columns)}
            reasons = propose_roles(table, roles, rows.columns.meanings).reasons
            notes = explain_columns(table, roles, reasons)
            output = named_after(data, ".nc").name
            # --levels splits names at commas.
            few = ",".join(name for name in few_valued(rows) if "," not in name)
            levels = ["--levels", few] if few else []
            following = command("fit", data, *columns.words(), *levels, "-o", output)
            report = summarise_data(rows, support=False, columns=notes, command=following)
    answer(format, str(report), report.to_json(), notes)
    return DONE


@app.command(sort_key=1)
def clean(
    data: Data,
    *,
    output: Output,
    regime: Annotated[str, Parameter(alias="-r")] = "regime",
    decimal: Literal["comma", "point"] | None = None,
    dates: Literal["day", "month", "year"] | None = None,
    cell: Pairs = None,
) -> int:
    """Read the numbers and dates in the cells of a file, show what was read, and write a table.

    Writes nothing while columns have two readings. The suffix of the output file determines its
    format: parquet, csv. Standard output (-) is CSV.

    Parameters
    ----------
    regime
        Column of the actions set in each row, which stays text.
    decimal
        Decimal mark, where numbers such as 1.234 have two readings.
    dates
        What comes first, where dates such as 1/2/2024 have two readings.
    cell
        What a text stands for in columns of numbers or dates, as none=0, or lost= for missing
        cells. Repeat it for further texts.
    """
    _require_writable(output, data)
    from bayes_intgen.cli.proposal import answers_to_check, command
    from bayes_intgen.data.cells import by_answer, words_of_cells
    from bayes_intgen.data.files import cleaned_table, encoder_of, regular_file

    is_pipe = output in PIPES
    encode = encoder_of(Path("table.csv") if is_pipe else output)
    marks: Any = {"comma": ",", "point": "."}
    with regular_file(data) as source:
        cells = parsing.parse_cells(cell)
        cleaned = cleaned_table(
            source, regime=regime, decimal=marks.get(decimal), dates=dates, cells=cells
        )
    (log if is_pipe else write)(str(cleaned))
    cleaned.refuse_questions()
    with written(output) as path:
        atomic_write(path, encode(cleaned.frame))
    following, advice = command("describe", output), ""
    if cleaned.questions:
        advice, answers = answers_to_check(own for _, own in by_answer(cleaned.questions))
        given = {"--regime": regime if regime != REGIME else None, "--decimal": decimal,
                 "--dates": dates}  # fmt: skip
        words = [word for pair in given.items() if pair[1] for word in pair]
        words += words_of_cells(cells)
        following = command("clean", data, "-o", output, *words, *answers)
    if not is_pipe:
        log(f"{advice} Next:\n  {following}".strip())
    return DONE


@Parameter(name="*", group=Group("Sampling", sort_key=30))
@dataclass(frozen=True)
class Sampling:
    """Settings of a fit, with the defaults of `bayes_intgen.fit`.

    Attributes
    ----------
    method
        laplace: a fraction of the time, for previews; Pareto k says whether to trust it.
    seed
        The same seed gives the same fit.
    chains
        Number of chains.
    draws
        Draws per chain; by default as many as convergence requires.
    warmup
        Iterations that only adapt the sampler.
    target_accept
        Nearer to 1: smaller steps, which remove divergences.
    checkpoint
        File for the sums over all rows: the same command samples again after a fit that was
        interrupted or killed, without reading them again.
    """

    method: Literal["nuts", "laplace"] = "nuts"
    seed: int = 0
    chains: int = 4
    draws: Count | None = None
    warmup: int = 75
    target_accept: float = 0.7
    checkpoint: Path | None = None


@app.command(sort_key=2)
def fit(
    data: Data,
    *,
    columns: Columns = Columns(),
    output: Output,
    options: ModelOptions = ModelOptions(),
    noise: Annotated[Literal["gaussian", "student_t"], Parameter(group="Model")] = "gaussian",
    sampling: Sampling = Sampling(),
    strict: Annotated[bool, Parameter(group="Sampling")] = False,
) -> int:
    """Fit a file, and save the posterior.

    A Parquet file or a folder of them is read in passes; with --time a file of up to half a
    gigabyte is read as a whole.

    Parameters
    ----------
    noise
        Student-t is robust to outliers.
    strict
        Exit with 3 if the draws are not reliable.
    """
    import bayes_intgen as bi
    from bayes_intgen.cli.proposal import command
    from bayes_intgen.data.cells import words_of_cells
    from bayes_intgen.data.files import INPUTS, regular_file

    _require_writable(output, data, sampling.checkpoint)
    model = options.model(noise)
    with regular_file(data) as source:
        rows = columns.rows(source)
        with recorded() as found:
            posterior = bi.fit(rows, model, progress=show_progress(), **vars(sampling))
    with written(output) as path:
        posterior.save(path)
        summary = bi.report_identification(posterior)
        # The summary has the findings of a fit; a quiet command shows their warnings instead.
        show_all(found, except_for=() if verbosity.quiet else summary.problems)
        log(str(summary))
    if output not in PIPES:
        question = command("effect", output, "--set", spelled_point(default_point(posterior)))
        cells = words_of_cells(parsing.parse_cells(columns.cell))
        page = command("report", output, "--data", data, *cells, "-o", output.with_suffix(".html"))
        test = command("check", data, *columns.words(), *options.words())
        # A pipe is read once.
        log("\n  ".join(["Next:", *([question] if data in INPUTS else [test, question, page])]))
    doubtful = any(issubclass(warning.category, SamplingWarning) for warning in found)
    return DOUBTFUL if strict and doubtful else DONE


@app.command(sort_key=3)
def effect(
    fit: Fit,
    *,
    points: Points = Points(),
    from_: Annotated[str | None, Parameter(name=["--from", "-f"])] = None,
    observed: str | None = None,
    periods: int | None = None,
    over: Bands = Bands(),
    strict: bool = False,
    format: Format = "table",
) -> int:
    """Estimate the mean outcome with actions set to values, and the change from another point.

    Bands of the mean show its uncertainty; those of outcomes contain single outcomes. Of outcomes
    that are zeros and ones the table has the probability of a one instead.

    Parameters
    ----------
    from_
        Also give the change from here, as tv=1. Other actions stay as in --set.
    observed
        Values of actions that are observed and not set, as print=3.
    periods
        For how many periods actions that carry over are set, by default as long as they act.
    strict
        Exit with 3 if rows do not support an answer.
    """
    from bayes_intgen.posterior.effects import effect_table
    from bayes_intgen.text.formats import to_json

    posterior = load_fit(fit)
    observed_point = checked_point(observed, posterior)
    values = points.read(posterior, observed_point)
    if not values:
        example = shlex.quote(spelled_point(default_point(posterior)))
        raise PointsError(f"there is no point; write --set {example}, or --points FILE")
    baseline = None
    if from_ is not None:
        start = checked_point(from_, posterior)
        refuse_observed(start, observed_point, "--from would change {name!r}")
        baseline = [{**point, **start} for point in values]
    intervened = [name for name in posterior.actions if name not in observed_point]
    view = over.view(posterior)
    table = effect_table(
        view, values, intervened, baseline=baseline, level=over.level, periods=periods
    )
    document = to_json(effects_document(table))
    answer(format, effects_in_text(table), document, effects_frame(table))
    if pairs := table.attrs.get("unmoderated"):
        fitted = getattr(posterior.model, "moderators", {}).items()
        every = ",".join([*(f"{k}:{name}" for k, own in fitted for name in own), pairs])
        log(
            "note: not all effects depend on the covariates given; to let them, fit with "
            f"--moderators {shlex.quote(every)}"
        )
    each = [table[name] for name in ("supported", "change_supported") if name in table]
    return DONE if not strict or all(own.to_numpy().all() for own in each) else DOUBTFUL


for decision in DECISIONS:
    app.command(decision, sort_key=4)


@app.command(sort_key=5)
def plot(
    fit: Fit,
    *,
    output: Output,
    action: Annotated[Texts, Parameter(alias="-a")] = None,
    at: str | None = None,
    outcomes: bool = False,
    over: Bands = Bands(),
) -> int:
    """Plot the joint effect along actions: mean and bands.

    The suffix of the output file determines its format: png, svg, pdf.

    Parameters
    ----------
    action
        Actions to plot along; all by default.
    at
        Values of the other actions, as radio=1; by default those of the supported
        observational row nearest to the medians.
    outcomes
        Add a band of single outcomes, dotted.
    """
    kind = output.suffix or ".png"
    if output not in PIPES:
        output = output.with_suffix(kind)
    _require_writable(output, fit, over.population)
    import io

    import matplotlib as mpl

    mpl.use("agg")
    posterior = load_fit(fit)
    others = checked_point(at, posterior)
    names = parsing.parse_names(action, posterior.actions) or list(posterior.actions)
    refuse_unknown_actions(names, posterior.actions, PointsError)
    if len(names) == 1 and names[0] in others:
        raise PointsError(f"--at: the plot runs along {names[0]!r}; give values of other actions")
    point = {**default_point(posterior), **others}
    figure = draw_panels(over.view(posterior), names, point, over.level, outcomes)
    picture = io.BytesIO()
    try:
        figure.savefig(picture, dpi=150, format=kind.removeprefix("."))
    except ValueError as error:
        raise PointsError(f"{output} cannot be written: {error}") from error
    with written(output) as path:
        atomic_write(path, picture.getvalue())
    return DONE


@app.command(sort_key=5)
def report(
    fit: Fit,
    *,
    output: Output,
    over: Bands = Bands(),
    rows: RowsOfFit = RowsOfFit(),
    choice: Choice = Choice(),
) -> int:
    """Write a report with an explorer of joint effects as one self-contained HTML file.

    With --cost, --budget, --bounds or --baseline it has the best plans for a range of budgets.
    """
    if rows.data is None and rows != RowsOfFit():
        raise DataError("--regime, --label, --missing and --cell are about --data: name it, too")
    _require_writable(output, fit, over.population, rows.data)
    from bayes_intgen.assess.checks import check as check_assumptions
    from bayes_intgen.data.files import regular_file

    posterior = load_fit(fit)
    if rows.data is not None:
        with regular_file(rows.data) as source:
            tested = rows.rows(source, posterior)
            assumptions = check_assumptions(tested, posterior.model, progress=show_progress())
        posterior = posterior.with_check(assumptions)
    decision = None if choice == Choice() else choice.decision(posterior)
    with written(output) as path:
        over.view(posterior).report(path, level=over.level, decision=decision)
    return DONE


@app.command(sort_key=6)
def check(
    data: Data,
    *,
    columns: Columns = Columns(),
    options: ModelOptions = ModelOptions(),
    held_out: float = 0.25,
    seed: int = 0,
    format: Format = "table",
) -> int:
    """Test the assumptions that the data can contradict.

    Exits with 3 if they are violated, or if nothing could be tested. The statement includes its
    uncertainty and the violations that the data cannot reveal. At most 30,000 rows are used.

    Parameters
    ----------
    held_out
        Share of the rows on which the model is compared with a regression per regime; 0 skips the
        comparison, which takes most of the time.
    """
    import bayes_intgen as bi
    from bayes_intgen.data.files import regular_file

    model = options.model()
    with regular_file(data) as source:
        rows = columns.rows(source)
        result = bi.check(rows, model, held_out=held_out, seed=seed, progress=show_progress())
    answer(format, wrapped(str(result)), result.to_json(), result.to_dataframe())
    return DONE if result.violated is False else DOUBTFUL


@app.command(sort_key=7)
def demo(
    *,
    output: Annotated[Path, Parameter(alias="-o")] = Path("bayes-intgen-demo"),
    rows: Count = 500,
    method: Literal["nuts", "laplace"] = "nuts",
    seed: int = 0,
) -> int:
    """Simulate advertising and sales, run the commands that answer a question, and show the truth.

    Writes data.csv, plans.csv, fit.nc and report.html.

    Parameters
    ----------
    output
        Folder to write to.
    rows
        Rows per regime.
    """
    import numpy as np
    import pandas as pd

    from bayes_intgen.data.regime_labels import SEPARATOR
    from bayes_intgen.simulators import MediaMix
    from bayes_intgen.text.formats import format_number

    if rows < 20:
        raise DataError(f"rows must be at least 20, not {rows}")
    world = MediaMix.random(3, seed)
    simulated, names = world.dataset(rows, seed), list(world.names)
    regimes = [SEPARATOR.join(np.array(names)[mask]) for mask in simulated.intervened]
    # Plans for spending, as multiples of the usual budgets.
    plans = np.outer([0.8, 1.0, 1.5, 2.0], world.budget).round(1)
    frame = pd.DataFrame(simulated.actions, columns=names)
    files = [output / name for name in ("data.csv", "plans.csv", "fit.nc", "report.html")]
    if taken := [file for file in files if file.exists()]:
        raise DataError(f"--output {output} has a file {taken[0].name}; name another folder")
    data, points, saved, page = map(str, files)
    output.mkdir(parents=True, exist_ok=True)
    frame.assign(sales=simulated.outcome, regime=regimes).to_csv(data, index=False)
    pd.DataFrame(plans, columns=names).to_csv(points, index=False)
    roles = ["--outcome", "sales", "--actions", ",".join(names)]
    for words in (
        ["fit", data, *roles, "--method", method, "--seed", str(seed), "-o", saved],
        ["effect", saved, "--points", points],
        ["report", saved, "--cost", "1", "-o", page],
    ):
        log(f"\nbayes-intgen {shlex.join(words)}")
        app(words, exit_on_error=False, print_error=False)
    truth = (format_number(own) for own in world.joint_effect(plans).round(1))
    write(f"\nThe truth of the simulation: {', '.join(truth)}.")
    return DONE


def draw_panels(
    posterior: "Posterior", actions: Sequence[str], at: Point, level: float, outcomes: bool
) -> "Figure":
    """Draw the joint effect along each of some actions, others at a point, with one legend."""
    import matplotlib.pyplot as plt

    from bayes_intgen._arguments import probability
    from bayes_intgen.plots.bands import LEVELS, add_legend

    levels = sorted({LEVELS[0], probability(level, "level", PointsError)})
    columns = min(len(actions), PANELS_PER_ROW)
    shape, (width, height) = (-(-len(actions) // columns), columns), PANEL_SIZE
    figure, axes = plt.subplots(
        *shape, figsize=(width * shape[1], height * shape[0]), layout="constrained",
        squeeze=False, sharey=True,
    )  # fmt: skip
    for ax, name in zip(axes.flat, actions, strict=False):
        others = {other: value for other, value in at.items() if other != name}
        band = level if outcomes else None
        posterior.plot_joint_effect(name, others, levels=levels, predictive=band, ax=ax)
    for ax in axes.flat[len(actions) :]:
        ax.remove()
    add_legend(figure)
    return figure


def _require_writable(output: Path, *inputs: Path | None) -> None:
    """Refuse an output that cannot be written, before hours of sampling rather than after.

    Nor may it replace an input, under whatever name, or a part of one.

    Examples
    --------
    >>> (folder / "part.parquet").touch()
    >>> _require_writable(folder / "part.parquet", folder)
    Traceback (most recent call last):
    bayes_intgen.errors.DataError: --output ... would replace ..., an input; name another file
    """
    from bayes_intgen.data.files import parts_of

    if output in PIPES:
        return
    if not output.absolute().parent.is_dir():
        raise DataError(f"there is no folder {output.absolute().parent} to write {output.name} to")
    if output.is_dir():
        raise DataError(f"{output} is a folder; name a file to write")
    target = writable_target(output)
    for path in (part for own in inputs if own is not None for part in parts_of(own)):
        is_same = path.exists() and target.exists() and path.samefile(target)
        # Neither exists yet where a checkpoint would have the same name.
        if is_same or os.path.realpath(path) == str(target):
            raise DataError(f"--output {output} would replace {path}, an input; name another file")

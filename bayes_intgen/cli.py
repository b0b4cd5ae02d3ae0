"""The command line ``bayes-intgen``.

Exit codes: 0 done; 1 the input cannot be used; 2 the command line is wrong; 3 done, but with a
result that is not to be relied on (``--strict``, ``check``); 70 a defect of the program;
130 interrupted. Results go to standard output, everything else to standard error.
"""

# Nothing heavy is imported here: help appears at once, and each command imports what it needs.
import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, Parameter

from bayes_intgen import queries, tables
from bayes_intgen.errors import (
    BayesIntgenError,
    BayesIntgenWarning,
    DataError,
    PointsError,
    SamplingWarning,
)

if TYPE_CHECKING:
    from bayes_intgen.categories import Categories, Label
    from bayes_intgen.posterior import Posterior
    from bayes_intgen.streamed import Rows

DONE, UNUSABLE, USAGE, DOUBTFUL, DEFECT, PIPE, INTERRUPTED = 0, 1, 2, 3, 70, 141, 130

HELP = """What happens when several levers are set at once, from data on one at a time.

A data file has a column for each action, one for the outcome, and one that says what was set
from outside in each row: nothing (empty, or observational), one action (red), or several
(red+green).
"""
EPILOGUE = """Everywhere: --quiet (-q) shows warnings and errors only, --debug shows where an error
comes from. Results go to standard output, progress and warnings to standard error.
Exit codes: 0 done, 1 the input cannot be used, 2 wrong command line, 3 done but not to be relied
on (--strict, check), 70 a defect of the program, 130 interrupted."""

app = App(
    name="bayes-intgen",
    help=HELP,
    help_epilogue=EPILOGUE,
    version_flags=["--version"],
    result_action="return_value",
)
columns = Group("Columns", sort_key=10)
model = Group("Model", sort_key=20)
sampling = Group("Sampling", sort_key=30)

Format = Annotated[
    Literal["table", "csv", "json"], Parameter(name="--format", help="How to print the result.")
]
Data = Annotated[Path, Parameter(help="CSV, Parquet or Arrow (Feather) file.")]
Fit = Annotated[Path, Parameter(help="A fit that `bayes-intgen fit` or posterior.save wrote.")]
Outcome = Annotated[
    str, Parameter(name=["--outcome", "-y"], help="Column of the outcome.", group=columns)
]
Actions = Annotated[
    list[str] | None,
    Parameter(
        name=["--actions", "-a"],
        help="Columns of the actions, separated by commas; all other columns of numbers if left "
        "out. Text, booleans and categories are levels.",
        group=columns,
        negative=(),
    ),
]
RegimeColumn = Annotated[
    str,
    Parameter(
        name=["--regime", "-r"],
        help="Column that says what was set in each row.",
        group=columns,
    ),
]
Graph = Annotated[
    list[str] | None,
    Parameter(
        name="--graph",
        help="What moves what, as child=parent,parent for each child that has parents; none: no "
        "action moves another. Unknown if left out.",
        group=model,
        negative=(),
    ),
]
Prior = Annotated[
    Literal["gp", "spline", "polynomial", "linear"],
    Parameter(name="--prior", help="Prior of every function.", group=model),
]
Level = Annotated[float, Parameter(name="--level", help="Probability of the bands.")]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="File to write.")]


@app.command(sort_key=1)
def describe(
    data: Data,
    *,
    outcome: Outcome,
    actions: Actions = None,
    regime: RegimeColumn = "regime",
    format: Annotated[Literal["table", "json"], Parameter(name="--format")] = "table",
) -> int:
    """Say what a file holds: regimes, what they identify, ranges, and problems.

    Nothing is fitted.
    """
    from bayes_intgen.overview import overview

    rows = _rows(data, actions, outcome, regime, require_observational=False)
    found = overview(rows)
    _print(found.to_json() if format == "json" else str(found))
    return DONE


@app.command(sort_key=2)
def fit(
    data: Data,
    *,
    outcome: Outcome,
    output: Output,
    actions: Actions = None,
    regime: RegimeColumn = "regime",
    graph: Graph = None,
    prior: Prior = "gp",
    noise: Annotated[
        Literal["gaussian", "student_t"],
        Parameter(help="Student-t is robust to outliers, and slow.", group=model),
    ] = "gaussian",
    seed: Annotated[int, Parameter(help="The same seed gives the same fit.", group=sampling)] = 0,
    chains: Annotated[int, Parameter(help="Number of chains.", group=sampling)] = 4,
    draws: Annotated[
        int | None,
        Parameter(help="Draws kept of each chain; by default as many as it takes.", group=sampling),
    ] = None,
    warmup: Annotated[
        int, Parameter(help="Iterations that only adapt the sampler.", group=sampling)
    ] = 100,
    target_accept: Annotated[
        float,
        Parameter(help="Nearer to 1: smaller steps, which mends divergences.", group=sampling),
    ] = 0.8,
    checkpoint: Annotated[
        Path | None,
        Parameter(
            help="Folder in which chains are kept as they grow: the same command goes on from "
            "there where a fit was stopped or killed.",
            group=sampling,
        ),
    ] = None,
    strict: Annotated[
        bool,
        Parameter(
            help="Exit with 3 if the draws are not fit for use.", group=sampling, negative=()
        ),
    ] = False,
) -> int:
    """Fit a file, and save the posterior.

    A Parquet file is read in passes and never held whole (with Gaussian noise).
    """
    import bayes_intgen as bi

    _refuse_missing_folder(output)
    chosen = bi.models.additive(prior, queries.parse_graph(graph or ()), noise=noise)
    rows = _rows(data, actions, outcome, regime, in_memory=noise == "student_t")
    with _counted(SamplingWarning) as found:
        posterior = bi.fit(
            rows,
            chosen,
            seed=seed,
            chains=chains,
            draws=draws,
            warmup=warmup,
            target_accept=target_accept,
            progress=_progress(),
            checkpoint=checkpoint,
        )
    posterior.save(output)
    _say(f"{posterior!r}\nsaved to {output}")
    return DOUBTFUL if strict and found else DONE


@app.command(sort_key=3)
def effect(
    fit: Fit,
    *,
    set: Annotated[
        list[str] | None,
        Parameter(
            name=["--set", "-s"],
            help="Values or levels to set, as tv=2,drug=on; repeat it for further points. Actions "
            "left out are set to a supported point near their medians.",
            negative=(),
        ),
    ] = None,
    points: Annotated[
        Path | None,
        Parameter(help="File of points to set: CSV, Parquet or Arrow, a column for each action."),
    ] = None,
    from_: Annotated[
        str | None,
        Parameter(
            name=["--from", "-f"],
            help="Also give the change from here, as tv=1. Actions left out stay as in --set.",
        ),
    ] = None,
    observed: Annotated[
        str | None,
        Parameter(help="Values of actions that are observed and not set, as print=3."),
    ] = None,
    level: Level = 0.9,
    format: Format = "table",
) -> int:
    """The mean outcome with actions set to values, with bands; and the change from elsewhere.

    Bands of the mean say how well it is known; those of outcomes hold single outcomes.
    """
    from bayes_intgen.effects import effect_table

    posterior = _load(fit)
    seen = _known(queries.parse_point(observed), posterior) if observed else {}
    asked = [_known(queries.parse_point(text), posterior) for text in set or ()]
    for point in asked:
        for name in point:
            if name in seen:
                raise PointsError(f"{name!r} is both set and observed; leave it out of one")
    values = _completed(asked, seen, posterior)
    if points is not None:
        values += _points_of_file(points, posterior)
    if not values:
        raise PointsError("no point was given; write --set tv=2,radio=1, or --points FILE")
    baseline = None
    if from_ is not None:
        start = _known(queries.parse_point(from_), posterior)
        for name in start:
            if name in seen:
                raise PointsError(f"{name!r} is observed, and --from would change it")
        baseline = [{**point, **start} for point in values]
    intervened = [name for name in posterior.actions if name not in seen]
    table = effect_table(posterior, values, intervened, baseline=baseline, level=level)
    _print(tables.format_effects(table, format))
    return DONE


@app.command(sort_key=4)
def plot(
    fit: Fit,
    *,
    output: Output,
    action: Annotated[
        list[str] | None,
        Parameter(
            name=["--action", "-a"], help="Actions to draw along; all if left out.", negative=()
        ),
    ] = None,
    at: Annotated[
        str | None,
        Parameter(
            help="Where the others are held, as radio=1; at a supported point near their medians "
            "if left out."
        ),
    ] = None,
    level: Level = 0.9,
) -> int:
    """Draw the joint effect along actions: mean, bands, and a band of outcomes (dotted).

    The ending of the output file says which format: png, svg, pdf.
    """
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    from bayes_intgen.categories import short_label

    _refuse_missing_folder(output)
    posterior = _load(fit)
    held = _known(queries.parse_point(at), posterior) if at else {}
    along = queries.parse_names(action, posterior.actions) or list(posterior.actions)
    _refuse_unknown(along, posterior)
    across = min(len(along), 3)
    down = -(-len(along) // across)
    figure, axes = plt.subplots(
        down,
        across,
        figsize=(max(4.4 * across, 6.4), 3.6 * down + 0.6),
        layout="constrained",
        squeeze=False,
        sharey=True,
    )
    for ax, name in zip(axes.flat, along, strict=False):
        others = {**_default_point(posterior), **held}
        others.pop(name)
        posterior.plot_joint_effect(
            name, others, levels=sorted({0.5, level}), predictive=level, ax=ax
        )
        ax.set_title("")
        ax.get_legend().remove()
        ax.set_ylabel("")
    for ax in axes.flat[len(along) :]:
        ax.remove()
    # Hatching occurs along some actions only.
    handles = {
        label: handle
        for ax in figure.axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles,
        loc="outside lower left",
        ncols=5 if across > 1 else 3,
        frameon=False,
    )
    figure.supylabel(f"mean of {posterior.outcome_name}, all actions set", fontsize=10)
    where = {n: held.get(n, m) for n, m in _default_point(posterior).items() if [n] != along}
    if where:
        spelled = ", ".join(f"{name} = {short_label(value)}" for name, value in where.items())
        title = fill(f"Actions that are not on the axis: {spelled}", max(58 * across, 84))
        figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    try:
        figure.savefig(output, dpi=150)
    except ValueError as error:
        raise PointsError(f"{output} cannot be drawn: {error}") from error
    _say(f"drawn to {output}")
    return DONE


@app.command(sort_key=5)
def report(
    fit: Fit,
    *,
    output: Output,
    level: Level = 0.9,
    data: Annotated[
        Path | None,
        Parameter(help="The data that were fitted: the report then checks the assumptions."),
    ] = None,
    regime: RegimeColumn = "regime",
) -> int:
    """Write a report with an explorer of joint effects: one HTML file that needs nothing else."""
    from bayes_intgen.checks import check as check_assumptions
    from bayes_intgen.report import write_report

    _refuse_missing_folder(output)
    posterior = _load(fit)
    checks = None
    if data is not None:
        from bayes_intgen.files import rows_of_file

        rows = rows_of_file(
            data, posterior.actions, posterior.outcome_name, regime, progress=_progress()
        )
        checks = check_assumptions(rows, posterior.model, progress=_progress())
    write_report(posterior, output, checks=checks, level=level)
    _say(f"written to {output}")
    return DONE


@app.command(sort_key=6)
def check(
    data: Data,
    *,
    outcome: Outcome,
    actions: Actions = None,
    regime: RegimeColumn = "regime",
    graph: Graph = None,
    prior: Prior = "gp",
    held_out: Annotated[
        float,
        Parameter(
            help="Share of the rows on which the model is compared with a regression for each "
            "regime; 0 leaves the comparison out, which takes most of the time."
        ),
    ] = 0.25,
    seed: int = 0,
    format: Annotated[Literal["table", "json"], Parameter(name="--format")] = "table",
) -> int:
    """Test the assumptions that the data can contradict; exit with 3 if they do.

    A statement with its uncertainty, and what it cannot see.
    """
    import bayes_intgen as bi

    chosen = bi.models.additive(prior, queries.parse_graph(graph or ()))
    rows = _rows(data, actions, outcome, regime)
    found = bi.check(rows, chosen, held_out=held_out, seed=seed, progress=_progress())
    _print(tables.check_to_json(found) if format == "json" else str(found))
    return DOUBTFUL if found.violated else DONE


@app.command(sort_key=7)
def demo(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder to write to.")] = Path(
        "bayes-intgen-demo"
    ),
    rows: Annotated[int, Parameter(help="Rows of each regime.")] = 500,
    seed: int = 0,
) -> int:
    """Simulate advertising and sales, fit them, and compare the answer with the truth.

    Writes data.csv, fit.nc and report.html, and says which commands would do the same.
    """
    from bayes_intgen.demonstration import demonstrate

    if rows < 20:
        raise DataError(f"rows must be at least 20, not {rows}")
    with _counted(SamplingWarning):
        _print(demonstrate(output, rows, seed, progress=_progress(), say=_say))
    return DONE


# ---- what the commands share ----


class _State(threading.local):
    quiet = False
    debug = False
    warned: frozenset[str] = frozenset()


_state = _State()


def _say(text: str) -> None:
    if not _state.quiet:
        print(text, file=sys.stderr)


def _print(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def _progress() -> bool:
    return not _state.quiet


def _rows(
    data: Path, actions: Sequence[str] | None, outcome: str, regime: str, **settings: bool
) -> "Rows":
    from bayes_intgen.files import columns_of_file, rows_of_file

    names = queries.parse_names(actions, columns_of_file(data) if actions else ())
    return rows_of_file(data, names, outcome, regime, progress=_progress(), **settings)


def _load(path: Path) -> "Posterior":
    from bayes_intgen.storage import load

    return load(path)


def _refuse_missing_folder(output: Path) -> None:
    """Before an hour of sampling, not after it."""
    if not output.absolute().parent.is_dir():
        raise DataError(f"there is no folder {output.absolute().parent} to write {output.name} to")
    if output.is_dir():
        raise DataError(f"{output} is a folder; name a file to write")


def _refuse_unknown(names: Iterable[str], posterior: "Posterior") -> None:
    for name in names:
        if name not in posterior.actions:
            raise PointsError(
                f"{name!r} is no action; the actions are {', '.join(map(repr, posterior.actions))}"
            )


def _known(point: dict[str, Any], posterior: "Posterior") -> dict[str, "Label"]:
    """A point as it was typed, its values checked; levels by their names."""
    from bayes_intgen.questions import checked_value

    _refuse_unknown(point, posterior)
    levels = dict(zip(posterior.actions, posterior.categories, strict=True))
    return {
        name: _named(checked_value(value, name, levels[name]), levels[name])
        for name, value in point.items()
    }


def _named(value: float, levels: "Categories | None") -> "Label":
    import numpy as np

    label: Label = value if levels is None else levels.decode(np.array([value])).tolist()[0]
    return label


def _default_point(posterior: "Posterior") -> dict[str, "Label"]:
    """The fit's default point, numbers to a hundredth of their spread or so."""
    from bayes_intgen.defaults import levels_of
    from bayes_intgen.number_format import decimals_for

    terms = posterior.terms
    values = posterior.default_point.tolist()
    columns = zip(terms.names, values, terms.coordinates, levels_of(posterior), strict=True)
    return {
        name: round(value, decimals_for(c.spread) + 1) if levels is None else _named(value, levels)
        for name, value, c, levels in columns
    }


def _completed(
    asked: list[dict[str, "Label"]], seen: dict[str, "Label"], posterior: "Posterior"
) -> list[dict[str, "Label"]]:
    """Points with the default values of actions that they leave out."""
    from bayes_intgen.categories import spelled_label
    from bayes_intgen.defaults import medians

    at_median = posterior.default_point == medians(posterior)
    default = _default_point(posterior)
    left_out = {n for point in asked for n in posterior.actions if n not in {**point, **seen}}
    for k, name in enumerate(posterior.actions):
        if name in left_out:
            kind = "its median, " if at_median[k] else "a supported value, "
            if posterior.categories[k] is not None:
                kind = "the level "
            value = spelled_label(default[name])
            _say(f"note: {name} is set to {kind}{value}, where no value is given")
    return [{**default, **seen, **point} for point in asked]


def _points_of_file(path: Path, posterior: "Posterior") -> list[dict[str, "Label"]]:
    from bayes_intgen.categories import decoded_table
    from bayes_intgen.files import read_table
    from bayes_intgen.frames import as_table
    from bayes_intgen.questions import checked_points

    table = as_table(read_table(path))
    assert table is not None
    missing = [name for name in posterior.actions if name not in table.columns]
    if missing:
        raise PointsError(f"{path} has no column {', '.join(map(repr, missing))}")
    values = checked_points(table, posterior.actions, posterior.categories)
    rows = decoded_table(values, posterior.categories).tolist()
    return [dict(zip(posterior.actions, row, strict=True)) for row in rows]


@contextlib.contextmanager
def _counted(kind: type[Warning]) -> Iterator[list[str]]:
    """The warnings of a kind that are issued within, which are shown as well."""
    found: list[str] = []
    shown = warnings.showwarning

    def note(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, kind):
            found.append(str(message))
        shown(message, category, *where, **more)

    warnings.showwarning = note
    try:
        yield found
    finally:
        warnings.showwarning = shown


# ---- the process ----


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; as :func:`run`, without ending the process.

    Examples
    --------
    >>> main(["effect", "no-such-file.nc", "--set", "tv=1"])
    1
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _state.debug, _state.quiet = "--debug" in given, bool({"--quiet", "-q"} & {*given})
    _state.warned = frozenset()
    given = [word for word in given if word not in ("--debug", "--quiet", "-q")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default" if _state.debug else "ignore")
            warnings.simplefilter("always", BayesIntgenWarning)
            warnings.showwarning = _show_warning
            return int(app(given, exit_on_error=False, print_error=False) or DONE)
    except CycloptsError as error:
        return _fail(error, USAGE, hint=" (--help shows what is possible)")
    except BrokenPipeError:
        # The reader has enough; nor may Python try to flush when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE
    except (BayesIntgenError, OSError, MemoryError) as error:
        return _fail(error, UNUSABLE)
    except Exception as error:
        kind = type(error).__name__
        return _fail(error, DEFECT, before=f"unexpected {kind}: ", hint=" (--debug shows where)")


def _fail(error: BaseException, code: int, *, before: str = "", hint: str = "") -> int:
    if _state.debug:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"error: {before}{text}{hint}", file=sys.stderr)
    return code


def _show_warning(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
    text = " ".join(str(message).split())
    if text not in _state.warned:
        _state.warned |= {text}
        print(f"warning: {text}", file=sys.stderr)


def run() -> None:
    """The console's entry: as :func:`main`, and ends the process; Ctrl-C ends it at once."""
    _end_on_interrupt()
    code = main()
    sys.stdout.flush()
    raise SystemExit(code)


def _end_on_interrupt() -> None:
    """Leave on Ctrl-C whatever the threads of samplers and compilers are at.

    Python would hand the signal to the main thread, which may wait minutes for the others. A
    thread of its own receives it, and all others are deaf to it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return
    interrupts = {signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, interrupts)

    def wait() -> None:
        signal.sigwait(interrupts)
        # The line of a progress bar is left as it is.
        os.write(2, b"\ninterrupted\n" if sys.stderr.isatty() else b"interrupted\n")
        os._exit(INTERRUPTED)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    run()

"""One screen on what data and a fit can tell: regimes, certificates, support, checks, sampling.

Arrays first; the words are made from them, and both forms of the screen from the words.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_intgen.bases import Array
from bayes_intgen.categories import Label
from bayes_intgen.certificates import certify, mask_label, settings_of
from bayes_intgen.checks import Check
from bayes_intgen.convergence import convergence, convergence_quantities
from bayes_intgen.diagnostics import problems
from bayes_intgen.errors import BayesIntgenWarning, DataError
from bayes_intgen.goodness import fit_problems
from bayes_intgen.identification import Mask
from bayes_intgen.probes import spaced
from bayes_intgen.questions import named_points
from bayes_intgen.streamed import ReadInPasses, Rows
from bayes_intgen.support import Seen, Verdict, needs

if TYPE_CHECKING:
    from bayes_intgen.posterior import Posterior

# Characters in a line of the printed screen.
WIDTH = 100
# Ends of the range of an action in a regime: 98% of its rows.
RANGE = (0.01, 0.99)


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What data and a fit can tell, on one screen. Made by :func:`report_identification`.

    Attributes
    ----------
    head : str
        What it is a report of.
    tree : DataTree
        Group ``regimes``: ``rows`` (regime), ``was_set`` (regime, action), and ``low`` and
        ``high`` (regime, action), between which 98% of the rows lie; ``levels`` (regime, action),
        those that occur, as text. Group ``questions``: for
        the joint effect and each action set alone, ``identified``, ``weights`` (question,
        regime; NaN where not identified), ``certificate``, the sentence, and ``supported``, the
        share of the rows' own values of the actions at which the question lies within support.
        Of a fit also group ``sampling``: ``rhat`` and ``ess`` by quantity, with the number of
        ``divergences``; and ``check`` where one was kept.
    sections : mapping from title to lines
        The same in words.
    """

    head: str
    tree: xr.DataTree
    sections: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        lines = [self.head]
        for title, body in self.sections.items():
            lines.append(title)
            for line in body:
                lines += wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The screen in a notebook: every name escaped."""
        parts = [f"<div><b>{escape(self.head)}</b>"]
        for title, body in self.sections.items():
            parts.append(f'<div style="margin-top:0.6em"><b>{escape(title)}</b></div>')
            if title == "Regimes":
                parts.append(self._table())
            else:
                items = "".join(f"<li>{escape(line)}</li>" for line in body)
                parts.append(f'<ul style="margin:0.2em 0 0 0">{items}</ul>')
        return "".join([*parts, "</div>"])

    def _table(self) -> str:
        """Regimes by actions, with the range of each and what was set in bold."""
        regimes = self.tree["regimes"].to_dataset()
        cell = 'style="text-align:right;padding:0.15em 0.8em;white-space:nowrap"'
        heads = ["regime", "rows", *map(str, regimes["action"].to_numpy())]
        rows = ["".join(f"<th {cell}>{escape(head)}</th>" for head in heads)]
        for label in regimes["regime"].to_numpy():
            own = regimes.sel(regime=label)
            cells = [escape(str(label)), str(int(own["rows"]))]
            for name in regimes["action"].to_numpy():
                low, high = (float(own[end].sel(action=name)) for end in ("low", "high"))
                levels = str(own["levels"].sel(action=name).item())
                text = escape(levels) if levels else f"{low:.3g} to {high:.3g}"
                is_set = bool(own["was_set"].sel(action=name))
                cells.append(f"<b>set, {text}</b>" if is_set else text)
            rows.append("".join(f"<td {cell}>{text}</td>" for text in cells))
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def report_identification(of: "Rows | Posterior") -> Report:
    """What data can tell before a fit, or what a fit tells and how far to trust it.

    Parameters
    ----------
    of : RegimeData, StreamedData, DistributedData or Posterior
        Of a posterior saved by a version that kept no rows, support is left out.

    Returns
    -------
    Report
        Prints as one screen; ``tree`` has the numbers. ``print(posterior)`` shows it too.

    Raises
    ------
    DataError
        Where it is given anything else.

    Examples
    --------
    >>> report = report_identification(data)
    >>> report.sections["Certificates"][0]
    'do(red, green) is identified: do(red) + do(green) - observational.'
    >>> report.tree["questions"].identified.to_numpy()
    array([ True,  True,  True])
    """
    from bayes_intgen.posterior import Posterior
    from bayes_intgen.regimes import RegimeData

    if isinstance(of, Posterior):
        return _of_posterior(of)
    if isinstance(of, RegimeData | ReadInPasses):
        seen, count = Seen.of(of.held), len(of.names)
        # Nothing is known of a graph: an action may depend on every other.
        parents = [[j for j in range(count) if j != k] for k in range(count)]
        groups = {
            "regimes": _regimes(of.names, of.regimes, seen),
            "questions": _questions(
                of.names,
                of.regimes,
                settings_of(of.names, of.held.actions, of.held.intervened, of.held.categories),
                seen,
                lambda points, mask: seen.verdict(
                    points, mask, needs(parents, seen.masks, mask), parents
                ),
            ),
        }
        head = f"{type(of).__name__} of {of.outcome_name!r}: {len(of)} rows"
        return _report(head, groups, None)
    raise DataError(
        f"a report is of RegimeData or of a Posterior, not of {type(of).__name__}; "
        "RegimeData.from_frame and fit make them"
    )


def _of_posterior(posterior: "Posterior") -> Report:
    constant = posterior.tree["constant_data"].to_dataset()
    masks = [tuple(row) for row in (constant["intervened"].to_numpy() > 0).tolist()]
    regimes: dict[Mask, int] = dict(zip(masks, constant["rows"].to_numpy().tolist(), strict=True))
    names, seen = posterior.actions, posterior.seen
    groups = {
        "regimes": _regimes(names, regimes, seen),
        "questions": _questions(
            names,
            regimes,
            {} if seen is None else seen.settings(),
            seen,
            lambda points, mask: posterior.verdict(points, np.array(mask)),
        ),
    }
    problems: list[str] | None = None
    if seen is not None:
        groups["sampling"], problems = _sampling(posterior, groups["questions"], seen)
    check = posterior.check
    if check is not None:
        groups["check"] = check.table
    sizes = posterior.tree["posterior"].sizes
    head = (
        f"Posterior of {posterior.tree.attrs['outcome']!r} given {', '.join(map(repr, names))}: "
        f"{sizes['chain']} chains of {sizes['draw']} draws"
    )
    return _report(head, groups, check, problems, fitted=True)


def _regimes(names: Sequence[str], regimes: Mapping[Mask, int], seen: Seen | None) -> xr.Dataset:
    shape = (len(regimes), len(names))
    low, high = np.full((2, *shape), np.nan)
    levels = np.full(shape, "", dtype=object)
    if seen is not None:
        for i, mask in enumerate(regimes):
            rows = seen.rows[seen.masks.index(mask)]
            low[i], high[i] = np.quantile(rows, RANGE, axis=0)
            for k, known in enumerate(seen.categories):
                if known is not None:
                    levels[i, k] = known.subset(rows[:, k]).spelled()
    dims = ("regime", "action")
    return xr.Dataset(
        {
            "rows": ("regime", list(regimes.values())),
            "was_set": (dims, np.array(list(regimes), dtype=bool)),
            "low": (dims, low),
            "high": (dims, high),
            "levels": (dims, levels.astype(str)),
        },
        coords={"regime": [mask_label(names, mask) for mask in regimes], "action": list(names)},
    )


def _questions(
    names: Sequence[str],
    regimes: Mapping[Mask, int],
    settings: Mapping[str, tuple[Label, ...]],
    seen: Seen | None,
    judge: Callable[[Array, Mask], Verdict | None],
) -> xr.Dataset:
    """Certificates of the joint effect and of each action alone, and how much is supported."""
    count = len(names)
    alone = [tuple(j == k for j in range(count)) for k in range(count)]
    masks = list(dict.fromkeys([(True,) * count, *alone]))
    certificates = [
        certify(
            names,
            regimes,
            [n for n, was_set in zip(names, mask, strict=True) if was_set],
            settings,
        )
        for mask in masks
    ]
    supported = np.full(len(masks), np.nan)
    if seen is not None:
        points = np.concatenate(seen.rows)
        verdicts = [judge(points, mask) for mask in masks]
        supported = np.array([np.nan if v is None else v.supported.mean() for v in verdicts])
    labels = [mask_label(names, mask) for mask in regimes]
    return xr.Dataset(
        {
            "identified": ("question", [c.identified for c in certificates]),
            "weights": (
                ("question", "regime"),
                [
                    [float(c.weights.get(label, 0)) if c.identified else np.nan for label in labels]
                    for c in certificates
                ],
            ),
            "in_data": ("question", [mask in regimes for mask in masks]),
            "certificate": ("question", [str(c) for c in certificates]),
            "supported": ("question", supported),
        },
        coords={"question": [mask_label(names, mask) for mask in masks], "regime": labels},
    )


def _sampling(
    posterior: "Posterior", questions: xr.Dataset, seen: Seen
) -> tuple[xr.Dataset, list[str]]:
    """R-hat and effective draws of every quantity, and what is wrong in words."""
    rows = spaced(np.concatenate(seen.rows))
    points = named_points(rows, posterior.actions, posterior.categories)
    asked = posterior.actions if bool(questions["identified"][0]) else ()
    with warnings.catch_warnings():
        # Whatever a regime shows or does not show stands in the report already.
        warnings.simplefilter("ignore", BayesIntgenWarning)
        effect = posterior.effect(points, asked)
    measured = convergence(convergence_quantities(posterior.tree, effect))
    found = xr.Dataset(
        {"rhat": ("quantity", measured.rhat), "ess": ("quantity", measured.ess)},
        coords={"quantity": measured.names},
        attrs={"divergences": int(posterior.tree["sample_stats"]["diverging"].sum())},
    )
    return found, [
        *problems(posterior.tree, effect),
        *fit_problems(posterior.tree["constant_data"].dataset),
    ]


def _report(
    head: str,
    groups: Mapping[str, xr.Dataset],
    check: Check | None,
    wrong: list[str] | None = None,
    *,
    fitted: bool = False,
) -> Report:
    sections = {
        "Regimes": _words_of_regimes(groups["regimes"]),
        "Certificates": _words_of_questions(groups["questions"]),
    }
    if groups["questions"]["supported"].notnull().all():
        sections["Support"] = _words_of_support(groups["questions"])
    if check is not None:
        sections["Assumptions"] = tuple(check.sentences())
    else:
        keep = "; posterior.with_check keeps the answer" if fitted else ""
        sections["Assumptions"] = (f"Not tested yet: bi.check(data, model) does{keep}.",)
    if wrong is not None:
        sections["Sampling"] = tuple(wrong) or (_words_of_sampling(groups["sampling"]),)
    return Report(head, xr.DataTree.from_dict(dict(groups)), sections)


def _words_of_regimes(regimes: xr.Dataset) -> tuple[str, ...]:
    labels = [str(label) for label in regimes["regime"].to_numpy()]
    width = max(map(len, labels))
    lines = []
    for i, label in enumerate(labels):
        own = regimes.isel(regime=i)
        line = f"{label:<{width}}  {int(own['rows'])} rows"
        ranges = [
            f"{name} at {levels or f'{float(low):.3g} to {float(high):.3g}'}"
            for name, was_set, low, high, levels in zip(
                regimes["action"].to_numpy(),
                own["was_set"].to_numpy(),
                own["low"].to_numpy(),
                own["high"].to_numpy(),
                own["levels"].to_numpy().tolist(),
                strict=True,
            )
            if was_set and np.isfinite(low)
        ]
        lines.append(", ".join([line, *ranges]))
    return tuple(lines)


def _words_of_questions(questions: xr.Dataset) -> tuple[str, ...]:
    """The joint effect, then single actions: those in the data in one line."""
    lines = [str(questions["certificate"][0].item())]
    rest = questions.isel(question=slice(1, None))
    simple = rest["in_data"].to_numpy()
    labels = rest["question"].to_numpy()[simple]
    if len(labels):
        verb = "is" if len(labels) == 1 else "are"
        lines.append(f"{', '.join(labels)} {verb} identified: in the data.")
    lines += [str(text) for text in rest["certificate"].to_numpy()[~simple]]
    return tuple(lines)


def _words_of_support(questions: xr.Dataset) -> tuple[str, ...]:
    labels = [str(label) for label in questions["question"].to_numpy()]
    shares = [
        f"{label} {share:.0%}"
        for label, share in zip(labels, questions["supported"].to_numpy().tolist(), strict=True)
    ]
    return (f"Share of the rows' values at which a question is supported: {', '.join(shares)}.",)


def _words_of_sampling(sampling: xr.Dataset) -> str:
    worst = float(sampling["rhat"].max())
    agree = f"R-hat at most {worst:.3f}, " if np.isfinite(worst) else ""
    return (
        f"No divergences, {agree}at least {float(sampling['ess'].min()):.0f} effective draws: "
        "fit for use."
    )

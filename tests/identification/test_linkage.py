import itertools

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.distance import placed
from bayes_intgen.identification.regimes import Mask

VALUES = 3
Cell = tuple[int, ...]


def all_masks(count: int) -> list[Mask]:
    return list(itertools.product((False, True), repeat=count))


def equation(parents: list[list[int]], cell: Cell, mask: Mask) -> dict[tuple, float]:
    """Terms of the mean in a cell: c, phi_k, and delta_k of each action that is not set."""
    terms: dict[tuple, float] = {("c",): 1.0}
    for k, was_set in enumerate(mask):
        terms["phi", k, cell[k]] = 1.0
        if not was_set:
            terms["delta", k, cell[k], *(cell[j] for j in parents[k])] = 1.0
    return terms


def oracle(
    parents: list[list[int]], design: list[tuple[Cell, Mask]], questions: list[Cell], target: Mask
) -> np.ndarray:
    """Whether each question lies in the row space of the design, with all tables free."""
    equations = [equation(parents, cell, mask) for cell, mask in design]
    wanted_terms = [equation(parents, cell, target) for cell in questions]
    columns = sorted({key for terms in equations + wanted_terms for key in terms}, key=repr)
    at = {key: i for i, key in enumerate(columns)}

    def matrix(rows: list[dict[tuple, float]]) -> np.ndarray:
        out = np.zeros((len(rows), len(columns)))
        for i, terms in enumerate(rows):
            out[i, [at[key] for key in terms]] = 1.0
        return out

    known, wanted = matrix(equations), matrix(wanted_terms)
    weights = np.linalg.lstsq(known.T, wanted.T, rcond=1e-9)[0]
    return np.abs(wanted.T - known.T @ weights).max(axis=0) < 1e-7


def random_graph(rng: np.random.Generator, count: int) -> list[list[int]] | None:
    """Parents of each action in a random DAG, or None for an unknown graph."""
    if rng.random() < 0.4:
        return None
    order = rng.permutation(count)
    parents: list[list[int]] = [[] for _ in range(count)]
    for later in range(count):
        for earlier in range(later):
            if rng.random() < 0.5:
                parents[order[later]].append(int(order[earlier]))
    return [sorted(others) for others in parents]


def random_design(rng: np.random.Generator, count: int, product: bool) -> list[tuple[Cell, Mask]]:
    """Random cells with rows: products of values that a regime reaches, or any cells."""
    masks = [(False,) * count, *(tuple(j == k for j in range(count)) for k in range(count))]
    masks = [mask for mask in masks if rng.random() < 0.9]
    masks += [mask for mask in all_masks(count) if mask not in masks and rng.random() < 0.15]
    if not masks:
        masks = [(False,) * count]
    share = rng.uniform(0.4, 1)
    design = []
    for mask in masks:
        cells = list(itertools.product(range(VALUES), repeat=count))
        if product:
            reached = rng.random((count, VALUES)) < share
            reached[np.arange(count), rng.integers(0, VALUES, count)] = True
            cells = [cell for cell in cells if all(reached[k, v] for k, v in enumerate(cell))]
        else:
            cells = [cell for cell in cells if rng.random() < share] or cells[:1]
        design += [(cell, mask) for cell in cells]
    return design


def rows_of(design: list[tuple[Cell, Mask]], rng: np.random.Generator) -> bi.RegimeData:
    """Eight rows per cell, so that distances between a regime's own rows are zero."""
    cells = np.repeat(np.array([cell for cell, _ in design], dtype=float), 8, axis=0)
    masks = np.repeat(np.array([mask for _, mask in design]), 8, axis=0)
    names = tuple(f"a{k + 1}" for k in range(cells.shape[1]))
    return bi.RegimeData.from_arrays(
        cells, rng.normal(size=len(cells)), masks, names, require_observational=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("product", [True, False])
def test_supported_points_are_exactly_the_identified_ones_with_few_values(
    product: bool,
) -> None:
    rng = np.random.default_rng(0 if product else 1)
    supported = identified = points = designs = 0
    while designs < 200:
        count = int(rng.integers(2, 4))
        design, parents = random_design(rng, count, product), random_graph(rng, count)
        if any(len({cell[k] for cell, _ in design}) < 2 for k in range(count)):
            continue
        designs += 1
        data = rows_of(design, rng)
        graph = None
        if parents is not None:
            graph = {data.names[k]: [data.names[j] for j in parents[k]] for k in range(count)}
        every = [[j for j in range(count) if j != k] for k in range(count)]
        questions = list(itertools.product(range(VALUES), repeat=count))
        questions = [q for q in questions if all(any(c[k] == q[k] for c, _ in design)
                                                 for k in range(count))]  # fmt: skip
        for target in ((True,) * count, all_masks(count)[rng.integers(2**count)]):
            actions = [name for name, was_set in zip(data.names, target, strict=True) if was_set]
            support = data.support(np.array(questions, dtype=float), actions, graph)
            known = every if parents is None else parents
            truth = oracle(known, design, questions, target)
            accepted = support.supported.to_numpy()
            assert not (accepted & ~truth).any(), (design, parents, target)
            supported, identified = supported + accepted.sum(), identified + truth.sum()
            points += len(truth)
    # With few values the conditions are exact.
    assert supported == identified
    # Both results occur.
    assert 0.1 * points < identified < 0.9 * points


@pytest.mark.slow
def test_no_unidentified_point_is_supported_over_ranges() -> None:
    """Each regime covers a box; functions are free tables over the cells between box edges."""
    rng = np.random.default_rng(5)
    wrong = supported = identified = points = 0
    for _ in range(100):
        count = int(rng.integers(2, 4))
        masks = [(False,) * count, *(tuple(j == k for j in range(count)) for k in range(count))]
        masks += [m for m in all_masks(count) if m not in masks and rng.random() < 0.15]
        low = rng.uniform(0, 3, (len(masks), count))
        high = low + rng.uniform(1.5, 5, low.shape)
        actions = rng.uniform(low[:, None], high[:, None], (len(masks), 300, count))
        actions = actions.reshape(-1, count)
        names = tuple("abc"[:count])
        data = bi.RegimeData.from_arrays(
            actions, rng.normal(size=len(actions)), np.repeat(masks, 300, axis=0), names
        )
        parents = random_graph(rng, count)
        graph = None
        if parents is not None:
            graph = {names[k]: [names[j] for j in parents[k]] for k in range(count)}
        known = parents or [[j for j in range(count) if j != k] for k in range(count)]
        ends = [np.unique([low[:, k], high[:, k]]) for k in range(count)]
        queries = rng.uniform(actions.min(axis=0), actions.max(axis=0), (200, count))
        # Leave out points near box edges, where rows beyond an edge count as near.
        clear = np.ones(len(queries), dtype=bool)
        for k, column in enumerate(queries.T):
            axis = Coordinate.of(actions[:, k]), None
            gaps = placed(*axis, column)[:, None] - placed(*axis, ends[k])
            clear &= np.abs(gaps).min(axis=1) > 0.3
        queries = queries[clear]
        if not len(queries):
            continue
        codes = np.stack(
            [np.searchsorted(e, column) - 1 for e, column in zip(ends, queries.T, strict=True)],
            axis=1,
        )
        design = [
            (cell, mask)
            for i, mask in enumerate(masks)
            for cell in itertools.product(
                *(
                    np.flatnonzero((e[:-1] >= low[i, k]) & (e[1:] <= high[i, k])).tolist()
                    for k, e in enumerate(ends)
                )
            )
        ]
        for target in ((True,) * count, all_masks(count)[rng.integers(2**count)]):
            set_names = [name for name, was_set in zip(names, target, strict=True) if was_set]
            accepted = data.support(queries, set_names, graph).supported.to_numpy()
            truth = oracle(known, design, [tuple(c) for c in codes.tolist()], target)
            wrong += (accepted & ~truth).sum()
            supported, identified = supported + accepted.sum(), identified + truth.sum()
            points += len(truth)
    assert wrong == 0
    assert supported > 0.95 * identified
    assert 0.2 * points < identified < 0.8 * points

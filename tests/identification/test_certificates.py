from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, combinations, product

import numpy as np
import pytest
from numpy.typing import NDArray

import bayes_intgen as bi
from bayes_intgen.identification.certificates import certify, settings_of
from bayes_intgen.identification.regimes import Mask, is_identified

NAMES = ("red", "green", "blue")
THIRTY = tuple(f"a{i}" for i in range(30))
VALUES = range(3)
Parents = Sequence[tuple[int, ...]]
# The parents of each action, all DAGs of two up to the names, and some of three.
DAGS_OF_TWO = [((), ()), ((), (0,)), ((1,), ())]
DAGS_OF_THREE = [((), (), ()), ((), (0,), (1,)), ((), (), (0, 1)), ((1, 2), (2,), ())]


def mask(letters: str, names: Sequence[str] = NAMES) -> Mask:
    """``mask("rb")`` sets red and blue."""
    return tuple(name[0] in letters for name in names)


def certificate(
    regimes: Sequence[str], target: str, names: Sequence[str] = NAMES
) -> bi.Certificate:
    rows = {mask(letters, names): 10 for letters in regimes}
    return certify(names, rows, [name for name in names if name[0] in target])


def all_masks(count: int) -> list[Mask]:
    return list(product((False, True), repeat=count))


def nonempty_subsets(masks: Sequence[Mask]) -> Iterator[tuple[Mask, ...]]:
    return chain.from_iterable(combinations(masks, size) for size in range(1, len(masks) + 1))


def draw(rng: np.random.Generator, count: int, most: int) -> dict[Mask, int]:
    masks = rng.integers(0, 2, (rng.integers(1, most + 1), count)).astype(bool)
    return {tuple(row): 7 for row in masks.tolist()}


@pytest.mark.parametrize(
    ("regimes", "target", "sentence"),
    [
        (["", "r", "g"], "rg", "do(red, green) is identified: do(red) + do(green) - observational"),
        (["", "r", "g", "b"], "rgb", "do(red) + do(green) + do(blue) - 2 observational"),
        (["", "r", "gb"], "rgb", "do(red) + do(green, blue) - observational"),
        (["", "r"], "r", "do(red) is identified: it is in the data, with 10 rows"),
        # The rows of the target itself, although the others identify it too.
        (["", "r", "g", "rg"], "rg", "rows; where these lack values, do(red) + do(green) - observ"),
        (["", "rg", "gb", "rb"], "r",
         "1/2 observational + 1/2 do(red, green) + 1/2 do(red, blue) - 1/2 do(green, blue)"),
        (["r", "g", "rg"], "", "observational is identified: do(red) + do(green) - do(red, green)"),
    ],
)  # fmt: skip
def test_identified(regimes: list[str], target: str, sentence: str) -> None:
    result = certificate(regimes, target)
    assert result.identified
    assert (result.missing, result.reason) == ((), "")
    assert sentence in str(result)
    assert repr(result) == str(result)


@pytest.mark.parametrize(
    ("regimes", "target", "reason", "remedy"),
    [
        (["", "r"], "rg", "green was never set", "do(green), or do(red, green) itself."),
        ([""], "rg", "red and green were never set",
         "do(red, green) itself. With one action set at a time it takes do(red) and do(green)."),
        (["", "rg"], "r", "the regimes in the data do not separate the biases of red and green",
         "do(green), or do(red) itself."),
        (["r", "g"], "rg", "the regimes in the data do not separate the biases of red and green "
         "from the level of the outcome", "observational rows, or do(red, green) itself."),
        (["r", "rg"], "", "red was set in every regime", "do(green), or observational rows."),
        (["rg"], "b", "blue was never set, and red and green were set in every regime",
         "do(blue) itself."),
    ],
)  # fmt: skip
def test_not_identified(regimes: list[str], target: str, reason: str, remedy: str) -> None:
    result = certificate(regimes, target)
    assert not result.identified
    assert result.weights == {}
    experiment = f"One more experiment would do: {remedy}"
    assert str(result) == f"{label(mask(target))} is not identified: {reason}. {experiment}"


def test_text_gives_one_of_several_smallest_sets() -> None:
    result = certificate(["", "rgbx"], "rg", ("red", "green", "blue", "xenon"))
    both, other = (("red",), ("green",)), (("blue",), ("xenon",))
    assert result.missing == ((("red", "green"),), both, other)
    assert str(result).endswith("it takes for example do(red) and do(green).")


def label(r: Mask) -> str:
    names = ", ".join(n for n, is_set in zip(NAMES, r, strict=False) if is_set)
    return f"do({names})" if names else "observational"


def design(parents: Parents, r: Mask, grid: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Rows m(a, R), one per point, over all entries of c, phi_k(a_k) and delta_k(a_k, a_pa(k))."""
    blocks = [np.ones((len(grid), 1))]
    for k, pa in enumerate(parents):
        own = np.array([a[k] for a in grid])
        cell = own * 1
        for j in pa:
            cell = cell * 3 + [a[j] for a in grid]
        blocks += [np.eye(3)[own], (not r[k]) * np.eye(3 ** (1 + len(pa)))[cell]]
    return np.hstack(blocks)


def answered_points(parents: Parents, masks: Sequence[Mask]) -> dict[Mask, set[bool]]:
    """Whether the means under ``masks`` at all points determine the means under each mask.

    The set has two members if they do at some points and not at others.
    """
    count = len(parents)
    grid = list(product(VALUES, repeat=count))
    observed = np.vstack([design(parents, r, grid) for r in masks])
    wanted = np.vstack([design(parents, r, grid) for r in all_masks(count)])
    _, sizes, rows = np.linalg.svd(observed, full_matrices=False)
    basis = rows[sizes > 1e-9 * sizes[0]]
    answered = np.linalg.norm(wanted - wanted @ basis.T @ basis, axis=1) < 1e-8
    points = answered.reshape(2**count, -1).tolist()
    return {r: set(own) for r, own in zip(all_masks(count), points, strict=True)}


@pytest.mark.parametrize("parents", [*DAGS_OF_TWO, *DAGS_OF_THREE])
def test_no_graph_beats_the_rank_test_whose_weights_combine_functions(parents: Parents) -> None:
    """In all sets of regimes of two actions, and in some of three."""
    rng, outcomes, count = np.random.default_rng(1), set(), len(parents)
    grid = list(product(VALUES, repeat=count))
    some = (tuple(draw(rng, 3, 5)) for _ in range(10))
    for masks in nonempty_subsets(all_masks(2)) if count == 2 else some:
        for target, answered in answered_points(parents, masks).items():
            names = [n for n, r in zip(NAMES, target, strict=False) if r]
            result = certify(NAMES[:count], dict.fromkeys(masks, 7), names)
            expected = is_identified(masks, target)
            assert answered == {expected} == {result.identified}
            outcomes.add(expected)
            if not expected:
                continue
            others = is_identified([r for r in masks if r != target], target)
            assert bool(result.other_weights) == (others and target in masks)
            for own in filter(None, (result.weights, result.other_weights)):
                weights = {r: own.get(label(r), Fraction(0)) for r in masks}
                assert all(isinstance(w, Fraction) and w for w in own.values())
                assert len(own) == sum(map(bool, weights.values()))
                together = sum(float(w) * design(parents, r, grid) for r, w in weights.items())
                np.testing.assert_allclose(together, design(parents, target, grid), atol=1e-12)
    assert outcomes == {True, False}


def brute_force(masks: Sequence[Mask], target: Mask) -> set[frozenset[Mask]]:
    count = len(target)
    simple = [m for m in all_masks(count) if sum(m) <= 1]
    for size in range(1, count + 2):
        sets = combinations(simple, size)
        smallest = {frozenset(added) for added in sets if is_identified([*masks, *added], target)}
        if smallest:
            return smallest | {frozenset([target])}
    raise AssertionError


def as_masks(group: Sequence[Sequence[str]], names: Sequence[str]) -> frozenset[Mask]:
    return frozenset(tuple(name in actions for name in names) for actions in group)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_missing_experiments_are_all_the_smallest_sets(count: int) -> None:
    names, sizes = NAMES[:count], set()
    for masks in nonempty_subsets(all_masks(count)):
        for target in all_masks(count):
            actions = tuple(n for n, r in zip(names, target, strict=True) if r)
            result = certify(names, dict.fromkeys(masks, 1), actions)
            if result.identified:
                continue
            sets = [as_masks(group, names) for group in result.missing]
            expected = brute_force(masks, target)
            assert len(sets) == len(set(sets))
            assert set(sets) == expected
            assert (actions,) in result.missing
            sizes.add(max(map(len, sets)))
    assert sizes == set(range(1, count + 1))


def test_thirty_actions_one_at_a_time() -> None:
    masks = {tuple(j == k for j in range(30)): 1 for k in range(-1, 30)}
    assert certify(THIRTY, masks, THIRTY).weights["observational"] == -29
    masks.pop(tuple(j == 4 for j in range(30)))
    assert certify(THIRTY, masks, THIRTY).missing == ((("a4",),), (THIRTY,))


def test_at_most_twenty_sets_and_the_target_among_them() -> None:
    # The rank is one too low, so that any experiment on one action suffices.
    masks = [(True,) * 30] + [tuple(j != k for j in range(30)) for k in range(29)]
    missing = certify(THIRTY, dict.fromkeys(masks, 1), []).missing
    assert (len(missing), missing[-1]) == (20, ((),))


def test_certificate_of_data(data: bi.RegimeData) -> None:
    result = data.identify(["green", "red"])
    assert result == data.identify(("red", "green"))
    assert result.target == ("red", "green")
    assert result.weights == {"observational": -1, "do(red)": 1, "do(green)": 1}
    assert result.rows == {"observational": 300, "do(red)": 300, "do(green)": 300}
    assert result.regimes == {"observational": (), "do(red)": ("red",), "do(green)": ("green",)}
    assert data.identify([]).weights == {"observational": 1}
    with pytest.raises(AttributeError):
        result.identified = False  # type: ignore[misc]


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ("red", r"must be a list of names; write \['red'\]"),
        (["purple"], "unknown action 'purple'; the actions are 'red', 'green'"),
        (["red", "grean"], r"unknown action 'grean'; did you mean 'green'\? The actions are 'red'"),
        (["red", "red"], "action 'red' is named twice; name each action once"),
    ],
)
def test_invalid_targets_raise(data: bi.RegimeData, actions: list[str], message: str) -> None:
    with pytest.raises(bi.DataError, match=message):
        data.identify(actions)


def test_experiments_at_few_values_identify_these_only() -> None:
    regimes = {mask(letters): 10 for letters in ("", "r", "g", "b")}
    settings = {"red": (1.0,), "green": (0.0, 2.5)}
    result = certify(NAMES, regimes, ["red", "green", "blue"], settings)
    assert str(result).endswith("- 2 observational; at red = 1 and green = 0 or 2.5 only.")
    assert result.only_at == settings
    # Only for actions of the target, and only if it is identified.
    assert certify(NAMES, regimes, ["blue"], settings).only_at == {}
    del regimes[mask("b")]
    assert "only" not in str(certify(NAMES, regimes, ["red", "blue"], settings)).split(":")[0]
    assert certify(NAMES, regimes, ["red", "blue"], settings).only_at == {}


@pytest.mark.parametrize(
    ("was_set", "elsewhere", "expected"),
    [
        ([1.0, 1.0], [0.0, 1.0], {"red": (1.0,)}),
        ([2.0, 0.0, 2.0], [0.3, -1.0], {"red": (0.0, 2.0)}),
        # A binary action set to both values, and experiments over a range.
        ([0.0, 1.0], [0.0, 1.0, 1.0], {}),
        ([0.0, 1.0, 2.0, 3.0], [0.5], {}),
        # No rows to compare with.
        ([], [0.5], {}),
        ([1.0], [], {}),
    ],
)
def test_settings_are_few_where_the_action_varies_otherwise(was_set, elsewhere, expected) -> None:
    actions = np.array([*was_set, *elsewhere])[:, None]
    intervened = np.arange(len(actions))[:, None] < len(was_set)
    assert settings_of(["red"], actions, intervened, [None]) == expected


def test_thirty_actions_get_an_irreducible_set() -> None:
    masks = draw(np.random.default_rng(5), 30, 12)
    assert len(masks) >= 3
    itself, simple = certify(THIRTY, masks, THIRTY).missing
    assert itself == (THIRTY,)
    added = list(as_masks(simple, THIRTY))
    target = (True,) * 30
    assert is_identified([*masks, *added], target)
    for left_out in added:
        assert not is_identified([*masks, *(m for m in added if m != left_out)], target)

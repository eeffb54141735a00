"""What is made of measurements: intervals, ratios, sentences, and whether values are equal."""

import json
import math
import pickle
import statistics
import threading
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motorpool._report.bars import Bar
from motorpool._report.units import seconds, size, span
from motorpool.bench._advice import advise
from motorpool.bench._digest import digest_of
from motorpool.bench._equality import apart
from motorpool.bench._graphs import PATTERNS, pipeline_of, tasks
from motorpool.bench._kept import keep_value, kept_apart
from motorpool.bench._measures import (
    Case,
    Measured,
    Record,
    one_worker_time,
    useful_time,
)
from motorpool.bench._metg import find_metg
from motorpool.bench._statistics import interval


@dataclass
class Point:
    """A value with others inside."""

    name: str
    tags: set


@dataclass(unsafe_hash=True)
class Hashed:
    """Is compared and hashed by its name."""

    name: str
    others: list = field(compare=False)


def run(wall, *, nodes=10, node_time=1.0, workers=2, path=0.5):
    return Measured(
        wall=wall, node_time=node_time, path=path, nodes=nodes, workers=workers, nbytes=0,
        digests={}, bars=[],
    )  # fmt: skip


def record(backend, walls, workers=2, cold=None, **figures):
    made = Record(Case(backend, workers))
    made.warm = [run(wall, workers=workers, **figures) for wall in walls]
    made.cold = [run(wall, workers=workers, **figures) for wall in cold or walls]
    return made


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=40))
def test_interval_holds_the_median(values):
    """And lies within what was measured; of too few values it is all of them."""
    found = interval(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    assert found.median == statistics.median(values)
    assert found.sure == (len(values) >= 6)
    if len(values) < 6:
        assert (found.low, found.high) == (min(values), max(values))


TIMINGS = json.loads(Path(__file__).with_name("timings.json").read_text())


@pytest.mark.parametrize("backend", ["sequential", "direct", "threads"])
@pytest.mark.parametrize("count", [6, 7, 8, 9, 10, 15, 30])
def test_interval_covers_the_true_median_as_often_as_it_says(backend, count):
    """In 93 to 97 of 100 samples of real timings: neither less, nor by being too wide."""
    timings, random = TIMINGS[backend], Random(count)
    truth, covered = statistics.median(timings), 0
    for _ in range(2000):
        found = interval(random.choices(timings, k=count))
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / 2000 <= 0.97


@pytest.mark.parametrize("backend", ["sequential", "direct", "threads"])
@pytest.mark.parametrize("count", [6, 10, 20])
def test_equals_are_hardly_ever_told_apart(backend, count):
    """Of five that are the same, the fastest is below none of the others in 95 of 100 benches."""
    random, wrong = Random(count), 0
    for _ in range(1000):
        found = sorted(interval(random.choices(TIMINGS[backend], k=count)) for _ in range(5))
        wrong += any(found[0].is_below(other) for other in found[1:])
    assert wrong / 1000 <= 0.05


VALUES = [
    lambda: {f"s{i}" for i in range(100)},
    lambda: [Point("a", {"x", "y", "zz"}), frozenset(range(50))],
    lambda: {"k": [1, 2.5, None, "text" * 3], "l": ("text" * 3, b"b")},
    lambda: np.arange(30_000.0).reshape(100, 300)[:, ::2],
    lambda: pd.DataFrame({"n": range(100), "t": [f"t{i % 3}" for i in range(100)]}),
    lambda: lambda x: [y + 1 for y in x],
]


@pytest.mark.parametrize("make", VALUES)
def test_equal_values_have_equal_digests(make):
    """However often they have been to another process."""
    value = make()
    assert digest_of(value) == digest_of(make()) is not None
    if not callable(value):
        there = pickle.loads(pickle.dumps(value, 5))
        back = pickle.loads(pickle.dumps(there, 5))
        assert digest_of(there) == digest_of(back) == digest_of(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: date(2026, 11, 27), lambda: Decimal("1.5"), lambda: ("a", Fraction(1, 3)),
        lambda: ("a", 1), lambda: Fraction(1, 3), lambda: np.dtype([("a", "f8")]),
    ],
    ids=["date", "decimal", "tuple", "plain tuple", "fraction", "dtype"],
)  # fmt: skip
def test_digest_does_not_depend_on_identity(make):
    """As with dtypes, of which numpy 1 makes several where there was one."""
    one = make()
    assert digest_of([one, one]) == digest_of([one, pickle.loads(pickle.dumps(one))]) is not None


def test_digest_does_not_depend_on_whether_an_array_can_be_written_to():
    """Values that come from shared memory cannot, at times."""
    one, other = np.arange(3.0), np.arange(3.0)
    other.flags.writeable = False
    assert digest_of(one) == digest_of(other) is not None


def test_digest_visits_shared_parts_once():
    """This one would else take for ever."""
    tree = (Fraction(1, 3),)
    for _ in range(60):
        tree = (tree, tree)
    assert digest_of(tree) is not None


def test_value_that_holds_itself_has_a_digest():
    """By way of a list, or of an object that is hashed by its value."""
    inner = []
    inner.append((inner, Fraction(1, 3)))
    holder = Hashed("a", [])
    holder.others.append(holder)
    for value in (inner, holder, [holder, holder]):
        assert digest_of(value) == digest_of(pickle.loads(pickle.dumps(value))) is not None


def test_digest_tells_equal_values_of_different_types_apart():
    """In a tuple as well."""
    assert digest_of([(1, None), (1.0, None)]) != digest_of([(1, None), (1, None)])
    assert digest_of([Decimal("1.0")]) != digest_of([Decimal("1.00")])


def test_digest_does_not_depend_on_the_order_of_a_set():
    """Two equal sets may go through their members in different orders."""
    one, other = set(), set()
    for i in range(200):
        one.add(f"s{i}")
        other.add(f"s{199 - i}")
    assert digest_of(one) == digest_of(other)


TABLE = {"n": [1, None, 3, 4], "x": [1.5, math.nan, 3.5, 4.5], "t": ["a", "b", None, "d"]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: pa.table(TABLE),
         lambda: pa.concat_tables([pa.table(TABLE).slice(0, 1), pa.table(TABLE).slice(1)])),
        (lambda: pl.DataFrame(TABLE, strict=False),
         lambda: pl.concat([pl.DataFrame(TABLE)[:1], pl.DataFrame(TABLE)[1:]], rechunk=False)),
        (lambda: pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["a", "b"]),
         lambda: pd.DataFrame({"a": [0.0, 2.0, 4.0]}).assign(b=[1.0, 3.0, 5.0])),
    ],
    ids=["arrow", "polars", "pandas"],
)  # fmt: skip
def test_equal_tables_have_equal_digests_however_they_lie_in_memory(one, other):
    """In chunks or not, columns together or apart; another value shows."""
    assert digest_of(one()) == digest_of(other()) is not None
    assert apart(one(), other()) == 0.0
    assert digest_of(one()) != digest_of(one()[:-1])
    assert apart(one(), one()[:-1]) == math.inf


@pytest.mark.parametrize(
    ("make", "far"),
    [
        (lambda d: 2.0 + d, 1e-9),
        (lambda d: {"a": [1, (2.0 + d, "t")], "b": math.nan}, 1e-9),
        (lambda d: np.array([1.0, math.nan, 2.0 + d, math.inf]), 1e-9),
        (lambda d: np.array([1.0, 2.0 + d], "complex128"), 1e-9),
        (lambda d: np.float64(2.0 + d), 1e-9),
        (lambda d: pd.DataFrame({"n": [1, 2], "x": [math.nan, 2.0 + d], "t": ["a", None]}), 1e-9),
        (lambda d: pl.DataFrame({"n": [1, 2], "x": [None, 2.0 + d], "t": ["a", None]}), 1e-9),
        (lambda d: pa.table({"n": [1, 2], "x": [None, 2.0 + d], "t": ["a", None]}), 1e-9),
        (lambda d: Point("a", {2.0 + d}), math.inf),
        (lambda d: [1 + int(d > 0)], math.inf),
        (lambda d: np.array(["a", "b" + "x" * int(d > 0)], object), math.inf),
        (lambda d: pd.DataFrame({"n": [1, 2 + int(d > 0)]}), math.inf),
        (lambda d: {"a": 1} if d else {"b": 1}, math.inf),
        (lambda d: 1.0 if d else 1, math.inf),
    ],
)  # fmt: skip
def test_distance_is_that_of_floating_point_numbers(make, far):
    """The largest relative one; infinite as soon as anything else differs."""
    assert apart(make(0.0), make(0.0)) == 0.0
    assert apart(make(0.0), make(2e-9)) == pytest.approx(far, rel=1e-3)


def test_objects_are_compared_by_their_attributes():
    """Those that have no equality of their own."""

    class Model:
        def __init__(self, weights):
            self.weights = weights

    assert apart(Model(np.ones(3)), Model(np.ones(3))) == 0.0
    assert apart(Model(np.ones(3)), Model(np.ones(3) + 1e-9)) == pytest.approx(1e-9)
    assert apart(object(), object()) == math.inf


def test_kept_values_are_compared_and_large_ones_are_not(tmp_path):
    """Nor those that cannot be pickled; nothing is left of them."""
    for k, far in enumerate((0.0, 1e-9)):
        keep_value(tmp_path / str(k), "a/b", [1.0 + far])
        keep_value(tmp_path / str(k), "lock", threading.Lock())
        keep_value(tmp_path / str(k), "large", bytes(80_000_000))
    folders = [tmp_path / "0", tmp_path / "1"]
    assert kept_apart(folders, "a/b") == pytest.approx(1e-9)
    assert kept_apart(folders, "lock") == kept_apart(folders, "large") == math.inf
    assert len(list(tmp_path.rglob("*"))) == 4


def test_different_values_have_different_digests():
    """A member, a cell, a type."""
    assert digest_of({1, 2}) != digest_of({1, 3}) != digest_of(frozenset({1, 3}))
    array = np.zeros(100_000)
    before = digest_of(array)
    array[99_999] = 1
    assert digest_of(array) != before
    assert digest_of("1") != digest_of(1)
    assert digest_of(__import__("threading").Lock()) is None


def test_advice_names_the_fastest_and_how_far_it_is_ahead():
    """With the reason; a failed one is left out."""
    fast, slow = record("a", [1.0] * 6), record("b", [2.0] * 6)
    broken = record("c", [0.1] * 6)
    broken.error = "it died"
    text = advise([slow, broken, fast])
    assert text == (
        "Take a with 2 workers: 1 s, 2.00 times as fast as the next, b with 2 workers; 50 % of its"
        " workers' time is of use."
    )


def test_advice_blames_no_backend_for_a_lack_of_time():
    """One that was not measured has not failed."""
    failed, late = Record(Case("a", 2), error="it died"), Record(Case("b", 2))
    assert advise([failed]) == "No backend has run the pipeline without a failure."
    assert advise([failed, late]) == "Nothing was measured to the end."


def test_advice_does_not_choose_between_equals():
    """Of those that are as fast, the fewest workers are taken; 2 % do not matter."""
    cases = [record("a", [1.0] * 6, workers=4), record("b", [1.02] * 6, workers=1),
             record("c", [1.01] * 6)]  # fmt: skip
    text = advise(cases)
    assert text.startswith(
        "Take b with 1 worker: 1.02 s, and no difference to a with 4 workers and c with 2 workers "
        "that 6 runs of each could show;"
    )


def test_advice_of_few_runs_is_a_hint():
    """One run each is no reason to prefer what is 10 % ahead; half the time is, with a caveat."""
    text = advise([record("a", [1.0]), record("b", [1.1])])
    assert "no difference to b with 2 workers that 1 run of each could show" in text
    assert text.endswith("With fewer than 6 runs of each, take that as a hint.")
    text = advise([record("a", [1.0]), record("b", [2.0])])
    assert "2.00 times as fast as the next" in text


def test_advice_mentions_cold_starts_where_another_backend_is_ahead():
    """Only where another one is ahead, by more than a little."""
    first = record("a", [1.0] * 6, cold=[5.0] * 6)
    other = record("b", [2.0] * 6, cold=[3.0] * 6)
    assert "b with 2 workers is ahead, with 3 s from a cold start against 5 s" in advise(
        [first, other]
    )
    both = advise([first, record("b", [1.0] * 6, cold=[8.0] * 6)])
    assert "from a cold start it is ahead of it, with 5 s against 8 s" in both
    other.cold = [run(4.95)] * 6
    assert "cold start" not in advise([first, other])


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"node_time": 0.001, "path": 0.0005}, "nodes are short (100 us), and 220 ms go into"),
        ({"node_time": 1.0, "path": 2.0}, "few nodes can run at the same time: 0.50 times"),
    ],
)
def test_advice_says_why_workers_are_idle(figures, reason):
    """Short nodes, or a narrow pipeline."""
    assert reason in advise([record("a", [2.2] * 6, **figures)])


def test_advice_says_that_nodes_slow_each_other_down():
    """Or that it is data that they wait for."""
    alone = record("sequential", [1.0] * 6, workers=1, node_time=1.0, path=1.0)
    threads = record("threads", [1.0] * 6, node_time=2.0, path=1.0)
    text = advise([threads, alone])
    assert text.startswith("Take sequential with 1 worker: 1 s, and no difference to threads")
    assert "more workers are not worth it, because nodes take 2.00 times as long beside" in text
    bar = Bar("n", 1, 0.0, 1.0, imports=0, load=0.5, call=0.25, save=0.25, wait=0, nbytes=0)
    threads.warm = [replace(each, bars=[bar]) for each in threads.warm]
    text = advise([threads, alone])
    assert "because 75 % of the time in nodes goes into loading and saving" in text


def test_losses_are_all_of_the_workers_time_that_was_of_no_use():
    """Whatever it went into."""
    measured = run(3.0, node_time=3.0, path=2.0)
    losses = measured.losses(useful=2.0)
    assert losses == {"slower": 1.0, "narrow": 1.0, "engine": 2.0}
    assert sum(losses.values()) + 2.0 == measured.wall * measured.workers
    assert measured.overhead == 0.1
    assert measured.most == 1.5


def test_speed_up_is_over_the_backend_with_one_worker():
    """If it was not measured, over the time in nodes with nothing beside them."""
    alone = record("sequential", [4.0] * 6, workers=1, node_time=3.0)
    fast = record("direct", [2.0] * 6, node_time=3.5)
    assert one_worker_time([fast, alone]) == 4.0
    assert one_worker_time([fast]) == 3.5


def test_useful_time_excludes_waiting_for_each_other():
    """Threads that share a lock are busy all the time, and get nowhere."""
    alone = record("sequential", [1.0] * 6, workers=1, node_time=1.0, path=1.0)
    threads = record("threads", [1.0] * 6, node_time=2.0, path=1.0)
    useful = useful_time([alone, threads])
    assert threads.efficiency(useful) == 0.5
    assert alone.efficiency(useful) == 1.0


def test_metg_is_where_half_of_the_time_is_useful():
    """Found between two durations, from whichever side the search comes."""
    for overhead in (3e-6, 40e-6, 5e-3, 60e-3):
        found = find_metg(lambda d, o=overhead: d / (d + o))
        assert found == pytest.approx(overhead, rel=0.1)


def test_metg_is_none_where_half_of_the_time_is_never_useful():
    """As of two threads that run in turn."""
    assert find_metg(lambda _: 0.5) == math.inf
    assert find_metg(lambda _: 0.99) == 0.0


@pytest.mark.parametrize("pattern", PATTERNS)
def test_standard_graphs_have_about_the_number_of_nodes_asked_for(pattern):
    """About as many nodes as asked for, parents first; the pipeline has the same edges."""
    graph = tasks(pattern, 4, 16)
    assert abs(len(graph) - 64) <= 8
    seen = set()
    for name, parents in graph:
        assert seen.issuperset(parents)
        seen.add(name)
    pipe = pipeline_of(graph, 1, 3)
    edges = sum(map(len, pipe.node_dependencies.values()))
    assert edges == sum(len(parents) for _, parents in graph)
    assert bool(edges) == (pattern != "trivial")
    assert tasks(pattern, 4, 16) == graph


def test_figures_have_three_digits_and_one_unit():
    """Three digits, in the unit that suits them; an interval in one unit."""
    assert [seconds(v) for v in (1234.5, 1.5, 0.0123456, 12e-6, math.inf)] == [
        "1234 s", "1.5 s", "12.3 ms", "12 us", "never",
    ]  # fmt: skip
    assert span(0.9, 0.0005, 1.5) == "900 ms (0.5 - 1500)"
    assert [size(v) for v in (16, 2048, 5 * 2**20, 3 * 2**30)] == [
        "16 B", "2 KiB", "5 MiB", "3 GiB",
    ]  # fmt: skip

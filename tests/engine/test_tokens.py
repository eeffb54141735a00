"""What nodes take of resources while they run."""

from schedulers import finish, make

from motorpool._engine.state import State


def sent(scheduler):
    """Whatever can go now."""
    units = []
    while (unit := scheduler.sending.next_unit(0, 0.0)) is not None:
        units.append(unit)
    return units


def test_one_that_has_to_wait_keeps_nobody_from_going():
    """Two need the only gpu; the others go meanwhile, though they are less urgent."""
    gpu = {"gpu": 1}
    scheduler = make([[]] * 4, workers=9, resources=[gpu, gpu, None, None], capacities={"gpu": 1})
    units = sent(scheduler)
    assert [unit.nodes for unit in units] == [[0], [2], [3]]
    finish(scheduler, units[1])
    assert sent(scheduler) == []
    finish(scheduler, units[0])
    assert [unit.nodes for unit in sent(scheduler)] == [[1]]


def test_a_task_that_says_nothing_takes_a_cpu_if_another_says_something():
    """A unit takes one, however many tasks it has, for it runs them one after the other."""
    scheduler = make(
        [[]] * 9, workers=9, resources=[{"cpu": 3}, *[None] * 8], capacities={"cpu": 4},
        expected=[1e-6] * 9,
    )  # fmt: skip
    first, second = sent(scheduler)
    assert first.nodes == [0]
    assert first.taken == {"cpu": 3}
    assert second.nodes == list(range(1, 9))
    assert second.taken == {"cpu": 1}
    without = make([[]] * 3, workers=9, expected=[1.0] * 3)
    assert len(sent(without)) == 3


def test_the_more_urgent_goes_first_if_there_is_enough_for_both():
    """Whether it takes something or not."""
    for order in ([0, 1], [1, 0]):
        scheduler = make(
            [[], []], resources=[{"cpu": 1}, None], capacities={"cpu": 1}, order=order
        )
        (unit,) = sent(scheduler)
        assert unit.nodes == order[:1]


def test_what_was_taken_is_given_back_whatever_becomes_of_the_unit():
    """It fails, it is lost, it is taken back, it is skipped."""
    for fate in ("fails", "lost", "returned", "broken"):
        scheduler = make(
            [[], []], workers=9, on_failure="continue", resources=[{"gpu": 1}] * 2,
            capacities={"gpu": 1},
        )  # fmt: skip
        (unit,) = sent(scheduler)
        if fate == "fails":
            finish(scheduler, unit, ValueError)
        elif fate == "lost":
            scheduler.losses.lost([unit], 5)
        elif fate == "returned":
            scheduler.returned(unit)
        else:
            scheduler.losses.call_failed(unit, 0, OSError(), 0.0, started=False)
        while scheduler.table.unfinished:
            (unit,) = sent(scheduler)
            finish(scheduler, unit)
        assert len(scheduler.table.nodes_in(State.DONE)) >= 1


def test_tenths_add_up_to_one():
    """Ten of them go at once, and when they are back there is as much as there was."""
    tenths, whole = [{"gpu": 0.1}] * 10, {"gpu": 1.0}
    scheduler = make([[]] * 11, workers=20, resources=[*tenths, whole], capacities={"gpu": 1})
    units = sent(scheduler)
    assert [unit.nodes for unit in units] == [[i] for i in range(10)]
    for unit in units:
        assert sent(scheduler) == []
        finish(scheduler, unit)
    assert [unit.nodes for unit in sent(scheduler)] == [[10]]


def test_what_takes_something_is_in_no_stretch_and_no_unit_of_others():
    """It would hold it while the others run."""
    parents = [[], [0], [1]]
    scheduler = make(
        parents, fused=True, resources=[None, {"gpu": 1}, None], capacities={"gpu": 1},
        expected=[1e-6] * 3,
    )  # fmt: skip
    for expected in ([0], [1], [2]):
        (unit,) = sent(scheduler)
        assert unit.nodes == expected
        finish(scheduler, unit)

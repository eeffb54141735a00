"""Makes schedulers without an engine, for tests."""

from motorpool import Pipeline, node
from motorpool._engine.deadlines import Deadlines
from motorpool._engine.durations import Durations
from motorpool._engine.lanes import LaneState
from motorpool._engine.lifetimes import Lifetimes
from motorpool._engine.policy import Policy
from motorpool._engine.scheduler import Scheduler
from motorpool._engine.sizes import UnitMaker
from motorpool._engine.stretches import Stretches
from motorpool._engine.tasks import TaskTable
from motorpool._engine.tokens import Tokens
from motorpool._pipeline.graph import Graph
from motorpool._run.compiled import CompiledPipeline
from motorpool.pipeline import ends_of


def returns(*values):
    """What the nodes do; nothing calls it."""
    return values


def nodes_of(parents, **settings):
    """A node for each task, which reads what its parents make; `settings` by name of a list."""
    return [
        node(
            returns, [f"o{p}" for p in ps] or "x", f"o{i}", name=f"n{i}",
            **{name: values[i] for name, values in settings.items()},
        )
        for i, ps in enumerate(parents)
    ]  # fmt: skip


def make(  # noqa: PLR0913, each is a part of its own
    parents, *, on_failure="stop", order=None, lanes=None, workers=1, limit=None, fused=False,
    expected=None, remembered=None, one_by_one=False, capacities=None, **settings,
):  # fmt: skip
    """A scheduler, ready to run.

    Args:
        parents: For each node those that it waits for.
        on_failure: The run's policy.
        order: All nodes, the most urgent first.
        lanes: For each node its lane.
        workers: Number of workers of each lane.
        limit: How many units may be under way; by default two for each worker.
        fused: Whether there are stretches, which hand values on.
        expected: Seconds that each node took before.
        remembered: What is known of the function, which is called "f".
        one_by_one: Whether each unit has one task.
        capacities: What there is of each resource.
        **settings: Lists of what nodes say themselves, such as `retries`.
    """
    graph, nodes = Graph.from_parents(parents), nodes_of(parents, **settings)
    lanes = [0] * len(parents) if lanes is None else lanes
    stretches = Stretches(len(parents))
    if fused:
        once = [not n.retries for n in nodes]
        stretches = Stretches.of(nodes, graph, stored=(), once=once, lanes=lanes)
    policy = Policy(on_failure=on_failure, retries=0, timeout=None)
    known = CompiledPipeline(nodes, graph, *ends_of(Pipeline(nodes)))
    lifetimes = Lifetimes(known.wiring, known.users, known.unmade | known.outputs)
    needs = {i: n.resources for i, n in enumerate(nodes) if n.resources}
    tokens = Tokens(needs, capacities or {})
    table = TaskTable([n.name for n in nodes], graph, order, lanes, kinds=tokens.kinds)
    scheduler = Scheduler(nodes, table, stretches, lifetimes, policy, tokens)
    for number in range(max(lanes, default=0) + 1):
        durations = Durations(
            [0] * len(nodes), expected or [None] * len(nodes), ["f"], remembered or {}
        )
        maker = UnitMaker(
            table, stretches, durations, number, workers, one_by_one=one_by_one, tokens=tokens
        )
        deadlines = Deadlines(policy.timeouts_of(nodes))
        scheduler.lanes.append(LaneState(number, workers, limit or 2 * workers, maker, deadlines))
    return scheduler


def finish(scheduler, unit, fate=lambda _node: None):
    """A worker runs a unit to its end; `fate` says what each task raises."""
    order, failed = unit.nodes, {}
    for each in order:
        parents = scheduler.table.graph.parents[each]
        if failed.keys() & set(parents):
            continue
        assert scheduler.claim(unit.lane, unit.number, [each]) == [each]
        if (error := fate(each)) is not None:
            failed[each] = error
    outcomes = [n for n in order if n not in unit.left]
    scheduler.returned(unit)
    for each in outcomes:
        if each in failed:
            scheduler.failed(each, failed[each], 0.0)
        else:
            scheduler.completed(each)

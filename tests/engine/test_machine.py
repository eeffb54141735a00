"""The scheduler under everything that can happen to a run, in any order, against a simple model.

The model knows which tries came to what. It does not know units, queues, chains or quarantine.
"""

from collections import Counter

from graphs import acyclic
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from schedulers import make

from motorpool import Retry
from motorpool._engine import actions as do
from motorpool._engine.lanes import Blame, Death
from motorpool._engine.state import State
from motorpool._protocol.status import Started

FINAL = {State.DONE, State.FAILED, State.SKIPPED}
# Of each node: how often it is tried again, whether it has a time limit, how many cpus it takes.
SAID = st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from([0, 0, 0, 1, 2, 3]))
FATES = st.sampled_from(["well", "well", "well", "fails"])


class Runs(RuleBasedStateMachine):
    """One run, with workers that die, pools that break, and nodes that fail."""

    @initialize(
        parents=acyclic(20), policy=st.sampled_from(["continue", "continue", "stop", "kill"]),
        workers=st.integers(1, 3), two=st.booleans(), fused=st.booleans(), known=st.booleans(),
        said=st.lists(SAID, min_size=20, max_size=20), limits=st.booleans(),
    )  # fmt: skip
    def begin(self, parents, policy, workers, two, fused, known, said, limits):
        """A pipeline, and what is said of its nodes."""
        count = len(parents)
        self.parents, self.policy, self.now = parents, policy, 0.0
        self.retries, self.limited, cpus = zip(*said[:count], strict=True)
        self.cpus = cpus if limits else [0] * count
        self.scheduler = make(
            parents, on_failure=policy, workers=workers, fused=fused,
            lanes=[i % 2 for i in range(count)] if two else None,
            expected=[1e-6] * count if known else None,
            retries=[Retry(c, delay=1.0, jitter=0.0) if c else None for c in self.retries],
            resources=[{"cpu": c} if c else None for c in self.cpus], capacities={"cpu": 3},
            timeout=[5.0 if slow else None for slow in self.limited],
        )  # fmt: skip
        self.charged = Counter()  # tries that count, by node
        self.succeeded = set()  # with a value that is there
        self.failed = set()  # for good
        self.released = []
        self.skipped = set()
        self.abandoned = []
        self.stopped_by = None
        self.kills = []

    # What workers do

    @property
    def units(self):
        return [u for lane in self.scheduler.lanes for u in lane.units.values()]

    def some_unit(self, data):
        return data.draw(st.sampled_from(self.units))

    def has_units(self):
        return bool(self.units)

    def act(self):
        """Do what the scheduler wants, as the engine does."""
        actions, self.scheduler.actions = self.scheduler.actions, []
        for action in actions:
            if isinstance(action, do.Release):
                self.released += action.names
            elif isinstance(action, do.StopWorkers):
                assert self.stopped_by is not None
                assert action.kill == (self.policy == "kill")
            elif isinstance(action, do.Skipped):
                assert action.node not in self.skipped
                self.check_reason(action.node, action.reason)
                self.skipped.add(action.node)
            elif isinstance(action, do.Abandon):
                self.abandoned.append(action)
            elif isinstance(action, do.KillWorker):
                self.kills.append(action.pid)
            elif isinstance(action, do.WorkerLost) and action.culprit is not None:
                assert action.culprit in self.blamed
        self.blamed = set()

    blamed = frozenset()

    def check_reason(self, node, reason):
        """A task is skipped for one that it needs and that failed, or else for the stop."""
        culprits, seen, todo = set(), {node}, [node]
        while todo:
            for parent in set(self.parents[todo.pop()]) - seen:
                seen.add(parent)
                if parent in self.failed:
                    culprits.add(parent)
                elif parent in self.skipped:
                    todo.append(parent)
        for culprit in culprits:
            if reason == f"it needs the node 'n{culprit}', which failed":
                return
        assert culprits <= self.blamed  # what was lost with it is given up before it fails
        assert self.stopped_by is not None
        if not reason.startswith("the run was stopped while it ran"):
            told = "someone wants to", f"the node 'n{self.stopped_by}' failed"
            assert reason.removesuffix(", before it was tried again") in told

    def charge(self, node):
        """The model's idea of a failure that counts."""
        self.charged[node] += 1
        again = self.charged[node] <= self.retries[node] and self.stopped_by is None
        if not again:
            self.failed.add(node)
            if self.policy != "continue" and self.stopped_by is None:
                self.stopped_by = node

    def outcome(self, unit, node, fate):
        """One outcome of a unit comes in; late and double ones do not count."""
        assert self.scheduler.claim(unit.lane, unit.number + 1000, [node]) == []
        assert self.scheduler.claim(unit.lane, unit.number, [node]) == [node]
        assert self.scheduler.claim(unit.lane, unit.number, [node]) == []
        return node, fate

    def settle(self, unit, node, fate, *, more):
        if fate == "fails":
            self.charge(node)
            self.scheduler.failed(node, ValueError(node), self.now)
            return
        self.charged[node] += 1
        self.succeeded.add(node)
        follows = self.scheduler.handovers.stretches.following[node]
        handed = self.scheduler.handovers.stretches.handed[node]
        self.scheduler.completed(node, unstored=bool(handed) and more and follows in unit.left)

    @rule()
    def fill_all(self):
        """As the engine does at each turn."""
        for lane in self.scheduler.lanes:
            while self.send_one(lane.number):
                pass
        for unit in self.units:
            self.send_behind(unit)

    @rule(lane=st.integers(0, 1))
    def fill(self, lane):
        """There is room for one unit."""
        self.send_one(lane)

    def send_one(self, lane):
        """A unit goes out, if there is one, and it is closed."""
        lanes = self.scheduler.lanes
        unit = self.scheduler.sending.next_unit(lane, self.now) if lane < len(lanes) else None
        self.act()
        if unit is None:
            return False
        assert self.stopped_by is None
        assert not lanes[lane].held
        assert len(lanes[lane].units) <= lanes[lane].limit
        assert not unit.alone or len(lanes[lane].units) == 1
        if any(self.cpus) and not unit.alone:
            taken = [max(self.cpus[n] or 1 for n in u.nodes) for u in self.units]
            assert sum(taken) <= 3 + max(taken) * any(u.alone for u in self.units)
        for at, node in enumerate(unit.nodes):
            assert self.scheduler.table.lanes[node] == lane
            assert node not in self.succeeded | self.failed
            assert set(self.parents[node]) <= self.succeeded | set(unit.nodes[:at])
            assert self.scheduler.table[node].attempt == self.charged[node] + 1
        return True

    @precondition(has_units)
    @rule(data=st.data())
    def queue_behind(self, data):
        """A unit goes out of what waits for another one, if there is such; once."""
        self.send_behind(self.some_unit(data))

    def send_behind(self, before):
        under_way, lane = set(before.left), self.scheduler.lanes[before.lane]
        unit = self.scheduler.sending.next_behind(before, self.now, lambda _nodes: True)
        assert not self.scheduler.actions
        if unit is None:
            return
        assert self.stopped_by is None
        assert not lane.held
        assert len(lane.units) <= lane.limit
        assert unit.behind == before.number
        assert not any([unit.alone, before.alone, *self.cpus])
        for at, node in enumerate(unit.nodes):
            assert self.scheduler.table.lanes[node] == lane.number
            assert node not in self.succeeded | self.failed
            known = self.succeeded | under_way | set(unit.nodes[:at])
            assert set(self.parents[node]) <= known
            assert self.scheduler.table[node].attempt == self.charged[node] + 1
        assert self.scheduler.sending.next_behind(before, self.now, lambda _nodes: True) is None

    def is_next(self, unit):
        """Whether its worker is at a unit, or has been: the one before is over."""
        return unit.behind not in self.scheduler.lanes[unit.lane].units

    @precondition(has_units)
    @rule(data=st.data(), fate=FATES)
    def publish(self, data, fate):
        """A worker says what became of a task before its unit is over."""
        unit = self.some_unit(data)
        if len(unit.left) > 1 and self.is_next(unit):  # the last one comes with the unit
            node = next(iter(unit.left))
            if set(self.parents[node]) <= self.succeeded:
                self.settle(unit, *self.outcome(unit, node, fate), more=True)
                self.act()

    @precondition(has_units)
    @rule(data=st.data(), ran=st.integers(0, 20), fates=st.lists(FATES, min_size=20, max_size=20))
    def return_unit(self, data, ran, fates):
        """A unit comes back, whole or not."""
        self.bring_back(self.some_unit(data), ran, fates)

    def bring_back(self, unit, ran, fates):
        """A worker runs what it can of a unit, so many tasks at most."""
        ran = ran if self.is_next(unit) else 0  # it was queued where the one before is not
        outcomes, well = [], set(self.succeeded)
        for node, fate in zip(list(unit.left)[:ran], fates, strict=False):
            if set(self.parents[node]) <= well:
                outcomes.append(self.outcome(unit, node, fate))
                well |= {node} if fate == "well" else set()
        left = list(unit.left)
        self.forget_handed(left)
        self.scheduler.returned(unit)
        self.act()
        well = all(fate == "well" for _, fate in outcomes)
        if well and not unit.alone and not unit.handing:
            self.settle_all(unit, [node for node, _ in outcomes])
        else:
            for node, fate in outcomes:
                self.settle(unit, node, fate, more=False)
                self.act()
        self.act()

    def settle_all(self, unit, nodes):
        """All that a unit has told went well, as it does nearly always."""
        for node in nodes:
            self.charged[node] += 1
        self.succeeded.update(nodes)
        self.scheduler.completed_all(unit, nodes)

    @precondition(has_units)
    @rule(data=st.data())
    def leave_alone(self, data):
        """A worker does not start the rest of a unit, for a task has failed elsewhere."""
        unit = self.some_unit(data)
        if self.policy == "continue":
            return  # no failure keeps workers from anything
        before = self.scheduler.handovers.stretches.before
        if any(
            self.scheduler.table[before[node]].unstored for node in unit.left if before[node] >= 0
        ):
            return  # what a worker alone has it gives to the next task
        left = [self.outcome(unit, node, None)[0] for node in list(unit.left)]
        self.scheduler.returned(unit)
        for node in left:
            self.scheduler.unstarted(node)
        self.act()

    def forget_handed(self, nodes):
        """What was with a worker only is lost, if a task that is left was to read it."""
        stretches, todo = self.scheduler.handovers.stretches, list(nodes)
        while todo:
            before = stretches.before[todo.pop()]
            if before >= 0 and self.scheduler.table[before].unstored:
                if self.stopped_by is None:
                    self.succeeded.discard(before)
                    self.charged[before] -= 1
                todo.append(before)

    @precondition(has_units)
    @rule(data=st.data(), starved=st.booleans())
    def worker_dies(self, data, starved):
        """In the first task that is left; that one is to blame, and no other."""
        unit = self.some_unit(data)
        if not unit.left:
            return
        node, losses = next(iter(unit.left)), self.scheduler.losses
        killed = self.scheduler.lanes[unit.lane].deadlines.killed
        pid = data.draw(st.sampled_from([5, *killed]))
        culprit = losses.culprit(unit, node, pid)
        late = [n for n in unit.left if self.scheduler.table[n].timed_out]
        if pid in killed and not late:
            assert culprit is None  # it was ended for another task; this one goes free
            self.forget_handed(unit.left)
            losses.lost([unit], pid)
            self.act()
            return
        assert culprit == (late[0] if late else node)
        self.abandoned.clear()
        starved = starved and not self.scheduler.table[culprit].timed_out
        runs_again = starved and not unit.alone and self.stopped_by is None
        self.forget_handed([n for n in unit.left if n != culprit or runs_again])
        if runs_again:
            self.blamed = set()
        elif not self.scheduler.killed:
            self.blamed = {culprit}
            self.charge(culprit)
        death = Death(node=culprit, pid=5, error=OSError(culprit), starved=starved)
        left, killed = list(unit.left), self.scheduler.killed
        losses.worker_died(unit, death, left[:2], self.now)
        self.act()
        if not killed:
            assert {a.node for a in self.abandoned if not a.handed} == {*left[:2], culprit}

    @precondition(has_units)
    @rule(data=st.data())
    def idle_worker_dies(self, data):
        """A unit is lost that no one had begun."""
        unit = self.some_unit(data)
        self.forget_handed(unit.left)
        self.scheduler.losses.lost([unit], None)
        self.act()

    @precondition(has_units)
    @rule(data=st.data(), known=st.booleans(), starved=st.booleans())
    def pool_breaks(self, data, known, starved):
        """All units of a lane are lost; who did it is known by exit codes, or not."""
        number = self.some_unit(data).lane
        lane, losses = self.scheduler.lanes[number], self.scheduler.losses
        started = [next(iter(u.left)) for u in lane.units.values() if u.left]
        alone = any(u.alone for u in lane.units.values())
        codes = dict.fromkeys(started, -11 if known else None)
        guilty, suspects = losses.accuse(number, codes, tracked=True)
        self.forget_handed([n for n in lane.nodes() if n not in guilty])
        assert set(guilty) | set(suspects) <= set(lane.nodes())
        assert bool(suspects) <= (not known and not alone)
        if self.stopped_by is None:
            self.blamed = set(guilty)
            for node in sorted(guilty):
                self.charge(node)
        deaths = [Death(node=n, pid=5, error=OSError(n)) for n in sorted(guilty)]
        blame = Blame(deaths=deaths, suspects=suspects, starved=starved and bool(suspects))
        losses.pool_broken(number, blame, self.now)
        self.act()

    @precondition(has_units)
    @rule(data=st.data())
    def call_fails(self, data):
        """The executor cannot run a unit: its first task is blamed."""
        unit = self.some_unit(data)
        if unit.left:
            node = next(iter(unit.left))
            self.forget_handed([n for n in unit.left if n != node])
            self.charge(node)
            self.blamed = {node}
            self.scheduler.losses.call_failed(unit, node, OSError(), self.now, started=True)
            self.act()

    # The clock, and the end

    @rule(seconds=st.floats(0.1, 9.0))
    def wait(self, seconds):
        """Time goes by: pauses end, and deadlines."""
        self.now += seconds
        self.scheduler.tick(self.now)
        for lane in self.scheduler.lanes:
            running = {
                node: Started(pid=1000 + node, time=self.now - 6.0)
                for node in lane.deadlines.watched
            }
            self.kills.clear()
            sent = {n: self.scheduler.table[n].sent for n in running}
            self.scheduler.look_at_clock(lane.number, running, self.now)
            self.act()
            late = {1000 + n for n, since in sent.items() if self.now - since >= 5.0}
            assert set(self.kills) == late

    @rule()
    def someone_stops_the_run(self):
        """From outside."""
        if self.stopped_by is None and self.now > 20:
            self.stopped_by = -1
            self.scheduler.stop("someone wants to")
            self.act()

    @invariant()
    def every_task_is_in_one_place(self):
        """Under way, at rest, or over."""
        if not hasattr(self, "scheduler"):
            return
        under_way = Counter(node for unit in self.units for node in unit.left)
        table = self.scheduler.table
        for task in table.tasks:
            assert (task.state is State.SENT) == (under_way[task.index] == 1)
            assert under_way[task.index] <= 1
        assert table.unfinished == sum(task.state not in FINAL for task in table.tasks)
        assert set(table.nodes_in(State.DONE)) == self.succeeded
        assert set(table.nodes_in(State.SKIPPED)) == self.skipped
        for lane in self.scheduler.lanes:
            mine = [t for t in table.tasks if table.lanes[t.index] == lane.number]
            alone = any(u.alone and u.left for u in lane.units.values())
            trial = alone or any(task.state is State.SUSPECTED for task in mine)
            assert lane.limit_now == (1 if trial else lane.limit)
        assert set(table.nodes_in(State.FAILED)) == self.failed
        assert self.scheduler.failures.keys() == self.failed
        assert self.scheduler.completed_count == len(self.succeeded)
        assert max(Counter(self.released).values(), default=0) <= 1

    def teardown(self):
        """Left alone, every run comes to an end, with every node accounted for."""
        if not hasattr(self, "scheduler"):
            return
        for _ in range(1000):
            self.now += 100.0
            self.scheduler.tick(self.now)
            self.fill_all()
            for unit in self.units:
                self.bring_back(unit, 20, ["well"] * 20)
            self.every_task_is_in_one_place()
            if not self.scheduler.table.unfinished:
                break
            self.scheduler.table.check_alive(stopping=self.stopped_by is not None)
        assert self.scheduler.table.unfinished == 0
        if self.stopped_by is None:
            skipped = set(self.scheduler.table.nodes_in(State.SKIPPED))
            below = self.scheduler.table.graph.reach(self.failed, down=True) - self.failed
            assert skipped == below
            read = {f"o{p}" for ps in self.parents for p in ps}
            assert set(self.released) == read


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)

"""When nodes ran, of runs of many nodes."""

import pickle

from motorpool._engine.timeline import Timeline
from motorpool._protocol.messages import News


class Counted(Timeline):
    """Counts how often all rows are looked at."""

    looks = 0

    def _all_rows(self):
        self.looks += 1
        return super()._all_rows()


def filled(kind, parents, times):
    """A timeline in which each node has run for some seconds, the second one not at all."""
    count = len(parents)
    timeline = kind([f"n{i}" for i in range(count)], parents, [(node,) for node in range(count)])
    for node, seconds in enumerate(times):
        if seconds is not None:
            news = News(1)
            news.add(node, timeline._began + node, seconds)
            timeline.add(news.result(0))
    return timeline


def test_all_nodes_are_listed_with_one_look_at_all():
    """Or 10,000 nodes would take as long as the run."""
    timeline = filled(Counted, [()] * 1000, [1.0] * 1000)
    assert [each.node for each in timeline] == [f"n{i}" for i in range(1000)]
    assert timeline.looks <= 5


def test_nodes_that_ran_their_waits_and_the_longest_chain():
    """One that has not run is left out, and does not break the chain."""
    timeline = filled(Timeline, [(), (0,), (1,), (0,)], [0.5, None, 4.0, 1.0])
    assert [each.node for each in timeline] == ["n0", "n2", "n3"]
    assert (len(timeline), timeline[1].node, timeline[-1].seconds) == (3, "n2", 1.0)
    assert [each.node for each in timeline[1:]] == ["n2", "n3"]
    assert timeline.critical_path() == ["n0", "n2"]
    assert abs(timeline[2].wait - 2.5) < 1e-6  # it started at 3, and n0 had ended at 0.5
    again = pickle.loads(pickle.dumps(timeline))
    assert list(again) == list(timeline)
    assert Timeline([], [], []).critical_path() == []

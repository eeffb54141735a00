"""Runs from coroutines."""

import asyncio
import contextvars
import threading

import functions
import pytest
from functions import fail, increment

from motorpool import DataCatalog, ParallelRunner, node, pipeline
from motorpool.events import RunFinished

ONE = pipeline(node(increment, "x", "y", name="one"))


def runner_on(backend, **options):
    return ParallelRunner(backend, 2, runs_folder=False, **options)


def test_results_and_errors_are_those_of_run(any_backend):
    """Several beside each other, on one runner."""

    async def main():
        runner = runner_on(any_backend)
        results = await asyncio.gather(*(runner.arun(ONE, {"x": x}) for x in range(3)))
        assert [result["y"].load() for result in results] == [1, 2, 3]
        with pytest.raises(ValueError, match="cannot use") as caught:
            await runner.arun(pipeline(node(fail, "x", "y", name="bad")), {"x": 1})
        assert any("in node 'bad'" in note for note in caught.value.__notes__)

    asyncio.run(main())


def test_loop_goes_on_meanwhile(any_backend, tmp_path):
    """The node ends only when the loop has done something."""
    gate = tmp_path / "gate"

    async def main():
        pipe = pipeline(node(functions.wait_for, "gate", "y"))
        run = asyncio.create_task(runner_on(any_backend).arun(pipe, {"gate": str(gate)}))
        await asyncio.sleep(0.2)
        assert not run.done()
        functions.touch(gate)
        assert (await run)["y"].load() == str(gate)

    asyncio.run(main())


class StartedGate:
    """Sets an event of the loop when the run has started, and keeps all events."""

    def __init__(self, loop, started):
        self.loop, self.started, self.seen = loop, started, []

    def on_event(self, event):
        self.seen.append(event)
        self.loop.call_soon_threadsafe(self.started.set)


def test_task_that_is_cancelled_ends_the_run(process_backend):
    """And is done when the workers have ended; the runner can be used again."""

    async def main():
        started = asyncio.Event()
        seen = StartedGate(asyncio.get_running_loop(), started)
        runner = runner_on(process_backend, observers=[seen])
        nodes = [node(functions.hang, "x", "y"), node(increment, "y", "z", name="after")]
        task = asyncio.create_task(runner.arun(pipeline(nodes), {"x": 1}))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(seen.seen[-1], RunFinished)
        assert (await runner.arun(ONE, {"x": 1}))["y"].load() == 2

    asyncio.run(main())


def test_task_that_is_cancelled_waits_for_a_node_that_cannot_be_ended(tmp_path):
    """It runs in the thread of the run itself; however often the task is cancelled."""
    gate, ended = str(tmp_path / "gate"), []

    def wait(path):
        functions.wait_for(path)
        ended.append(threading.current_thread())
        return path

    async def main():
        pipe = pipeline([node(wait, "gate", "y"), node(fail, "y", "never")])
        task = asyncio.create_task(runner_on("sequential").arun(pipe, {"gate": gate}))
        for _ in range(3):
            await asyncio.sleep(0.1)
            task.cancel()
        assert not task.done()
        functions.touch(gate)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(ended) == 1

    asyncio.run(main())


def test_context_of_the_task_is_that_of_nodes():
    """As with `run`."""
    variable = contextvars.ContextVar("variable", default="unset")

    async def main():
        variable.set("of the task")
        pipe = pipeline(node(lambda _: variable.get(), "x", "y"))
        assert (await runner_on("sequential").arun(pipe, {"x": 1}))["y"].load() == "of the task"

    asyncio.run(main())


def test_mistakes_are_found_before_anything_starts():
    """In the coroutine."""

    async def main():
        with pytest.raises(ValueError, match="not found in the DataCatalog"):
            await runner_on("direct").arun(ONE, DataCatalog())

    asyncio.run(main())

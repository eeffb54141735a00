"""The loop for nodes that are no more than a function, and whose function takes little time.

Such a node gets nothing but a stamp, its inputs, a context, the call, a look at what it returned,
and the time; all else (datasets, hooks, large values, functions of which nothing is known) goes
the way of `UnitRun`, where it is measured in more detail.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from motorpool._system.forks import generation
from motorpool._worker.process_state import SHORT
from motorpool._worker.task import note_datasets, note_loading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Context

    from motorpool._pipeline.form import Form
    from motorpool._worker.unit import UnitRun


class BriskLoop:
    """Runs nodes of a unit whose functions are brisk.

    Args:
        unit: The unit.
    """

    def __init__(self, unit: UnitRun) -> None:
        self._unit, self._values = unit, unit.values
        session = self._session = unit.session
        self._as_is, self._goes_as_it_is = unit.values.as_is, unit.values.goes_as_it_is
        self._reads, self._writes = session.reads, session.writes
        self._forms, self._form_of = session.forms, session.form_of
        self._copy_context = session.context.copy

    def run(self) -> bool:
        """Run the next nodes, for as long as their functions are brisk.

        Returns:
            Whether there was any.
        """
        unit, session, values = self._unit, self._session, self._values
        call_of, brisk, reads, nodes = session.call_of, session.brisk, self._reads, unit.load.nodes
        start, finish, flags = session.start, session.finish, session.flags
        add, me, as_is_of = unit.news.add, unit.me, self._as_is.__getitem__
        first, before, took = unit.at, perf_counter(), 0.0
        for at in range(first, first + 1 if unit.lost else len(nodes)):
            node = nodes[at]
            function, numbers = brisk[call_of[node]], reads[node]
            if function is None or flags[0]:
                break
            try:
                inputs = list(map(as_is_of, numbers))
            except KeyError:
                if not values.are_small(numbers):
                    break
                inputs = None
            unit.at, unit.node = at, node
            start(node)
            self._call(function, inputs, before)
            now = perf_counter()
            took = now - before
            add(node, unit.epoch + before, took)
            if generation() != me or values.touched:
                unit.forget()
            finish(node)
            unit.at, before = at + 1, now
            if took >= SHORT or now >= unit.tell_at or unit.lost:
                break
        return self._end(first, took)

    def _call(
        self, function: Callable[..., Any], inputs: Sequence[Any] | None, before: float
    ) -> None:
        """Call a function, and keep what it returns; whatever happens in it is news.

        Args:
            function: Of the node that runs.
            inputs: Its arguments; None if some of them have to be loaded.
            before: When the node began.
        """
        context = self._copy_context()
        try:
            if inputs is None:
                inputs = context.run(self._loaded)
            if (form := self._forms[self._form_of[self._unit.node]]) is None:
                value = context.run(function, *inputs)
                if self._goes_as_it_is(value):
                    self._as_is[self._writes[self._unit.node][0]] = value
                    return
                returned = [value]
                del value  # nobody else must have it
            else:
                returned = self._returned(context, function, inputs, form)
                if all(map(self._goes_as_it_is, returned)):
                    self._as_is.update(zip(self._writes[self._unit.node], returned, strict=True))
                    return
            inputs = None
            called = perf_counter()
            context.run(self._unit.keep, returned)
            times = (0.0, 0.0, called - before, perf_counter() - called)
            self._unit.news.times[self._unit.node] = times
        except BaseException as error:  # noqa: BLE001, the worker outlives whatever a node raises
            self._failed(error, inputs)

    def _returned(
        self, context: Context, function: Callable[..., Any], inputs: Sequence[Any], form: Form
    ) -> list[Any]:
        """Call a function that is called, or that returns, in another way than usual."""
        args, kwargs = form.arguments(inputs)
        value = context.run(function, *args, **kwargs)
        returned = form.values(value)
        if returned is None:
            node = self._session.node(self._unit.node)
            returned = list(form.results(value, node.outputs, node.name).values())
        return returned

    def _loaded(self) -> list[Any]:
        """The inputs of the node that runs, of which some are small pickles."""
        inputs = []
        for number in self._reads[self._unit.node]:
            try:
                value = self._values.load(number)
            except Exception as error:
                note_loading(error, self._session.dataset_name(number))
                raise
            if self._goes_as_it_is(value):
                self._as_is[number] = value
            inputs.append(value)
        return inputs

    def _failed(self, error: BaseException, inputs: Sequence[Any] | None) -> None:
        """The node that runs has raised something, with these inputs if it was its function."""
        if isinstance(error, Exception) and inputs is not None:
            names = map(self._session.dataset_name, self._reads[self._unit.node])
            note_datasets(error, dict(zip(names, inputs, strict=True)))
        self._unit.failed(error)

    def _end(self, first: int, took: float) -> bool:
        """The loop has ended.

        Args:
            first: Where in the unit it has begun.
            took: Seconds that the last node took.
        """
        unit, session = self._unit, self._session
        if unit.at == first:
            return False
        session.passed(map(session.call_of.__getitem__, unit.load.nodes[first : unit.at]))
        if took >= SHORT or unit.node in unit.lost:
            unit.ended(took)
        return True

"""One try of a node, on a catalog in this process."""

import pytest

from motorpool import DataCatalog, MemoryDataset, create_hook_manager, hookimpl, node
from motorpool._worker.task import Hooks, NodeRun, is_stream
from motorpool.catalog import RunCatalog
from motorpool.errors import DatasetError


class Diary:
    """Remembers which hooks were called, and may give a node other inputs."""

    def __init__(self, replaced=None):
        self.calls, self.replaced = [], replaced

    @hookimpl
    def before_dataset_loaded(self, dataset_name):
        self.calls.append(f"before load {dataset_name}")

    @hookimpl
    def after_dataset_loaded(self, dataset_name, data):
        self.calls.append(f"after load {dataset_name}={data}")

    @hookimpl
    def before_node_run(self, inputs):
        self.calls.append(f"before run {inputs}")
        return self.replaced

    @hookimpl
    def after_node_run(self, outputs):
        self.calls.append(f"after run {outputs}")

    @hookimpl
    def on_node_error(self, error):
        self.calls.append(f"error {error}")

    @hookimpl
    def before_dataset_saved(self, dataset_name, data):
        self.calls.append(f"before save {dataset_name}={data}")

    @hookimpl
    def after_dataset_saved(self, dataset_name):
        self.calls.append(f"after save {dataset_name}")


def run(task, data=(), plugin=None, *, is_async=False):
    """Run a node; return its catalog."""
    catalog = RunCatalog(DataCatalog(dict(data)), {*task.inputs, *task.outputs})
    hooks = Hooks(None if plugin is None else create_hook_manager(plugin))
    NodeRun(task, catalog, hooks, is_async=is_async, run_id="r", attempt=1)()
    return catalog


def test_hooks_are_called_in_this_order():
    """Around each load, the run, and each save."""
    diary = Diary()
    assert run(node(lambda x: x + 1, "x", "y"), {"x": 1}, diary)["y"].load() == 2
    assert diary.calls == [
        "before load x", "after load x=1", "before run {'x': 1}", "after run {'y': 2}",
        "before save y=2", "after save y",
    ]  # fmt: skip


def test_hook_may_replace_inputs():
    """With a dict; anything else is an error that shows it."""
    task = node(lambda x: x + 1, "x", "y")
    assert run(task, {"x": 1}, Diary({"x": 10}))["y"].load() == 11
    with pytest.raises(TypeError, match="must return None or a dict .* not list"):
        run(task, {"x": 1}, Diary(["x"]))


def test_exception_of_a_node_is_shown_to_hooks_and_nothing_is_saved():
    """It is raised as it is."""
    diary = Diary()
    with pytest.raises(ZeroDivisionError):
        run(node(lambda x: 1 / x, "x", "y"), {"x": 0}, diary)
    assert diary.calls[-1] == "error division by zero"
    assert not [call for call in diary.calls if "save" in call]


def test_exception_while_loading_or_saving_names_the_dataset():
    """In a note, with the type of what was to be saved."""
    with pytest.raises(DatasetError) as caught:
        run(node(len, "x", "y"), {"x": MemoryDataset()})
    assert "while loading the dataset 'x'" in caught.value.__notes__

    class Full(MemoryDataset):
        def save(self, data):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full") as caught:
        run(node(len, "x", "y"), {"x": "abc", "y": Full()})
    assert "while saving the dataset 'y', a int" in caught.value.__notes__


@pytest.mark.parametrize("is_async", [False, True])
def test_several_inputs_and_outputs_keep_their_names(is_async):
    """Side by side as well."""
    task = node(
        lambda a, b: {"sum": a + b, "product": a * b}, ["a", "b"], {"sum": "s", "product": "p"}
    )
    catalog = run(task, {"a": 3, "b": 4}, is_async=is_async)
    assert (catalog["s"].load(), catalog["p"].load()) == (7, 12)


def test_none_output_is_an_error_that_names_node_and_dataset():
    """Before any dataset sees it."""
    with pytest.raises(DatasetError, match="'n' returned None for the dataset 'y'") as caught:
        run(node(lambda _: None, "x", "y", name="n"), {"x": 1})
    assert (caught.value.node, caught.value.dataset) == ("n", "y")


class Lines(MemoryDataset):
    """Keeps all that was saved."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def save(self, data):
        super().save(data)
        self.lines.append(data)


def test_chunks_of_a_generator_are_saved_one_by_one():
    """In turn for several outputs, of which one may end before the other."""

    def chunks(n):
        yield from range(n)

    catalog = run(node(chunks, "n", "y"), {"n": 3, "y": Lines()})
    assert catalog["y"].lines == [0, 1, 2]
    two = node(lambda n: (chunks(n), chunks(n + 1)), "n", ["p", "q"])
    diary = Diary()
    run(two, {"n": 1}, diary)
    saves = [call for call in diary.calls if call.startswith("before save")]
    assert saves == ["before save p=0", "before save q=0", "before save q=1"]


def test_generator_that_yields_nothing_is_an_error_for_a_value_in_memory():
    """There would be none to read."""
    with pytest.raises(DatasetError, match="yielded nothing for the dataset 'y'"):
        run(node(lambda n: (x for x in range(n)), "n", "y"), {"n": 0})


def test_iterator_of_a_plain_function_is_a_value():
    """As Kedro decides it."""
    assert not is_stream(node(iter, "x", "y"), {"y": iter([1])})
    assert not is_stream(node(list, "x", "y"), {"y": [1]})
    assert is_stream(node(lambda x: x, "x", "y"), {"y": (x for x in [1])})


def test_confirms_are_confirmed_after_the_saves():
    """And a dataset without `confirm` is named."""

    class Confirmed(MemoryDataset):
        confirmed = False

        def confirm(self):
            self.confirmed = True

    catalog = run(node(len, "x", "y", confirms="x"), {"x": Confirmed("abc")})
    assert catalog["x"].confirmed
    with pytest.raises(DatasetError, match="'x' .* has no `confirm`"):
        run(node(len, "x", "y", confirms="x"), {"x": MemoryDataset("abc")})

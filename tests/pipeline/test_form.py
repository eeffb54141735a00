"""Forms of nodes: how their functions are called, and what becomes of what these return."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motorpool import Node
from motorpool._pipeline.form import Form
from motorpool.errors import PipelineError

NAMES = st.sampled_from(["a", "b", "c d", "e@x"])
KEYS = st.sampled_from(["p", "q", "r"])
READS = st.one_of(st.none(), NAMES, st.lists(NAMES, max_size=4), st.dictionaries(KEYS, NAMES))
WRITES = st.one_of(
    st.none(), st.just("o"), st.lists(st.sampled_from(["o", "u", "v"]), unique=True),
    st.permutations(["o", "u"]).map(lambda names: dict(zip("pq", names, strict=True))),
)  # fmt: skip
RETURNED = st.one_of(
    st.integers(), st.lists(st.integers(), max_size=3), st.tuples(st.integers(), st.integers()),
    st.dictionaries(KEYS, st.integers(), max_size=2),
)  # fmt: skip


def outcome(call):
    """What a call returns, or what it raises."""
    try:
        return call()
    except PipelineError as error:
        return str(error)


@given(inputs=READS, outputs=WRITES, returned=RETURNED)
def test_a_form_does_what_its_node_does(inputs, outputs, returned):
    """Calls the function with the same arguments, and names what is returned alike."""
    calls = []

    def function(*args, **kwargs):
        calls.append((args, kwargs))
        return returned

    if not (inputs or outputs):
        return
    node = Node(function, inputs, outputs, name="n")
    usual = Form.of(inputs, outputs, node.inputs, node.outputs) == Form.usual(len(node.inputs))
    assert Form.is_usual(inputs, outputs, node.inputs) == usual
    form = pickle.loads(pickle.dumps(Form.of(inputs, outputs, node.inputs, node.outputs)))
    values = {name: name.upper() for name in node.inputs}
    expected = outcome(lambda: node.run(values))
    args, kwargs = form.arguments([values[name] for name in node.inputs])
    assert calls == [(tuple(args), kwargs)]
    found = outcome(lambda: form.results(returned, node.outputs, "n"))
    assert found == expected
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        assert form.values(returned) == [expected[name] for name in node.outputs]
    else:
        assert form.values(returned) is None


def test_usual_form():
    """Arguments in order, one output; one name alone is like a list of it."""
    assert Form.of(["b", "a"], "o", ["b", "a"], ["o"]) == Form.usual(2)
    assert Form.of("a", "o", ["a"], ["o"]) == Form.usual(1)
    assert Form.of(None, "o", [], ["o"]) == Form.usual(0)
    assert Form.of(["a", "a"], "o", ["a"], ["o"]) != Form.usual(1)
    assert Form.of("a", ["o"], ["a"], ["o"]) != Form.usual(1)


def test_keys_that_are_no_strings_have_no_form():
    """They might be anything, and would have to travel."""
    assert Form.of("a", {1: "o"}, ["a"], ["o"]) is None


def test_values_of_a_generator_are_told_by_name():
    """What it yields may be of another form, which shows when it is read."""
    form = Form.of("a", ["o", "u"], ["a"], ["o", "u"])
    assert form.values(pair for pair in [(1, 2)]) is None
    found = form.results((pair for pair in [(1, 2), (3,)]), ["o", "u"], "n")
    assert next(found["u"]) == 2
    with pytest.raises(PipelineError, match="^Node 'n' must return a list or tuple of 2 values"):
        next(found["u"])

"""Random graphs, for tests of properties."""

from hypothesis import strategies as st


@st.composite
def acyclic(draw, most=25):
    """Parents of each node; a node's parents have smaller numbers."""
    count = draw(st.integers(1, most))
    return [
        draw(st.lists(st.integers(0, i - 1), unique=True, max_size=4)) if i else []
        for i in range(count)
    ]

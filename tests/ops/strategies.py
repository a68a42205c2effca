"""Small arguments of every shape for property tests."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from .cases import MAY_BE_RAGGED, build

arguments = st.builds(
    build,
    batch=st.integers(1, 3),
    steps=st.integers(1, 6),
    width=st.integers(1, 3),
    prefix=st.integers(0, 4),
    source=st.integers(0, 3),
    ragged=st.sets(st.sampled_from(MAY_BE_RAGGED)),
    memory_span=st.integers(0, 4),
    distances=st.none() | st.integers(0, 3),
    fusion=st.sampled_from(["deep", "shallow", "token"]),
    seed=st.integers(0, 1000),
)

# the same examples every time
repeatable = settings(
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

"""fairseq's search under constraints."""

from collections.abc import Callable

from fairseq.search import LexicallyConstrainedBeamSearch
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.registry import patch


@patch(LexicallyConstrainedBeamSearch, "init_constraints")
def init_constraints(
    init: Callable[[LexicallyConstrainedBeamSearch, Tensor, int], None],
    search: LexicallyConstrainedBeamSearch,
    batch_constraints: Tensor | None,
    beam_size: int,
) -> None:
    """The search's method; raises InputError where data come without constraints."""
    if batch_constraints is None:
        raise InputError(
            f"--constraints {search.representation}: these data come without; fairseq-interactive"
            " of a translation model reads them, each behind a tab of its line"
        )
    return init(search, batch_constraints, beam_size)

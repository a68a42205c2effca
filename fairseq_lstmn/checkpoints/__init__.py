"""What a checkpoint file holds and whether it is sound; ``patches`` ties it to fairseq."""

from typing import Any, TypeAlias

State: TypeAlias = dict[str, Any]  # a checkpoint, or its task's or extra state, as fairseq has them

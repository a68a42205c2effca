"""What a user who calls ``torch.jit.script`` is told."""

from typing import NoReturn

from torch import nn

from fairseq_lstmn.errors import InputError


def refuse_scripting(module: nn.Module) -> NoReturn:
    """As a module's ``__prepare_scriptable__``: ``torch.jit.script`` raises InputError."""
    raise InputError(
        f"torch.jit.script: {type(module).__name__} cannot be scripted, and torch gives scripting "
        "up; torch.export.export(model, (tokens,)) exports a language model, torch.compile(model) "
        "compiles all models"
    )

"""A checkpoint's model with its task."""

from collections.abc import Mapping
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from fairseq import checkpoint_utils
from torch import Tensor

from fairseq_lstmn.data.data_folder import Normalisation
from fairseq_lstmn.errors import InputError

_BROKEN = OSError, RuntimeError, KeyError, EOFError, UnpicklingError


class TrainedModel(NamedTuple):
    """A model in evaluation mode, with what it was trained on."""

    path: str
    model: Any
    task: Any
    device: str
    normalisation: Normalisation | None  # of its training text; None if it was not recorded

    def to_device(self, arguments: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A dictionary of tensors where the model is."""
        return {name: part.to(self.device) for name, part in arguments.items()}


def load(path: str, data: str | None = None, cpu: bool = False) -> TrainedModel:
    """Load a checkpoint.

    Args:
        path: of the checkpoint.
        data: folder with its dictionaries; None for the one named in the checkpoint.
        cpu: stay off the GPU.

    Raises InputError for one that cannot be loaded.
    """
    overrides = {} if data is None else {"data": data}
    try:
        [model], _, task = checkpoint_utils.load_model_ensemble_and_task([path], overrides)
    except InputError as error:
        missing = error.__cause__
        if data is None and isinstance(missing, FileNotFoundError):
            raise InputError(
                f"{path}: its data are not here ({missing.filename}: no such file); --data DIR"
                " names the folder where its dictionaries are now"
            ) from None
        raise
    except _BROKEN as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be loaded ({reason})") from None
    device = "cuda" if torch.cuda.is_available() and not cpu else "cpu"
    normalisation = Normalisation.of_data(data_folder(task))
    return TrainedModel(path, model.eval().to(device), task, device, normalisation)


def data_folder(task: Any) -> str | None:
    """Where a task's data is, as its option says; None for a task without data."""
    options = task.cfg or getattr(task, "args", None)  # fairseq's language_modeling has no cfg
    data: str | None = getattr(options, "data", None)
    return data

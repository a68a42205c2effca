"""fairseq-validate that also writes what was predicted, as the kind of the task records it.

    python -m fairseq_lstmn.compare.kinds.validate --answers FILE.npz [options of fairseq-validate]

FILE gets ``classes``, the names of all answers, ``items_per_second``, and every array of
``ValidatedKind.record`` in the order of the data.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from fairseq.models.fairseq_model import BaseFairseqModel
from fairseq.tasks.fairseq_task import FairseqTask
from fairseq_cli import validate
from torch import Tensor, nn

from fairseq_lstmn.compare.kinds.kind import Sample, ValidatedKind, kind_of


class Recorder:
    """Collects the predictions of every ``valid_step``."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self._step, self._seconds = step, 0.0
        self._batches: list[dict[str, Tensor]] = []
        self._classes: list[str] = []

    def valid_step(
        self, task: FairseqTask, sample: Sample, model: BaseFairseqModel, criterion: nn.Module
    ) -> Any:
        """fairseq's, which calls the model once; its output is recorded."""
        outputs: list[Any] = []
        hook = model.register_forward_hook(lambda module, inputs, output: outputs.append(output))
        began = time.perf_counter()
        try:
            result = self._step(task, sample, model, criterion)
        finally:
            hook.remove()
        self._seconds += time.perf_counter() - began
        kind = kind_of(type(task))
        assert isinstance(kind, ValidatedKind)
        self._classes = kind.classes(task)
        self._batches.append(kind.record(task, sample, model, outputs[0]))
        return result

    def save(self, path: str) -> None:
        """Write what was recorded to the file ``path``, all or nothing."""
        arrays: dict[str, Any] = {
            name: torch.cat([batch[name] for batch in self._batches]).cpu().numpy()
            for name in self._batches[0]
        }
        order = np.argsort(arrays["numbers"], kind="stable")
        arrays = {name: values[order] for name, values in arrays.items()}
        speed = len(order) / self._seconds
        with open(f"{path}.part", "wb") as file:
            np.savez(file, classes=np.array(self._classes), items_per_second=speed, **arrays)
        os.replace(f"{path}.part", path)


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--answers", required=True)
    own, sys.argv[1:] = parser.parse_known_args()
    recorder = Recorder(FairseqTask.valid_step)
    # fairseq-validate has no other place to look at every batch
    FairseqTask.valid_step = lambda *args: recorder.valid_step(*args)  # type: ignore[method-assign]
    validate.cli_main()
    recorder.save(own.answers)


if __name__ == "__main__":
    main()

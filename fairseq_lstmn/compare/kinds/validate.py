"""fairseq-validate that also keeps what was answered on every item.

    python -m fairseq_lstmn.compare.kinds.validate --answers FILE.npz [options of fairseq-validate]

FILE gets ``classes`` (C), the names of all answers, and ``items_per_second``; item by item, in the
order of the data, ``numbers`` (N) of the examples, ``labels`` (N), and of a classifier
``probabilities`` (N, C) and ``lengths`` (N), of the task recall ``distances``, ``right`` and
``log_probabilities`` (N).
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from fairseq.models.fairseq_model import BaseFairseqModel
from fairseq.tasks.fairseq_task import FairseqTask
from fairseq_cli import validate
from torch import Tensor, nn

from fairseq_lstmn.data.labels import classes
from fairseq_lstmn.tasks.recall import RecallTask

Sample: TypeAlias = dict[str, Any]  # a batch as fairseq has it


def classified(
    task: FairseqTask, sample: Sample, model: BaseFairseqModel, output: Any
) -> dict[str, Tensor]:
    """A batch of ``sentence_prediction``, an item an example."""
    pad = task.source_dictionary.pad()
    texts = [part for part in sample["net_input"].values() if part.dim() == 2]
    return {
        "numbers": sample["id"],
        "labels": sample["target"].view(-1),
        "probabilities": output[0].float().softmax(dim=1),
        "lengths": torch.stack([text.ne(pad).sum(dim=1) for text in texts]).sum(dim=0),
    }


def recalled(
    task: FairseqTask, sample: Sample, model: BaseFairseqModel, output: Any
) -> dict[str, Tensor]:
    """A batch of ``recall``, an item a question."""
    tokens, targets = sample["net_input"]["src_tokens"], sample["target"]
    rows, questions = targets.ne(task.target_dictionary.pad()).nonzero(as_tuple=True)
    asked_again = tokens[rows].eq(tokens[rows, questions, None])
    values = asked_again.int().argmax(dim=1) + 1  # behind the first occurrence of the key
    labels = targets[rows, questions]
    scores = model.get_normalized_probs(output, log_probs=True)[rows, questions]
    return {
        "numbers": sample["id"][rows],
        "labels": labels,
        "distances": questions - values,
        "right": scores.argmax(dim=1) == labels,
        "log_probabilities": scores.gather(1, labels[:, None])[:, 0],
    }


class Recorder:
    """Collects the answers of every ``valid_step``."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self._step, self._seconds = step, 0.0
        self._batches: list[dict[str, Tensor]] = []
        self.classes: list[str] = []

    def valid_step(
        self, task: FairseqTask, sample: Sample, model: BaseFairseqModel, criterion: nn.Module
    ) -> Any:
        """fairseq's, which calls the model once; what it answers is kept."""
        outputs: list[Any] = []
        hook = model.register_forward_hook(lambda module, inputs, output: outputs.append(output))
        began = time.perf_counter()
        try:
            result = self._step(task, sample, model, criterion)
        finally:
            hook.remove()
        self._seconds += time.perf_counter() - began
        recalls = isinstance(task, RecallTask)
        self.classes = task.target_dictionary.symbols if recalls else classes(task)
        answered = recalled if recalls else classified
        self._batches.append(answered(task, sample, model, outputs[0]))
        return result

    def save(self, path: str) -> None:
        """Write the answers to the file ``path``, all or nothing."""
        found = {
            name: torch.cat([batch[name] for batch in self._batches]).cpu().numpy()
            for name in self._batches[0]
        }
        order = np.argsort(found["numbers"], kind="stable")
        arrays: dict[str, Any] = {
            "classes": np.array(self.classes),
            "items_per_second": len(order) / self._seconds,
            **{name: values[order] for name, values in found.items()},
        }
        with open(f"{path}.part", "wb") as file:
            np.savez(file, **arrays)
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

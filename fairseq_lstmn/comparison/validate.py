"""fairseq-validate that also keeps what was answered on every example.

    python -m fairseq_lstmn.comparison.validate --answers FILE.npz [options of fairseq-validate]

FILE gets the arrays ``classes`` (C), ``probabilities`` (N, C), ``labels`` (N) and ``lengths`` (N),
in the order of the data, and ``examples_per_second``.
"""

import argparse
import os
import sys
import time

import numpy as np
import torch
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq_cli import validate

from fairseq_lstmn.data.sentence_prediction import classes


class Recorder:
    """Collects the answers of every step of ``SentencePredictionTask``."""

    def __init__(self, step):
        self._step, self._batches, self._seconds = step, [], 0.0
        self.classes = []

    def valid_step(self, task, sample, model, criterion):
        """fairseq's, which calls the model once; what it answers is kept."""
        scores = []
        hook = model.register_forward_hook(lambda module, inputs, output: scores.append(output[0]))
        began = time.perf_counter()
        try:
            result = self._step(task, sample, model, criterion)
        finally:
            hook.remove()
        self._seconds += time.perf_counter() - began
        self.classes = classes(task)
        pad = task.source_dictionary.pad()
        texts = [part for part in sample["net_input"].values() if part.dim() == 2]
        self._batches.append(
            (
                sample["id"],
                scores[0].float().softmax(dim=1),
                sample["target"].view(-1),
                sum(text.ne(pad).sum(dim=1) for text in texts),
            )
        )
        return result

    def save(self, path):
        """Write the answers to the file ``path``, all or nothing."""
        parts = [torch.cat(part).cpu().numpy() for part in zip(*self._batches)]
        order = np.argsort(parts[0])
        numbers, probabilities, labels, lengths = (part[order] for part in parts)
        with open(f"{path}.part", "wb") as file:
            np.savez(
                file,
                classes=np.array(self.classes),
                probabilities=probabilities,
                labels=labels,
                lengths=lengths,
                examples_per_second=len(numbers) / self._seconds,
            )
        os.replace(f"{path}.part", path)


def main():
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--answers", required=True)
    own, sys.argv[1:] = parser.parse_known_args()
    recorder = Recorder(SentencePredictionTask.valid_step)
    SentencePredictionTask.valid_step = lambda *args: recorder.valid_step(*args)
    validate.cli_main()
    recorder.save(own.answers)


if __name__ == "__main__":
    main()

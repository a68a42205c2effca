"""What a language model in a checkpoint says of every word of a text.

N words.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from fairseq import checkpoint_utils

from fairseq_lstmn.compare.kinds.language import Tokens
from fairseq_lstmn.compare.quiet import quiet
from fairseq_lstmn.compare.types import Flags
from fairseq_lstmn.errors import InputError


@dataclass(frozen=True)
class Guesses(Tokens):
    """Tokens, and of each whether the likeliest word was the right one.

    Attributes:
        right: (N).
    """

    right: Flags


@torch.no_grad()
def guess(checkpoint: str | Path, subset: str) -> Guesses:
    """The Guesses at a part of the data that the model was trained on, read as one stream.

    Raises InputError if the checkpoint or its data cannot be loaded.
    """
    try:
        with quiet():
            [model], _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)])
            task.load_dataset(subset)
    except OSError as error:
        raise InputError(f"{checkpoint}: cannot be loaded ({error})") from None
    model.eval()
    parts = []
    for batch in task.eval_lm_dataloader(task.dataset(subset), batch_size=1, num_workers=0):
        scores = model.get_normalized_probs(model(**batch["net_input"]), log_probs=True)
        targets = batch["target"]
        logs = scores.gather(2, targets.unsqueeze(2)).squeeze(2)
        parts.append((targets, logs.double(), scores.argmax(dim=2) == targets))
    words, logs, right = (torch.cat(part, dim=1)[0].numpy() for part in zip(*parts))
    return Guesses([task.target_dictionary[word] for word in words], logs, right)

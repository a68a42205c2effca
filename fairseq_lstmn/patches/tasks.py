"""``fairseq.tasks``: how all load their data, and what some check or order of theirs."""

import logging
import re
from pathlib import Path
from typing import Any

from fairseq.data import FairseqDataset, MonolingualDataset
from fairseq.tasks import TASK_REGISTRY
from fairseq.tasks.fairseq_task import FairseqTask
from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq.tasks.sentence_prediction import SentencePredictionTask

from fairseq_lstmn.data.datasets import InOrder
from fairseq_lstmn.data.labels import (
    PredictionTask,
    check_labels,
    check_numbers,
    disagreement,
    labels,
)
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.reading import ReadingModel
from fairseq_lstmn.patches.models import model_of
from fairseq_lstmn.patches.neural_cache import CachedScoring
from fairseq_lstmn.patches.registry import Original, patch

logger = logging.getLogger(__name__)

LEFT_OUT = -1  # fairseq's default of --num-classes
UNEQUAL = "dataset lengths must match", "datasets must have the same length"  # its assertions
# as fairseq's tasks say it, an exception's text or an assertion's
NOT_FOUND = re.compile(r"Dataset not found: \S+ \((.*)\)|could not find dataset: (.*)")


@patch(SentencePredictionTask, "setup_task")
def set_up(setup_task: Original, task: type[PredictionTask], cfg: Any, **kwargs: Any) -> Any:
    """Without ``--num-classes`` there are as many as the data have.

    Of regression it is one number, the same for a checkpoint whose data are elsewhere.
    """
    if cfg.num_classes == LEFT_OUT:
        cfg.num_classes = 1 if cfg.regression_target else number_of_labels(task, cfg.data)
        logger.info("--num-classes: %d", cfg.num_classes)
    elif cfg.num_classes < 1:
        raise InputError(f"--num-classes {cfg.num_classes}: must be 1 or more")
    return setup_task(task, cfg, **kwargs)


def number_of_labels(task: type[PredictionTask], data: str) -> int:
    """How many labels the folder ``data`` has. Raises InputError for none."""
    path = Path(data, "label", "dict.txt")
    names = labels(task.load_dictionary(str(path)))
    if not names:
        raise InputError(f"{path}: has no labels")
    return len(names)


@patch(SentencePredictionTask, "build_model")
def build_with_a_class_for_each_label(
    build: Original, task: PredictionTask, cfg: Any, from_checkpoint: bool = False
) -> Any:
    """A reader that is to be trained has a class for each label.

    Of other models, and of those in a checkpoint, a warning says that they have not.
    """
    difference = None if task.cfg.regression_target else disagreement(task)
    if difference:
        model = model_of(cfg)
        if model and issubclass(model, ReadingModel) and not from_checkpoint:
            raise InputError(difference)
        logger.warning("%s", difference)
    return build(task, cfg, from_checkpoint)


@patch(SentencePredictionTask, "load_dataset")
def load_checked_labels(
    load: Original, task: PredictionTask, split: str, *args: Any, **kwargs: Any
) -> Any:
    """Raise InputError for a row without its one class or numbers."""
    data = task.cfg.data
    check = check_numbers if task.cfg.regression_target else check_labels
    try:
        loaded = load(task, split, *args, **kwargs)
    except (AssertionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        if str(error) in UNEQUAL:
            raise InputError(
                f"{data}: the subset {split!r} has not as many rows in each of its input and label"
            ) from error
        if task.cfg.regression_target:
            check_numbers(task, split)
        raise
    check(task, split)
    return loaded


@patch(LanguageModelingTask, "eval_lm_dataloader")
def load_text(
    load: Original, task: LanguageModelingTask, dataset: FairseqDataset, *args: Any, **kwargs: Any
) -> Any:
    """With a neural cache a text is scored in its order, which fairseq's by length is not.

    If the cache's two numbers are to be tuned, that is done before.
    """

    def in_order(dataset: FairseqDataset) -> Any:
        if isinstance(dataset, MonolingualDataset):
            dataset = InOrder(dataset)
        return load(task, dataset, *args, **kwargs)

    scoring = CachedScoring.current
    if scoring is None:
        return load(task, dataset, *args, **kwargs)
    if scoring.subset is not None:
        task.load_dataset(scoring.subset)
        scoring.tune(task.target_dictionary, in_order(task.dataset(scoring.subset)))
    return in_order(dataset)


def load_subset(
    load_dataset: Original, task: FairseqTask, split: str, *args: Any, **kwargs: Any
) -> Any:
    """Raise InputError for a subset that the data folder of any task has not."""
    try:
        return load_dataset(task, split, *args, **kwargs)
    except (FileNotFoundError, AssertionError) as error:
        missing = NOT_FOUND.fullmatch(str(error))
        if missing is None:
            raise
        place = missing[1] or missing[2]
        raise InputError(f"{place}: no binarised text of the subset {split!r} is there") from error


for kind in set(TASK_REGISTRY.values()):
    if "load_dataset" in vars(kind):
        patch(kind, "load_dataset")(load_subset)

"""``fairseq.tasks.sentence_prediction``: labels and classes are held against each other."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from fairseq.tasks.sentence_prediction import SentencePredictionTask

from fairseq_lstmn.data.labels import (
    PredictionTask,
    check_labels,
    check_numbers,
    disagreement,
    labels,
)
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.reading import ReadingModel
from fairseq_lstmn.patches.fitting import model_of
from fairseq_lstmn.patches.registry import patch

logger = logging.getLogger(__name__)

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")

LEFT_OUT = -1  # fairseq's default of --num-classes
UNEQUAL = "dataset lengths must match", "datasets must have the same length"  # its assertions


@patch(SentencePredictionTask, "setup_task")
def set_up(
    setup_task: Callable[..., PredictionTask],
    task: type[PredictionTask],
    cfg: Any,
    **kwargs: object,
) -> PredictionTask:
    """fairseq's ``setup_task``; without ``--num-classes`` there are as many as the data have.

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
def build_model(
    build: Callable[[PredictionTask, Any, bool], Result],
    task: PredictionTask,
    cfg: Any,
    from_checkpoint: bool = False,
) -> Result:
    """fairseq's ``build_model``; a reader that is to be trained has a class for each label.

    Of other models, and of those in a checkpoint, a warning says that they have not.
    """
    found = None if task.cfg.regression_target else disagreement(task)
    if found:
        model = model_of(cfg)
        if model and issubclass(model, ReadingModel) and not from_checkpoint:
            raise InputError(found)
        logger.warning("%s", found)
    return build(task, cfg, from_checkpoint)


@patch(SentencePredictionTask, "load_dataset")
def load_dataset(
    load: Callable[Concatenate[PredictionTask, str, Rest], Result],
    task: PredictionTask,
    split: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """fairseq's ``load_dataset``; raises InputError for a row without its one class or numbers."""
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

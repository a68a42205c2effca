"""Architectures registered with fairseq, and the tasks and criterions that each is for."""

from typing import Any

from fairseq.criterions import CRITERION_REGISTRY
from fairseq.criterions.sentence_prediction import SentencePredictionCriterion
from fairseq.models import MODEL_REGISTRY
from fairseq.tasks import TASK_REGISTRY

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models import classifiers, lstmn, lstmn_lm, nli  # noqa: F401
from fairseq_lstmn.models.reading import ReadingModel


def check_task(arch: str, model: type[Any], task: type[Any]) -> None:
    """Raise InputError where ``model``, of architecture ``arch``, is not for the class ``task``.

    A model says its tasks in ``for_tasks``. Other packages' models and tasks are taken as they
    are, except for tasks that are derived from one of those that a model of this package is for.
    """
    for_tasks = getattr(model, "for_tasks", None)
    name = nearest_task(task)
    if for_tasks is not None and name is not None and name not in for_tasks:
        raise InputError(f"--task {name}: --arch {arch} is for {', '.join(for_tasks)}")


def nearest_task(task: type[Any]) -> str | None:
    """The name of the task from which ``task`` is derived, of those that some model here is for.

    Otherwise its own name if it is fairseq's, else None.
    """
    names: dict[type[Any], str] = {registered: name for name, registered in TASK_REGISTRY.items()}
    ours = {name for model in MODEL_REGISTRY.values() for name in getattr(model, "for_tasks", ())}
    for ancestor in task.__mro__:
        if names.get(ancestor) in ours:
            return names[ancestor]
    return names.get(task) if task.__module__.startswith("fairseq.tasks.") else None


def check_criterion(arch: str, model: type[Any], criterion: str) -> None:
    """Raise InputError where a model of this package and a criterion of fairseq's do not fit.

    One of the two predicts words and the other a label.
    """
    if not hasattr(model, "for_tasks"):
        return
    registered = CRITERION_REGISTRY[criterion]
    of_labels = issubclass(registered, SentencePredictionCriterion)
    if issubclass(model, ReadingModel):
        if not of_labels and registered.__module__.startswith("fairseq.criterions."):
            raise InputError(f"--criterion {criterion}: --arch {arch} is for sentence_prediction")
    elif of_labels:
        raise InputError(f"--criterion {criterion}: --arch {arch} predicts words, not a label")

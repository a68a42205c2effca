"""A training whose task, criterion or checkpoint does not fit its model ends in one line."""

import pytest
import torch
from fairseq import models, options
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
from fairseq.tasks import TASK_REGISTRY, FairseqTask

import fairseq_lstmn  # noqa: F401
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.lstmn_lm import LSTMNLanguageModelConfig
from fairseq_lstmn.patches.models import check_task
from tests.fairseq_commands import PLUGIN, monolingual_data, run

OURS = {
    arch: model
    for arch, model in ARCH_MODEL_REGISTRY.items()
    if model.__module__.startswith("fairseq_lstmn.")
}
NEEDED = {
    "translation_multi_simple_epoch": ["--lang-pairs", "a-b"],
    "recall": ["--pairs", "2"],
}  # what a task asks for beside its data


def parse(task, arch, *arguments):
    data = [] if task == "recall" else ["data"]
    argv = [*data, "--task", task, "--arch", arch, *NEEDED.get(task, []), *arguments]
    return options.parse_args_and_arch(options.get_training_parser(), argv)


def criterion_of(arch):
    reads = hasattr(OURS[arch], "register_classification_head")
    return "sentence_prediction" if reads else "cross_entropy"


def test_every_model_says_which_tasks_it_is_for():
    assert len(OURS) > 20
    for model in OURS.values():
        assert set(model.for_tasks) <= set(TASK_REGISTRY)


@pytest.mark.parametrize(
    "arch, task", [(arch, task) for arch, model in OURS.items() for task in model.for_tasks]
)
def test_a_model_is_taken_for_its_tasks(arch, task):
    assert parse(task, arch, "--criterion", criterion_of(arch)).arch == arch


@pytest.mark.parametrize(
    "task, arch, tasks",
    [
        ("language_modeling", "lstmn_deep", "translation, translation_multi_simple_epoch"),
        ("recall", "lstmn", "translation, translation_multi_simple_epoch"),
        ("multilingual_translation", "lstmn", "translation, translation_multi_simple_epoch"),
        ("translation", "lstmn_lm_ptb", "language_modeling, contiguous_language_modeling"),
        ("masked_lm", "lstmn_lm", "language_modeling, contiguous_language_modeling"),
        ("sentence_prediction", "lstmn_lm", "language_modeling, contiguous_language_modeling"),
        ("translation", "lstmn_sst", "sentence_prediction"),
        ("sentence_pair_prediction", "tcnn_classifier", "sentence_prediction"),
        ("sentence_prediction", "lstmn_nli_deep_100", "sentence_pair_prediction"),
        ("contiguous_language_modeling", "lstm_nli", "sentence_pair_prediction"),
    ],
)
def test_a_wrong_task_is_named_with_the_right_ones(task, arch, tasks):
    with pytest.raises(InputError, match=f"^--task {task}: --arch {arch} is for {tasks}"):
        parse(task, arch, "--criterion", criterion_of(arch))


@pytest.mark.parametrize(
    "task, arch, criterion, reason",
    [
        ("sentence_prediction", "lstmn_classifier", "cross_entropy", "is for sentence_prediction"),
        ("sentence_pair_prediction", "lstmn_nli", "adaptive_loss", "is for sentence_prediction"),
        ("language_modeling", "lstmn_lm", "sentence_prediction", "predicts words, not a label"),
        ("translation", "lstmn", "sentence_prediction", "predicts words, not a label"),
    ],
)
def test_a_wrong_criterion_is_named(task, arch, criterion, reason):
    with pytest.raises(InputError) as error:
        parse(task, arch, "--criterion", criterion)
    assert str(error.value) == f"--criterion {criterion}: --arch {arch} {reason}"


def test_other_packages_tasks_are_judged_by_what_they_are_derived_from():
    class Own(FairseqTask):
        pass

    class Translates(TASK_REGISTRY["translation"]):
        pass

    model = MODEL_REGISTRY["lstmn"]
    check_task("lstmn", model, Own)
    check_task("lstmn", model, Translates)
    with pytest.raises(InputError, match="^--task translation: --arch lstmn_lm is for"):
        check_task("lstmn_lm", MODEL_REGISTRY["lstmn_lm"], Translates)


def test_models_of_fairseqs_are_left_to_it():
    assert parse("language_modeling", "transformer").arch == "transformer"
    assert parse("translation", "lstm_lm", "--criterion", "sentence_prediction").arch == "lstm_lm"


def test_a_checkpoint_of_another_task_is_named():
    class Translates(TASK_REGISTRY["translation"]):
        def __init__(self):
            pass

    config = LSTMNLanguageModelConfig()
    config._name = "lstmn_lm"
    with pytest.raises(InputError, match="^--task translation: --arch lstmn_lm is for lang"):
        models.build_model(config, Translates())


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Data and save folder of an update of ``lstmn_lm``."""
    folder = tmp_path_factory.mktemp("begun")
    data = monolingual_data(folder)
    train(data, folder / "saved")
    return data, folder / "saved" / "checkpoint_last.pt"


def train(data, save_dir, *arguments, check=True):
    """Output of two updates; of an option that stands twice the second counts."""
    result = run(
        "train", data, "--user-dir", PLUGIN, "--cpu", "--task", "language_modeling",
        "--arch", "lstmn_lm", "--decoder-embed-dim", 4, "--decoder-out-embed-dim", 4,
        "--batch-size", 4, "--tokens-per-sample", 8, "--max-update", 2, "--optimizer", "adam",
        "--lr", 0.01, "--disable-validation", "--save-dir", save_dir, *arguments, check=check,
    )  # fmt: skip
    return result.stdout


FROM_IT = "--finetune-from-model", "--restore-file"
OTHER = "is of another model than --arch {} with these options, lacks decoder.{}"
SIZE = (
    "decoder.stack.layers.0.key is (4, 4), but with the options and dictionaries of this training"
    " it is (6, 6)"
)
OPTIMIZER = (
    "Optimizer does not match; please reset the optimizer (--reset-optimizer). FairseqAdam vs SGD"
)


@pytest.mark.parametrize(
    "options, changed, reason",
    [
        (FROM_IT, ("--decoder-hidden-size", 6), SIZE),
        (FROM_IT, ("--arch", "lstm_lm"), OTHER.format("lstm_lm", "layers.0.weight_ih")),
        (FROM_IT, ("--distance-bias", 2), OTHER.format("lstmn_lm", "stack.layers.0.distance_bias")),
        (FROM_IT[1:], ("--optimizer", "sgd"), OPTIMIZER),
    ],
)
def test_a_checkpoint_of_another_training_is_named(begun, tmp_path, options, changed, reason):
    data, checkpoint = begun
    for option in options:
        output = train(data, tmp_path, *changed, option, checkpoint, check=False)
        assert output.splitlines()[-1] == f"error: {checkpoint}: {reason}"
        assert "Traceback" not in output


def test_a_model_to_finetune_that_is_not_there_is_named(begun, tmp_path):
    absent = tmp_path / "absent.pt"
    output = train(begun[0], tmp_path, "--finetune-from-model", absent, check=False)
    assert output.splitlines()[-1] == f"error: --finetune-from-model {absent} does not exist"
    assert "Traceback" not in output


def test_a_model_that_fits_is_finetuned(begun, tmp_path):
    data, checkpoint = begun
    train(data, tmp_path, "--finetune-from-model", checkpoint)
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=False)
    assert state["optimizer_history"][-1]["num_updates"] == 2

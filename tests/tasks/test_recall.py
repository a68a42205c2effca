"""The task recall: what its options ask for, and one line for what they cannot."""

import pytest
import torch
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.tasks.recall import RecallConfig


def task(**changes):
    """The task with such options, as fairseq sets it up."""
    config = OmegaConf.structured(RecallConfig(_name="recall"))
    return tasks.setup_task(OmegaConf.merge(config, {"seed": 1, "test_examples": 30, **changes}))


def batch(split, epoch=1, size=30, **changes):
    """The first ``size`` examples of a part in an epoch."""
    recall = task(**changes)
    recall.load_dataset(split)
    dataset = recall.dataset(split)
    dataset.set_epoch(epoch)
    examples = dataset.collater([dataset[index] for index in range(size)])
    return examples["net_input"]["src_tokens"].tolist()


def test_training_depends_on_the_seed_and_the_tests_do_not():
    assert batch("train", seed=1) == batch("train", seed=1) != batch("train", seed=2)
    assert batch("train", epoch=2) != batch("train")
    for part in ("valid", "test"):
        assert batch(part, seed=1) == batch(part, seed=2) == batch(part, epoch=2)


def test_parts_have_no_example_in_common():
    parts = [batch(part, seed=0) for part in ("train", "valid", "test")]
    assert len({str(row) for part in parts for row in part}) == 90


def test_a_range_of_pairs_is_for_training_only():
    pad = task().dictionary.pad()
    for part, pairs in {"train": {2, 3, 4, 5}, "valid": {5}, "test": {5}}.items():
        rows = batch(part, pairs="2-5")
        assert {sum(token != pad for token in row) // 3 for row in rows} == pairs


def test_there_are_as_many_examples_keys_and_values_as_asked_for():
    recall = task(num_keys=5, num_values=2, train_examples=7)
    for part, size in {"train": 7, "valid": 30, "test": 30}.items():
        recall.load_dataset(part)
        assert len(recall.dataset(part)) == size
    names = recall.dictionary.symbols[recall.dictionary.nspecial :]
    assert names == ["k0", "k1", "k2", "k3", "k4", "v0", "v1"]
    assert len(task(num_keys=5).target_dictionary) == task().dictionary.nspecial + 10


@pytest.mark.parametrize("arch", ["lstm_lm", "lstmn_lm", "transformer_lm"])
def test_symbols_start_as_wide_as_asked_for_in_every_model(arch):
    torch.manual_seed(1)
    argv = ["--task", "recall", "--arch", arch, "--optimizer", "adam", "--num-keys", "50"]
    args = options.parse_args_and_arch(options.get_training_parser(), [*argv, "--embed-std", "3"])
    cfg = convert_namespace_to_omegaconf(args)
    embedding = tasks.setup_task(cfg.task).build_model(cfg.model).decoder.embed_tokens
    assert embedding.weight[4:].std().item() == pytest.approx(3, rel=0.05)
    assert embedding.weight[embedding.padding_idx].eq(0).all()


WRONG = {
    "no number": (dict(pairs="four"), "--pairs four: must be a number or FEWEST-MOST"),
    "no pairs": (dict(pairs="0"), "--pairs 0: must rise, from 1 on up to --num-keys 16"),
    "a range that falls": (dict(pairs="5-2"), "--pairs 5-2: must rise, from 1 on"),
    "more pairs than keys": (dict(pairs="17"), "--pairs 17: must rise, from 1 on up to"),
    "no keys": (dict(num_keys=0), "--num-keys 0: must be 1 or above"),
    "no values": (dict(num_values=0), "--num-values 0: must be 1 or above"),
    "nothing to train on": (dict(train_examples=0), "--train-examples 0: must be 1 or above"),
    "nothing to test on": (dict(test_examples=-1), "--test-examples -1: must be 1 or above"),
    "a negative growth": (dict(pairs_growth=-1), "--pairs-growth -1: must be 0 or above"),
    "no tokens": (dict(tokens_per_sample=0), "--tokens-per-sample 0: must be 1 or above"),
    "a mark before all": (dict(add_bos_token=True), "--add-bos-token: not with --task recall"),
    "a negative width": (dict(embed_std=-1.0), "--embed-std -1.0: must be 0 or above"),
}


@pytest.mark.parametrize("changes, line", WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_one_line(changes, line):
    with pytest.raises(InputError) as error:
        task(**changes)
    assert str(error.value).startswith(line) and "\n" not in str(error.value)


def test_a_part_that_there_is_not():
    with pytest.raises(InputError, match="recall: tset: must be one of train, valid, test"):
        task().load_dataset("tset")

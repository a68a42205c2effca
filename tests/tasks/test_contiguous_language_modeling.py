"""Contiguous text: models of fairseq's own, and where the vectors of its words start.

What it does is in the flows.
"""

import copy

import pytest
import torch
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from fairseq_lstmn.errors import InputError
from tests.fairseq_commands import PLUGIN, monolingual_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return monolingual_data(tmp_path_factory.mktemp("text"))


def build(data, *given, **how):
    return build_both(data, *given, **how)[1]


def build_both(
    data, *given, arch="lstm_lm", from_checkpoint=False, task="contiguous_language_modeling"
):
    """The task, and a model of fairseq's own on it, with the options ``given``."""
    argv = [
        str(data), "--user-dir", str(PLUGIN), "--task", task,
        "--sample-break-mode", "none", "--arch", arch, "--decoder-embed-dim", "40", *given,
    ]  # fmt: skip
    args = options.parse_args_and_arch(options.get_training_parser(), argv)
    cfg = convert_namespace_to_omegaconf(args)
    torch.manual_seed(0)
    task = tasks.setup_task(cfg.task)
    return task, task.build_model(cfg.model, from_checkpoint)


@pytest.mark.parametrize("arch", ["lstm_lm", "transformer_lm"])
def test_a_model_that_carries_nothing_reads_each_block_by_itself(data, arch):
    """Copies of it too, such as fairseq's moving average makes."""
    model, tokens = build(data, arch=arch).eval(), torch.randint(4, 20, (2, 5))
    expected, _ = model(tokens, src_lengths=torch.tensor([5, 5]))
    for reader in model, copy.deepcopy(model):
        for continues in False, True:
            scores, _ = reader(tokens, src_lengths=torch.tensor([5, 5]), continues=continues)
            assert torch.equal(scores, expected)


def test_a_model_that_carries_its_tape_is_told_what_goes_on(data):
    model = build(data, "--carry-tape", "9", arch="lstmn_lm").eval()
    first, second = torch.randint(4, 20, (2, 1, 5))
    whole, _ = model(torch.cat([first, second], dim=1))
    model(first, continues=False)
    torch.testing.assert_close(model(second, continues=True)[0], whole[:, 5:])


def scored_batches(data, task_name, *given, arch="transformer_lm"):
    """What fairseq-eval-lm --context-window 6 would score of blocks of 4 more words."""
    task, model = build_both(data, *given, "--tokens-per-sample", "4", arch=arch, task=task_name)
    task.load_dataset("test")
    batches = task.eval_lm_dataloader(
        task.dataset("test"), batch_size=1, max_positions=10, num_workers=0, context_window=6
    )
    return [(batch["net_input"]["src_tokens"], batch["target"]) for batch in batches]


def test_who_carries_nothing_may_see_a_window_before_its_block(data):
    """As with fairseq's task: all words are scored, each once."""
    batches = scored_batches(data, "contiguous_language_modeling")
    assert len(batches[1][0][0]) == 10
    for batch, expected in zip(batches, scored_batches(data, "language_modeling"), strict=True):
        assert torch.equal(batch[0], expected[0]) and torch.equal(batch[1], expected[1])


def test_who_goes_on_reading_anyway_is_refused_a_window(data):
    with pytest.raises(InputError, match="--context-window 6: not with --carry-tape"):
        scored_batches(data, "contiguous_language_modeling", "--carry-tape", "9", arch="lstmn_lm")


def test_vectors_start_as_wide_as_asked(data):
    drawn = build(data, "--embed-std", "3").decoder.embed_tokens
    words = drawn.weight[drawn.padding_idx + 1 :]
    assert 2.5 < words.std() < 3.5
    assert not drawn.weight[drawn.padding_idx].any()
    assert build(data).decoder.embed_tokens.weight.abs().max() <= 0.1  # as fairseq's model has it


def test_a_negative_width_is_named(data):
    with pytest.raises(InputError, match="--embed-std -1.0: must be 0 or above"):
        build(data, "--embed-std", "-1")


def test_vectors_of_a_file_are_not_drawn_over(data, tmp_path):
    vectors = tmp_path / "vectors"
    vectors.write_text("1 40\nw1 " + "0.5 " * 40 + "\n")
    both = "--embed-std", "1", "--decoder-embed-path", str(vectors)
    with pytest.raises(InputError, match=f"--embed-std 1.0: --decoder-embed-path {vectors} has"):
        build(data, *both)
    build(data, *both, from_checkpoint=True)  # of before that was refused

"""Language modelling from end to end: fairseq's commands as a user runs them."""

import math
import re

import hydra
import pytest

from tests.fairseq_commands import (
    CHECKOUT,
    PLUGIN,
    assert_resuming_repeats,
    logged,
    monolingual_data,
    run,
    run_together,
    two_processes,
)

USER_DIR = ("--user-dir", PLUGIN)
SIZES = ("--decoder-embed-dim", 8, "--decoder-hidden-size", 10, "--decoder-out-embed-dim", 10)
TRAINING = (
    "--optimizer", "adam", "--lr", 0.01, "--clip-norm", 1, "--num-workers", 0,
    "--log-format", "json", "--log-interval", 1,
)  # fmt: skip
BLOCKS = ("--tokens-per-sample", 12, "--batch-size", 8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return monolingual_data(tmp_path_factory.mktemp("text"))


def train(data, save_dir, *options, arch="lstmn_lm", task="language_modeling", **kwargs):
    return run(
        "train", data, *USER_DIR, "--task", task, "--arch", arch, "--save-dir", save_dir,
        *SIZES, *TRAINING, *BLOCKS, *options, **kwargs,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(data, tmp_path_factory):
    """A model with two layers after a few updates, trained on blocks of 12 tokens."""
    save_dir = tmp_path_factory.mktemp("model")
    output = train(
        data, save_dir, "--decoder-layers", 2, "--skip-connections", "--memory-span", 9,
        "--max-epoch", 2, "--no-epoch-checkpoints",
    )  # fmt: skip
    losses = [float(entry["loss"]) for entry in logged(output, "train_inner")]
    assert losses[-1] < losses[0]
    return save_dir / "checkpoint_best.pt"


def eval_lm(data, checkpoint, *options, **kwargs):
    return run("eval-lm", data, *USER_DIR, "--path", checkpoint, *options, **kwargs).stdout


def score(output):
    """Tokens and perplexity that fairseq-eval-lm printed."""
    tokens = re.search(r"Evaluated ([\d,]+) tokens", output).group(1).replace(",", "")
    return int(tokens), float(re.search(r"Perplexity: ([\d.]+)", output).group(1))


def tokens_in(data, split="test"):
    """What is to be scored: every word and every end of line."""
    lines = (data.parent / split).read_text().splitlines()
    return sum(len(line.split()) + 1 for line in lines)


ADAPTIVE = "--adaptive-softmax-cutoff", "5,10,15", "--ddp-backend", "legacy_ddp"


@pytest.mark.parametrize(
    "criterion, options",
    [
        ((), ()),
        (("--criterion", "cross_entropy"), ()),
        (("--criterion", "adaptive_loss"), ADAPTIVE),
        ((), ("--pointer", "--output-dictionary-size", 12)),
    ],
)
def test_validate_agrees_with_training(data, tmp_path, criterion, options):
    output = train(data, tmp_path, "--max-epoch", 1, *criterion, *options)
    [trained] = logged(output, "valid")
    output = run(
        "validate", data, *USER_DIR, "--task", "language_modeling", "--batch-size", 8,
        "--path", tmp_path / "checkpoint_last.pt", "--tokens-per-sample", 12,
        "--log-format", "json", *criterion,
    ).stdout  # fmt: skip
    [validated] = logged(output, "valid")
    assert validated["valid_loss"] == trained["valid_loss"]


@pytest.mark.parametrize("blocks", [12, 1024, 200000])
def test_every_token_is_scored_in_blocks_longer_than_in_training(data, checkpoint, blocks):
    tokens, perplexity = score(eval_lm(data, checkpoint, "--tokens-per-sample", blocks))
    assert tokens == tokens_in(data)
    assert 1 < perplexity < 40  # 24 types


def test_without_tokens_there_is_no_score(data, tmp_path):
    train(data, tmp_path, "--max-update", 1, arch="lstm_lm")
    result = run(
        "eval-lm", data, *USER_DIR, "--path", tmp_path / "checkpoint_last.pt",
        "--tokens-per-sample", 50, check=False,
    )  # fmt: skip
    assert result.returncode != 0
    assert "Perplexity" not in result.stdout and "Traceback" not in result.stdout
    assert result.stdout.strip().splitlines()[-1] == (
        "error: test: all 2 examples are longer than max_positions=12; see --tokens-per-sample 50"
    )


def test_words_beyond_the_outputs_are_scored_as_unknown(data, tmp_path):
    outputs = "--output-dictionary-size", 12
    train(data, tmp_path, "--max-epoch", 1, "--pointer", *outputs)
    tokens, perplexity = score(eval_lm(data, tmp_path / "checkpoint_last.pt", *outputs))
    assert tokens == tokens_in(data)
    assert 1 < perplexity < 12


def test_word_probabilities_make_up_the_perplexity(data, checkpoint):
    output = eval_lm(
        data, checkpoint, "--sample-break-mode", "eos", "--context-window", 20,
        "--output-word-probs",
    )  # fmt: skip
    logs = [float(value) for value in re.findall(r"\[(-[\d.]+)\]", output)]
    tokens, perplexity = score(output)
    assert len(logs) == tokens == tokens_in(data)
    assert math.exp(-sum(logs) / tokens) == pytest.approx(perplexity, rel=2e-3)


def generate(command, data, checkpoint, *options, **kwargs):
    return run(
        command, data, *USER_DIR, "--task", "language_modeling", "--sample-break-mode", "eos",
        "--path", checkpoint, "--batch-size", 4, "--max-len-b", 16, *options, **kwargs,
    ).stdout  # fmt: skip


def hypotheses(output):
    """(words, positional scores) of every hypothesis."""
    texts = re.findall(r"^H-\d+\t\S+\t(.*)$", output, flags=re.MULTILINE)
    scores = re.findall(r"^P-\d+\t(.*)$", output, flags=re.MULTILINE)
    return [(t.split(), [float(x) for x in s.split()]) for t, s in zip(texts, scores)]


@pytest.mark.parametrize(
    "search", [("--beam", 3), ("--beam", 2, "--nbest", 2, "--sampling", "--sampling-topk", 5)]
)
def test_interactive_continues_a_prefix(data, checkpoint, search):
    output = generate(
        "interactive", data, checkpoint, *search, "--buffer-size", 4, stdin="a b c\nd\n"
    )
    found = hypotheses(output)
    assert len(found) == 2 * (2 if "--nbest" in search else 1)
    assert {words[0] for words, _ in found} == {"a", "d"}
    assert all(words[:3] == ["a", "b", "c"] for words, _ in found if words[0] == "a")


def test_scores_while_generating_are_those_of_the_reference(data, checkpoint):
    """Incremental decoding of the forced words against one pass over them."""
    options = "--beam", 1, "--unkpen", 0
    forced = hypotheses(generate("generate", data, checkpoint, *options, "--prefix-size", 99))
    scored = hypotheses(generate("generate", data, checkpoint, *options, "--score-reference"))
    assert len(forced) == len(scored) == 11
    for (words, by_step), (reference, in_one) in zip(forced, scored):
        assert words[: len(reference)] == reference
        count = len(reference)  # the end of the sentence is forced in one of them only
        assert by_step[:count] == pytest.approx(in_one[:count], abs=2e-4)  # four decimals printed


def test_resuming_repeats_the_uninterrupted_run(data, tmp_path):
    """With what it carries from batch to batch, tapes and the states that a pointer attends."""
    options = "--decoder-layers", 1, "--carry-tape", 30, "--batch-size", 2
    kind = dict(arch="lstm_lm_pointer", task="contiguous_language_modeling")
    assert_resuming_repeats(
        lambda folder, *more: train(data, folder, *options, *more, **kind), tmp_path
    )


@pytest.mark.parametrize(
    "options", [("--memory-efficient-fp16",), ("--fp16", "--fp16-no-flatten-grads")]
)
def test_half_precision_learns_as_single_precision_does(data, tmp_path, options):
    single, half = (
        logged(output, "train_inner")
        for output in (
            train(data, tmp_path / "single", "--max-epoch", 1),
            train(data, tmp_path / "half", "--max-epoch", 1, *options),
        )
    )
    assert all("loss_scale" in entry for entry in half)  # in half precision gradients have one
    expected = [float(entry["loss"]) for entry in single]
    # measured: the same three decimals
    assert [float(entry["loss"]) for entry in half] == pytest.approx(expected, abs=0.002)


def test_adaptive_softmax_and_shared_embedding(data, tmp_path):
    train(
        data, tmp_path / "adaptive", "--max-update", 2, "--criterion", "adaptive_loss",
        *ADAPTIVE,
    )  # fmt: skip
    tokens, _ = score(eval_lm(data, tmp_path / "adaptive" / "checkpoint_last.pt"))
    assert tokens == tokens_in(data)
    shared = "--decoder-out-embed-dim", 8, "--share-decoder-input-output-embed", "--residuals"
    train(data, tmp_path / "shared", "--max-update", 2, *shared)
    tokens, _ = score(eval_lm(data, tmp_path / "shared" / "checkpoint_last.pt"))
    assert tokens == tokens_in(data)


def test_a_neural_cache_is_tuned_by_one_text_and_scores_another(data, checkpoint):
    sentences = "--sample-break-mode", "eos", "--batch-size", 1, "--output-word-probs"

    def words_and_score(*options):
        output = eval_lm(data, checkpoint, *sentences, *options)
        return output, sorted(re.findall(r"eval_lm \| (\d+ .*\])$", output, re.M)), score(output)

    tuned, *by_valid = words_and_score("--neural-cache", 40, "--cache-tune", "valid")
    theta, share, there, without = re.search(
        r"--cache-tune valid: of 81 pairs theta (\S+), lambda (\S+), with a perplexity of (\S+)"
        r" there, (\S+) without a cache",
        tuned,
    ).groups()
    assert 1 < float(there) <= float(without) and by_valid[1][0] == tokens_in(data)
    cache = "--neural-cache", 40, "--cache-theta", theta, "--cache-lambda"
    assert words_and_score(*cache, share)[1:] == tuple(by_valid)

    _, *plain = words_and_score()
    _, *with_none = words_and_score(*cache, 0)
    _, *with_much = words_and_score(*cache, 0.9)
    assert with_none == plain and len(plain[0]) == 11  # sentences
    assert with_much[1] != plain[1]


@pytest.mark.parametrize("arch", ["lstmn_lm", "lstmn_lm_pointer"])
def test_contiguous_text_carries_its_tape(data, tmp_path, arch):
    task = "contiguous_language_modeling"
    options = "--carry-tape", 30, "--max-epoch", 2, "--batch-size", 4
    output = train(data, tmp_path, *options, task=task, arch=arch)
    assert float(logged(output, "valid")[-1]["valid_loss"]) < 4.9
    path = tmp_path / "checkpoint_last.pt"

    def perplexity(blocks, *more):
        found = eval_lm(data, path, "--tokens-per-sample", blocks, *more)
        tokens, value = score(found)
        assert tokens == tokens_in(data)
        return value

    one_row = "--task", task, "--batch-size", 1, "--model-overrides", "{'carry_tape': 10000}"
    by_itself = "--model-overrides", "{'carry_tape': 0}"
    in_one_block = perplexity(100000, *by_itself)
    assert perplexity(5, *one_row) == pytest.approx(in_one_block, abs=0.011)  # two decimals
    assert perplexity(5, *by_itself) != pytest.approx(in_one_block, abs=0.011)

    refused = eval_lm(data, path, check=False).strip().splitlines()[-1]
    assert refused.startswith("error: --carry-tape 30: ") and f"--task {task}" in refused
    by_sentence = "--score-reference", "--sample-break-mode", "eos", "--task", "language_modeling"
    generated = run("generate", data, *USER_DIR, *by_sentence, "--path", path, check=False).stdout
    assert generated.strip().splitlines()[-1] == refused


def test_two_processes_share_the_streams(data, tmp_path):
    """fairseq's distributed trainer, on CPU, with carried tapes in both processes."""
    commands = two_processes(
        tmp_path / "model", data, *USER_DIR, "--task", "contiguous_language_modeling",
        "--arch", "lstmn_lm", "--carry-tape", 10, *SIZES, *TRAINING,
        "--tokens-per-sample", 12, "--batch-size", 3, "--max-epoch", 2,
        "--ddp-backend", "legacy_ddp",
    )  # fmt: skip
    output = run_together(commands)[0]
    assert "training on 2 devices" in output
    first = logged(output, "train_inner")[0]
    assert float(first["wpb"]) == 2 * 3 * 12
    path, blocks = tmp_path / "model" / "checkpoint_last.pt", ("--tokens-per-sample", 12)
    task = "--task", "contiguous_language_modeling"
    tokens, _ = score(eval_lm(data, path, *task, *blocks, "--batch-size", 3))
    assert tokens == tokens_in(data)


@pytest.mark.parametrize(
    "options, complaint",
    [
        (("--memory-span", -1), "--memory-span -1: must be 0 or above"),
        (("--decoder-layers", 0), "--decoder-layers 0: must be 1 or above"),
        (("--carry-tape", 5), "--carry-tape 5: needs --task contiguous_language_modeling"),
        (("--decoder-embed-path", "VECTORS"), "line 1: not a word and 8 numbers"),
        (("--recurrence-backend", "abacus"), "--recurrence-backend: invalid choice: 'abacus'"),
    ],
)
def test_bad_options_end_in_one_line(data, tmp_path, options, complaint):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("a 1 2 3\n")
    options = [vectors if option == "VECTORS" else option for option in options]
    result = run(
        "train", data, *USER_DIR, "--task", "language_modeling", "--arch", "lstmn_lm",
        "--save-dir", tmp_path / "model", *SIZES, *TRAINING, *BLOCKS, *options, check=False,
    )  # fmt: skip
    assert result.returncode != 0
    assert complaint in result.stdout.strip().splitlines()[-1]
    assert "Traceback" not in result.stdout


def hydra_train(tmp_path, data, *overrides):
    """Train by hydra in ``tmp_path``; returns the checkpoint and what was printed."""
    output = run(
        "hydra-train", *overrides, f"task.data={data}", f"common.user_dir={PLUGIN}",
        "dataset.num_workers=0", "checkpoint.save_dir=model", cwd=tmp_path,
    ).stdout  # fmt: skip
    [path] = tmp_path.rglob("checkpoint_last.pt")
    return path, output


PLAIN = (
    "criterion=cross_entropy", "optimizer=adam", "lr_scheduler=fixed", "dataset.batch_size=8",
    "task.tokens_per_sample=12", "optimization.lr=[0.01]", "optimization.max_update=2",
)  # fmt: skip


IN_A_GROUP = pytest.mark.skipif(
    hydra.__version__ < "1.1", reason="hydra 1.0 adds nothing to a group where no option is chosen"
)


@pytest.mark.parametrize(
    "model",
    [
        "model=lstmn_lm_ptb_3layer",
        pytest.param("+model._name=lstmn_lm_ptb_3layer", marks=IN_A_GROUP),
    ],
)
def test_hydra_takes_presets_and_plain_overrides(data, tmp_path, model):
    dot = "+" if model.startswith("+") else ""
    path, output = hydra_train(
        tmp_path, data, model, f"{dot}model.memory_span=7", "task=language_modeling", *PLAIN
    )
    assert output.count("Linear(in_features=150, out_features=300") == 1
    assert "(1-2): 2 x LSTMNLayer(" in output
    tokens, _ = score(eval_lm(data, path))
    assert tokens == tokens_in(data)


def test_hydra_trains_in_bfloat16(data, tmp_path):
    options = "model=lstmn_lm_ptb", "task=language_modeling", "common.bf16=true"
    path, _ = hydra_train(tmp_path, data, *options, *PLAIN)
    tokens, perplexity = score(eval_lm(data, path))
    assert tokens == tokens_in(data)
    assert perplexity < 100  # 24 types, after two updates


def test_hydra_trains_from_the_examples_yaml(data, tmp_path):
    config = CHECKOUT / "examples" / "language_modeling" / "config"
    path, output = hydra_train(
        tmp_path, data, "--config-dir", config, "--config-name", "lstmn_lm_ptb",
        "optimization.max_epoch=1", "common.log_interval=1",
    )  # fmt: skip
    assert "(embed_tokens): Embedding(24, 150" in output
    tokens, _ = score(eval_lm(data, path))
    assert tokens == tokens_in(data)

"""Encoder-decoders from end to end: the flows that fairseq's own tests run for its ``lstm``."""

import re
import subprocess
import sys

import pytest

from tests.fairseq_commands import (
    CHECKOUT,
    PLUGIN,
    assert_resuming_repeats,
    logged,
    parallel_data,
    run,
)

USER_DIR = ("--user-dir", PLUGIN)
SIZES = (
    "--encoder-layers", 2, "--decoder-layers", 2, "--encoder-embed-dim", 8,
    "--decoder-embed-dim", 8, "--decoder-out-embed-dim", 8,
)  # fmt: skip
TRAINING = (
    "--optimizer", "adam", "--lr", 0.02, "--max-tokens", 200, "--num-workers", 0,
    "--log-format", "json", "--log-interval", 1,
)  # fmt: skip
BOTH_FUSIONS = pytest.mark.parametrize("arch", ["lstmn_shallow", "lstmn_deep"])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return parallel_data(tmp_path_factory.mktemp("pairs"))


def train(data, save_dir, arch, *options, check=True):
    return run(
        "train", data, *USER_DIR, "--task", "translation", "--arch", arch,
        "--save-dir", save_dir, *SIZES, *TRAINING, *options, check=check,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(data, tmp_path_factory):
    """``{arch: checkpoint}`` after a few updates, fairseq's own lstm among them."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for arch in ("lstmn_shallow", "lstmn_deep", "lstm"):
        output = train(data, folder / arch, arch, "--max-epoch", 3, "--no-epoch-checkpoints")
        losses = [float(entry["loss"]) for entry in logged(output, "train_inner")]
        assert losses[-1] < losses[0]
        found[arch] = folder / arch / "checkpoint_best.pt"
    return found


def generate(data, path, *options, command="generate", check=True, **kwargs):
    result = run(
        command, data, *USER_DIR, "--path", path, "--beam", 3, "--max-len-b", 8,
        "--num-workers", 0, *options, check=check, **kwargs,
    )  # fmt: skip
    return result.stdout


def lines(output, kind):
    """{sentence number: last line of that kind}, fields apart."""
    found = re.findall(rf"^{kind}-(\d+)\t(.*)$", output, flags=re.MULTILINE)
    return {int(number): line.split("\t") for number, line in found}


@pytest.mark.parametrize(
    "arch, options",
    [
        ("lstmn_deep", ()),
        ("lstmn_shallow", ("--sampling", "--temperature", 2, "--beam", 2, "--nbest", 2)),
        ("lstmn_deep", ("--sampling", "--sampling-topp", 0.2, "--beam", 2, "--nbest", 2)),
        ("lstmn_shallow", ("--diversity-rate", 0.5, "--beam", 6)),
        ("lstmn_deep", ("--diverse-beam-groups", 3, "--beam", 6)),
        ("lstmn_deep", ("--prefix-size", 2)),
        ("lstmn_shallow", ("--prefix-size", 2)),
        ("lstmn_deep", ("--no-repeat-ngram-size", 1, "--retain-dropout")),
    ],
    ids=str,
)
def test_generate_answers_every_sentence(data, checkpoints, arch, options):
    output = generate(data, checkpoints[arch], "--batch-size", 4, *options)
    hypotheses = lines(output, "H")
    assert sorted(hypotheses) == list(range(11))
    if "--prefix-size" in options:
        references = lines(output, "T")
        for number, (_, text) in hypotheses.items():
            assert text.split()[:2] == references[number][0].split()[:2]


@BOTH_FUSIONS
def test_forced_scores_are_those_of_one_pass(data, checkpoints, arch):
    """Incremental decoding of the whole reference against teacher forcing."""
    forced = lines(generate(data, checkpoints[arch], "--prefix-size", 99, "--beam", 1), "P")
    scored = lines(generate(data, checkpoints[arch], "--score-reference"), "P")
    for number in range(11):
        (by_step,), (in_one,) = forced[number], scored[number]
        by_step, in_one = ([float(score) for score in line.split()] for line in (by_step, in_one))
        count = min(len(by_step), len(in_one)) - 1  # the end is chosen in one of them only
        assert count >= 2
        assert by_step[:count] == pytest.approx(in_one[:count], abs=2e-4)  # four decimals printed


@BOTH_FUSIONS
def test_alignments_do_not_depend_on_the_batch(data, checkpoints, arch):
    """Each word's soft alignment is to the real tokens of its own sentence."""
    options = "--print-alignment", "soft"
    batched = generate(data, checkpoints[arch], *options, "--batch-size", 11)
    alone = generate(data, checkpoints[arch], *options, "--batch-size", 1)
    sources = lines(batched, "S")
    for number, (line,) in lines(batched, "A").items():
        for row, expected in zip(weights(line), weights(lines(alone, "A")[number][0])):
            assert len(row) == len(sources[number][0].split()) + 1
            assert sum(row) == pytest.approx(1, abs=0.01)
            assert row == pytest.approx(expected, abs=2e-6)  # six decimals are printed


def weights(line):
    """The numbers of an A- line, a list for each word of the hypothesis."""
    return [[float(weight) for weight in row.split(",")] for row in line.split()]


@BOTH_FUSIONS
def test_hydra_trains_from_the_examples_yaml(data, tmp_path, arch):
    config = CHECKOUT / "examples" / "translation" / "config"
    output = run(
        "hydra-train", "--config-dir", config, "--config-name", arch, f"task.data={data}",
        f"common.user_dir={PLUGIN}",
        "dataset.num_workers=0", "checkpoint.save_dir=model", "optimization.max_update=2",
        cwd=tmp_path,
    ).stdout  # fmt: skip
    assert ("DeepFusion" if arch == "lstmn_deep" else "ShallowFusion") in output
    [path] = tmp_path.rglob("checkpoint_last.pt")
    assert sorted(lines(generate(data, path), "H")) == list(range(11))


@BOTH_FUSIONS
def test_hard_alignments_are_the_heaviest_source_tokens(data, checkpoints, arch):
    options = "--batch-size", 11, "--print-alignment"
    hard = lines(generate(data, checkpoints[arch], *options, "hard"), "A")
    soft = lines(generate(data, checkpoints[arch], *options, "soft"), "A")
    for number, (line,) in soft.items():
        words = len(line.split()) - 1  # fairseq leaves out the end of the sentence
        rows = [row[:-1] for row in weights(line)[:words]]  # and that of the source
        heaviest = [max(range(len(row)), key=row.__getitem__) for row in rows]
        pairs = [pair.split("-") for pair in hard[number][0].split()]
        assert [(int(j), int(i)) for i, j in pairs] == list(enumerate(heaviest))


@BOTH_FUSIONS
def test_interactive_obeys_constraints(data, checkpoints, arch):
    output = generate(
        data, checkpoints[arch], "--constraints", command="interactive", stdin="a b c\tt s\n"
    )
    assert {"t", "s"} <= set(lines(output, "H")[0][1].split())


def test_ensemble_of_other_dictionaries_ends_in_one_line(data, checkpoints, tmp_path):
    other = parallel_data(tmp_path, words="bcdefghijklmnopqrstu")  # as many as in the data
    train(other, tmp_path / "model", "lstmn_deep", "--max-update", 1)
    paths = f"{checkpoints['lstmn_deep']}:{tmp_path / 'model' / 'checkpoint_last.pt'}"
    output = generate(data, paths, check=False)
    assert "Traceback" not in output
    last = output.strip().splitlines()[-1]
    assert "checkpoint_last.pt: its source dictionary has other words" in last


def test_ensemble_with_fairseqs_lstm(data, checkpoints):
    paths = ":".join(str(checkpoints[arch]) for arch in ("lstmn_deep", "lstm", "lstmn_shallow"))
    output = generate(data, paths, "--batch-size", 4)
    assert sorted(lines(output, "H")) == list(range(11))


@BOTH_FUSIONS
def test_interactive_answers_an_empty_line_too(data, checkpoints, arch):
    output = generate(data, checkpoints[arch], command="interactive", stdin="a b c\n\nd\n")
    assert sorted(lines(output, "H")) == [0, 1, 2]


@BOTH_FUSIONS
def test_resuming_repeats_the_uninterrupted_run(data, tmp_path, arch):
    assert_resuming_repeats(lambda folder, *options: train(data, folder, arch, *options), tmp_path)


@BOTH_FUSIONS
@pytest.mark.parametrize(
    "options",
    [
        ("--criterion", "adaptive_loss", "--adaptive-softmax-cutoff", "5,10,15",
         "--ddp-backend", "legacy_ddp"),
        ("--share-decoder-input-output-embed", "--encoder-bidirectional", "--memory-span", 3),
        ("--num-batch-buckets", 2, "--update-freq", 2, "--left-pad-source"),
        ("--fp16", "--fp16-no-flatten-grads"),  # flattened, fairseq wants them on a GPU
        ("--eval-bleu", "--eval-bleu-detok", "space", "--eval-bleu-args", '{"beam": 2}'),
    ],
    ids=lambda options: options[0],
)  # fmt: skip
def test_trains_and_generates_with(data, tmp_path, arch, options):
    train(data, tmp_path, arch, "--max-update", 3, *options)
    output = generate(data, tmp_path / "checkpoint_last.pt", "--batch-size", 4)
    assert sorted(lines(output, "H")) == list(range(11))


@pytest.mark.parametrize(
    "options, complaint",
    [
        (("--encoder-layers", 3), "--encoder-layers 3 and --decoder-layers 2"),
        (("--share-all-embeddings",), "--share-all-embeddings: needs a joint dictionary"),
        (("--decoder-embed-dim", 9, "--share-decoder-input-output-embed"), "--decoder-embed-dim 9"),
    ],
)
def test_options_that_do_not_fit_end_in_one_line(data, tmp_path, options, complaint):
    output = train(data, tmp_path, "lstmn_deep", *options, check=False)
    assert complaint in output.strip().splitlines()[-1]
    assert "Traceback" not in output
    assert not list(tmp_path.glob("*.pt"))


def test_sources_beyond_the_maximum_are_named(data, tmp_path):
    options = "--max-source-positions", 5
    last = train(data, tmp_path, "lstmn_deep", *options, check=False).strip().splitlines()[-1]
    assert last.startswith("error: valid: Size of sample #")
    assert "skip this example with --skip-invalid-size-inputs-valid-test" in last
    assert "see --max-source-positions 5" in last
    train(data, tmp_path, "lstmn_deep", *options, "--skip-invalid-size-inputs-valid-test",
          "--max-update", 2)  # fmt: skip


def test_a_limit_of_training_limits_no_scoring(data, tmp_path):
    options = "--max-source-positions", 5, "--skip-invalid-size-inputs-valid-test"
    train(data, tmp_path, "lstmn_deep", *options, "--max-update", 2)
    path = tmp_path / "checkpoint_last.pt"
    assert len(lines(generate(data, path), "H")) == 11
    refused = generate(data, path, *options[:2], check=False).strip().splitlines()[-1]
    assert refused.startswith("error: test: Size of sample #") and "see --max-source" in refused


def test_decoding_is_timed(data, checkpoints):
    paths = f"{checkpoints['lstm']}:{checkpoints['lstmn_deep']}"
    options = "--rounds", "2", "--rows", "6", "--steps", "3", "30", "--beam", "3", "--cpu"
    script = CHECKOUT / "scripts" / "bench_generation.py"
    output = subprocess.run(
        [sys.executable, script, data, *USER_DIR, "--path", paths, "--max-len-b", "8", *options],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    speeds, steps = output.split("\n\n")
    for table, columns in ((speeds, 4), (steps, 3)):
        names = [line.split(" | ")[0] for line in table.splitlines()[2:]]
        assert names == [f"| {path}" for path in paths.split(":")]
        assert all(line.count("|") == columns + 1 for line in table.splitlines())

"""Options of fairseq-train for tiny models of the three kinds, on the tiny corpora."""

from tests.fairseq_commands import PLUGIN

COMMON = (
    "--user-dir", PLUGIN, "--cpu", "--dropout", 0, "--optimizer", "adam", "--lr", 0.01,
    "--clip-norm", 1, "--num-workers", 0, "--no-epoch-checkpoints", "--log-format", "json",
    "--log-interval", 1,
)  # fmt: skip
DECODER = "--decoder-embed-dim", 8, "--decoder-hidden-size", 10, "--decoder-out-embed-dim", 10
TEXT = (
    "--arch", "lstmn_lm", *DECODER, "--decoder-layers", 2, "--distance-bias", 3,
)  # fmt: skip
SENTENCES = "--task", "language_modeling", "--sample-break-mode", "eos", "--batch-size", 8
# both processes' streams are one process's
STREAMS = "--task", "contiguous_language_modeling", "--tokens-per-sample", 12, "--carry-tape", 20
TRANSLATION = (
    "--task", "translation", "--arch", "lstmn_deep", "--encoder-embed-dim", 8,
    "--encoder-hidden-size", 10, *DECODER, "--batch-size", 8,
)  # fmt: skip
PAIRS = (
    "--task", "sentence_pair_prediction", "--arch", "lstmn_nli", "--attention-fusion", "deep",
    "--criterion", "sentence_prediction", "--num-classes", 3, "--encoder-embed-dim", 8,
    "--encoder-hidden-size", 12, "--batch-size", 8, "--report-per-class",
)  # fmt: skip

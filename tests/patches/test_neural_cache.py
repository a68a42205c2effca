"""``fairseq-eval-lm --neural-cache``: fairseq's scores with a cache that goes through the text."""

import math
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from fairseq import options
from fairseq.data import MonolingualDataset, TokenBlockDataset
from fairseq.sequence_scorer import SequenceScorer

from fairseq_lstmn.data.datasets import ContiguousBlocks
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.neural_cache import LAMBDAS, THETAS, CachedScoring
from tests.modules.test_neural_cache import by_hand

from .small import language_task, settings

SIZES = "--decoder-embed-dim", "8", "--decoder-out-embed-dim", "8"
ADAPTIVE = "--criterion", "adaptive_loss", "--adaptive-softmax-cutoff", "8,15"
MODELS = {
    "lstm_lm": ("lstm_lm", *SIZES),
    "narrow output": ("lstm_lm", *SIZES, "--decoder-hidden-size", "11"),
    "adaptive": ("lstm_lm", *SIZES, "--decoder-hidden-size", "8", *ADAPTIVE),
    "lstmn_lm": ("lstmn_lm", *SIZES),
    "pointer": ("lstmn_lm_pointer", *SIZES),
    "adaptive lstmn": ("lstmn_lm", *SIZES, *ADAPTIVE),
    "transformer_lm": (
        *("transformer_lm", "--decoder-embed-dim", "8", "--decoder-layers", "1"),
        *("--decoder-attention-heads", "2"),
    ),
}
LENGTHS = 7, 3, 9, 3, 12, 1, 5  # of sentences
SLOTS, THETA, SHARE = 10, 0.3, 0.4


def build(task, name):
    torch.manual_seed(0)
    model = task.build_model(deepcopy(settings("language_modeling", *MODELS[name]).model))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model.eval()


def some_text(task, break_mode="eos", seed=0):
    """Sentences of few types, or ``break_mode`` None for blocks of 6 of them."""
    draw = torch.Generator().manual_seed(seed)
    dictionary = task.dictionary
    sentences = [
        torch.cat([torch.randint(4, 18, (n,), generator=draw), torch.tensor([dictionary.eos()])])
        for n in LENGTHS
    ]
    blocks = TokenBlockDataset(
        sentences, [len(s) for s in sentences], 6, dictionary.pad(), dictionary.eos(), break_mode,
        include_targets=True,
    )  # fmt: skip
    return MonolingualDataset(
        blocks, blocks.sizes, dictionary, add_eos_for_other_targets=break_mode is not None,
        shuffle=True, targets=["future"],
    )  # fmt: skip


def score(task, model, text, scoring, monkeypatch, **loading):
    """[(the number of a block, its words, their logarithms)] as fairseq-eval-lm comes to them."""
    monkeypatch.setattr(CachedScoring, "current", scoring)
    if scoring is not None:
        scoring.models[:] = [model]
    scorer, blocks = SequenceScorer(task.target_dictionary), []
    for sample in task.eval_lm_dataloader(dataset=text, num_workers=0, **loading):
        hypotheses = scorer.generate([model], sample)
        for number, (hypothesis,) in zip(sample["id"].tolist(), hypotheses):
            logs = hypothesis["positional_scores"]
            assert hypothesis["score"] == logs.sum() / len(logs)
            blocks.append((number, hypothesis["tokens"], logs))
    return blocks


def cached(theta=THETA, share=SHARE, subset=None):
    return CachedScoring(SLOTS, theta, share, subset)


def by_python(task, model, text, loading):
    """The logarithm of every word of the text, its blocks read in order and by themselves."""
    features, words, plain, context = [], [], [], torch.tensor([], dtype=torch.long)
    for number in range(len(text)):
        source, target = text[number]["source"], text[number]["target"]
        before = len(context)
        tokens = torch.cat([context, source]).unsqueeze(0)
        with torch.no_grad():
            states = model.extract_features(tokens, encoder_out=None)[0][:, before:]
            scores = model(tokens)[0][:, before:]
            sample = {"target": target.unsqueeze(0)}
            logs = model.get_normalized_probs((scores,), log_probs=True, sample=sample)[0]
        features.append(states[0])
        words.append(target)
        plain.append(logs.gather(1, target.unsqueeze(1)).squeeze(1))
        if window := loading.get("context_window"):
            context = tokens[0, -window:]
    text = [torch.cat(parts) for parts in (features, words, plain)]
    in_cache = by_hand(SLOTS, *text, THETA).exp()
    return ((1 - SHARE) * text[2].exp() + SHARE * in_cache).log()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "break_mode, loading",
    [
        (None, dict(batch_size=1)),
        ("eos", dict(batch_size=4)),  # rows of unequal lengths, which fairseq sorts by them
        (None, dict(batch_size=1, context_window=4)),
    ],
    ids=["blocks", "sentences", "context"],
)
def test_a_text_has_the_score_that_plain_python_gives_it(name, break_mode, loading, monkeypatch):
    task = language_task()
    model, text = build(task, name), some_text(task, break_mode)
    blocks = score(task, model, text, cached(), monkeypatch, **loading)
    assert [number for number, *_ in blocks] == list(range(len(text)))
    expected = by_python(task, model, text, loading)
    scores = torch.cat([logs for *_, logs in blocks])
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["lstm_lm", "pointer"])
def test_lambda_zero_changes_no_bit(name, monkeypatch):
    """Nor does a cache keep a decoder from what it does without."""
    task = language_task()
    model, loading = build(task, name), dict(batch_size=1, context_window=3)
    text = some_text(task, None)
    before = score(task, model, text, None, monkeypatch, **loading)
    with_cache = score(task, model, text, cached(share=0.0), monkeypatch, **loading)
    for (_, words, logs), (_, same_words, same) in zip(before, with_cache, strict=True):
        assert torch.equal(words, same_words) and torch.equal(logs, same)
    assert "output_layer" not in vars(model.decoder)


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_words_sum_to_one(name, monkeypatch):
    task = language_task()
    model, total = build(task, name), 0
    source, target = torch.tensor([[2, 5, 6, 5]]), torch.tensor([[5, 6, 5, 6]])
    for word in range(len(task.target_dictionary)):
        target[0, -1] = word
        sample = {
            "id": torch.tensor([0]),
            "net_input": {"src_tokens": source, "src_lengths": torch.tensor([4])},
            "target": target,
        }
        scoring = cached()
        scoring.models.append(model)
        monkeypatch.setattr(CachedScoring, "current", scoring)
        scorer = SequenceScorer(SimpleNamespace(pad=lambda: -1, eos=lambda: 2))  # <pad> too
        [[hypothesis]] = scorer.generate([model], sample)
        total += hypothesis["positional_scores"][-1].exp()
    assert float(total) == pytest.approx(1, abs=1e-5)


def test_both_numbers_are_the_best_by_validation(monkeypatch):
    task, loading = language_task(), dict(batch_size=3)
    model = build(task, "narrow output")
    task.datasets = texts = {"valid": some_text(task), "test": some_text(task, seed=1)}
    monkeypatch.setattr(task, "load_dataset", texts.__getitem__)

    def total(part, theta, share):
        blocks = score(task, model, texts[part], cached(theta, share), monkeypatch, **loading)
        return math.fsum(torch.cat([logs for *_, logs in blocks]).tolist())

    totals = {(theta, share): total("valid", theta, share) for theta in THETAS for share in LAMBDAS}
    best = max(totals, key=totals.get)
    scoring = cached(0.0, 0.0, subset="valid")
    blocks = score(task, model, texts["test"], scoring, monkeypatch, **loading)
    assert (scoring.theta, scoring.share) == best
    assert THETAS.index(scoring.theta) != LAMBDAS.index(scoring.share)  # which is not the other
    assert THETAS[0] < scoring.theta < THETAS[-1] and LAMBDAS[0] < scoring.share < LAMBDAS[-1]
    tuned = math.fsum(torch.cat([logs for *_, logs in blocks]).tolist())
    assert tuned == total("test", *best)  # nothing is left in the cache
    assert CachedScoring.current is not None


def test_rows_that_are_far_apart_in_the_text_are_refused(monkeypatch):
    task = language_task()
    model, text = build(task, "lstmn_lm"), ContiguousBlocks(some_text(task, None))
    for sample_rows, fails in ((1, False), (2, True)):
        monkeypatch.setattr(CachedScoring, "current", scoring := cached())
        scoring.models.append(model)
        scorer = SequenceScorer(task.target_dictionary)
        batches = [text.collater([text[n] for n in rows]) for rows in text.batches(sample_rows)]
        if fails:
            with pytest.raises(InputError, match="^--neural-cache 10: the batches do not go"):
                [scorer.generate([model], batch) for batch in batches]
        else:
            [scorer.generate([model], batch) for batch in batches]


def test_a_model_without_an_output_layer_is_refused(monkeypatch):
    task = language_task()
    sizes = "--decoder-layers", "[(8, 3)]", "--decoder-embed-dim", "8"
    model = task.build_model(deepcopy(settings("language_modeling", "fconv_lm", *sizes).model))
    with pytest.raises(InputError, match="^--neural-cache 10: the model has no decoder"):
        score(task, model, some_text(task), cached(), monkeypatch, batch_size=1)


def parse(*arguments):
    parser = options.get_eval_lm_parser()
    options.parse_args_and_arch(parser, ["data", "--path", "model.pt", *arguments])
    return CachedScoring.current


BOTH = "--cache-theta", "0.3", "--cache-lambda", "0.1"


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (("--neural-cache", "0"), "--neural-cache 0: must be 1 or above"),
        (("--cache-tune", "valid"), "--neural-cache None: must be 1 or above"),
        (("--neural-cache", "9"), "--neural-cache 9: needs --cache-theta and --cache-lambda, or"),
        (("--neural-cache", "9", *BOTH[:2]), "--neural-cache 9: needs"),
        (("--neural-cache", "9", *BOTH, "--cache-tune", "valid"), "--neural-cache 9: needs"),
        (("--neural-cache", "9", *BOTH[:3], "1"), "--cache-lambda 1.0: must be 0 or above and"),
        (("--neural-cache", "9", *BOTH[:3], "nan"), "--cache-lambda nan"),
        (("--neural-cache", "9", *BOTH[2:], "--cache-theta=-1"), "--cache-theta -1.0: must"),
        (("--neural-cache", "9", *BOTH[2:], "--cache-theta=inf"), "--cache-theta inf: must"),
        (("--neural-cache", "9", "--cache-tune", "test"), "--cache-tune test: is what is scored"),
        (("--neural-cache", "9", *BOTH, "--num-shards", "2"), "--neural-cache 9: reads a text"),
        (("--neural-cache", "9", *BOTH, "--add-bos-token"), "--neural-cache 9: not with --add-bos"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_options_end_in_one_line(arguments, complaint):
    with pytest.raises(InputError, match=f"^{complaint}"):
        parse(*arguments)


def test_options_are_those_of_the_latest_command():
    scoring = parse("--neural-cache", "9", *BOTH)
    assert (scoring.cache.slots, scoring.theta, scoring.share, scoring.subset) == (
        9,
        0.3,
        0.1,
        None,
    )
    assert parse("--neural-cache", "9", "--cache-tune", "valid").subset == "valid"
    assert parse() is None

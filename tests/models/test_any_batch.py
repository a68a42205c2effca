"""Batches of any lengths in any order: every row is answered as it is alone."""

from functools import partial

import pytest
import torch
from fairseq.data import data_utils
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairseq_lstmn.data.datasets import HYPOTHESIS, PREMISE
from tests.models import small
from tests.models.small import small_task

ENDS, UNKNOWN, FIRST_WORD, PAD = 2, 3, 4, 1
LONGEST = 9

# the same examples every time
repeatable = settings(
    derandomize=True,
    database=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow],
)


def sentences(words):
    """Of any words of a vocabulary, unknown ones among them, each with its end."""
    word = st.integers(UNKNOWN, FIRST_WORD + words - 1)
    unknown = st.just(UNKNOWN)
    texts = st.lists(word, max_size=LONGEST) | st.lists(unknown, max_size=LONGEST)
    return texts.map(lambda text: torch.tensor([*text, ENDS]))


# a vocabulary, and rows of two sentences
batches = st.sampled_from([1, 20]).flatmap(
    lambda words: st.tuples(
        st.just(words),
        st.lists(st.tuples(sentences(words), sentences(words)), min_size=1, max_size=5),
    )
)


def padded(rows, left=False):
    tokens = data_utils.collate_tokens(list(rows), PAD, left_pad=left)
    return tokens, torch.tensor([len(row) for row in rows])


def language_model(task, **options):
    sizes = dict(decoder_embed_dim=3, decoder_hidden_size=4, decoder_out_embed_dim=3)
    return small.model("lstmn_lm", task, **sizes, decoder_layers=2, **options)


def translation(task, fusion):
    sizes = dict(encoder_embed_dim=3, decoder_embed_dim=3, decoder_out_embed_dim=3)
    sizes.update(encoder_hidden_size=3, decoder_hidden_size=3)
    return small.model("lstmn", task, **sizes, attention_fusion=fusion)


def pairs(task):
    sizes = dict(encoder_embed_dim=3, encoder_hidden_size=4)
    return small.model("lstmn_nli", task, **sizes, attention_fusion="deep")


def scores_of_words(model, rows):
    tokens, lengths = padded([row[0] for row in rows])
    return model(tokens, src_lengths=lengths)[0]


def scores_of_translations(model, rows):
    sources, lengths = padded([row[0] for row in rows], left=True)
    targets, _ = padded([row[1] for row in rows])
    return model(sources, lengths, targets)[0]


def scores_of_pairs(model, rows):
    names = [*PREMISE, *HYPOTHESIS]
    parts = [*padded([row[0] for row in rows]), *padded([row[1] for row in rows])]
    return model(**dict(zip(names, parts)), classification_head_name="head")[0]


@pytest.mark.parametrize(
    "build, scores, answered",
    [
        (language_model, scores_of_words, 0),
        (partial(language_model, tape_layers=0, pointer=True), scores_of_words, 0),
        (lambda task: translation(task, "deep"), scores_of_translations, 1),
        (lambda task: translation(task, "shallow"), scores_of_translations, 1),
        (pairs, scores_of_pairs, None),
    ],
    ids=[
        "language model",
        "pointer without a tape",
        "deep translation",
        "shallow translation",
        "pairs",
    ],
)
@given(batch=batches)
@repeatable
def test_every_row_is_answered_as_it_is_alone(build, scores, answered, batch):
    words, rows = batch
    model = build(small_task(words))
    with torch.no_grad():
        together = scores(model, rows)
        for row, answer in zip(rows, together):
            alone = scores(model, [row])[0]
            if answered is not None:  # a score for each of its words
                answer = answer[: len(row[answered])]
            assert torch.isfinite(answer).all()
            torch.testing.assert_close(answer, alone, atol=1e-5, rtol=1e-5)


def test_a_sentence_of_5000_tokens_is_learnt_from():
    model = language_model(small_task()).train()
    tokens = torch.randint(UNKNOWN, FIRST_WORD + 20, (1, 5000))
    scores, _ = model(tokens, src_lengths=torch.tensor([5000]))
    scores.logsumexp(dim=2).mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())

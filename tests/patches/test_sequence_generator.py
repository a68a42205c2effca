"""Prefixes of unequal length."""

import pytest
import torch
from fairseq.sequence_generator import SequenceGenerator

from .small import build, language_task, sources, translation_task

PREFIXES = [[5], [5, 6], [7, 8, 9, 4], [4, 4, 6], [9, 5, 8, 6, 7]]


def padded(prefixes):
    rows = [torch.tensor(prefix) for prefix in prefixes]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=1)


def continued(generator, prefixes):
    """Tokens of the best continuation of each prefix."""
    tokens = padded(prefixes)
    lengths = tokens.ne(1).sum(1)
    sample = {"net_input": {"src_tokens": tokens, "src_lengths": lengths}}
    return [beam[0]["tokens"].tolist() for beam in generator.forward(sample, prefix_tokens=tokens)]


BOTH = pytest.mark.parametrize("name", ["lstmn_lm", "transformer_lm"])


def check_that_batches_do_not_matter(generator):
    """Returns what follows each prefix."""
    together = continued(generator, PREFIXES)
    assert together == [continued(generator, [prefix])[0] for prefix in PREFIXES]
    assert [tokens[: len(prefix)] for tokens, prefix in zip(together, PREFIXES)] == PREFIXES
    return [tokens[len(prefix) :] for tokens, prefix in zip(together, PREFIXES)]


@BOTH
def test_the_shortest_answer_does_not_depend_on_the_batch(name):
    task = language_task()
    models = build(task, name, std=0.1)
    # of a wide beam over words that are about as likely, what ends as soon as it may
    options = dict(beam_size=23, max_len_b=10, len_penalty=-5, min_len=7)
    answers = check_that_batches_do_not_matter(
        SequenceGenerator(models, task.target_dictionary, **options)
    )
    assert all(len(words) + len(prefix) > 7 for words, prefix in zip(answers, PREFIXES))


@BOTH
def test_suppressed_words_do_not_depend_on_the_batch(name):
    task = language_task()
    models = build(task, name)
    options = dict(beam_size=3, max_len_b=10)
    free = SequenceGenerator(models, task.target_dictionary, **options)
    words = {word for answer in continued(free, PREFIXES) for word in answer} - {2}
    options["tokens_to_suppress"] = task.target_dictionary.string(words).split()
    answers = check_that_batches_do_not_matter(
        SequenceGenerator(models, task.target_dictionary, **options)
    )
    assert not words & {word for answer in answers for word in answer}


def test_a_compiled_search_continues_prefixes_in_the_same_way():
    task = translation_task()
    [model] = build(task, "transformer", std=0.1)
    options = dict(beam_size=23, min_len=7, max_len_b=9, len_penalty=-5)
    generator = SequenceGenerator([model], task.target_dictionary, **options)
    inputs = sources(6, 4), torch.tensor([[5, 6, 7], [5, 1, 1]])
    expected, compiled = generator(*inputs), torch.jit.script(generator)(*inputs)
    for beam, same in zip(expected, compiled):
        assert [h["tokens"].tolist() for h in beam] == [h["tokens"].tolist() for h in same]
    assert len(expected[1][0]["tokens"]) > 7


def test_words_of_a_prefix_beyond_the_outputs_are_unknown():
    task = language_task()
    [model] = build(task, "lstmn_lm")
    outputs = 8
    scores = model.get_normalized_probs
    model.get_normalized_probs = lambda *args, **kwargs: scores(*args, **kwargs)[..., :outputs]
    generator = SequenceGenerator([model], task.target_dictionary, beam_size=2, max_len_b=10)
    generator.vocab_size = outputs
    [tokens] = continued(generator, [[5, 9, 6]])
    assert tokens[:3] == [5, task.target_dictionary.unk(), 6]

"""Prefixes of unequal length, and alignments: what each model attends by itself, on average."""

from argparse import Namespace

import pytest
import torch
from fairseq.data.data_utils import collate_tokens
from fairseq.sequence_generator import SequenceGenerator

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.alignment import attention_in

from .small import build, language_task, row_of, sources, translation_task

ATTENTIVE = ("shallow", "deep", "lstm", "transformer")
ENSEMBLES = [
    *[(name,) for name in ATTENTIVE],
    *[(name, "none") for name in ATTENTIVE],
    *[("none", name) for name in ATTENTIVE],
    ("deep", "lstm without"),
    ("lstm without", "shallow"),
    ("deep", "none", "lstm"),
    ("none", "transformer", "shallow"),
    ("align",),
    ("align", "none"),
    ("none", "align", "lstm"),
]
ALL = pytest.mark.parametrize("names", ENSEMBLES, ids=":".join)


def attention_alone(models, inputs, target):
    """The mean attention (T, S) of the models that attend, each read in one pass by itself."""
    shifted = torch.cat([target[-1:], target[:-1]]).unsqueeze(0)
    each = [attention_in(model(**inputs, prev_output_tokens=shifted)) for model in models]
    return torch.stack([attention[0] for attention in each if attention is not None]).mean(0)


def check(names, task, models, sample, hypotheses, kind):
    for row, beam in enumerate(hypotheses):
        hypothesis = beam[0]
        with torch.no_grad():
            expected = attention_alone(models, row_of(sample, row), hypothesis["tokens"])
        if kind == "soft":
            weights = [[float(weight) for weight in line] for line in hypothesis["alignment"]]
            assert torch.tensor(weights) == pytest.approx(expected.numpy(), abs=1e-5)
        else:
            heaviest = expected[:-1, :-1].argmax(1).tolist()
            assert hypothesis["alignment"] == [(s, t) for t, s in enumerate(heaviest)]


@ALL
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_hypotheses_are_aligned_by_the_models_that_attend(names, kind):
    task, sample = translation_task(), sources(7, 5, 3)
    models = build(task, *names)
    generator = task.build_generator(models, Namespace(beam=3, max_len_b=6, print_alignment=kind))
    check(names, task, models, sample, task.inference_step(generator, models, sample), kind)


@ALL
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_references_are_aligned_by_the_models_that_attend(names, kind):
    task, sample = translation_task(), sources(7, 5, 3)
    models = build(task, *names)
    references = [torch.tensor([5, 9, 4, 2]), torch.tensor([6, 2]), torch.tensor([8, 8, 2])]
    sample["target"] = collate_tokens(references, 1)
    shifted = collate_tokens(references, 1, 2, move_eos_to_beginning=True)
    sample["net_input"]["prev_output_tokens"] = shifted
    scorer = task.build_generator(models, Namespace(score_reference=True, print_alignment=kind))
    check(names, task, models, sample, task.inference_step(scorer, models, sample), kind)


@pytest.mark.parametrize("names", [("none",), ("none", "lstm without")], ids=":".join)
@pytest.mark.parametrize("option", ["print_alignment", "replace_unk"])
@pytest.mark.parametrize("score_reference", [False, True])
def test_models_without_attention_are_told(names, option, score_reference):
    task, sample = translation_task(), sources(4)
    models = build(task, *names)
    sample["target"] = torch.tensor([[5, 2]])
    if score_reference:
        sample["net_input"]["prev_output_tokens"] = torch.tensor([[2, 5]])
    args = Namespace(beam=2, score_reference=score_reference, **{option: "hard"})
    generator = task.build_generator(models, args)
    with pytest.raises(InputError, match="--print-alignment, --replace-unk: .* no model of --path"):
        task.inference_step(generator, models, sample)


@pytest.mark.parametrize("name", ["lstmn_lm", "transformer_lm"])
def test_language_models_have_no_source_to_copy_from(name):
    task = language_task()
    with pytest.raises(InputError, match="--replace-unk: .* no model of --path"):
        task.build_generator(build(task, name), Namespace(replace_unk=""))


@pytest.mark.parametrize("option", ["print_step", "retain_iter_history"])
@pytest.mark.parametrize("name", ["deep", "lstm"])
def test_a_search_word_by_word_has_no_steps_to_show(name, option):
    task = translation_task()
    with pytest.raises(InputError, match=f"^--{option.replace('_', '-')}: needs a model"):
        task.build_generator(build(task, name), Namespace(**{option: True}))


@pytest.mark.parametrize("names", ENSEMBLES[4:6], ids=":".join)
def test_references_need_no_alignment_to_be_scored(names):
    """The mean of the probabilities that each model gives by itself."""
    task, sample = translation_task(), sources(6, 4)
    models = build(task, *names)
    sample["target"] = torch.tensor([[5, 9, 2], [8, 2, 1]])
    sample["net_input"]["prev_output_tokens"] = torch.tensor([[2, 5, 9], [2, 8, 1]])

    def probabilities(*models):
        scorer = task.build_generator(models, Namespace(score_reference=True))
        hypotheses = task.inference_step(scorer, list(models), sample)
        return [beam[0]["positional_scores"].exp() for beam in hypotheses]

    each = zip(*(probabilities(model) for model in models))
    for together, alone in zip(probabilities(*models), each):
        torch.testing.assert_close(together, torch.stack(alone).mean(0))


def test_lstm_attends_to_a_padded_source_as_to_the_sentence_alone():
    task, sample = translation_task(), sources(7, 4)
    [model] = build(task, "lstm")
    previous = torch.tensor([[2, 5, 9], [2, 8, 4]])
    for padding in ("left", "right"):
        tokens = sample["net_input"]["src_tokens"].clone()
        if padding == "right":
            tokens[1] = tokens[1].roll(4)
        scores, attention = model(tokens, sample["net_input"]["src_lengths"], previous)
        alone = model(**row_of(sample, 1), prev_output_tokens=previous[1:])
        torch.testing.assert_close(scores[1], alone[0][0])
        real = tokens[1].ne(1)
        torch.testing.assert_close(attention[1, :, real], alone[1][0])
        assert attention[1, :, ~real].count_nonzero() == 0


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

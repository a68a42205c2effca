"""examples/nli: labels, balance, and data as fairseq reads it."""

import os
import re
from collections import Counter, defaultdict
from itertools import product
from math import log

import numpy as np
import pytest
from fairseq.tasks.sentence_prediction import SentencePredictionConfig, SentencePredictionTask
from omegaconf import OmegaConf

from fairseq_lstmn.errors import InputError
from tests.examples.example import (
    EXAMPLES,
    assert_same_training,
    flags_training,
    hydra_training,
    load_script,
    plain,
    readme_commands,
    run_script,
)
from tests.examples.plans import assert_trains_as, check_plan, write_vectors

SCRIPT = EXAMPLES / "nli" / "generated_pairs.py"
SPLITS = "train", "valid", "test"

nli = load_script(SCRIPT)


@pytest.fixture(scope="module")
def corpus():
    return nli.corpus(4800, 1, seed=1)


@pytest.fixture
def few_held_out(monkeypatch):
    """Less to draw, for tests that it does not matter to."""
    monkeypatch.setattr(nli, "HELD_OUT", 48)


# Labels: the sentences are read by a grammar of their own.

# How many of the n individuals of a kind, of which m do it: does the sentence hold?
MEANINGS = {
    "all": lambda m, n: m == n,
    "all of the": lambda m, n: m == n,
    "no": lambda m, n: m == 0,
    "none of the": lambda m, n: m == 0,
    "some": lambda m, n: m > 0,
    "not all": lambda m, n: m < n,
    "most": lambda m, n: 2 * m > n,
    "more than half of the": lambda m, n: 2 * m > n,
    "fewer than half of the": lambda m, n: 2 * m < n,
    "at least half of the": lambda m, n: 2 * m >= n,
    "at most half of the": lambda m, n: 2 * m <= n,
}


def any_of(words):
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def grammar(nouns, verbs):
    return re.compile(
        f"({any_of(MEANINGS)}) (?:({any_of(nli.STATES)}) )?({any_of(nouns)}) (do not )?"
        f"({any_of(verbs)})(?: ({any_of(nli.PLACES)}))?"
    )


MAIN = grammar(nli.ABOVE_ANIMALS, nli.ABOVE_VERBS)
ASIDE = grammar(nli.PEOPLE, nli.ACTIVITIES)


def without_distractors(premise):
    """Return the main clause and the distractors, a list."""
    found = re.search("(?:^|, )while ([^,]*)(?: ,|$)", premise)
    if not found:
        return premise, []
    parts = premise[: found.start()].strip(" ,"), premise[found.end() :].strip(" ,")
    return " ".join(filter(None, parts)), found[1].split(" and ")


@pytest.mark.parametrize(
    "label, premise, hypothesis",
    [
        ("entailment", "all dogs run", "all of the poodles move"),
        ("entailment", "all dogs run", "some poodles run"),
        ("entailment", "some poodles run", "some animals move"),
        ("contradiction", "no animals move", "some dogs run in the park"),
        ("contradiction", "most dogs run", "at least half of the dogs do not run"),
        ("entailment", "most dogs run in the park", "more than half of the dogs move"),
        ("entailment", "all hungry dogs run", "some poodles run"),
        ("neutral", "most dogs run", "some poodles run"),
        ("neutral", "most dogs run", "most animals run"),
        ("neutral", "not all dogs move", "not all poodles move"),
        ("entailment", "not all poodles move", "some dogs do not run"),
        ("neutral", "all hungry dogs run", "some tired dogs run"),
        ("neutral", "all dogs sleep", "no dogs run"),
    ],
)
def test_label_follows_from_what_the_sentences_mean(label, premise, hypothesis):
    assert nli.label_of(statement(premise), statement(hypothesis)) == label


def statement(sentence):
    """Read as the script means it, other than by its phrases' meanings."""
    determiner, state, noun, negated, verb, place = MAIN.fullmatch(sentence).groups()
    [(quantity, positive)] = [
        key for key, said in nli.PHRASES.items() if (determiner, (negated or "").strip()) in said
    ]
    terms = nli.Term(noun, state or ""), nli.Term(verb, place or "")
    return nli.Statement(quantity, terms[0], positive, terms[1])


def test_labels_of_a_corpus_are_those_of_its_sentences(corpus):
    for label, premise, hypothesis in (row for split in SPLITS for row in corpus[split]):
        said = statement(without_distractors(premise)[0])
        assert nli.label_of(said, statement(hypothesis)) == label


def test_distractors_say_nothing_about_the_hypothesis(few_held_out):
    for *_, premise, _ in nli.corpus(48, 3, seed=2)["train"]:
        clauses = [ASIDE.fullmatch(clause) for clause in without_distractors(premise)[1]]
        assert all(clauses)
        # of different people, so that they cannot contradict each other either
        assert len({clause[3] for clause in clauses}) == 3
    animal_words = {*nli.ABOVE_ANIMALS, *nli.ABOVE_VERBS}
    assert not animal_words & {*nli.PEOPLE, *" ".join(nli.ACTIVITIES).split()}


def test_negation_is_true_when_the_statement_is_not():
    for (quantity, positive), phrases in nli.PHRASES.items():
        one = nli.Statement(quantity, nli.Term("dogs", ""), positive, nli.Term("run", ""))
        other = nli.negation(one)
        assert nli.negation(other) == one
        for (said, no), (denied, not_) in product(
            phrases, nli.PHRASES[other.quantity, other.positive]
        ):
            for n, m in ((all_, some) for all_ in range(1, 7) for some in range(all_ + 1)):
                truth = MEANINGS[said](n - m if no else m, n)
                assert MEANINGS[denied](n - m if not_ else m, n) != truth


# Balance


@pytest.mark.parametrize("side", [1, 2])
def test_each_sentence_has_each_label_equally_often(corpus, side):
    for rows in corpus.values():
        labels = defaultdict(Counter)
        for row in rows:
            labels[row[side]][row[0]] += 1
        for counts in labels.values():
            assert set(counts) == set(nli.LABELS) and len(set(counts.values())) == 1


def naive_bayes(training, test):
    """Return the accuracy on ``test`` of what words told on ``training``, both (label, words)."""
    counts = {label: Counter() for label in nli.LABELS}
    for label, words in training:
        counts[label].update(words)
    words = set().union(*counts.values())
    scores = {
        label: {word: log((count[word] + 1) / (sum(count.values()) + len(words))) for word in words}
        for label, count in counts.items()
    }
    right = 0
    for label, sentence in test:
        told = {k: sum(score.get(word, 0) for word in sentence) for k, score in scores.items()}
        right += max(told, key=told.get) == label
    return right / len(test)


@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize("cut", [str.split, lambda s: zip(s.split(), s.split()[1:])])
def test_one_sentence_tells_nothing(corpus, side, cut):
    train, test = (
        [(row[0], list(cut(row[side]))) for row in corpus[split]] for split in ("train", "test")
    )
    assert 0.33 < naive_bayes(train, test) < 0.34


def test_words_of_both_sentences_do_not_suffice(corpus):
    train, test = (
        [(label, f"{p} {h}".split()) for label, p, h in corpus[split]]
        for split in ("train", "test")
    )
    assert naive_bayes(train, test) < 0.45


# Splits


def test_no_pair_occurs_twice(corpus):
    pairs = [
        (without_distractors(premise)[0], hypothesis)
        for rows in corpus.values()
        for _, premise, hypothesis in rows
    ]
    assert len(pairs) == len(set(pairs)) == 4800 + 2 * nli.HELD_OUT


def test_all_words_of_the_test_set_occur_in_training(corpus):
    words = {
        split: {word for _, *pair in corpus[split] for word in " ".join(pair).split()}
        for split in SPLITS
    }
    assert words["valid"] | words["test"] <= words["train"]
    assert 120 < len(words["train"]) < 300


def test_seed_decides(few_held_out):
    once = nli.corpus(48, 1, seed=1)
    assert nli.corpus(48, 1, seed=1) == once
    assert nli.corpus(48, 1, seed=2)["test"] != once["test"]


def test_same_pairs_for_other_sizes_and_distractors(corpus):
    small = nli.corpus(49, 2, seed=1)
    for split, size in ("valid", nli.HELD_OUT), ("test", nli.HELD_OUT), ("train", 96):
        cores = [
            [(label, without_distractors(p)[0], h) for label, p, h in rows[split][:size]]
            for rows in (corpus, small)
        ]
        assert cores[0] == cores[1]
        assert len(small[split]) == size


def test_premises_grow_with_distractors(few_held_out):
    lengths = []
    for clauses in 0, 1, 2, 4:
        premises = [premise for _, premise, _ in nli.corpus(48, clauses, seed=1)["test"]]
        assert {len(without_distractors(premise)[1]) for premise in premises} == {clauses}
        lengths.append(np.mean([len(premise.split()) for premise in premises]))
    assert min(np.diff(lengths)) > 8


# Files


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_corpus_is_written_and_loads_in_fairseq(tmp_path):
    dest = tmp_path / "data" / "nli"
    done = run_script(SCRIPT, "--dest", dest, "--pairs", 96, "--distractors", 2, "--seed", 7)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path / "data") == ["nli"]
    assert sorted(os.listdir(dest)) == [
        *("input0", "input1", "label", "test.tsv", "train.tsv", "valid.tsv")
    ]
    assert [line.split()[0] for line in lines_of(dest / "label/dict.txt")] == list(nli.LABELS)
    dictionaries = [lines_of(dest / side / "dict.txt") for side in ("input0", "input1")]
    assert dictionaries[0] == dictionaries[1]

    cfg = SentencePredictionConfig(data=str(dest), num_classes=3, no_shuffle=True)
    cfg.regression_target, cfg.seed = False, 1
    task = SentencePredictionTask.setup_task(cfg)
    for split, rows in nli.corpus(96, 2, seed=7).items():
        assert lines_of(dest / f"{split}.tsv") == ["\t".join(row) for row in rows]
        data = task.load_dataset(split)
        assert len(data) == len(rows)
        for item, (label, premise, hypothesis) in zip((data[i] for i in range(96)), rows):
            text = task.dictionary.string(item["net_input.src_tokens"], include_eos=True)
            assert split != "train" or text == f"{premise} </s> {hypothesis} </s>"
            assert nli.LABELS[item["target"]] == label


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--pairs", "0"], "--pairs 0: not a positive number"),
        (["--distractors", "-1"], "--distractors -1: not from 0 to 12"),
        (["--distractors", "13"], "--distractors 13: not from 0 to 12"),
    ],
)
def test_bad_options(tmp_path, options, complaint):
    with pytest.raises(InputError, match=f"^{complaint}$"):
        nli.main(["--dest", str(tmp_path / "nli"), *options])
    assert os.listdir(tmp_path) == []


def test_more_pairs_than_there_are(tmp_path, monkeypatch):
    blocks = [[("neutral", ("no dogs", "run"), "some cats run")] * 48] * 102
    monkeypatch.setattr(nli, "new_blocks", lambda rng: iter(blocks))
    with pytest.raises(InputError, match="^--pairs 97: there are no more than 96$"):
        nli.main(["--dest", str(tmp_path / "nli"), "--pairs", "97"])
    assert os.listdir(tmp_path) == []


def test_existing_destination_is_not_touched(tmp_path):
    with pytest.raises(InputError, match="exists already"):
        nli.main(["--dest", str(tmp_path)])
    assert os.listdir(tmp_path) == []


# README and YAML


@pytest.mark.parametrize("arch", ["lstmn_nli_shallow_300", "lstmn_nli_deep_300"])
def test_yaml_gives_the_training_of_the_flags(arch):
    example = SCRIPT.parent
    [words] = [words for words in readme_commands(example) if "data/snli" in words[:2]]
    flags = flags_training([word.replace("$arch", arch) for word in words])
    yaml = hydra_training(example, arch, "data/snli")
    assert_same_training(yaml, flags)
    assert plain(yaml.optimizer) == plain(flags.optimizer)
    model = plain(OmegaConf.load(example / "config" / f"{arch}.yaml").model)
    assert model.pop("_name") == arch
    assert model.pop("encoder_embed_path") == "???"
    assert model == {name: plain(flags.model)[name] for name in model}


# Plans


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A folder with a few pairs as the data of every plan, and vectors for some of their words."""
    here = tmp_path_factory.mktemp("pairs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nli, "HELD_OUT", 48)
        patch.chdir(here)
        nli.main(["--dest", "data/pairs", "--pairs", "48"])
        write_vectors(["dogs", "run"])
    for corpus in "snli", "sick":
        (here / "data" / corpus).symlink_to("pairs")  # they have the same form
    return here


@pytest.fixture
def here(pairs, tmp_path, monkeypatch):
    """The working directory, which looks like that folder."""
    monkeypatch.chdir(tmp_path)
    for path in pairs.iterdir():
        (tmp_path / path.name).symlink_to(path)


def test_plan(here, capsys):
    check_plan("nli/table3", capsys)


@pytest.mark.parametrize("plan", ["generated_pairs", "sick"])
def test_plan_of_the_same_task(here, capsys, plan, check):
    check(f"nli/{plan}", capsys)


@pytest.mark.parametrize(
    "model, arch, options",
    [
        ("lstm-100", "lstm_nli", ["--encoder-hidden-size", "100"]),
        ("lstmn-100", "lstmn_nli_100", []),
        *(
            (f"{fusion}-{size}", f"lstmn_nli_{fusion}_{size}", [])
            for fusion in ("shallow", "deep")
            for size in (100, 300, 450)
        ),
    ],
)
def test_plan_trains_as_the_flags(model, arch, options):
    [words] = [words for words in readme_commands(SCRIPT.parent) if "data/snli" in words[:2]]
    words = [word.replace("$arch", arch) for word in words]
    assert_trains_as("nli/table3", model, [*words, *options])

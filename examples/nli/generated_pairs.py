"""Write a corpus for natural language inference: pairs of sentences, and how they relate.

    python examples/nli/generated_pairs.py --dest DIR [--pairs N] [--distractors K] [--seed S]

DEST gets {train,valid,test}.tsv, a label, a premise and a hypothesis on each line with tabs
between them, and the same in the form that fairseq's task sentence_prediction reads:

    entailment     all hungry mammals , while no nurses read a book , run    some dogs move
    contradiction  while some guests drink tea , most cats doze              no animals rest
    neutral        some poodles do not run , while all singers buy a hat     no dogs move

Labels follow from a few rules, see ``entails``. They hold, given that

- both sentences are about the same moment, and "while" means no more than "and";
- each kind of animal has members, among them hungry ones, tired ones and so on;
- nothing else is known but that poodles are dogs, that who runs moves and so on: there may be
  other mammals than those named, who swims may sleep too, or nobody may move at all;
- people are no animals, and what they do, below, says nothing about what animals do;
- "some" is at least one, and "most" more than half.

Neither sentence by itself tells the label: in each split, each premise and each hypothesis has
all three labels equally often. No two pairs of a corpus are equal but for the distractors, the
clauses about people. One seed gives the same pairs for all numbers of distractors, and the same
validation and test pairs for all numbers of pairs.
"""

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from math import ceil
from typing import NamedTuple

from fairseq_lstmn.data.data_folder import add_dest, atomic_folder, check_new
from fairseq_lstmn.data.labelled_rows import Row, write_rows
from fairseq_lstmn.errors import InputError

LABELS = "contradiction", "entailment", "neutral"
HELD_OUT = 2400  # pairs for validation, and as many for the test
ATTEMPTS = 1000  # after so many in vain, one after another, there are said to be no more pairs

BLOCK = 48  # pairs that are drawn together; a multiple of 6

ANIMALS = {
    "animals": "mammals birds fish reptiles insects",
    "mammals": "dogs cats horses monkeys rabbits",
    "dogs": "poodles beagles terriers hounds",
    "cats": "lions tigers leopards",
    "horses": "ponies stallions",
    "birds": "ducks eagles owls songbirds",
    "songbirds": "sparrows robins larks",
    "fish": "sharks salmon trout",
    "reptiles": "snakes lizards turtles",
    "snakes": "cobras vipers",
    "insects": "beetles ants bees",
}
VERBS = {
    "move": "walk run swim fly jump",
    "walk": "stroll wander march",
    "run": "sprint jog gallop",
    "fly": "glide soar hover",
    "jump": "hop leap",
    "rest": "sleep sit",
    "sleep": "doze nap",
    "feed": "graze hunt",
}
STATES = "hungry thirsty tired wet lonely nervous injured curious".split()
PLACES = [
    *("in the garden", "in the park", "in the field", "near the river", "near the bridge"),
    *("near the house", "behind the barn", "behind the church"),
]
PEOPLE = """ladies nurses farmers teachers sailors painters guests children doctors soldiers
    bakers singers""".split()
ACTIVITIES = [
    *("read a book", "write a letter", "open a window", "paint a wall", "buy a hat", "drink tea"),
    *("wash the dishes", "cook a meal", "repair a clock", "sell flowers", "play chess"),
]

QUANTITIES = "some", "half", "most", "all"  # of a kind; each implies those before it
# What goes before the noun and before the verb, for statements that so many do and do not.
PHRASES = {
    ("some", True): [("some", "")],
    ("some", False): [("some", "do not"), ("not all", "")],
    ("half", True): [("at least half of the", "")],
    ("half", False): [("at least half of the", "do not"), ("at most half of the", "")],
    ("most", True): [("most", ""), ("more than half of the", "")],
    ("most", False): [("most", "do not"), ("fewer than half of the", "")],
    ("all", True): [("all", ""), ("all of the", "")],
    ("all", False): [("no", ""), ("none of the", "")],
}


def hierarchy(below: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return {word: itself and all that is above it} for {word: the words just below it}."""
    above: dict[str, tuple[str, ...]] = {}
    for word, words in below.items():
        above.setdefault(word, (word,))
        above.update({lower: (lower, *above[word]) for lower in words.split()})
    return above


ABOVE_ANIMALS, ABOVE_VERBS = hierarchy(ANIMALS), hierarchy(VERBS)
ABOVE = {**ABOVE_ANIMALS, **ABOVE_VERBS}


# Logic


class Term(NamedTuple):
    """The members of ``head``, or those in a state; or who does it, or who does it in a place."""

    head: str
    modifier: str  # may be empty


class Statement(NamedTuple):
    """So many of those in ``noun`` are in ``verb`` if ``positive``, or else are not in it."""

    quantity: str
    noun: Term
    positive: bool
    verb: Term


def within(term: Term, other: Term) -> bool:
    """Whether all that is in ``term`` is always in ``other`` too."""
    return other.head in ABOVE[term.head] and other.modifier in ("", term.modifier)


def overlap(noun: Term, other: Term) -> bool:
    """Whether something is always in both: there is a kind, if need be in a state, within both."""
    heads = noun.head in ABOVE[other.head] or other.head in ABOVE[noun.head]
    return heads and (noun.modifier == other.modifier or "" in (noun.modifier, other.modifier))


def negation(statement: Statement) -> Statement:
    """What is true if and only if ``statement`` is not."""
    quantity, noun, positive, verb = statement
    dual = QUANTITIES[-1 - QUANTITIES.index(quantity)]
    return Statement(dual, noun, not positive, verb)


def entails(premise: Statement, hypothesis: Statement) -> bool:
    """Whether ``hypothesis`` is true in all worlds in which ``premise`` is.

    As in natural logic, a wider verb may replace the verb, or a narrower one if negated. Of the
    nouns, that of "all" may be narrowed, that of "some" widened, and that of "most" is fixed.
    """
    if premise.positive != hypothesis.positive:
        return False
    lower, upper = premise.verb, hypothesis.verb
    if not (within(lower, upper) if premise.positive else within(upper, lower)):
        return False
    if premise.quantity == "all" and hypothesis.quantity == "some":
        return overlap(premise.noun, hypothesis.noun)
    if premise.quantity == "all":
        return within(hypothesis.noun, premise.noun)
    if hypothesis.quantity == "some":
        return within(premise.noun, hypothesis.noun)
    stronger = QUANTITIES.index(premise.quantity) >= QUANTITIES.index(hypothesis.quantity)
    return stronger and premise.noun == hypothesis.noun


def label_of(premise: Statement, hypothesis: Statement) -> str:
    if entails(premise, hypothesis):
        return "entailment"
    return "contradiction" if entails(premise, negation(hypothesis)) else "neutral"


# Statements


def some_terms(
    rng: random.Random, above: Mapping[str, tuple[str, ...]], modifiers: Sequence[str]
) -> list[Term]:
    """Draw four terms that are related, but for a stray now and then."""
    line = above[rng.choice(list(above))]
    modifier = rng.choice(modifiers)
    related = list(product(line, ["", modifier]))
    strays = list(product(above, ["", *modifiers]))
    return [Term(*rng.choice(related if rng.random() < 11 / 12 else strays)) for _ in range(4)]


def some_statements(rng: random.Random) -> list[Statement]:
    """Return all statements about four nouns and four verbs."""
    nouns = some_terms(rng, ABOVE_ANIMALS, STATES)
    verbs = some_terms(rng, ABOVE_VERBS, PLACES)
    return list(map(Statement._make, product(QUANTITIES, nouns, (True, False), verbs)))


def some_premise(
    rng: random.Random, statements: Sequence[Statement], hypothesis: Statement
) -> Statement:
    """Draw a statement that entails the hypothesis, if possible not itself, nor in its words."""
    premises = [s for s in statements if s != hypothesis and entails(s, hypothesis)]
    if not premises:
        return hypothesis
    quantity = rng.choice(sorted({premise.quantity for premise in premises}))
    premises = [premise for premise in premises if premise.quantity == quantity]
    words = hypothesis.noun, hypothesis.verb
    others = [premise for premise in premises if (premise.noun, premise.verb) != words]
    return rng.choice(others or premises)


def unrelated(statement: Statement, other: Statement) -> int:
    """How many of noun and verb are unrelated."""
    terms = (statement.noun, other.noun), (statement.verb, other.verb)
    return sum(not within(one, two) and not within(two, one) for one, two in terms)


def matching(choices: Sequence[Sequence[int]]) -> dict[int, int] | None:
    """Give each i one of choices[i], none of them twice: {choice: i}; None if there is no way."""
    given: dict[int, int] = {}

    def give(i: int, tried: set[int]) -> bool:
        for choice in choices[i]:
            if choice not in tried:
                tried.add(choice)
                if choice not in given or give(given[choice], tried):
                    given[choice] = i
                    return True
        return False

    return given if all(give(i, set()) for i in range(len(choices))) else None


def some_block(rng: random.Random) -> list[tuple[Statement, Statement]]:
    """Draw pairs so that each premise and each hypothesis occurs equally often with each label.

    Returns [(premise, hypothesis)], empty if the statements drawn could not be paired.
    """
    statements = some_statements(rng)
    hypotheses: list[Statement] = []
    for hypothesis in rng.choices(statements, k=BLOCK // 6):
        hypotheses += hypothesis, negation(hypothesis)
    premises = [some_premise(rng, statements, hypothesis) for hypothesis in hypotheses]
    # Entailed is the hypothesis at the same place and contradicted its negation beside it. To be
    # matched are the neutral ones, those in related words first: the others are easily told.
    choices = []
    for premise in premises:
        labels = [label_of(premise, hypothesis) for hypothesis in hypotheses]
        neutral = [h for h, label in enumerate(labels) if label == "neutral"]
        rng.shuffle(neutral)
        choices.append(sorted(neutral, key=lambda h: unrelated(premise, hypotheses[h])))
    given = matching(choices) or {}
    return [(premises[i], hypotheses[j]) for h, i in given.items() for j in (i, i ^ 1, h)]


# Sentences

Phrases = tuple[str, str]  # of a statement's noun, and of its verb


def in_words(rng: random.Random, statement: Statement) -> Phrases:
    """Draw a phrasing; returns the noun phrase and the verb phrase."""
    _, noun, _, verb = statement
    determiner, auxiliary = rng.choice(PHRASES[statement.quantity, statement.positive])
    noun_phrase = determiner, noun.modifier, noun.head
    verb_phrase = auxiliary, verb.head, verb.modifier
    return " ".join(filter(None, noun_phrase)), " ".join(filter(None, verb_phrase))


def some_distractor(rng: random.Random, clauses: int) -> str:
    """Draw as many clauses about people, no two of them about the same people."""
    said = []
    for people in rng.sample(PEOPLE, clauses):
        noun = Term(people, rng.choice(["", *STATES]))
        verb = Term(rng.choice(ACTIVITIES), rng.choice(["", *PLACES]))
        statement = Statement(rng.choice(QUANTITIES), noun, rng.random() < 0.5, verb)
        said.append(" ".join(in_words(rng, statement)))
    return "while " + " and ".join(said)


def distracted(rng: random.Random, noun_phrase: str, verb_phrase: str, clauses: int) -> str:
    """Return the sentence with that many clauses before, in or behind it."""
    if not clauses:
        return f"{noun_phrase} {verb_phrase}"
    distractor = some_distractor(rng, clauses)
    return rng.choice(
        [
            f"{distractor} , {noun_phrase} {verb_phrase}",
            f"{noun_phrase} , {distractor} , {verb_phrase}",
            f"{noun_phrase} {verb_phrase} , {distractor}",
        ]
    )


def new_blocks(rng: random.Random) -> Iterator[list[tuple[str, Phrases, str]]]:
    """Yield lists of (label, premise in two phrases, hypothesis), no pair a second time."""
    seen: set[tuple[Phrases, str]] = set()
    attempts = 0
    while attempts < ATTEMPTS:
        attempts += 1
        pairs = some_block(rng)
        premises = {premise: in_words(rng, premise) for premise, _ in pairs}
        hypotheses = {hypothesis: " ".join(in_words(rng, hypothesis)) for _, hypothesis in pairs}
        block = {(premises[p], hypotheses[h]): label_of(p, h) for p, h in pairs}
        if len(block) == BLOCK and not seen & set(block):
            seen.update(block)
            attempts = 0
            yield [(label, *pair) for pair, label in block.items()]


def corpus(pairs: int, distractors: int, seed: int) -> dict[str, list[tuple[str, str, str]]]:
    """Draw at least that many training pairs; returns {split: [(label, premise, hypothesis)]}."""
    blocks = new_blocks(random.Random(seed))
    rng = random.Random(f"distractors of {seed}")
    splits = {}
    for split, size in ("valid", HELD_OUT), ("test", HELD_OUT), ("train", pairs):
        drawn = list(islice(blocks, ceil(size / BLOCK)))
        if BLOCK * len(drawn) < size:
            raise InputError(f"--pairs {pairs}: there are no more than {BLOCK * len(drawn)}")
        splits[split] = [row for block in drawn for row in distracted_rows(rng, block, distractors)]
    return splits


def distracted_rows(
    rng: random.Random, block: Sequence[tuple[str, Phrases, str]], clauses: int
) -> list[tuple[str, str, str]]:
    """Put the words of a block's premises together, those of one premise always in one way."""
    premises = {premise: distracted(rng, *premise, clauses) for _, premise, _ in block}
    return [(label, premises[premise], hypothesis) for label, premise, hypothesis in block]


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_dest(parser)
    parser.add_argument(
        "--pairs",
        metavar="N",
        type=int,
        default=24000,
        help="pairs for training, rounded up to a multiple of 48 (default: %(default)s)",
    )
    parser.add_argument(
        "--distractors",
        metavar="K",
        type=int,
        default=1,
        help="clauses in each premise that do not matter (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", metavar="S", type=int, default=1, help="of the draw (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    if args.pairs < 1:
        raise InputError(f"--pairs {args.pairs}: not a positive number")
    if not 0 <= args.distractors <= len(PEOPLE):
        raise InputError(f"--distractors {args.distractors}: not from 0 to {len(PEOPLE)}")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_arguments(argv)
    check_new(args.dest)
    splits = corpus(args.pairs, args.distractors, args.seed)
    with atomic_folder(args.dest) as folder:
        rows = {
            split: [Row(split, label, tuple(sentences)) for label, *sentences in pairs]
            for split, pairs in splits.items()
        }
        write_rows(folder, rows, LABELS)
    print(f"ready for fairseq: {args.dest}")


if __name__ == "__main__":
    main()

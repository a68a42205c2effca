"""Classify sentences or pairs with a trained classifier.

Reads lines of a file or of standard input, tokenised as the training text was: a sentence, or for
a model of pairs premise TAB hypothesis. What `prepare` did to the training text, such as the case
of letters, is done to them. Writes a line for each, in the same order: its label and the
probability of every class, or what is wrong with it.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from itertools import islice
from typing import TYPE_CHECKING

from fairseq_lstmn.errors import InputError

if TYPE_CHECKING:  # the same holds for types
    from fairseq_lstmn.trained.classifier import Answer


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="of a model that classifies")
    parser.add_argument("input", nargs="?", help="file (default: standard input)")
    parser.add_argument(
        "--data", metavar="DIR", help="where its dictionaries are now (default: as in training)"
    )
    parser.add_argument(
        "--format", choices=["tsv", "json"], default="tsv", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size", metavar="N", type=int, default=64, help="(default: %(default)s)"
    )
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def run(args: Namespace) -> int:
    if args.batch_size < 1:
        raise InputError(f"--batch-size {args.batch_size}: must be 1 or more")
    # here, so that `fairseq-lstmn doctor` can say that torch or fairseq is broken
    from fairseq_lstmn.trained.checkpoint import load
    from fairseq_lstmn.trained.classifier import Classifier
    from fairseq_lstmn.trained.lines import opened

    with opened(args.input or "-") as lines:
        classifier = Classifier(load(args.checkpoint, args.data, args.cpu))
        write = {"tsv": write_tsv, "json": write_json}[args.format]
        if args.format == "tsv":
            print("\t".join(["label", *classifier.classes, "error"]))
        failed = False
        while batch := list(islice(lines, args.batch_size)):
            for answer in classifier.answers(batch):
                write(answer, classifier.classes)
                failed = failed or answer.error is not None
            sys.stdout.flush()
    if warning := classifier.lines.unknown.warning(args.checkpoint):
        print(warning, file=sys.stderr)
    return 1 if failed else 0


def write_tsv(answer: Answer, classes: list[str]) -> None:
    if answer.error is None:
        cells = [label_of(answer, classes), *(f"{p:.4f}" for p in answer.probabilities), ""]
    else:
        cells = ["" for _ in range(1 + len(classes))] + [answer.error]
    print("\t".join(cells))


def write_json(answer: Answer, classes: list[str]) -> None:
    found: dict[str, object] = {"error": answer.error}
    if answer.error is None:
        probabilities = dict(zip(classes, answer.probabilities))
        found = {"label": label_of(answer, classes), "probabilities": probabilities}
    print(json.dumps(found, ensure_ascii=False))


def label_of(answer: Answer, classes: list[str]) -> str:
    return classes[answer.probabilities.index(max(answer.probabilities))]

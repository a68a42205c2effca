"""Classify sentences or pairs with a trained classifier.

Reads lines of a file or of standard input, tokenised as the training text was: a sentence, or for
a model of pairs premise TAB hypothesis. What `prepare` did to the training text, such as the case
of letters, is done to them. Writes a line for each, in the same order: its label and the
probability of every class, or of a model of regression its numbers; the last column says what is
wrong with a line that has no answer, or that not one of its words is known. Before them stands a
header with the names of the columns. Ends with 1 if some line has no prediction.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from fairseq_lstmn.errors import InputError

if TYPE_CHECKING:  # the same holds for types
    from fairseq_lstmn.inference.classifier import Classifier, Prediction

ALL_UNKNOWN = "every word is unknown to the model"


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
        "--no-header", action="store_true", help="of TSV: begin with the first line's answer"
    )
    parser.add_argument(
        "--batch-size", metavar="N", type=int, default=64, help="(default: %(default)s)"
    )
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def run(args: Namespace) -> int:
    if args.batch_size < 1:
        raise InputError(f"--batch-size {args.batch_size}: must be 1 or more")
    # here, so that `fairseq-lstmn doctor` can say that torch or fairseq is broken
    from fairseq_lstmn.inference.checkpoint import load
    from fairseq_lstmn.inference.classifier import Classifier
    from fairseq_lstmn.inference.lines import open_lines

    with open_lines(args.input or "-") as lines:
        classifier = Classifier(load(args.checkpoint, args.data, args.cpu))
        write = {"tsv": write_tsv, "json": write_json}[args.format]
        if args.format == "tsv" and not args.no_header:
            label = [] if classifier.regression else ["label"]
            print("\t".join([*label, *classifier.outputs, "error"]))
        count = failed = all_unknown = 0
        for prediction in predictions(classifier, lines, args.batch_size):
            write(prediction, classifier)
            count += 1
            failed += prediction.error is not None
            all_unknown += prediction.all_unknown
    name = args.input or "standard input"
    if failed:
        report(f"{name}: {failed:,} of {count:,} lines have no answer")
    if all_unknown:
        report(f"{name}: {all_unknown:,} of {count:,} lines have no word that the model knows")
    if warning := classifier.lines.unknown.warning(args.checkpoint):
        report(warning)
    return 1 if failed else 0


def predictions(
    classifier: Classifier, lines: Iterable[bytes], batch_size: int
) -> Iterator[Prediction]:
    """Yield the ``Prediction`` of each line; a batch is printed before the next is read."""
    lines = iter(lines)
    while batch := list(islice(lines, batch_size)):
        yield from classifier.predict(batch)
        sys.stdout.flush()


def report(line: str) -> None:
    print(line, file=sys.stderr)


def write_tsv(prediction: Prediction, classifier: Classifier) -> None:
    if prediction.error is not None:
        cells = [""] * (len(classifier.outputs) + (not classifier.regression))
    elif classifier.regression:
        cells = [f"{value:.6g}" for value in prediction.outputs]
    else:
        cells = [label_of(prediction, classifier), *(f"{p:.4f}" for p in prediction.outputs)]
    print("\t".join([*cells, prediction.error or (ALL_UNKNOWN if prediction.all_unknown else "")]))


def write_json(prediction: Prediction, classifier: Classifier) -> None:
    named: dict[str, object] = {**dict(zip(classifier.outputs, prediction.outputs))}
    if prediction.error is not None:
        named = {"error": prediction.error}
    elif not classifier.regression:
        named = {"label": label_of(prediction, classifier), "probabilities": named}
    if prediction.all_unknown:
        named["warning"] = ALL_UNKNOWN
    print(json.dumps(named, ensure_ascii=False))


def label_of(prediction: Prediction, classifier: Classifier) -> str:
    return classifier.outputs[prediction.outputs.index(max(prediction.outputs))]

"""Turn the IWSLT'14 German-English talks into text and binary data that fairseq reads.

    python examples/translation/prepare_iwslt14.py --dest DIR [--from TGZ_OR_URL]

DEST gets {train,valid,test}.{de,en}, a sentence a line and not tokenised; the joint BPE model
``pieces.model`` and {train,valid,test}.pieces.{de,en}, the text in its pieces; and DEST/bin what
``fairseq-preprocess`` makes of the pieces.

The selection is the usual one, that of fairseq's prepare-iwslt14.sh: titles and descriptions
are sentences too; training pairs of more than 175 words, or one side 1.5 times as long as the
other, are dropped; every 23rd of the rest is for validation; the test set is the five
development and test sets up to 2012. Lengths are counted in words and punctuation marks.
"""

import argparse
import html
import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

import sentencepiece

from fairseq_lstmn.data.data_folder import (
    Normalisation,
    add_dest,
    atomic_folder,
    binarise,
    check_new,
    write_lines,
)
from fairseq_lstmn.data.source_files import fetch
from fairseq_lstmn.errors import InputError

ADDRESS = "http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz"
LANGUAGES = "de", "en"
TRAINING_SET = "train.tags.de-en.{}"
TEST_SETS = [
    f"IWSLT14.{name}.de-en.{{}}.xml"
    for name in ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
]

LONGEST, RATIO, VALID_EVERY = 175, 1.5, 23

TALK_HEADER = re.compile(r"</?(url|talkid|keywords|speaker|reviewer|translator|doc)\b")
TITLE_TAG = re.compile(r"</?(title|description)>")
SEGMENT = re.compile(r"<seg id=[^>]*>(.*?)</seg>")
WORD = re.compile(r"\w+|[^\w\s]")

Pair = tuple[str, str]  # a German sentence and its English one


def read_corpus(address: str) -> tuple[list[Pair], list[Pair]]:
    """Return (training, test): pairs (German, English) of sentences from the archive."""
    texts = read_archive(address)
    test = [pair for name in TEST_SETS for pair in aligned(texts, name, segments)]
    return aligned(texts, TRAINING_SET, training_sentences), test


def read_archive(address: str) -> dict[str, str]:
    """Return {name: text} of the files that are needed; a name stands for one language."""
    try:
        with tarfile.open(fileobj=io.BytesIO(fetch(address))) as archive:
            members = {PurePosixPath(member.name).name: member for member in archive}
            return {
                name: read_member(archive, members.get(name), f"{address}/{name}")
                for each in (TRAINING_SET, *TEST_SETS)
                for name in map(each.format, LANGUAGES)
            }
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"--from {address}: not a sound tar archive ({error})") from None


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo | None, name: str) -> str:
    if member is None or not member.isfile():
        raise InputError(f"{name}: not in the archive")
    file = archive.extractfile(member)
    assert file is not None  # None is for folders
    try:
        return file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 text (at byte {error.start})") from None


def aligned(
    texts: Mapping[str, str], name: str, sentences_of: Callable[[str], list[str]]
) -> list[Pair]:
    """Return the pairs of sentences in the files called ``name`` in either language."""
    german, english = (sentences_of(texts[name.format(language)]) for language in LANGUAGES)
    if len(german) != len(english):
        raise InputError(
            f"{name.format('de')}: {len(german)} sentences, but {len(english)} in English"
        )
    return list(zip(german, english))


def training_sentences(text: str) -> list[str]:
    lines = map(str.strip, text.removesuffix("\n").split("\n"))
    return [normal(TITLE_TAG.sub("", line)) for line in lines if not TALK_HEADER.match(line)]


def segments(text: str) -> list[str]:
    return [normal(segment) for segment in SEGMENT.findall(text)]


def normal(sentence: str) -> str:
    """Single spaces, no XML entities and, as usual for this corpus, one kind of apostrophe."""
    return " ".join(html.unescape(sentence).split()).replace("’", "'")


def fits(pair: Pair) -> bool:
    """Whether a pair is good to train on: neither too long nor likely misaligned."""
    short, long = sorted(len(WORD.findall(sentence)) for sentence in pair)
    return 0 < short and long <= LONGEST and long <= RATIO * short


def split_corpus(training: Sequence[Pair], test: list[Pair]) -> dict[str, list[Pair]]:
    """Return {split: pairs}."""
    fitting = [pair for pair in training if fits(pair)]
    return {
        "train": [pair for k, pair in enumerate(fitting, 1) if k % VALID_EVERY],
        "valid": fitting[VALID_EVERY - 1 :: VALID_EVERY],
        "test": test,
    }


def lower(pair: Pair) -> Pair:
    german, english = pair
    return german.lower(), english.lower()


def train_pieces(
    sentences: Iterable[str], size: int, prefix: Path
) -> sentencepiece.SentencePieceProcessor:
    """Learn a joint BPE model of ``size`` pieces; returns it, saved as PREFIX.model."""
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_prefix=str(prefix), model_type="bpe",
            vocab_size=size, character_coverage=1.0, minloglevel=1,
        )  # fmt: skip
    except RuntimeError as error:
        reason = str(error).rsplit("] ")[-1]  # what follows the place in sentencepiece's source
        raise InputError(f"--pieces {size}: cannot be learnt ({reason})") from None
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_dest(parser)
    parser.add_argument(
        "--from",
        dest="source",
        metavar="TGZ_OR_URL",
        default=ADDRESS,
        help="the archive de-en.tgz, a file or an address (default: %(default)s)",
    )
    parser.add_argument(
        "--lowercase", action="store_true", help="lower-case all text, as older results have it"
    )
    parser.add_argument(
        "--pieces",
        metavar="N",
        type=int,
        default=10000,
        help="size of the BPE vocabulary (default: %(default)s)",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_arguments(argv)
    check_new(args.dest)
    splits = split_corpus(*read_corpus(args.source))
    if args.lowercase:
        splits = {split: list(map(lower, pairs)) for split, pairs in splits.items()}
    with atomic_folder(args.dest) as folder:
        model = train_pieces(chain(*splits["train"]), args.pieces, folder / "pieces")
        for split, pairs in splits.items():
            for language, sentences in zip(LANGUAGES, zip(*pairs)):
                write_lines(folder / f"{split}.{language}", sentences)
                pieces = model.encode(list(sentences), out_type=str)
                write_lines(folder / f"{split}.pieces.{language}", map(" ".join, pieces))
        binarise(folder, "--source-lang", "de", "--target-lang", "en", suffix=".pieces")
        Normalisation(args.lowercase).write(folder / "bin")
    print(f"ready for fairseq: {args.dest / 'bin'}")


if __name__ == "__main__":
    main()

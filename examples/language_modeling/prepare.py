"""Turn a corpus for language modelling into text and binary data that fairseq reads.

    python examples/language_modeling/prepare.py ptb --from DIR --dest DIR
    python examples/language_modeling/prepare.py wikitext2 --dest DIR [--from ZIP_OR_URL]

DEST gets {train,valid,test}.txt, exactly as in the corpus, and DEST/bin what
``fairseq-preprocess --only-source`` makes of them. Both corpora come tokenised, with
rare words already replaced by ``<unk>``, which fairseq reads as its own unknown word.
"""

import argparse
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fairseq_lstmn.data.data_folder import (
    RESERVED,
    SPLITS,
    add_dest,
    atomic_folder,
    binarise,
    check_new,
)
from fairseq_lstmn.data.source_files import fetch, read_bytes
from fairseq_lstmn.errors import InputError

WIKITEXT2 = "https://wikitext.smerity.com/wikitext-2-v1.zip"


def read_ptb(folder: str | Path) -> dict[str, bytes]:
    """Return {split: bytes} from ptb.{train,valid,test}.txt or {train,valid,test}.txt."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"--from {folder}: no such folder")
    return {split: read_text(find_split(folder, split)) for split in SPLITS}


def find_split(folder: Path, split: str) -> Path:
    names = f"ptb.{split}.txt", f"{split}.txt"
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise InputError(f"--from {folder}: has neither {names[0]} nor {names[1]}")


def read_text(path: Path) -> bytes:
    return checked(path, read_bytes(path))


def read_wikitext2(address: str) -> dict[str, bytes]:
    """Return {split: bytes} from the WikiText-2 archive at a path or URL."""
    try:
        with zipfile.ZipFile(io.BytesIO(fetch(address))) as archive:
            return {split: read_member(archive, split, address) for split in SPLITS}
    except (zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"--from {address}: not a sound zip archive ({error})") from None


def read_member(archive: zipfile.ZipFile, split: str, address: str) -> bytes:
    wanted = f"wiki.{split}.tokens"
    for name in archive.namelist():
        if PurePosixPath(name).name == wanted:
            return checked(f"{address}/{name}", archive.read(name))
    raise InputError(f"--from {address}: has no {wanted}")


def checked(name: str | Path, data: bytes) -> bytes:
    """Return ``data`` untouched if a language model can be trained on it."""
    try:
        words = set(data.decode("utf-8").split())
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 text (at byte {error.start})") from None
    if not words:
        raise InputError(f"{name}: empty, no words to read")
    if words & RESERVED:
        marks = ", ".join(sorted(words & RESERVED))
        raise InputError(f"{name}: contains {marks}, which fairseq adds by itself")
    return data


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    corpora = parser.add_subparsers(dest="corpus", required=True, metavar="CORPUS")

    ptb = corpora.add_parser("ptb", help="your own copy of Penn Treebank-style text")
    ptb.add_argument(
        "--from",
        dest="source",
        metavar="DIR",
        required=True,
        help="folder with ptb.{train,valid,test}.txt or {train,valid,test}.txt",
    )
    ptb.set_defaults(read=read_ptb)

    wikitext2 = corpora.add_parser("wikitext2", help="WikiText-2, downloaded if need be")
    wikitext2.add_argument(
        "--from",
        dest="source",
        metavar="ZIP_OR_URL",
        default=WIKITEXT2,
        help="the archive wikitext-2-v1.zip, a file or an address (default: %(default)s)",
    )
    wikitext2.set_defaults(read=read_wikitext2)

    for corpus in (ptb, wikitext2):
        add_dest(corpus)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_arguments(argv)
    check_new(args.dest)
    texts = args.read(args.source)
    with atomic_folder(args.dest) as folder:
        for split, text in texts.items():
            (folder / f"{split}.txt").write_bytes(text)
        binarise(folder, "--only-source", suffix=".txt")
    print(f"ready for fairseq: {args.dest / 'bin'}")


if __name__ == "__main__":
    main()

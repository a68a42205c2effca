"""Corpora of labelled sentences and pairs: where they are and what reads them."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from fairseq_lstmn.data.corpora import columns, trees
from fairseq_lstmn.data.labelled_rows import Table

INFERENCE = ("contradiction", "entailment", "neutral")


class Corpus(NamedTuple):
    """A corpus; ``tables`` makes the Tables of its SourceFiles, the training rows first.

    ``address`` is None where there is nothing to download, ``labels`` where they are those of
    the training rows. ``flags`` of the command are (argument of ``tables``, help).
    """

    what: str
    files: str
    address: str | None
    labels: tuple[str, ...] | None
    tables: Callable[..., Iterable[Table]]
    flags: tuple[tuple[str, str], ...] = ()


SST = Corpus(
    what="Stanford Sentiment Treebank, whole sentences in five classes",
    files="{train,dev,test}.txt of trainDevTestTrees_PTB.zip",
    address="https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip",
    labels=trees.FINE,
    tables=partial(trees.tables, names=trees.SST, parse=trees.fine_row),
)
SST_BINARY = SST._replace(
    labels=trees.BINARY, tables=partial(trees.tables, names=trees.SST, parse=trees.binary_row)
)

CORPORA = {
    "sst": SST,
    "snli": Corpus(
        what="Stanford Natural Language Inference",
        files="snli_1.0_{train,dev,test}.jsonl of snli_1.0.zip",
        address="https://nlp.stanford.edu/projects/snli/snli_1.0.zip",
        labels=INFERENCE,
        tables=partial(trees.tables, names=trees.SNLI, parse=trees.pair_row),
    ),
    "sick": Corpus(
        what="Sentences Involving Compositional Knowledge, the entailment labels",
        files="SICK.txt of SICK.zip, or SICK_{train,trial,test_annotated}.txt",
        address="https://zenodo.org/record/2787612/files/SICK.zip",
        labels=INFERENCE,
        tables=columns.sick_tables,
    ),
    "mnli": Corpus(
        what="Multi-Genre NLI; valid is dev_matched, test is dev_mismatched",
        files="multinli_1.0_{train,dev_matched,dev_mismatched}.jsonl of multinli_1.0.zip",
        address="https://cims.nyu.edu/~sbowman/multinli/multinli_1.0.zip",
        labels=INFERENCE,
        tables=partial(trees.tables, names=trees.MNLI, parse=trees.pair_row),
    ),
    "tsv": Corpus(
        what="your own sentences or pairs",
        files="{train,valid,test}.tsv: label TAB sentence [TAB sentence], words separated by "
        "spaces; a first row of one sentence means one in every row, and one that is the same in "
        "every file, with a label that no other row has, is a header",
        address=None,
        labels=None,
        tables=columns.tsv_tables,
        flags=columns.FLAGS,
    ),
}

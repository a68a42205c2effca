"""``fairseq.data.indexed_dataset`` and dictionaries: binarised data, read and written."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from fairseq.data import Dictionary, indexed_dataset

from fairseq_lstmn.data import binarised
from fairseq_lstmn.patches.registry import patch

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")

# A dictionary or text that is missing, damaged or cut off is named in one line.
patch(Dictionary, "add_from_file")(binarised.read_dictionary)
patch(indexed_dataset, "make_dataset")(binarised.open_whole)


@patch(indexed_dataset.MMapIndexedDatasetBuilder, "finalize")
def finalize_with_python_sizes(
    finalize: Callable[Concatenate[indexed_dataset.MMapIndexedDatasetBuilder, Rest], Result],
    builder: indexed_dataset.MMapIndexedDatasetBuilder,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """``fairseq-preprocess --workers N`` writes a sound index for more than 2 GiB of tokens.

    The sizes merged from the workers' parts are ``np.int32``; numpy >= 2 adds them up to
    ``np.int32`` offsets, which wrap past 2 GiB and leave a corrupt index. Python's integers
    do not. (Only with ``--user-dir``: preprocessing does not import the plugin otherwise.)
    """
    builder._sizes = [int(size) for size in builder._sizes]
    return finalize(builder, *args, **kwargs)

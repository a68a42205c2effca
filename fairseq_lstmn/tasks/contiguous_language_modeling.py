"""Language modelling on contiguous text: the rows of a batch go on in the next one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fairseq.data import EpochBatchIterator, FairseqDataset
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from fairseq_lstmn.data import Sample
from fairseq_lstmn.data.datasets import ContiguousBlocks
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.tasks.embed_std import EmbedStdConfig, EmbedStdTask


@dataclass
class ContiguousLanguageModelingConfig(EmbedStdConfig, LanguageModelingConfig):
    """fairseq's ``language_modeling``, option for option, and where words' vectors start."""


@register_task("contiguous_language_modeling", dataclass=ContiguousLanguageModelingConfig)
class ContiguousLanguageModelingTask(EmbedStdTask, LanguageModelingTask):
    """fairseq's ``language_modeling`` with blocks of text in the order of the text.

    Every batch row is a stream of consecutive blocks, as truncated backpropagation through time
    needs; a model that carries its tape (``lstmn_lm --carry-tape N``) goes on reading. Batches
    come in order in every epoch. Without a batch size a batch has --max-tokens tokens; one row
    reads the text from end to end.
    """

    @classmethod
    def setup_task(  # type: ignore[override]  # fairseq's own classes disagree about the first name
        cls, args: ContiguousLanguageModelingConfig, **kwargs: Any
    ) -> "ContiguousLanguageModelingTask":
        """Raises InputError for blocks that are not cut from contiguous text, or such an option."""
        if args.sample_break_mode != "none":
            raise InputError(
                f"--sample-break-mode {args.sample_break_mode}: "
                "--task contiguous_language_modeling needs none"
            )
        return super().setup_task(args, **kwargs)

    # fairseq's announces a dataset, which it does not return either
    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> Any:
        super().load_dataset(split, *args, **kwargs)
        self.datasets[split] = ContiguousBlocks(self.datasets[split])

    def get_batch_iterator(
        self, dataset: FairseqDataset, *args: Any, **kwargs: Any
    ) -> EpochBatchIterator:
        """fairseq's, but for text loaded by ``load_dataset``, whose order stays."""
        if isinstance(dataset, ContiguousBlocks):
            return self._in_order(dataset, *args, **kwargs)
        return super().get_batch_iterator(dataset, *args, **kwargs)

    def _in_order(
        self,
        dataset: ContiguousBlocks,
        max_tokens: int | None = None,
        max_sentences: int | None = None,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 0,
        epoch: int = 1,
        data_buffer_size: int = 0,
        skip_remainder_batch: bool = False,
        **others: Any,  # how to shuffle and to sort by length
    ) -> EpochBatchIterator:
        limits = [max_sentences, max_tokens and max_tokens // self.args.tokens_per_sample]
        rows = max(1, min((limit for limit in limits if limit is not None), default=1))
        return EpochBatchIterator(
            dataset=dataset,
            collate_fn=dataset.collater,
            batch_sampler=dataset.batches(rows, num_shards),
            disable_shuffling=True,
            num_shards=num_shards,
            shard_id=shard_id,
            num_workers=num_workers,
            epoch=epoch,
            buffer_size=data_buffer_size,
            skip_remainder_batch=skip_remainder_batch,
        )

    def eval_lm_dataloader(
        self, dataset: FairseqDataset, *args: Any, context_window: int = 0, **kwargs: Any
    ) -> Iterator[Sample]:
        """Raises InputError for --context-window: what a row may see is its whole stream."""
        if context_window:
            raise InputError(
                f"--context-window {context_window}: not with --task contiguous_language_modeling, "
                "whose blocks go on anyway"
            )
        return super().eval_lm_dataloader(dataset, *args, **kwargs)

"""Language modelling on contiguous text: the rows of a batch go on in the next one."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from fairseq.data import EpochBatchIterator, FairseqDataset
from fairseq.models import FairseqLanguageModel
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from torch import nn

from fairseq_lstmn.data import Sample
from fairseq_lstmn.data.datasets import CONTINUES, ContiguousBlocks
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.tasks.embed_std import EmbedStdConfig, EmbedStdTask

logger = logging.getLogger(__name__)


@dataclass
class ContiguousLanguageModelingConfig(EmbedStdConfig, LanguageModelingConfig):
    """fairseq's ``language_modeling``, option for option, and where words' vectors start."""


@register_task("contiguous_language_modeling", dataclass=ContiguousLanguageModelingConfig)
class ContiguousLanguageModelingTask(EmbedStdTask, LanguageModelingTask):
    """fairseq's ``language_modeling`` with blocks of text in the order of the text.

    Every batch row is a stream of consecutive blocks, as truncated backpropagation through time
    needs; a model that carries its tape (``lstmn_lm --carry-tape N``) goes on reading, others, such
    as fairseq's own, read each block by itself. Batches come in order in every epoch. Without a
    batch size a batch has --max-tokens tokens; one row reads the text from end to end.
    """

    goes_on = False  # whether the latest model carries its tape from block to block

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

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> FairseqLanguageModel:
        """A model whose decoder knows nothing of text that goes on is not told of it."""
        model = super().build_model(cfg, from_checkpoint)
        self.goes_on = getattr(cfg, "carry_tape", 0) > 0
        parameters = signature(model.decoder.forward).parameters
        kinds = {parameter.kind for parameter in parameters.values()}
        if CONTINUES not in parameters and Parameter.VAR_KEYWORD not in kinds:
            logger.info("%s reads each block by itself", type(model).__name__)
            model.decoder.register_forward_pre_hook(without_continues, with_kwargs=True)
        return model

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
        self, dataset: FairseqDataset, *args: Any, **kwargs: Any
    ) -> Iterator[Sample]:
        """fairseq's. Raises InputError for a --context-window of a model that goes on anyway."""
        window = kwargs.get("context_window", 0)
        if window and self.goes_on:
            raise InputError(
                f"--context-window {window}: not with --carry-tape, by which blocks go on anyway"
            )
        if window and isinstance(dataset, ContiguousBlocks):
            dataset = dataset.dataset  # in rows as fairseq has them
        return super().eval_lm_dataloader(dataset, *args, **kwargs)


def without_continues(
    decoder: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a decoder's forward pass but for what ``ContiguousBlocks`` adds."""
    return args, {name: value for name, value in kwargs.items() if name != CONTINUES}

"""Language modelling on contiguous text: the rows of a batch go on in the next one."""

from dataclasses import dataclass

from fairseq.data import iterators
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from fairseq_lstmn.data.contiguous_blocks import ContiguousBlocks
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.tasks.embed_std import EmbedStdConfig, check_embed_std, with_embed_std


@dataclass
class ContiguousLanguageModelingConfig(EmbedStdConfig, LanguageModelingConfig):
    """fairseq's ``language_modeling``, option for option, and where words' vectors start."""


@register_task("contiguous_language_modeling", dataclass=ContiguousLanguageModelingConfig)
class ContiguousLanguageModelingTask(LanguageModelingTask):
    """fairseq's ``language_modeling`` with blocks of text in the order of the text.

    Every batch row is a stream of consecutive blocks, as truncated backpropagation through time
    needs; a model that carries its tape (``lstmn_lm --carry-tape N``) goes on reading. Batches
    come in order in every epoch. Without a batch size a batch has --max-tokens tokens; one row
    reads the text from end to end.
    """

    @classmethod
    def setup_task(cls, args, **kwargs):
        """Raises InputError for blocks that are not cut from contiguous text, or such an option."""
        if args.sample_break_mode != "none":
            raise InputError(
                f"--sample-break-mode {args.sample_break_mode}: "
                "--task contiguous_language_modeling needs none"
            )
        check_embed_std(args)
        return super().setup_task(args, **kwargs)

    def build_model(self, args, from_checkpoint=False):
        model = super().build_model(args, from_checkpoint)
        return model if from_checkpoint else with_embed_std(model, self.args, args)

    def load_dataset(self, split, epoch=1, combine=False, **kwargs):
        super().load_dataset(split, epoch, combine, **kwargs)
        self.datasets[split] = ContiguousBlocks(self.datasets[split])

    def get_batch_iterator(self, dataset, max_tokens=None, max_sentences=None, **kwargs):
        """fairseq's, but for text loaded by ``load_dataset``, whose order stays."""
        if not isinstance(dataset, ContiguousBlocks):
            return super().get_batch_iterator(dataset, max_tokens, max_sentences, **kwargs)
        limits = [max_sentences, max_tokens and max_tokens // self.args.tokens_per_sample]
        rows = max(1, min((limit for limit in limits if limit is not None), default=1))
        shards = kwargs.get("num_shards", 1)
        return iterators.EpochBatchIterator(
            dataset=dataset,
            collate_fn=dataset.collater,
            batch_sampler=dataset.batches(rows, shards),
            disable_shuffling=True,
            num_shards=shards,
            shard_id=kwargs.get("shard_id", 0),
            num_workers=kwargs.get("num_workers", 0),
            epoch=kwargs.get("epoch", 1),
            buffer_size=kwargs.get("data_buffer_size", 0),
            skip_remainder_batch=kwargs.get("skip_remainder_batch", False),
        )

    def eval_lm_dataloader(self, dataset, context_window=0, **kwargs):
        """Raises InputError for --context-window: what a row may see is its whole stream."""
        if context_window:
            raise InputError(
                f"--context-window {context_window}: not with --task contiguous_language_modeling, "
                "whose blocks go on anyway"
            )
        return super().eval_lm_dataloader(dataset, **kwargs)

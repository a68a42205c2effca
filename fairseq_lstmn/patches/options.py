"""Options of generation that fairseq's commands take and do not obey, or cannot."""

import argparse
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from fairseq_lstmn.errors import InputError

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")


def parse_args_and_arch(
    parse: Callable[Concatenate[argparse.ArgumentParser, Rest], Result],
    parser: argparse.ArgumentParser,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """fairseq's function of that name; raises InputError for what a command cannot do."""
    parsed = parse(parser, *args, **kwargs)
    namespace: Any = parsed[0] if isinstance(parsed, tuple) else parsed
    interactive = hasattr(namespace, "buffer_size")
    generate = hasattr(namespace, "replace_unk") and not interactive
    if interactive:
        check_interactive(namespace)
    if generate:
        check_generate(namespace)
    if generate or hasattr(namespace, "context_window"):  # the latter is fairseq-eval-lm
        check_shard(namespace)
    if generate:
        take_shard(namespace)
    return parsed


def check_interactive(namespace: Any) -> None:
    if namespace.print_alignment == "soft":
        raise InputError(
            "--print-alignment soft: fairseq-interactive prints hard alignments only;"
            " fairseq-generate prints both"
        )
    if namespace.score_reference:
        raise InputError(
            "--score-reference: fairseq-interactive reads no references; fairseq-generate does"
        )
    if namespace.replace_unk is not None and namespace.post_process:
        raise InputError(
            f"--replace-unk: copies single tokens of the source, which --post-process"
            f" {namespace.post_process} joins here; leave it out"
        )


def check_generate(namespace: Any) -> None:
    if namespace.replace_unk is None:
        return
    if namespace.dataset_impl != "raw":
        raise InputError(
            f"--dataset-impl {namespace.dataset_impl}: --replace-unk copies words, which only raw"
            " data hold (--dataset-impl raw, here and in fairseq-preprocess)"
        )
    for option in ("bpe", "tokenizer"):
        if value := getattr(namespace, option, None):
            raise InputError(
                f"--replace-unk: copies single tokens of the source, which --{option} {value}"
                " joins here; leave it out"
            )


def check_shard(namespace: Any) -> None:
    shards, shard = namespace.num_shards, namespace.shard_id
    if not 0 <= shard < max(shards, namespace.distributed_world_size):
        raise InputError(f"--shard-id {shard}: must be 0 or above and below --num-shards {shards}")


def take_shard(namespace: Any) -> None:
    """Say it where fairseq-generate looks, as fairseq-eval-lm does it."""
    shards, processes = namespace.num_shards, namespace.distributed_world_size
    namespace.distributed_world_size = max(shards, processes)
    namespace.distributed_rank = max(namespace.shard_id, namespace.distributed_rank)

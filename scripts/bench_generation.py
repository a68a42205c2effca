#!/usr/bin/env python3
"""Speed of decoding with trained models: sentences a second, and what a step costs.

    python scripts/bench_generation.py data/dates/bin --user-dir fairseq_lstmn --cpu \
        --path lstm/checkpoint_best.pt:lstmn_deep/checkpoint_best.pt --beam 5

takes the options of fairseq-generate, but every model of --path decodes the test set by itself,
batch by batch in turn with the others. Then each decodes a batch of --rows rows step by step, and
after every step the rows of a beam change places. Times are processor time of one thread.
"""

import argparse
import ast
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from fairseq import checkpoint_utils, options, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import FairseqEncoderDecoderModel
from fairseq.tasks.fairseq_task import FairseqTask
from omegaconf import DictConfig
from torch import Tensor

WINDOW = 20  # steps before each of --steps whose median is its cost


Sample = dict[str, Any]  # a batch of fairseq's
Models = dict[str, FairseqEncoderDecoderModel]  # by their paths


class Decoded(NamedTuple):
    """How much a model has decoded, and in what time."""

    seconds: float
    sentences: int
    tokens: int


def parse() -> argparse.Namespace:
    parser = options.get_generation_parser(default_task="translation")
    parser.add_argument("--rounds", type=int, default=5, help="counted ones, after a warm-up")
    parser.add_argument("--rows", type=int, default=100, help="rows decoded step by step")
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 100, 1000])
    args: argparse.Namespace = options.parse_args_and_arch(parser)
    return args


def load(cfg: DictConfig) -> tuple[FairseqTask, Models]:
    """The task with its test set, and the models by their paths."""
    utils.import_user_module(cfg.common)
    task = tasks.setup_task(cfg.task)
    paths = utils.split_paths(cfg.common_eval.path)
    overrides = ast.literal_eval(cfg.common_eval.model_overrides)
    models, saved = checkpoint_utils.load_model_ensemble(paths, overrides, task=task)
    task.load_dataset(cfg.dataset.gen_subset, task_cfg=saved.task)
    for model in models:
        model.prepare_for_inference_(cfg)
    return task, dict(zip(paths, models))


def batches(cfg: DictConfig, task: FairseqTask) -> list[Sample]:
    """The test set in batches as fairseq-generate makes them."""
    iterator = task.get_batch_iterator(
        dataset=task.dataset(cfg.dataset.gen_subset),
        max_tokens=cfg.dataset.max_tokens or 12000,
        max_sentences=cfg.dataset.batch_size,
    )
    return list(iterator.next_epoch_itr(shuffle=False))


def time_search(
    cfg: DictConfig, task: FairseqTask, models: Models, rounds: int
) -> dict[str, list[Decoded]]:
    """{model: [what it decoded in a round]}, the models in turn at every batch."""
    samples = batches(cfg, task)
    generators = {name: task.build_generator([models[name]], cfg.generation) for name in models}
    taken: dict[str, list[Decoded]] = defaultdict(list)
    for _ in range(1 + rounds):
        found: dict[str, list[Decoded]] = {name: [] for name in models}
        for sample in samples:
            for name, model in models.items():
                start = time.process_time()
                answers = task.inference_step(generators[name], [model], sample)
                spent = time.process_time() - start
                tokens = sum(len(hypotheses[0]["tokens"]) for hypotheses in answers)
                found[name].append(Decoded(spent, len(answers), tokens))
        for name, counts in found.items():
            taken[name].append(Decoded(*map(sum, zip(*counts))))
    return {name: counts[1:] for name, counts in taken.items()}


def time_steps(
    model: FairseqEncoderDecoderModel, sample: Sample, rows: int, beam: int, steps: Sequence[int]
) -> list[list[float]]:
    """Median milliseconds of decoding and of reordering in the WINDOW before each of ``steps``."""
    net_input = sample["net_input"]
    first_of_beam = torch.arange(rows) // beam * beam
    source = torch.arange(rows) // beam % len(sample["id"])
    encoder_out = model.encoder(net_input["src_tokens"], net_input["src_lengths"])
    encoder_out = model.encoder.reorder_encoder_out(encoder_out, source)
    tokens = torch.randint(4, len(model.decoder.dictionary), (rows, max(steps)))
    state: dict[str, dict[str, Tensor | None]] = {}
    decode_ms: list[float] = []
    reorder_ms: list[float] = []
    for t in range(max(steps)):
        start = time.process_time()
        model.decoder(tokens[:, : t + 1], encoder_out=encoder_out, incremental_state=state)
        order = first_of_beam + torch.randint(beam, (rows,))
        middle = time.process_time()
        model.decoder.reorder_incremental_state_scripting(state, order)
        encoder_out = model.encoder.reorder_encoder_out(encoder_out, order)
        decode_ms.append(1000 * (middle - start))
        reorder_ms.append(1000 * (time.process_time() - middle))
    return [
        [statistics.median(times[max(0, t - WINDOW) : t]) for times in (decode_ms, reorder_ms)]
        for t in steps
    ]


def print_search(taken: Mapping[str, Sequence[Decoded]]) -> None:
    print("| model | sentences/s | tokens/s | x the first |\n|---|---|---|---|")
    first = None
    for name, counts in taken.items():
        speed = statistics.median(sentences / seconds for seconds, sentences, _ in counts)
        tokens = statistics.median(tokens / seconds for seconds, _, tokens in counts)
        first = first or speed
        print(f"| {name} | {speed:.0f} | {tokens:.0f} | {speed / first:.2f} |")


def print_steps(steps: Sequence[int], costs: Mapping[str, Sequence[list[float]]]) -> None:
    print("\n| model |", " | ".join(f"step {t}: ms + reordering" for t in steps), "|")
    print("|---" * (1 + len(steps)) + "|")
    for name, cost in costs.items():
        print(f"| {name} |", " | ".join(f"{step:.1f} + {order:.1f}" for step, order in cost), "|")


def main() -> None:
    args = parse()
    cfg = convert_namespace_to_omegaconf(args)
    torch.set_num_threads(1)
    task, models = load(cfg)
    print_search(time_search(cfg, task, models, args.rounds))
    with torch.no_grad():
        sample = batches(cfg, task)[0]
        sizes = args.rows, cfg.generation.beam, args.steps
        print_steps(
            args.steps, {name: time_steps(model, sample, *sizes) for name, model in models.items()}
        )


if __name__ == "__main__":
    main()

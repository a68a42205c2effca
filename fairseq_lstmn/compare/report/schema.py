"""What came out of a comparison, as JSON holds it: the shape of results.json.

In the file, numbers that are not finite are None as well.
"""

from typing import TypedDict

from fairseq_lstmn.compare.types import Numbers, Options, State, Verdict


class MetricEntry(TypedDict):
    name: str
    higher_is_better: bool
    unit: str


class CurveEntry(TypedDict):
    """What learning curves show."""

    name: str
    higher_is_better: bool


class DifferenceEntry(TypedDict):
    """See ``significance.Difference``."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_items: float | None
    p_seeds: float | None
    p_seeds_least: float | None
    p_holm: float | None
    p_items_holm: float | None
    verdict: Verdict
    reason: str


class ScoreEntry(TypedDict):
    """A model's scores by one metric."""

    mean: float | None
    seeds: dict[str, float | None]
    deviation_seeds: float | None
    deviation_items: float | None
    difference: DifferenceEntry | None  # from the baseline, which has none


class RunEntry(TypedDict):
    seed: int
    state: State
    error: str | None
    best_update: int | None
    best_valid: float | None
    curve: list[list[float]]  # [update, value] of every validation


class ModelEntry(TypedDict):
    name: str
    arch: str
    options: Options
    chosen: Options  # by matching or tuning
    parameters: Numbers
    budget: Numbers
    cost: Numbers
    scores: dict[str, ScoreEntry]  # by metric
    runs: list[RunEntry]


class BucketEntry(TypedDict):
    """A metric in the buckets of one way to cut the items, a number for each by model."""

    metric: str
    name: str
    labels: list[str]
    counts: list[int]
    values: dict[str, list[float | None]]
    differences: dict[str, list[float | None]]


class TrialEntry(TypedDict):
    model: str
    options: Options
    valid: float | None
    chosen: bool


class CommandEntry(TypedDict):
    run: str
    stage: str
    command: str


class Results(TypedDict):
    title: str
    errors: list[str]
    warnings: list[str]  # of what the scores leave out
    notes: list[str]
    data: str | None
    baseline: str
    seeds: list[int]
    metrics: list[MetricEntry]
    curve: CurveEntry
    models: list[ModelEntry]
    buckets: list[BucketEntry]
    trials: list[TrialEntry]
    commands: list[CommandEntry]
    versions: dict[str, str]
    machine: dict[str, str]

"""The tables of a report, whatever its format: what the models scored, how they were trained."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fairseq_lstmn.compare.report.schema import (
    BucketEntry,
    DifferenceEntry,
    MetricEntry,
    ModelEntry,
    Results,
    RunEntry,
    ScoreEntry,
)
from fairseq_lstmn.compare.report.words import (
    MISSING,
    interval,
    memory,
    number,
    options,
    probability,
    signed,
    whole,
)

_NUMERIC = re.compile(rf"[+<−]?\d.*|{MISSING}( / .*)?")
_LONG_TEXT, _LONG_WORD = 28, 14  # characters; in a column, longer ones are broken into lines
_SLASH = "\u00a0/ "  # behind which a line may end

Cell: TypeAlias = Callable[[ModelEntry], str]  # what a column says of a model
Points: TypeAlias = list[tuple[float, float]]  # update and value


@dataclass(frozen=True)
class Table:
    """Text in rows, one a model, or in columns, one a model; in the plan's order.

    Attributes:
        title: what the table shows.
        header: the names of the columns.
        rows: the cells of every row, the first of which names it.
    """

    title: str
    header: list[str]
    rows: list[list[str]]

    @property
    def numeric(self) -> list[bool]:
        """Whether a column holds numbers, for every column."""
        columns = list(zip(*self.rows))[1:]
        return [False] + [all(map(_NUMERIC.fullmatch, column)) for column in columns]

    def turned(self, corner: str) -> "Table":
        """A row for each column but the first, and a column for each row; ``corner`` heads them.

        For tables with more columns than a page may have room for.
        """
        names, *columns = zip(self.header, *self.rows)
        return Table(self.title, [corner, *names[1:]], [list(column) for column in columns])


def is_long(text: str) -> bool:
    """Whether a cell's text would make its column too wide for a page, unless it is broken."""
    return len(text) > _LONG_TEXT or any(len(word) > _LONG_WORD for word in text.split())


def table(title: str, results: Results, columns: Mapping[str, Cell]) -> Table:
    """A table of ``columns``: what to say of a model, by the column's name."""
    rows = [
        [model["name"], *(say(model) for say in columns.values())] for model in results["models"]
    ]
    return Table(title, ["model", *columns], rows)


def of_part(
    part: Literal["parameters", "budget", "cost"],
    name: str,
    say: Callable[[float | None], str] = number,
) -> Cell:
    """What ``say`` makes of one of a model's parameters, budget or cost."""
    return lambda model: say((model[part] or {}).get(name))


def of_score(metric: MetricEntry, say: Callable[[ScoreEntry], str]) -> Cell:
    """What ``say`` makes of a model's score in ``metric``."""

    def cell(model: ModelEntry) -> str:
        score = model["scores"].get(metric["name"])
        return say(score) if score else MISSING

    return cell


def of_difference(metric: MetricEntry, say: Callable[[DifferenceEntry, float | None], str]) -> Cell:
    """What ``say`` makes of the difference from the baseline and of the mean, for its size."""

    def of(score: ScoreEntry) -> str:
        difference = score["difference"]
        return say(difference, score["mean"]) if difference else MISSING

    return of_score(metric, of)


def all_scores(results: Results) -> list[Table]:
    """Two tables a metric, and what the models' sizes are."""
    by_metric = [one(results, metric) for metric in results["metrics"] for one in (scores, seeds)]
    return [*by_metric, sizes(results)]


def scores(results: Results, metric: MetricEntry) -> Table:
    """The main table: what one metric says of the models."""
    better = "higher" if metric["higher_is_better"] else "lower"
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    points = " (points)" if metric["unit"] == "%" else ""
    judged = of_difference(metric, lambda d, _: d["verdict"])

    def verdict(model: ModelEntry) -> str:
        return "baseline" if model["name"] == results["baseline"] else judged(model)

    def in_one_line(d: DifferenceEntry, like: float | None) -> str:
        return interval(d["low"], d["high"], like).replace(" ", "\u00a0")

    columns = {
        "verdict": verdict,
        f"mean{unit}": of_score(metric, lambda s: number(s["mean"])),
        f"difference{points}": of_difference(metric, lambda d, like: signed(d["value"], like)),
        "95% interval": of_difference(metric, in_one_line),
        "p": of_difference(metric, lambda d, _: probability(d["p_holm"])),
        "p over items": of_difference(metric, lambda d, _: probability(d["p_items_holm"])),
    }
    return table(f"{metric['name']} on the test items ({better} is better)", results, columns)


def seeds(results: Results, metric: MetricEntry) -> Table:
    """What the means of ``scores`` are made of."""
    names = list(map(str, results["seeds"]))

    def p_over_seeds(d: DifferenceEntry, _: float | None) -> str:
        p, least = d["p_seeds"], d["p_seeds_least"]
        return MISSING if p is None else f"{probability(p)} (least\u00a0{probability(least)})"

    def of_every_seed(s: ScoreEntry) -> str:
        return _SLASH.join(number(s["seeds"].get(name), s["mean"]) for name in names)

    columns = {
        "deviation over seeds": of_score(metric, lambda s: number(s["deviation_seeds"], s["mean"])),
        "deviation over items": of_score(metric, lambda s: number(s["deviation_items"], s["mean"])),
        "p over seeds": of_difference(metric, p_over_seeds),
        f"seed {_SLASH.join(names)}": of_score(metric, of_every_seed),
    }
    return table(f"{metric['name']} of every seed", results, columns)


def sizes(results: Results) -> Table:
    columns = {
        "all": of_part("parameters", "all", whole),
        "in embeddings": of_part("parameters", "embeddings", whole),
        "others": of_part("parameters", "others", whole),
    }
    return table("Parameters", results, columns)


def buckets(results: Results, bucket: BucketEntry) -> Table:
    """A metric's mean over the seeds within each bucket, with the difference from the baseline."""

    def column(at: int) -> Cell:
        def cell(model: ModelEntry) -> str:
            value, change = (
                by_model[model["name"]][at] if model["name"] in by_model else None
                for by_model in (bucket["values"], bucket["differences"])
            )
            return number(value) + (f" ({signed(change, value)})" if change is not None else "")

        return cell

    named = zip(bucket["labels"], bucket["counts"])
    headings = [f"{label} (n\u00a0=\u00a0{whole(count)})" for label, count in named]
    columns = {heading: column(at) for at, heading in enumerate(headings)}
    title = f"{bucket['metric']} by {bucket['name']}"
    return table(title, results, columns).turned(bucket["name"])


def curves(results: Results) -> Table:
    """Where the learning curves begin, are best and end, of all seeds."""
    pick = max if results["curve"]["higher_is_better"] else min

    def column(of: Callable[[Points], float], say: Callable[[float], str] = number) -> Cell:
        def cell(model: ModelEntry) -> str:
            return span([of(points) for run in model["runs"] if (points := known_points(run))], say)

        return cell

    columns = {
        "at first": column(lambda points: points[0][1]),
        "best": column(lambda points: pick(value for _, value in points)),
        "at last": column(lambda points: points[-1][1]),
        "last update": column(lambda points: points[-1][0], whole),
    }
    return table(f"{results['curve']['name']}, from seed to seed", results, columns)


def span(values: Collection[float], say: Callable[[float], str]) -> str:
    """From the least to the greatest, in the words of ``say``."""
    if not values:
        return MISSING
    low, high = say(min(values)), say(max(values))
    return low if low == high else f"{low} to {high}"


def known_points(run: RunEntry) -> Points:
    """The points of a run's learning curve that have a value."""
    return [(update, value) for update, value in run["curve"] if value is not None]


def trainings(results: Results) -> list[Table]:
    """What the trainings cost, their budgets and settings, and how they ended."""
    tried = [trials(results)] if results["trials"] else []
    return [cost(results), budget(results), settings(results), *tried, runs(results)]


def cost(results: Results) -> Table:
    columns = {
        "training, words a second": of_part("cost", "words_per_second", whole),
        "scoring, items a second": of_part("cost", "items_per_second"),
        "peak memory": of_part("cost", "peak_memory", memory),
        "updates to the best": of_part("budget", "best_update", whole),
        "minutes": of_part("cost", "minutes"),
        "CPU minutes": of_part("cost", "cpu_seconds", lambda s: number(s and s / 60)),
    }
    return table("Cost of a run (mean over the seeds)", results, columns)


def budget(results: Results) -> Table:
    columns = {
        "updates": of_part("budget", "updates", whole),
        "target tokens an update": of_part("budget", "tokens_per_update"),
        "epochs": of_part("budget", "epochs"),
    }
    return table("Budget of a run (mean over the seeds)", results, columns)


def settings(results: Results) -> Table:
    def own(model: ModelEntry) -> str:
        return options({name: v for name, v in model["options"].items() if name != "arch"})

    columns: dict[str, Cell] = {
        "architecture": lambda model: model["arch"],
        "own options": own,
        "set by matching or tuning": lambda model: options(model["chosen"]),
    }
    return table("Settings", results, columns)


def trials(results: Results) -> Table:
    """Validation results of every setting that was tried; the chosen one is marked."""
    by_setting = {(t["model"], options(t["options"])): t for t in results["trials"]}

    def column(setting: str) -> Cell:
        def cell(model: ModelEntry) -> str:
            trial = by_setting.get((model["name"], setting), {"valid": None, "chosen": False})
            return number(trial["valid"]) + (" (chosen)" if trial["chosen"] else "")

        return cell

    title = f"Trials ({results['curve']['name']}, one seed)"
    columns = {setting: column(setting) for _, setting in by_setting}
    return table(title, results, columns).turned("setting")


def runs(results: Results) -> Table:
    """How every run ended."""

    def column(seed: int) -> Cell:
        def cell(model: ModelEntry) -> str:
            ends = [ended(run) for run in model["runs"] if run["seed"] == seed]
            return ends[0] if ends else "missing"

        return cell

    columns = {str(seed): column(seed) for seed in results["seeds"]}
    return table(f"Runs (best {results['curve']['name']})", results, columns).turned("seed")


def ended(run: RunEntry) -> str:
    if run["state"] == "finished":
        return f"{number(run['best_valid'])} at update {whole(run['best_update'])}"
    return f"{run['state']}: {run['error']}" if run["error"] else run["state"]

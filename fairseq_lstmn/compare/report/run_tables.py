"""The tables of the trainings: how they went, what they cost and what they were given."""

from collections.abc import Callable, Collection
from typing import TypeAlias

from fairseq_lstmn.compare.report.numbers import (
    MISSING,
    memory,
    number,
    options,
    whole,
)
from fairseq_lstmn.compare.report.record import ModelEntry, Results, RunEntry
from fairseq_lstmn.compare.report.table import Cell, Table, of_part, table

Points: TypeAlias = list[tuple[float, float]]  # update and value


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
    """All but the curves' table."""
    tried = [trials(results)] if results["trials"] else []
    return [cost(results), budget(results), settings(results), *tried, runs(results)]


def sizes(results: Results) -> Table:
    columns = {
        "all": of_part("parameters", "all", whole),
        "in embeddings": of_part("parameters", "embeddings", whole),
        "others": of_part("parameters", "others", whole),
    }
    return table("Parameters", results, columns)


def cost(results: Results) -> Table:
    columns = {
        "training, words a second": of_part("cost", "words_per_second", whole),
        "scoring, items a second": of_part("cost", "items_per_second"),
        "peak memory": of_part("cost", "peak_memory", memory),
        "updates to the best": of_part("budget", "best_update", whole),
        "minutes": of_part("cost", "minutes"),
        "CPU minutes": of_part("cost", "cpu_seconds", cpu_minutes),
    }
    return table("Cost of a run (mean over the seeds)", results, columns)


def cpu_minutes(seconds: float | None) -> str:
    return number(None if seconds is None else seconds / 60)


def budget(results: Results) -> Table:
    columns = {
        "updates": of_part("budget", "updates", whole),
        "target tokens an update": of_part("budget", "tokens_per_update"),
        "epochs": of_part("budget", "epochs"),
    }
    return table("Budget of a run (mean over the seeds)", results, columns)


def settings(results: Results) -> Table:
    columns: dict[str, Cell] = {
        "architecture": lambda model: model["arch"],
        "own options": own_options,
        "set by matching or tuning": lambda model: options(model["chosen"]),
    }
    return table("Settings", results, columns)


def own_options(model: ModelEntry) -> str:
    own = {name: value for name, value in model["options"].items() if name != "arch"}
    return options(own)


def trials(results: Results) -> Table:
    """Validation results of every setting that was tried; the chosen one is marked."""
    found = {(t["model"], options(t["options"])): t for t in results["trials"]}

    def column(setting: str) -> Cell:
        def cell(model: ModelEntry) -> str:
            trial = found.get((model["name"], setting), {"valid": None, "chosen": False})
            return number(trial["valid"]) + (" (chosen)" if trial["chosen"] else "")

        return cell

    settings = dict.fromkeys(setting for _, setting in found)
    columns = {setting: column(setting) for setting in settings}
    title = f"Trials ({results['curve']['name']}, one seed)"
    return table(title, results, columns).turned("setting")


def runs(results: Results) -> Table:
    """How every run ended."""

    def column(seed: int) -> Cell:
        def cell(model: ModelEntry) -> str:
            found = [run for run in model["runs"] if run["seed"] == seed]
            return ended(found[0]) if found else "missing"

        return cell

    columns = {str(seed): column(seed) for seed in results["seeds"]}
    return table(f"Runs (best {results['curve']['name']})", results, columns).turned("seed")


def ended(run: RunEntry) -> str:
    if run["state"] == "finished":
        return f"{number(run['best_valid'])} at update {whole(run['best_update'])}"
    return f"{run['state']}: {run['error']}" if run["error"] else run["state"]

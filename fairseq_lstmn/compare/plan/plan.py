"""What a comparison is: a YAML file, read and checked before anything runs."""

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import MISSING, dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fairseq_lstmn.compare.plan import plan_file
from fairseq_lstmn.compare.stats.metrics import METRICS
from fairseq_lstmn.compare.types import Options
from fairseq_lstmn.errors import InputError

# what of a training must be equal for every model, by what the plan calls it
BUDGETS = {
    "updates": ("updates", "tokens_per_update"),
    "epochs": ("epochs",),
    "minutes": ("minutes",),
}

OPTION = re.compile("[A-Za-z0-9][A-Za-z0-9_-]*")
WORDS = "task", "arch", "criterion"  # of the options, those that choose other options
LONGEST = 200  # letters of a model's name, which a folder has too


@dataclass(frozen=True)
class Plan:
    """A comparison, as its file has it. Options are by their names without the dashes.

    ``data`` is None for a task that reads none.
    """

    train: Options
    metrics: list[str]
    score: Options
    models: dict[str, Options]
    baseline: str
    seeds: list[int]
    data: str | None = None
    title: str = "Comparison"
    budget: str = "updates"
    match: str | None = None
    tune: dict[str, list[Any]] = field(default_factory=dict)

    def options(self, model: str) -> Options:
        """The options of fairseq-train for ``model``: its own go before those of all."""
        return {**self.train, **self.models[model]}

    def trials(self) -> list[Options]:
        """The combinations of ``tune``, each a dict of options; one empty dict without it."""
        return [dict(zip(self.tune, values)) for values in product(*self.tune.values())]


def read(path: str | Path, overrides: Iterable[str] = ()) -> Plan:
    """The Plan in the YAML file ``path``.

    Args:
        overrides: ``key=value``, dots between the parts of a key (``train.lr=0.001``).

    Raises InputError, naming the key and its value, for all that can be told from the file alone.
    """
    try:
        written = plan_file.load(Path(path).read_bytes())
        if not isinstance(written, dict):
            raise InputError(f"{path}: is no plan (no keys and values)")
        changes = OmegaConf.create()
        for key, value in map(plan_file.override, overrides):
            OmegaConf.update(changes, key, value, merge=True)
        found = OmegaConf.to_container(OmegaConf.merge(written, changes), resolve=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError:
        raise
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:
        raise InputError(f"{path}: is no plan ({_in_one_line(error)})") from None
    try:
        assert isinstance(found, dict)
        return _checked(found)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _in_one_line(error: Exception) -> str:
    """An error without what OmegaConf adds about types."""
    lines = re.sub(
        r"\s(reference|object)_type=.*|\sfull_key: *$", "", str(error), flags=re.MULTILINE
    )
    return " ".join(lines.split())


def _checked(found: dict[Any, Any]) -> Plan:
    known = {part.name: part for part in fields(Plan) if part.name != "metrics"}
    for key in found:
        check_known("key", key, known)
    for key, part in known.items():
        needed = part.default is MISSING and part.default_factory is MISSING
        if needed and found.get(key) is None:
            raise InputError(f"{key}: is missing")
    if found.get("data") is None:
        found.pop("data", None)
    for key in ("train", "score", "models", "tune"):
        _check_kind(found, key, dict, "keys and values")
    for key in plan_file.TEXTS:
        _check_kind(found, key, str, "one word or sentence")
    metrics, score = _metrics_and_options(found["score"])
    plan = Plan(**{**found, "metrics": metrics, "score": score})
    _check_options("train", plan.train)
    _check_options("score", plan.score)
    _check_models(plan)
    _check_seeds(plan.seeds)
    _check_tune(plan)
    for folder in plan.data.split(":") if plan.data is not None else []:
        if not Path(folder).is_dir():
            raise InputError(f"data: {folder}: no such folder")
    if plan.budget not in BUDGETS:
        raise InputError(f"budget: {plan.budget}: must be one of {', '.join(BUDGETS)}")
    if plan.match not in (None, "parameters"):
        raise InputError(f"match: {plan.match}: must be parameters")
    return plan


def check_known(what: str, name: object, known: Collection[str]) -> None:
    """Raise InputError if ``name`` is none of ``known``, with the nearest that is."""
    if name in known:
        return
    near = difflib.get_close_matches(str(name), list(known), n=1)
    raise InputError(f"{name}: unknown {what}" + (f"; is {near[0]} meant?" if near else ""))


def _missing(section: str, key: str, options: Options) -> InputError:
    """The error that a section lacks ``key``, or that one of its ``options`` is it misspelt."""
    near = difflib.get_close_matches(key, list(options), n=1)
    if near:
        return InputError(f"{section}.{near[0]}: unknown key; is {key} meant?")
    return InputError(f"{section}.{key}: is missing")


def _check_kind(found: dict[str, Any], key: str, kind: type | tuple[type, ...], words: str) -> None:
    if key in found and not isinstance(found[key], kind):
        raise InputError(f"{key}: {found[key]!r}: must be {words}")


def _metrics_and_options(score: Options) -> tuple[list[str], Options]:
    options = dict(score)
    named = options.pop("metric", None)
    metrics = named if isinstance(named, list) else [named]
    if not metrics or metrics == [None]:
        raise _missing("score", "metric", options)
    for metric in metrics:
        if not isinstance(metric, str) or metric not in METRICS:
            raise InputError(f"score.metric: {metric}: must be one of {', '.join(METRICS)}")
        if metrics.count(metric) > 1:
            raise InputError(f"score.metric: {metric}: stands there twice")
    return metrics, options


def _check_options(section: str, options: Options) -> None:
    for name, value in options.items():
        if not OPTION.fullmatch(str(name)):
            raise InputError(f"{section}.{name}: {value}: is no name of an option")
        if value in (None, []) or isinstance(value, dict):
            raise InputError(f"{section}.{name}: {value}: must be one value, or true for a flag")
        if name in WORDS and not isinstance(value, str):
            raise InputError(f"{section}.{name}: {value}: must be a word")


def _check_models(plan: Plan) -> None:
    for name, options in plan.models.items():
        if not isinstance(options, dict):
            raise InputError(f"models.{name}: {options!r}: must be keys and values")
        # fairseq-generate takes a path with colons for several
        if not name.strip() or set(name) & set("/:\0\n") or len(name) > LONGEST:
            raise InputError(f"models: {name!r}: cannot be the name of a folder")
        _check_options(f"models.{name}", options)
        if "arch" not in plan.options(name):
            raise _missing(f"models.{name}", "arch", plan.options(name))
    if plan.baseline not in plan.models:
        raise InputError(
            f"baseline: {plan.baseline}: is none of the models ({', '.join(plan.models)})"
        )


def _check_seeds(seeds: Any) -> None:
    if not isinstance(seeds, list) or not seeds:
        raise InputError(f"seeds: {seeds!r}: must be a list of numbers")
    for seed in seeds:
        if type(seed) is not int or not 0 <= seed < 2**32:
            raise InputError(f"seeds: {seed!r}: must be a whole number from 0 on, below 2^32")
        if seeds.count(seed) > 1:
            raise InputError(f"seeds: {seed}: stands there twice")


def _check_tune(plan: Plan) -> None:
    for name, values in plan.tune.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"tune.{name}: {values!r}: must be a list of values")
        for value in values:
            _check_options("tune", {name: value})
            if values.count(value) > 1:
                raise InputError(f"tune.{name}: {value}: stands there twice")

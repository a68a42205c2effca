"""What a comparison is: a YAML file, read and checked before anything runs.

It is read by the core schema of YAML 1.2; PyYAML reads plain scalars by 1.1, where ``on`` is true,
``032`` is 26 and ``1:30`` is 90.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from dataclasses import MISSING, dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

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
# of a model's own options, those of its scoring (fairseq-eval-lm), for which nothing is trained
OF_SCORING = "neural-cache", "cache-theta", "cache-lambda", "cache-tune", "context-window"
LONGEST = 200  # letters of a model's name, which a folder has too
TEXTS = frozenset({"data", "title", "baseline", "budget"})  # keys whose values stay as written


@dataclass(frozen=True)
class Plan:
    """A comparison, as its file has it. Options are by their names without the dashes.

    ``data`` is None for a task that reads none; ``slurm`` are options of sbatch, for its jobs.
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
    slurm: Options = field(default_factory=dict)

    def options(self, model: str) -> Options:
        """The options of fairseq-train for ``model``: its own go before those of all."""
        own = {n: value for n, value in self.models[model].items() if n not in OF_SCORING}
        return {**self.train, **own}

    def scoring(self, model: str) -> Options:
        """The options of ``score`` for ``model``, with its own."""
        own = {n: value for n, value in self.models[model].items() if n in OF_SCORING}
        return {**self.score, **own}

    def trained_as(self, model: str) -> str:
        """The first of the models, from the baseline on, with the same training as ``model``."""
        names = [self.baseline, *self.models]
        return next(name for name in names if self.options(name) == self.options(model))

    def trials(self) -> list[Options]:
        """The combinations of ``tune``, each a dict of options; one empty dict without it."""
        return [dict(zip(self.tune, values)) for values in product(*self.tune.values())]


STRING, NULL, INTEGER = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "int"))
MERGE = "tag:yaml.org,2002:merge"
SCHEMA = {
    NULL: r"(null|Null|NULL|~|)\Z",
    "tag:yaml.org,2002:bool": r"(true|True|TRUE|false|False|FALSE)\Z",
    INTEGER: r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z",
    "tag:yaml.org,2002:float": r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z",
    MERGE: r"<<\Z",  # of 1.1, for what models share
}


class PlanLoader(yaml.SafeLoader):
    """Reads keys as text, whatever they look like; a key that stands there twice is an error."""

    # None: for scalars that begin with any letter
    yaml_implicit_resolvers = {None: [(tag, re.compile(form)) for tag, form in SCHEMA.items()]}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """PyYAML's, which calls this for every mapping."""
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                key.tag = STRING
                if key.value in TEXTS and isinstance(value, yaml.ScalarNode) and value.tag != NULL:
                    value.tag = STRING
        keys = Counter(key.value for key, _ in node.value if key.tag == STRING)
        for name, count in keys.items():
            if count > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"found duplicate key {name}", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """The number of ``032`` (32), ``0o40`` (32) or ``0x20`` (32)."""
        text = self.construct_scalar(node)
        return int(text, base=0 if text[:2] in ("0o", "0x") else 10)


PlanLoader.add_constructor(INTEGER, PlanLoader.construct_integer)


def load_yaml(text: str | bytes) -> Any:
    """What a YAML text says; raises yaml.YAMLError or ValueError if it is none."""
    return yaml.load(text, Loader=PlanLoader)


def override(text: str) -> tuple[str, Any]:
    """The key and the value, read as in a plan, of ``key=value``; None without a value."""
    key, _, value = text.partition("=")
    name = json.dumps(key.rpartition(".")[2], ensure_ascii=False)
    [value] = load_yaml(f"{name}:\n {value}").values()
    return key, value


def read(path: str | Path, overrides: Iterable[str] = ()) -> Plan:
    """The Plan in the YAML file ``path``.

    Args:
        overrides: ``key=value``, dots between the parts of a key (``train.lr=0.001``);
            ``models.NAME=null`` leaves a model out.

    Raises InputError, naming the key and its value, for all that can be told from the file alone.
    """
    try:
        written = load_yaml(Path(path).read_bytes())
        if not isinstance(written, dict):
            raise InputError("is no plan (no keys and values)")
        changes = OmegaConf.create()
        for key, value in map(override, overrides):
            OmegaConf.update(changes, key, value, merge=True)
        values = OmegaConf.to_container(OmegaConf.merge(written, changes), resolve=True)
        assert isinstance(values, dict)
        for name in _left_out(written, changes):
            del values["models"][name]
        return _checked(values)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:
        raise InputError(f"{path}: is no plan ({_in_one_line(error)})") from None


def _left_out(written: dict[Any, Any], changes: DictConfig) -> list[str]:
    """The models of a plan that a command line sets to null."""
    models = written.get("models")
    if not isinstance(models, dict) or not OmegaConf.is_dict(changes.get("models")):
        return []
    return [name for name, options in changes.models.items() if name in models and options is None]


def _in_one_line(error: Exception) -> str:
    """An error without what OmegaConf adds about types."""
    text = re.sub(r"(?m)\s(reference|object)_type=.*|\sfull_key: *$", "", str(error))
    return " ".join(text.split())


def _checked(values: dict[Any, Any]) -> Plan:
    known = {part.name: part for part in fields(Plan) if part.name != "metrics"}
    for key in values:
        check_known("key", key, known)
    for key, part in known.items():
        needed = part.default is MISSING and part.default_factory is MISSING
        if needed and values.get(key) is None:
            raise InputError(f"{key}: is missing")
    if values.get("data") is None:
        values.pop("data", None)
    for key in ("train", "score", "models", "tune", "slurm"):
        _check_type(values, key, dict, "keys and values")
    for key in TEXTS:
        _check_type(values, key, str, "one word or sentence")
    metrics, score = _metrics_and_options(values["score"])
    plan = Plan(**{**values, "metrics": metrics, "score": score})
    _check_options("train", plan.train)
    _check_options("score", plan.score)
    _check_options("slurm", plan.slurm)
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


def _check_type(values: dict[str, Any], key: str, kind: type, words: str) -> None:
    if key in values and not isinstance(values[key], kind):
        raise InputError(f"{key}: {values[key]!r}: must be {words}")


def _metrics_and_options(score: Options) -> tuple[list[str], Options]:
    options = dict(score)
    named = options.pop("metric", None)
    metrics = named if isinstance(named, list) else [named]
    if not metrics or metrics == [None]:
        raise _missing("score", "metric", options)
    for metric in metrics:
        if not isinstance(metric, str):
            raise InputError(f"score.metric: {metric}: must be a word")
    _check_once("score.metric", metrics)
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
    _check_once("seeds", seeds)


def _check_tune(plan: Plan) -> None:
    for name, values in plan.tune.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"tune.{name}: {values!r}: must be a list of values")
        for value in values:
            _check_options("tune", {name: value})
        _check_once(f"tune.{name}", values)


def _check_once(section: str, values: list[Any]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{section}: {value}: stands there twice")

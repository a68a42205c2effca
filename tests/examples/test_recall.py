"""examples/recall: plan against README, and the picture of several comparisons."""

import json

import pytest

from fairseq_lstmn.compare.plan import plan
from fairseq_lstmn.compare.plan.experiment import Experiment
from tests.examples.example import EXAMPLES, load_script, readme_commands
from tests.examples.plans import assert_trains_as, check_plan, path_of

EXAMPLE = EXAMPLES / "recall"
picture = load_script(EXAMPLE / "picture.py")


def test_plan(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_plan("recall/rivals", capsys)


def test_plan_of_the_same_task(tmp_path, monkeypatch, capsys, check):
    monkeypatch.chdir(tmp_path)
    check("recall/recall", capsys)


@pytest.mark.parametrize("pairs", [2, 64])
def test_models_are_equally_large_for_any_number_of_pairs(pairs):
    changes = f"train.pairs={pairs}", f"train.num-keys={2 * pairs}", "train.max-update=9"
    found = Experiment(plan.read(path_of("recall/recall"), changes))
    sizes = [parameters.all for parameters in found.parameters.values()]
    assert len(sizes) == 6 and max(sizes) - min(sizes) <= 0.02 * sizes[0]
    # the rate falls until the last update, however many there are
    assert found.plan.train["total-num-update"] == 9


def test_plan_trains_as_the_flags():
    [words] = [words for words in readme_commands(EXAMPLE) if words[0] == "fairseq-train"]
    sized = {"decoder-hidden-size": 64}  # which the plan's match sets
    assert_trains_as("recall/recall", "lstmn-bias-2-layers", words, sized)


def write_comparison(folder, pairs, scores, metric="accuracy"):
    """What the script reads of a comparison; ``scores`` is {model: scores by seed}."""
    folder.mkdir()
    found = {
        "commands": [{"command": f"fairseq-train --task recall --pairs {pairs} --num-keys 64"}],
        "metrics": [{"name": metric}],
        "models": [
            {"name": name, "scores": {metric: {"seeds": seeds}} if seeds else {}}
            for name, seeds in scores.items()
        ],
    }
    (folder / "results.json").write_text(json.dumps(found))
    return str(folder)


def test_comparisons_are_taken_together_by_pairs(tmp_path):
    folders = [
        write_comparison(tmp_path / "a", "4", {"lstm": {"1": 90.0}, "lstmn": {"1": 99.0}}),
        write_comparison(tmp_path / "b", "2-16", {"lstm": {"1": 20.0}, "lstmn": {}}),
        write_comparison(tmp_path / "c", "4", {"lstm": {"2": 80.0}}),
    ]
    assert picture.collect(folders) == {
        "lstm": {4: {"1": 90.0, "2": 80.0}, 16: {"1": 20.0}},
        "lstmn": {4: {"1": 99.0}},
    }
    picture.main([*folders, "--to", str(tmp_path / "recall.png")])
    assert (tmp_path / "recall.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "heights, moved",
    [
        ([50, 10], [50, 10]),
        ([52, 50], [53.5, 48.5]),
        ([1, 0, 2], [5, 0, 10]),
        ([20, 26, 24, 80], [18.33, 28.33, 23.33, 80]),
    ],
)
def test_names_do_not_overlap(heights, moved):
    assert picture.spread(heights) == pytest.approx(moved, abs=0.01)


def test_what_cannot_be_drawn_is_one_line(tmp_path):
    perplexity = write_comparison(tmp_path / "a", "4", {"lstm": {"1": 3.0}}, metric="perplexity")
    many = write_comparison(tmp_path / "b", "4", {str(n): {"1": 1.0} for n in range(8)})
    for folder, line in {
        str(tmp_path): f"error: {tmp_path / 'results.json'}: cannot be read (",
        perplexity: f"error: {tmp_path / 'a' / 'results.json'}: does not compare the accuracy",
        many: "error: 8 models: at most 7 can be told apart",
    }.items():
        with pytest.raises(SystemExit) as exit:
            picture.main([folder, "--to", str(tmp_path / "recall.png")])
        assert str(exit.value).startswith(line)

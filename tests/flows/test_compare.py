"""``fairseq-lstmn compare`` from a plan to its report, resumed, killed, and by hand."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fairseq_lstmn.cli import main
from tests.fairseq_commands import CHECKOUT, monolingual_data, parallel_data

SHARED = {
    "batch-size": 8,
    "optimizer": "adam",
    "lr": 0.01,
    "max-epoch": 3,
    "cpu": True,
    "num-workers": 0,
    "data-buffer-size": 0,
}
SIZES = {"decoder-embed-dim": 8, "decoder-out-embed-dim": 8, "decoder-hidden-size": 8}
LANGUAGE_MODELS = {
    "train": {**SHARED, "task": "language_modeling", "tokens-per-sample": 20, **SIZES},
    "score": {"metric": "perplexity"},
    "models": {"lstm": {"arch": "lstm_lm"}, "lstmn": {"arch": "lstmn_lm"}},
    "baseline": "lstm",
    "seeds": [1, 2],
}


def written(path, data, plan):
    path.write_text(yaml.safe_dump({"data": str(data), **plan}, sort_keys=False))
    return path


def compare(*arguments):
    """The exit status of ``fairseq-lstmn compare``, in this process; its children are its own."""
    return main(["compare", *map(str, arguments)])


def results(dest, timeless=False):
    found = json.loads((dest / "results.json").read_text())
    if timeless:
        del found["machine"], found["commands"]
        for model in found["models"]:
            del model["cost"]
    return found


def logs(dest):
    return {path: path.read_text() for path in dest.rglob("*.log")}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return monolingual_data(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def compared(text, tmp_path_factory):
    """A finished comparison of language models: its plan and its folder."""
    folder = tmp_path_factory.mktemp("compared")
    plan = written(folder / "plan.yaml", text, LANGUAGE_MODELS)
    assert compare(plan, "--dest", folder / "dest", "--jobs", 2) == 0
    return plan, folder / "dest"


def test_language_models_are_compared(compared):
    plan, dest = compared
    found = results(dest)
    assert found["errors"] == [] and [m["name"] for m in found["models"]] == ["lstm", "lstmn"]
    for model in found["models"]:
        assert model["budget"]["updates"] == 3 * 4 and model["parameters"]["embeddings"] == 8 * 24
        cost = model["cost"]
        assert cost.pop("minutes") >= 0  # fairseq logs whole seconds
        assert all(value > 0 for value in cost.values())
        assert all(run["state"] == "finished" and len(run["curve"]) == 3 for run in model["runs"])
    assert {path.name for path in dest.iterdir()} >= {
        "report.html",
        "report.md",
        "results.json",
        "table.tex",
        "curves.svg",
    }


def test_the_score_is_that_of_fairseq(compared):
    _, dest = compared
    for model in results(dest)["models"]:
        for seed, score in model["scores"]["perplexity"]["seeds"].items():
            (log,) = dest.glob(f"runs/{model['name']}-seed{seed}-*/score-*/score.log")
            (perplexity,) = re.findall(r"Perplexity: ([\d.]+)", log.read_text())
            assert float(perplexity) == pytest.approx(score, abs=0.005)


def test_a_difference_comes_with_all_that_says_how_sure_it_is(compared):
    difference = results(compared[1])["models"][1]["scores"]["perplexity"]["difference"]
    assert difference["low"] < difference["value"] < difference["high"]
    assert difference["p_seeds_least"] == 1 / 6
    for name in ("p", "p_holm", "p_items", "p_items_holm", "p_seeds"):
        assert 0 < difference[name] <= 1


def test_one_seed_gives_no_verdict_and_says_so(compared):
    plan, dest = compared
    assert compare(plan, "seeds=[1]", "--dest", dest, "--report") == 0
    found = results(dest)
    difference = found["models"][1]["scores"]["perplexity"]["difference"]
    assert difference["verdict"] == "inconclusive" and "one seed" in difference["reason"]
    assert any("One seed" in note for note in found["notes"])


def test_what_is_finished_is_not_run_again(compared, capsys):
    plan, dest = compared
    assert compare(plan, "--dest", dest, "--report") == 0
    before, found = logs(dest), results(dest)
    assert compare(plan, "--dest", dest) == 0
    assert logs(dest) == before and results(dest) == found
    capsys.readouterr()
    assert compare(plan, "--dest", dest, "--dry-run") == 0
    assert capsys.readouterr().out.strip() == ""
    # more of it is run beside what is there
    assert compare(plan, "seeds=[1, 3]", "--dest", dest, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert printed.count("--seed 3 ") == 2 and "--seed 1 " not in printed


def test_what_is_too_long_for_a_model_is_said_first_and_not_compared(compared, text, tmp_path):
    plan, finished = compared
    dest = shutil.copytree(finished, tmp_path / "dest")
    skipping = {"metric": "perplexity", "tokens-per-sample": 70}
    skipping["skip-invalid-size-inputs-valid-test"] = True
    # lstm_lm takes blocks of 20 as in its training, and so only the second of 70 and 14
    both = written(tmp_path / "both.yaml", text, {**LANGUAGE_MODELS, "seeds": [1]})
    options = [f"score.{name}={value}" for name, value in skipping.items()]
    assert compare(both, *options, "--dest", dest) == 1
    assert results(dest)["errors"] == [
        "lstm, seed 1 failed: scored on other test items than lstmn, seed 1 (1 examples, not 2)"
    ]
    assert results(dest)["models"][0]["scores"] == {}
    models = {"lstm": LANGUAGE_MODELS["models"]["lstm"]}
    alone = {**LANGUAGE_MODELS, "models": models, "seeds": [1], "score": skipping}
    assert compare(written(tmp_path / "alone.yaml", text, alone), "--dest", dest) == 0
    warning = "lstm answered 1 of 2 test examples; the scores leave out 1 that are too long"
    assert (dest / "report.md").read_text().startswith(f"> **Warning:** {warning}\n")


def test_killed_at_work_it_goes_on_to_the_same_end(compared, tmp_path):
    plan, dest = compared
    killed = tmp_path / "dest"
    program = "import sys; from fairseq_lstmn.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "compare", plan, "seeds=[1]", "--dest", killed]
    for pattern, sign in (
        ("runs/lstm-*/train.log", "begin training epoch 2"),
        ("runs/lstmn-*/score-*/score.log", "loading model"),
    ):
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT)})
        deadline = time.monotonic() + 300
        while not any(sign in path.read_text() for path in killed.glob(pattern)):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    for folder, more in ((killed, ()), (dest, ["--report"])):
        assert compare(plan, "seeds=[1]", "--dest", folder, *more) == 0
    assert results(killed, timeless=True) == results(dest, timeless=True)


def test_the_commands_can_be_run_by_hand_and_reported(text, tmp_path, capsys):
    models = {"lstmn": LANGUAGE_MODELS["models"]["lstmn"]}
    plan = {**LANGUAGE_MODELS, "models": models, "baseline": "lstmn", "seeds": [1]}
    plan, dest = written(tmp_path / "plan.yaml", text, plan), tmp_path / "dest"
    assert compare(plan, "--dest", dest, "--dry-run") == 0
    commands = capsys.readouterr().out
    assert not dest.exists()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    subprocess.run(["bash", "-ec", commands], env=environment, check=True)
    assert compare(plan, "--dest", dest, "--report") == 0
    (model,) = results(dest)["models"]
    assert model["scores"]["perplexity"]["mean"] > 1
    # what only a parent process can know of it
    assert model["cost"]["cpu_seconds"] is None


def test_a_failed_run_is_told_and_the_others_go_on(text, tmp_path, capsys):
    models = {"broken": {"arch": "lstm_lm", "fp16": True}, **LANGUAGE_MODELS["models"]}
    del models["lstm"]
    plan = {**LANGUAGE_MODELS, "models": models, "baseline": "lstmn", "seeds": [1]}
    plan, dest = written(tmp_path / "plan.yaml", text, plan), tmp_path / "dest"
    assert compare(plan, "train.max-epoch=1", "--dest", dest) == 1
    found = results(dest)
    assert [run["state"] for model in found["models"] for run in model["runs"]] == [
        "failed",
        "finished",
    ]
    (error,) = found["errors"]
    assert error.startswith("broken, seed 1 failed: train: ")
    assert "CUDA" in error or "NVIDIA driver" in error  # of a torch without CUDA, or with it
    assert error in capsys.readouterr().out


def test_unequal_budgets_are_the_first_line_of_the_report(text, tmp_path, capsys):
    models = {"lstm": {"arch": "lstm_lm"}, "less": {"arch": "lstm_lm", "update-freq": 2}}
    plan = {**LANGUAGE_MODELS, "models": models, "seeds": [1]}
    plan, dest = written(tmp_path / "plan.yaml", text, plan), tmp_path / "dest"
    assert compare(plan, "train.max-epoch=1", "--dest", dest, "--jobs", 2) == 1
    error = results(dest)["errors"][0]
    assert error == "unequal budgets: updates with seed 1: lstm 4, less 2"
    assert not any("Equal" in note for note in results(dest)["notes"])
    assert capsys.readouterr().out.strip().startswith(f"error: {error}")
    assert compare(plan, "train.max-epoch=1", "budget=epochs", "--dest", dest, "--report") == 0
    assert results(dest)["notes"][0].startswith("Equal epochs for every model")


def test_a_job_in_the_background_is_waited_for(compared, tmp_path, capsys):
    plan, finished = compared
    dest = tmp_path / "dest"
    options = plan, "seeds=[1]", "--dest", dest, "--submit", "local", "--jobs", 2
    assert compare(*options, "--detach") == 0
    assert compare(*options) == 0
    printed = capsys.readouterr().err
    assert "submitted" in printed and "of an earlier command" in printed
    assert len(list(dest.glob("jobs/*_submitted.pkl"))) == 1
    assert compare(plan, "seeds=[1]", "--dest", finished, "--report") == 0
    assert results(dest, timeless=True) == results(finished, timeless=True)


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--detach"], "--detach: only jobs can be left to themselves (--submit)"),
        (["--submit", "slurm"], "slurm.time: is missing"),
        (["--submit", "slurm", "slurm.time=1", "slurm.nodes=2"], "slurm.nodes: 2: is set by"),
    ],
)
def test_what_no_cluster_takes_is_told(compared, tmp_path, monkeypatch, options, complaint):
    (tmp_path / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SystemExit) as exit:
        compare(compared[0], "--dest", tmp_path / "dest", *options)
    assert exit.value.code.startswith(f"error: {complaint}")


def test_a_second_one_in_the_same_folder_stops(compared, tmp_path, capsys):
    from fairseq_lstmn.compare.run.execution import only_one

    plan, dest = compared
    with only_one(dest), pytest.raises(SystemExit) as exit:
        compare(plan, "--dest", dest)
    assert exit.value.code == f"error: --dest {dest}: another comparison is at work there"
    assert compare(plan, "--dest", dest) == 0


def test_trials_are_chosen_by_validation_and_only_the_chosen_are_tested(text, tmp_path):
    models = {"lstm": LANGUAGE_MODELS["models"]["lstm"]}
    plan = {**LANGUAGE_MODELS, "models": models, "seeds": [1], "tune": {"lr": [0.01, 1e-9]}}
    plan, dest = written(tmp_path / "plan.yaml", text, plan), tmp_path / "dest"
    assert compare(plan, "train.max-epoch=1", "--dest", dest, "--jobs", 2) == 0
    found = results(dest)
    learned, stayed = found["trials"]
    assert learned["valid"] < stayed["valid"]
    assert learned["chosen"] and not stayed["chosen"]
    assert found["models"][0]["chosen"] == {"lr": 0.01}
    assert len(list(dest.glob("runs/*/train.log"))) == 2
    assert len(list(dest.glob("runs/*/score-*"))) == 1


def test_translations_are_compared(tmp_path):
    sizes = {"encoder-embed-dim": 8, "decoder-embed-dim": 8, "decoder-out-embed-dim": 8}
    plan = {
        "train": {**SHARED, **sizes, "max-epoch": 1},
        "score": {"metric": ["bleu", "chrf", "exact-match"], "beam": 2},
        "models": {"lstm": {"arch": "lstm"}, "deep": {"arch": "lstmn_deep"}},
        "baseline": "lstm",
        "seeds": [1],
    }
    dest = tmp_path / "dest"
    plan = written(tmp_path / "plan.yaml", parallel_data(tmp_path), plan)
    assert compare(plan, "--dest", dest, "--jobs", 2) == 0
    found = results(dest)
    for model in found["models"]:
        assert set(model["scores"]) == {"bleu", "chrf", "exact-match"}
        (generated,) = dest.glob(f"runs/{model['name']}-seed1-*/score-*/generate-test.txt")
        right = [
            re.search(rf"^D-{number}\t.*\t(.*)$", generated.read_text(), re.M)[1] == reference
            for number, reference in re.findall(r"^T-(\d+)\t(.*)$", generated.read_text(), re.M)
        ]
        assert model["scores"]["exact-match"]["mean"] == 100 * sum(right) / 11
    assert [cut["name"] for cut in found["buckets"]] == ["length of the reference"] * 3


def write_rows(folder, sentences):
    """Rows of a label and as many sentences, in ``folder``; returns it."""
    folder.mkdir()
    draw = random.Random(1)
    for split, count in {"train": 40, "valid": 11, "test": 11}.items():
        rows = [
            "\t".join(
                [
                    draw.choice("xyz"),
                    *(" ".join(draw.choices("abcd", k=5)) for _ in range(sentences)),
                ]
            )
            for _ in range(count)
        ]
        (folder / f"{split}.tsv").write_text("".join(f"{row}\n" for row in rows))
    return folder


def reading_plan(task, archs, **options):
    return {
        "train": {
            **SHARED,
            "max-epoch": 2,
            "task": task,
            "criterion": "sentence_prediction",
            "encoder-embed-dim": 8,
            "encoder-hidden-size": 8,
            "best-checkpoint-metric": "accuracy",
            "maximize-best-checkpoint-metric": True,
            **options,
        },
        "score": {"metric": ["accuracy", "macro-f1"]},
        "models": {arch: {"arch": arch} for arch in archs},
        "baseline": archs[0],
        "seeds": [1],
    }


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"num-classes": 7}, r"models.lstmn_classifier: --num-classes 7: .* has 3 labels \(x, y"),
        ({"num-classes": 2}, "models.lstmn_classifier: --num-classes 2: .* has 3 labels"),
        (
            {"num-classes": 1, "regression-target": True},
            "train.regression-target: true: score.metric is of classes",
        ),
    ],
)
def test_classes_that_are_not_the_labels_are_not_compared(tmp_path, options, complaint):
    source = write_rows(tmp_path / "rows", 1)
    main(["prepare", "tsv", "--from", str(source), "--dest", str(tmp_path / "data")])
    plan = reading_plan("sentence_prediction", ["lstmn_classifier"], **options)
    path = written(tmp_path / "plan.yaml", tmp_path / "data", plan)
    with pytest.raises(SystemExit, match=complaint):
        compare(path, "--dest", tmp_path / "dest")
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize("task", ["sentence_prediction", "sentence_pair_prediction"])
def test_readers_are_compared(tmp_path, task):
    pairs = task == "sentence_pair_prediction"
    source = write_rows(tmp_path / "rows", 2 if pairs else 1)
    main(["prepare", "tsv", "--from", str(source), "--dest", str(tmp_path / "data")])
    archs = ("lstm_nli", "lstmn_nli") if pairs else ("lstm_classifier", "lstmn_classifier")
    plan = reading_plan(task, archs, **({"num-classes": 3} if pairs else {}))
    dest = tmp_path / "dest"
    plan = written(tmp_path / "plan.yaml", tmp_path / "data", plan)
    assert compare(plan, "--dest", dest, "--jobs", 2) == 0
    for model in results(dest)["models"]:
        (log,) = dest.glob(f"runs/{model['name']}-seed1-*/score-*/score.log")
        (accuracy,) = re.findall(r"\| accuracy ([\d.]+)", log.read_text())
        assert model["scores"]["accuracy"]["mean"] == pytest.approx(float(accuracy), abs=0.05)


def test_recalls_are_compared_without_data(tmp_path):
    plan = {
        "train": {
            **SHARED,
            **SIZES,
            "max-epoch": 2,
            "task": "recall",
            "pairs": 3,
            "num-keys": 6,
            "train-examples": 40,
            "test-examples": 20,
            "criterion": "label_smoothed_cross_entropy",
            "report-accuracy": True,
            "best-checkpoint-metric": "accuracy",
            "maximize-best-checkpoint-metric": True,
        },
        "score": {"metric": ["accuracy", "perplexity"]},
        "models": {"lstm": {"arch": "lstm_lm"}, "lstmn": {"arch": "lstmn_lm"}},
        "baseline": "lstm",
        "seeds": [1, 2],
    }
    dest, path = tmp_path / "dest", tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    assert compare(path, "--dest", dest, "--jobs", 2) == 0
    found = results(dest)
    assert found["notes"][0] == "Equal updates for every model, as the runs logged them."
    for model in found["models"]:
        assert model["budget"]["updates"] == 2 * 5
        assert model["budget"]["tokens_per_update"] == 3 * 8  # the answers
        for seed in ("1", "2"):
            (log,) = dest.glob(f"runs/{model['name']}-seed{seed}-*/score-*/score.log")
            logged = re.findall(r"\| ppl ([\d.]+) \| accuracy ([\d.]+)", log.read_text())
            scores = (model["scores"][name]["seeds"][seed] for name in ("perplexity", "accuracy"))
            assert tuple(map(float, logged[0])) == pytest.approx(tuple(scores), abs=0.005)
    cuts = {cut["name"] for cut in found["buckets"]}
    assert cuts == {"tokens from the value to its question"}
    assert all(sum(cut["counts"]) == 20 * 3 for cut in found["buckets"])
    for page in ("report.html", "report.md"):
        report = (dest / page).read_text()
        assert "Baseline: lstm" in report and "Data:" not in report

"""The average of checkpoints: the mean of their weights, and nothing of what is no weight."""

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_lstmn.cli import main
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.averaging import average, latest
from tests.patches.files import same, save, small_state


def saved(folder, *models, **changes):
    """Checkpoints with these models; their paths."""
    return [save(folder / f"{k}.pt", model=model, **changes) for k, model in enumerate(models)]


def test_weights_are_means_and_all_else_is_the_firsts(tmp_path):
    models = [
        {
            "weight": torch.full((2, 3), value),
            "half": torch.full((2,), value, dtype=torch.float16),
            "flags": torch.tensor([value > 2, True]),
            "version": torch.tensor([int(value)]),
        }
        for value in (1.0, 2.0, 6.0)
    ]
    averaged = average(saved(tmp_path, *models))["model"]
    assert torch.equal(averaged["weight"], torch.full((2, 3), 3.0))
    assert torch.equal(averaged["half"], torch.full((2,), 3, dtype=torch.float16))
    assert averaged["flags"].tolist() == [False, True]
    assert averaged["version"].tolist() == [1]


def test_many_half_precisions_are_added_without_loss(tmp_path):
    """Their sum is beyond float16."""
    models = [{"weight": torch.full((1,), 60_000.0, dtype=torch.float16)}] * 3
    assert average(saved(tmp_path, *models))["model"]["weight"].item() == 60_000


def test_shared_weights_are_averaged_once_and_stay_shared(tmp_path):
    models = []
    for value in (1.0, 3.0):
        shared = torch.full((4, 2), value)
        models.append({"embed.weight": shared, "output.weight": shared})
    output = str(tmp_path / "average.pt")
    assert main(["average", *saved(tmp_path, *models), "--output", output]) == 0
    averaged = torch.load(output)["model"]
    assert torch.equal(averaged["embed.weight"], torch.full((4, 2), 2.0))
    assert averaged["embed.weight"].data_ptr() == averaged["output.weight"].data_ptr()


def test_settings_stay_and_what_belongs_to_one_training_goes(tmp_path):
    extra = {**small_state()["extra_state"], "metrics": []}
    of_one = {name: {"weight": torch.ones(1)} for name in ("ema", "ema_fp32_params")}
    paths = [
        save(tmp_path / f"{k}.pt", extra_state={**extra, **of_one, "carried_tapes": [None]})
        for k in range(2)
    ]
    output = str(tmp_path / "average.pt")
    assert main(["average", *paths, "--output", output]) == 0
    before, after = small_state(), torch.load(output)
    assert "last_optimizer_state" not in after
    assert same(after["extra_state"], extra)
    for part in ("cfg", "model", "optimizer_history", "task_state"):
        assert same(after[part], before[part]), part
    checkpoint_utils.load_checkpoint_to_cpu(output)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        (dict(model={"weight": torch.ones(2)}), "not of the same model, weight differs"),
        (dict(model={}), "not of the same model, weight differs"),
        (
            dict(model={**small_state()["model"], "more": torch.ones(1)}),
            "not of the same model, more differs",
        ),
        (dict(task_state={"dictionaries": {"source": "b"}}), "their dictionaries have other words"),
    ],
)
def test_checkpoints_of_another_model_are_named(tmp_path, changes, complaint):
    paths = [
        save(tmp_path / "a.pt", task_state={"dictionaries": {"source": "a"}}),
        save(tmp_path / "b.pt", **changes),
    ]
    with pytest.raises(InputError, match=f"^{paths[1]}, {paths[0]}: {complaint}$"):
        average(paths)


def test_the_latest_of_a_folder_are_taken_by_number(tmp_path):
    for name in ("1", "2", "10", "_1_50", "_2_100", "_10_75", "_best", "_last", "3.part"):
        (tmp_path / f"checkpoint{name}.pt").touch()
    epochs, updates = r"checkpoint(\d+)\.pt", r"checkpoint_\d+_(\d+)\.pt"
    folder = str(tmp_path)
    assert latest(folder, 2, epochs) == [f"{folder}/checkpoint{n}.pt" for n in (10, 2)]
    assert latest(folder, 2, updates) == [f"{folder}/checkpoint_{n}.pt" for n in ("2_100", "10_75")]
    with pytest.raises(InputError, match=f"^{folder}: has 3 such checkpoints, not 4$"):
        latest(folder, 4, epochs)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["absent.pt", "--output", "new"], "absent.pt: cannot be read as a fairseq checkpoint"),
        (["a.pt", "--output", "a.pt"], "--output a.pt: exists already"),
        (["a.pt", "--output", "no/new"], "no/new: cannot be written"),
        ([".", "--output", "new"], ".: is a folder; give --num-epoch-checkpoints or"),
        (["nowhere", "--output", "new", "--num-epoch-checkpoints", "1"], "nowhere: cannot be read"),
        ([".", "--output", "new", "--num-update-checkpoints", "0"], "--num-update-checkpoints 0"),
        ([".", ".", "--output", "new", "--num-epoch-checkpoints", "1"], "takes one folder, not 2"),
        (["other.pt", "--output", "new"], "other.pt: cannot be read as a fairseq checkpoint"),
        (["empty.pt", "--output", "new"], "empty.pt: holds no model"),
    ],
)
def test_bad_input_ends_in_one_line_and_writes_nothing(tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    save("a.pt")
    torch.save({"weights": torch.ones(1)}, "other.pt")
    torch.save({k: v for k, v in small_state().items() if k != "model"}, "empty.pt")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as exit:
        main(["average", *arguments])
    assert complaint in exit.value.code and "\n" not in exit.value.code
    assert sorted(tmp_path.iterdir()) == before

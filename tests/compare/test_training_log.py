"""What fairseq-train logs, read as numbers; also while it is being written, and after a kill."""

import json

import pytest

from fairseq_lstmn.compare.run.training_log import TrainingLog

DONE = "2026 | INFO | fairseq_cli.train | done training in 3.0 seconds\n"


def entry(kind, **numbers):
    text = json.dumps({name: str(value) for name, value in numbers.items()})
    return f"2026-01-01 00:00:00 | INFO | {kind} | {text}\n"


def inner(update, progress, **numbers):
    return entry("train_inner", epoch=1, update=progress, num_updates=update, **numbers)


def valid(update, **numbers):
    return validated("valid", update, **numbers)


def validated(part, update, **numbers):
    numbers = {f"{part}_{name}": value for name, value in numbers.items()}
    return entry(part, epoch=1, **{f"{part}_num_updates": update}, **numbers)


def epoch(number, updates, **numbers):
    numbers = {f"train_{name}": value for name, value in numbers.items()}
    return entry("train", epoch=number, train_num_updates=updates, **numbers)


def saved(update, score):
    """What fairseq logs when it has written a checkpoint that is the best so far."""
    return (
        "2026 | INFO | fairseq.checkpoint_utils | Saved checkpoint dest/checkpoint_best.pt "
        f"(epoch 1 @ {update} updates, score {score}) (writing took 0.1 seconds)\n"
    )


@pytest.fixture
def training(tmp_path):
    """Reads the log of a training."""

    def read(text, subset="valid"):
        (tmp_path / "train.log").write_text(text)
        return TrainingLog(tmp_path / "train.log", subset).read()

    return read


def test_a_log_is_read(training):
    progress = training(
        "2026 | INFO | fairseq_cli.train | {'not': 'json'}\n"
        + inner(10, 0.5, wps=900)
        + valid(20, loss=5.0, ppl=32)
        + epoch(1, 20, wps=1000, wpb=100, wall=60)
        + inner(30, 1.5, wps=1100)
        + valid(40, loss=4.0, ppl=16, best_loss=4.0)
        + epoch(2, 40, wps=3000, wpb=102, wall=120)
    )
    assert (progress.updates, progress.progress) == (40, 2)
    assert progress.words_per_second == 1100 and progress.speed == 2000
    assert progress.words_per_update == 101
    assert progress.curve[40]["loss"] == 4.0 and progress.curve[20]["ppl"] == 32
    assert progress.epochs[2]["train_wall"] == 120
    assert progress.best("loss", maximize=False) == (40, 4.0)
    assert progress.best("loss", maximize=True) == (20, 5.0)
    assert progress.best("accuracy", maximize=True) is None


def test_of_equal_values_the_latest_is_the_best_as_fairseq_has_it(training):
    progress = training(valid(1, accuracy=50) + valid(2, accuracy=50) + valid(3, accuracy=40))
    assert progress.best("accuracy", maximize=True) == (2, 50)
    assert progress.best("accuracy", maximize=False) == (3, 40)


def test_epochs_of_unequal_length_count_by_their_updates(training):
    progress = training(epoch(1, 30, wpb=100) + epoch(2, 40, wpb=60))
    assert progress.words_per_update == 90


def test_after_a_restart_the_later_entry_counts(training):
    log = valid(20, loss=5.0) + valid(40, loss=9.0) + '2026 | INFO | valid | {"epoch": 2, "val'
    progress = training(
        log + "\n" + valid(40, loss=4.0) + epoch(2, 40, wpb=10) + epoch(2, 40, wpb=20)
    )
    assert progress.curve[40]["loss"] == 4.0 and len(progress.curve) == 2
    assert progress.words_per_update == 20


def test_a_loss_that_is_no_number_is_left_out(training):
    progress = training(valid(20, loss="None", ppl="nan"))
    assert set(progress.curve[20]) == {"num_updates"}


def test_a_speed_that_is_no_number_is_left_out(training):
    progress = training(epoch(1, 20, wps="inf") + epoch(2, 40, wps=3000) + epoch(3, 60, wps=1000))
    assert progress.speed == 2000
    assert "train_wps" not in progress.epochs[1]


def test_memory_of_a_gpu_is_what_was_not_free(training):
    device = (
        "2026 | INFO | fairseq.utils | rank   0: capabilities =  9.0  ; total memory = 80.0 GB\n"
    )
    progress = training(device + inner(1, 0.1, gb_free=79) + inner(2, 0.2, gb_free=76.5))
    assert progress.gpu_memory == 3.5 * 2**30
    assert training(inner(1, 0.1)).gpu_memory is None


def test_a_training_is_finished_when_it_says_so(training):
    assert not training(epoch(2, 40, wpb=10)).finished
    assert training(DONE + epoch(2, 40, wpb=10)).finished


def test_a_validation_without_a_number_is_never_the_best(training):
    log = training(valid(2, loss="nan") + valid(4, loss=2.0) + valid(6, loss=1.5))
    assert log.best("loss", maximize=False) == (6, 1.5)


def test_the_best_update_is_that_of_the_checkpoint_that_is_tested(training):
    # with save-interval 2 fairseq validates after each epoch and keeps the best of every second
    log = valid(2, loss=1.0) + saved(2, None) + valid(4, loss=1.5) + saved(4, 1.5)
    assert training(log).best("loss", maximize=False)[0] == 4


@pytest.mark.parametrize("subset", ["dev", "dev,valid"])
def test_validation_on_a_part_of_another_name_is_read(training, subset):
    # fairseq logs each part under its own name, and chooses by the first
    log = "".join(
        f'2026 | INFO | fairseq_cli.train | begin validation on "{part}" subset\n'
        f"{validated(part, 2, loss=3.0 + number)}"
        for number, part in enumerate(subset.split(","))
    )
    assert training(log, subset.split(",")[0]).best("loss", maximize=False) == (2, 3.0)


def test_minutes_are_those_of_all_attempts(training):
    # fairseq counts train_wall anew after a restart
    walls = enumerate((300, 600, 200, 300), start=1)
    log = "".join(epoch(number, 4 * number, wall=wall, wpb=9) for number, wall in walls)
    assert training(log).seconds == 900


def test_a_log_is_followed_while_it_grows(tmp_path):
    path = tmp_path / "train.log"
    log = TrainingLog(path)
    assert log.read().updates == 0
    first, second = inner(10, 0.5), inner(20, 1.0)
    path.write_text(first + second[:40])
    assert log.read().updates == 10
    path.write_text(first + second)
    assert log.read().updates == 20

"""What fairseq-train logs, read as numbers; also while it is being written, and after a kill."""

import json

from fairseq_lstmn.compare.run.logs import Follower, is_finished, training


def entry(kind, **numbers):
    text = json.dumps({name: str(value) for name, value in numbers.items()})
    return f"2026-01-01 00:00:00 | INFO | {kind} | {text}\n"


def inner(update, progress, **numbers):
    return entry("train_inner", epoch=1, update=progress, num_updates=update, **numbers)


def valid(update, **numbers):
    found = {f"valid_{name}": value for name, value in numbers.items()}
    return entry("valid", epoch=1, valid_num_updates=update, **found)


def epoch(number, updates, **numbers):
    found = {f"train_{name}": value for name, value in numbers.items()}
    return entry("train", epoch=number, train_num_updates=updates, **found)


def test_a_log_is_read():
    found = training(
        "2026 | INFO | fairseq_cli.train | {'not': 'json'}\n"
        + inner(10, 0.5, wps=900)
        + valid(20, loss=5.0, ppl=32)
        + epoch(1, 20, wps=1000, wpb=100, wall=60)
        + inner(30, 1.5, wps=1100)
        + valid(40, loss=4.0, ppl=16, best_loss=4.0)
        + epoch(2, 40, wps=3000, wpb=102, wall=120)
    )
    assert (found.updates, found.progress) == (40, 2)
    assert found.words_per_second == 1100 and found.speed == 2000
    assert found.words_per_update == 101
    assert found.curve[40]["loss"] == 4.0 and found.curve[20]["ppl"] == 32
    assert found.epochs[2]["train_wall"] == 120
    assert found.best("loss", maximize=False) == (40, 4.0)
    assert found.best("loss", maximize=True) == (20, 5.0)
    assert found.best("accuracy", maximize=True) is None


def test_of_equal_values_the_latest_is_the_best_as_fairseq_has_it():
    found = training(valid(1, accuracy=50) + valid(2, accuracy=50) + valid(3, accuracy=40))
    assert found.best("accuracy", maximize=True) == (2, 50)
    assert found.best("accuracy", maximize=False) == (3, 40)


def test_epochs_of_unequal_length_count_by_their_updates():
    found = training(epoch(1, 30, wpb=100) + epoch(2, 40, wpb=60))
    assert found.words_per_update == 90


def test_after_a_restart_the_later_entry_counts():
    log = valid(20, loss=5.0) + valid(40, loss=9.0) + '2026 | INFO | valid | {"epoch": 2, "val'
    found = training(log + "\n" + valid(40, loss=4.0) + epoch(2, 40, wpb=10) + epoch(2, 40, wpb=20))
    assert found.curve[40]["loss"] == 4.0 and len(found.curve) == 2
    assert found.words_per_update == 20


def test_a_loss_that_is_no_number_is_left_out():
    found = training(valid(20, loss="None", ppl="nan"))
    assert set(found.curve[20]) == {"num_updates"}


def test_a_speed_that_is_no_number_is_left_out():
    found = training(epoch(1, 20, wps="inf") + epoch(2, 40, wps=3000) + epoch(3, 60, wps=1000))
    assert found.speed == 2000
    assert "train_wps" not in found.epochs[1]


def test_memory_of_a_gpu_is_what_was_not_free():
    device = (
        "2026 | INFO | fairseq.utils | rank   0: capabilities =  9.0  ; total memory = 80.0 GB\n"
    )
    found = training(device + inner(1, 0.1, gb_free=79) + inner(2, 0.2, gb_free=76.5))
    assert found.gpu_memory == 3.5 * 2**30
    assert training(inner(1, 0.1)).gpu_memory is None


def test_a_training_is_finished_when_it_says_so():
    assert not is_finished(epoch(2, 40, wpb=10))
    assert is_finished("2026 | INFO | fairseq_cli.train | done training in 3.0 seconds\n")


def test_a_log_is_followed_while_it_grows(tmp_path):
    log = tmp_path / "train.log"
    follower = Follower(log)
    assert follower.read().updates == 0
    first, second = inner(10, 0.5), inner(20, 1.0)
    log.write_text(first + second[:40])
    assert follower.read().updates == 10
    log.write_text(first + second)
    assert follower.read().updates == 20

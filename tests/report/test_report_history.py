import math

import pytest
from made_run import make_records

from maskwright.report.history import Followed, History
from maskwright.report.log import RunLog
from maskwright.report.records import read_log


def test_a_history_has_each_field_as_a_curve():
    run = History.of(make_records(50, 10))
    assert list(run.curve("mlm", "parts").xs) == list(range(1, 51))
    assert run.names("accuracy") == ["mlm", "nsp"] and run.names("metrics") == ["perplexity"]
    assert run.steps == 50 and run.best == 4 and not run.broken
    assert not len(run.curve("nothing").xs)


def test_fields_of_any_kind_that_nobody_knows_harm_nothing():
    odd = {"weights": {"mlm": 1.0, "why": "text"}, "length": 64, "batch_tokens": 4096, "ema": True, "x": [1], "y": None}
    run = History.of([{"kind": "step", "time": 1.0, "step": 1, "loss": 2.0, **odd}, {"kind": "odd", "time": 2.0}])
    assert list(run.curve("length").ys) == [64] and list(run.curve("mlm", "weights").ys) == [1.0]
    assert not {("", "ema"), ("", "x"), ("", "y"), ("weights", "why")} & {*run.curves}


def test_time_between_a_stop_and_a_resume_does_not_count():
    note = {"kind": "note", "time": 1000.0, "text": "resumed from step-00000002"}
    steps = [{"kind": "step", "time": t, "step": n, "loss": 1.0} for n, t in enumerate([1.0, 2.0, 1001.0, 1003.0], 1)]
    run = History.of([{"kind": "start", "time": 0.0}, *steps[:2], note, *steps[2:]])
    assert run.seconds == 5.0 and run.resumes == 1
    assert list(run.curve("elapsed").ys) == [1.0, 2.0, 3.0, 5.0]


def test_a_run_that_was_gone_on_with_has_not_ended():
    end = {"kind": "end", "time": 5.0, "reason": "stopped: not finite", "seconds": 5.0}
    run = History.of([{"kind": "start", "time": 0.0}, end])
    assert run.state(6.0) == ("ended", "stopped: not finite")
    run.add({"kind": "note", "time": 7.0, "text": "whatever is said", "resumed": 3})
    assert run.end is None and run.state(8.0).kind == "going"


@pytest.mark.parametrize(("age", "kind"), [(-5, "going"), (30, "going"), (119, "going"), (121, "silent")])
def test_a_run_that_says_nothing_for_long_is_silent(age, kind):
    steps = [{"kind": "step", "time": float(n), "step": n} for n in range(1, 9)]
    assert History.of(steps).state(8.0 + age).kind == kind


def test_a_run_whose_steps_take_minutes_is_given_more_time():
    steps = [{"kind": "step", "time": 300.0 * n, "step": n} for n in range(1, 4)]
    assert History.of(steps).state(900.0 + 1100).kind == "going"
    assert History.of(steps).state(900.0 + 1300).kind == "silent"


def test_a_run_that_a_signal_stopped_is_not_going():
    note = {"kind": "note", "time": 2.0, "text": "stopped by SIGTERM after step 1; the state is saved"}
    state = History.of([{"kind": "step", "time": 1.0, "step": 1}, note]).state(2.1)
    assert state == ("silent", "stopped by SIGTERM after step 1")


def test_the_rest_is_estimated_at_the_latest_pace_with_its_evaluations():
    slow = [{"kind": "step", "time": 10.0 * n, "step": n} for n in range(1, 11)]
    fast = [{"kind": "step", "time": 100.0 + n - 10, "step": n} for n in range(11, 900)]
    run = History.of([{"kind": "start", "time": 0.0, "steps": 1000}, *slow, *fast])
    assert run.seconds_left() == pytest.approx(101.0)
    assert History.of(slow).seconds_left() is None


def test_a_place_between_two_known_steps_is_interpolated():
    steps = [{"kind": "step", "time": float(n), "step": n, "tokens": 100 * n} for n in (10, 20)]
    run = History.of(steps)
    assert [run.at(step, "tokens") for step in (5, 10, 15, 20, 21)] == [None, 1000, 1500, 2000, None]
    assert run.at(21, "step") == 21


def test_following_gives_the_history_that_reading_at_the_end_gives(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    run = Followed("x", log.path)
    made = make_records(60, 10)
    made[5]["loss"] = math.nan
    for at, one in enumerate(made):
        log.write(one["kind"], **{k: v for k, v in one.items() if k not in ("kind", "time")})
        if at % 7 == 0:
            assert run.look()
    run.look()
    assert not run.look()
    whole = History.of(read_log(log.path))
    assert run.history.broken == whole.broken == [5]
    for name in whole.curves:
        assert repr(run.history.curves[name]) == repr(whole.curves[name])
    log.truncate_after(30)
    assert run.look() and run.history.steps == 30
    log.close()

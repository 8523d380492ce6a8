import json
import math

import pytest
from made_run import make_records

from maskwright.errors import DataError, InputError
from maskwright.report import records
from maskwright.report.log import RunLog
from maskwright.report.records import LogTail


def line(**fields) -> bytes:
    return json.dumps({"kind": "step", "time": 1.0, **fields}).encode() + b"\n"


def look(tail: LogTail) -> tuple[bool, list]:
    return tail.rewritten(), [record.get("step") for record in tail.new()]


def test_a_log_that_grows_yields_each_record_once(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(step=1) + line(step=2))
    tail = LogTail(path)
    assert look(tail) == (False, [1, 2])
    assert look(tail) == (False, [])
    with path.open("ab") as file:
        file.write(line(step=3))
    assert look(tail) == (False, [3])


@pytest.mark.parametrize("kept", range(1, 60, 5))
def test_a_half_written_line_waits_until_it_is_whole(tmp_path, kept):
    path = tmp_path / "log.jsonl"
    rest = line(step=2, loss=1.5, lr=0.001)
    path.write_bytes(line(step=1) + rest[:kept])
    tail = LogTail(path)
    assert look(tail) == (False, [1])
    with path.open("ab") as file:
        file.write(rest[kept:])
    assert look(tail) == (False, [2])


def test_a_log_from_which_a_resume_dropped_steps_is_read_anew(tmp_path):
    path = tmp_path / "log.jsonl"
    with RunLog(path) as log:
        for step in range(1, 6):
            log.write("step", step=step)
        tail = LogTail(path)
        assert look(tail) == (False, [1, 2, 3, 4, 5])
        log.truncate_after(3)
        for step in (4, 5, 6, 7):
            log.write("step", step=step)
    assert look(tail) == (True, [1, 2, 3, 4, 5, 6, 7])


def test_damage_that_comes_while_following_names_file_and_line(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(step=1) + line(step=2))
    tail = LogTail(path)
    look(tail)
    with path.open("ab") as file:
        file.write(b'{"kind": "step", "ti\n')
    with pytest.raises(DataError, match=r"log\.jsonl, line 3: not a record"):
        list(tail.new())


def test_a_log_that_vanishes_is_explained(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(step=1))
    tail = LogTail(path)
    look(tail)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        tail.rewritten()


def test_of_a_long_log_some_steps_are_read_and_all_that_matters_besides(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PARSED_BYTES", 20_000)
    path = tmp_path / "log.jsonl"
    made = make_records(1001, 100)
    odd = [one for one in made if one["kind"] == "step" and one["step"] in (333, 334, 335, 777)]
    for one in odd:
        one["loss"] = math.nan
    odd[-1]["loss"], odd[-1]["grad_norm"] = 2.0, math.inf
    with RunLog(path) as log:
        for one in made:
            log.write(one["kind"], **{k: v for k, v in one.items() if k not in ("kind", "time")})
    tail = LogTail(path)
    assert not tail.rewritten()
    found = list(tail.new())
    assert tail.stride == 1 + path.stat().st_size // 20_000 > 10
    steps = [one["step"] for one in found if one["kind"] == "step"]
    assert len(steps) < 1001 / (tail.stride - 1) + 6
    assert {333, 334, 335, 777} <= {*steps} and steps == sorted({*steps})
    assert [one["step"] for one in found if one["kind"] == "eval"] == list(range(100, 1001, 100))
    assert found[0]["kind"] == "start" and found[-1]["kind"] == "end"


def test_the_last_step_of_a_long_log_is_always_read(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PARSED_BYTES", 100)
    path = tmp_path / "log.jsonl"
    with RunLog(path) as log:
        for step in range(1, 100):
            log.write("step", step=step, loss=1.0)
    tail = LogTail(path)
    assert look(tail)[1][-1] == 99

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.errors import DataError, InputError
from maskwright.report.log import RunLog, read_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "log.jsonl"


def steps(path: Path) -> list[int]:
    return [record["step"] for record in read_log(path) if record["kind"] == "step"]


def test_what_is_written_is_read_back_with_kind_and_time(path):
    with RunLog(path) as log:
        log.write("start", config={"lr": 5e-5, "layers": [1, 2]}, command="maskwright pretrain", out=Path("runs/x"))
        log.write("step", step=1, loss=9.5, parts={"mlm": 9.0, "nsp": 0.5})
    start, step = read_log(path)
    assert start["config"] == {"lr": 5e-5, "layers": [1, 2]} and start["out"] == "runs/x"
    assert step["parts"] == {"mlm": 9.0, "nsp": 0.5} and step["step"] == 1
    assert start["kind"] == "start" and 1.6e9 < start["time"] <= step["time"]


def test_each_record_can_be_read_before_the_log_is_closed(path):
    log = RunLog(path)
    for step in range(3):
        log.write("step", step=step)
        assert steps(path) == list(range(step + 1))
    log.close()


def test_values_that_are_not_finite_are_strict_json_and_come_back_as_floats(path):
    with RunLog(path) as log:
        log.write("step", step=1, loss=math.nan, parts={"mlm": math.inf}, lr=[-math.inf, 0.0])

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    raw = json.loads(path.read_text(), parse_constant=refuse)
    assert (raw["loss"], raw["parts"]["mlm"], raw["lr"]) == ("NaN", "Infinity", ["-Infinity", 0.0])
    (record,) = read_log(path)
    assert math.isnan(record["loss"]) and record["parts"]["mlm"] == math.inf and record["lr"] == [-math.inf, 0.0]


def test_a_note_that_says_nan_stays_text(path):
    with RunLog(path) as log:
        log.write("note", text="NaN")
    assert read_log(path)[0]["text"] == "NaN"


@given(st.text())
def test_any_text_comes_back_as_it_was(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    with RunLog(path) as log:
        log.write("note", text=text)
        log.write("note", text="after")
    assert [record["text"] for record in read_log(path)] == [text, "after"]


def test_text_that_utf8_cannot_hold_comes_back_too(path):
    with RunLog(path) as log:
        log.write("note", text="caf\udce9 \\udce9")
    assert read_log(path)[0]["text"] == "caf\udce9 \\udce9"


@pytest.mark.parametrize("kept", range(1, 60, 7))
def test_a_line_torn_by_a_kill_is_forgiven_and_the_log_goes_on(path, kept):
    with RunLog(path) as log:
        log.write("step", step=1, loss=1.0)
        log.write("step", step=2, loss=2.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1 + kept])
    assert steps(path) == [1]
    with RunLog(path) as log:
        log.write("step", step=2, loss=2.5)
    assert steps(path) == [1, 2]


def test_a_last_record_that_lacks_only_its_newline_is_kept(path):
    with RunLog(path) as log:
        log.write("step", step=1)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    with RunLog(path) as log:
        log.write("step", step=2)
    assert steps(path) == [1, 2]


@pytest.mark.parametrize(
    "damage",
    [b"{torn", b"", b"[1]", b'{"kind": "step", "time": 1}', b'{"kind": "note", "time": NaN}', b"\xff", b"[" * 9999],
)
def test_any_other_damage_names_file_and_line(path, damage):
    with RunLog(path) as log:
        log.write("step", step=1)
    path.write_bytes(path.read_bytes() + damage + b"\n" + path.read_bytes())
    with pytest.raises(DataError, match=r"log\.jsonl, line 2: not a record"):
        read_log(path)


def test_truncate_drops_steps_and_evaluations_beyond_the_resumed_step_and_nothing_else(path):
    log = RunLog(path)
    log.write("start", name="x")
    for step in range(1, 11):
        log.write("step", step=step)
        if step % 5 == 0:
            log.write("eval", step=step, loss=1.0)
    log.write("note", text="kept")
    before = path.read_bytes().splitlines()
    assert log.truncate_after(6) == 5
    log.write("step", step=7)
    log.close()
    assert steps(path) == [1, 2, 3, 4, 5, 6, 7]
    kinds = [record["kind"] for record in read_log(path)]
    assert kinds.count("eval") == 1 and kinds.count("note") == 1 and kinds[0] == "start"
    assert path.read_bytes().splitlines()[:7] == before[:7], "kept records are not rewritten"
    assert [one.name for one in path.parent.iterdir()] == ["log.jsonl"]


def test_truncating_a_log_that_is_not_there_does_nothing(path):
    assert RunLog(path).truncate_after(3) == 0
    assert not path.exists()


def test_a_scalar_with_item_is_written_as_its_number(path):
    class Scalar:
        def item(self) -> float:
            return math.nan

    with RunLog(path) as log:
        log.write("step", step=1, loss=Scalar())
    assert math.isnan(read_log(path)[0]["loss"])


def test_a_value_that_json_cannot_hold_is_refused_by_field_and_leaves_no_trace(path):
    log = RunLog(path)
    with pytest.raises(ValueError, match=r"parts\.mlm: a object"):
        log.write("step", step=1, parts={"mlm": object()})
    with pytest.raises(ValueError, match="no record kind 'stop'"):
        log.write("stop")
    with pytest.raises(ValueError, match="needs step"):
        log.write("step", loss=1.0)
    assert not path.exists()


def test_a_full_disk_leaves_whole_records_only(path, monkeypatch):
    log = RunLog(path)
    log.write("step", step=1)
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", full)
        return real(descriptor, data[: len(data) // 2])

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(InputError, match=r"log\.jsonl: The disk is full"):
        log.write("step", step=2)
    monkeypatch.setattr(os, "write", real)
    log.write("step", step=3)
    log.close()
    assert steps(path) == [1, 3]


def test_a_missing_log_is_explained(path):
    with pytest.raises(InputError, match="no such file"):
        read_log(path)

import io
import math
import re

import pytest
from rich.console import Console
from rich.text import Text

from maskwright.report import terminal
from maskwright.report.terminal import Live, bar, key_values, sparkline, table


def rendered(part, width: int = 80) -> str:
    out = Console(file=io.StringIO(), width=width, markup=False)
    out.print(part)
    return out.file.getvalue()


def plain_live(total: int | None, label: str, width: int = 80) -> tuple[Live, io.StringIO]:
    file = io.StringIO()
    return Live(total, label, out=Console(file=file, width=width)), file


def test_a_table_fits_80_columns_and_never_cuts_a_number():
    rows = [["a very long name of a family " * 3, 1_234_567, 0.1234, f"{n} words " * 12] for n in range(3)]
    text = rendered(table("Evaluation", ["family", "parameters", "loss", "remark"], rows))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("1,234,567") == 3 and text.count("0.1234") == 3 and text.count("words") == 36


def test_a_table_of_too_many_numbers_runs_over_the_edge_and_loses_none(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    terminal.show(table("wide", ["name", *(f"column {n}" for n in range(9))], [["bert base", *[1_234_567] * 9]]))
    out = capsys.readouterr().out
    assert out.count("1,234,567") == 9 and "bert base" in out


def test_numbers_stand_to_the_right_and_words_to_the_left():
    lines = rendered(table("", ["name", "n"], [["a", 5], ["bb", 1234]])).splitlines()
    five, thousand = (next(line for line in lines if word in line) for word in ("5", "1,234"))
    assert five.index("5") == thousand.index("1,234") + 4
    assert five.index("a") == thousand.index("bb")


def test_text_is_never_markup():
    assert "[bold]x[/bold]" in rendered(table("[red]t", ["[c]"], [["[bold]x[/bold]"]]))
    assert "[link=x]" in rendered(key_values({"a": "[link=x]"}))
    file = io.StringIO()
    console = terminal.console()
    console.file = file
    console.print("[bold]x[/bold] :smile:")
    assert file.getvalue() == "[bold]x[/bold] :smile:\n"


def test_a_long_value_is_folded_and_not_cut():
    path = "/".join(f"folder{n}" for n in range(40))
    text = rendered(key_values({"path": path, "steps": 1234}))
    assert max(map(len, text.splitlines())) <= 80
    assert path in "".join(line.removeprefix(" path").strip() for line in text.splitlines())
    assert "1,234" in text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "    "), (0.5, "██  "), (1, "████"), (7, "████"), (-1, "    "), (0.3, "█▎  ")]
)
def test_a_bar_is_filled_to_its_share(share, text):
    assert bar(share, 4) == text


def test_a_bar_of_nan_is_dotted():
    assert bar(math.nan, 4) == "····"


def test_a_sparkline_falls_with_the_loss_and_marks_what_is_not_finite():
    line = sparkline([8.0, 7.0, math.nan, 5.0, 4.0, math.inf, 2.0, 1.0], 8)
    assert line[0] == "█" and line[-1] == "▁" and line[2] == line[5] == "×"
    assert len(sparkline(list(range(1000)), 30)) == 30 and sparkline([]) == "" and sparkline([3.0]) == "▁"


def test_away_from_a_terminal_the_line_is_printed_every_few_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    live, file = plain_live(100, "pre-training")
    with live:
        for step in range(1, 101):
            now[0] += 0.1
            live.update(step, loss=4.0, accuracy=0.412, tokens_per_second=12_345)
    lines = file.getvalue().splitlines()
    assert lines[0].startswith("pre-training  1/100  loss 4.000  acc 41.2 %  12.3k tok/s")
    assert lines[-1].startswith("pre-training  100/100") and lines[-1].endswith("0 ms left")
    assert 2 <= len(lines) <= 4 and "\x1b" not in file.getvalue()
    assert "left" not in lines[0], "nothing is known of the speed after one step"


def test_the_time_left_follows_from_the_steps_of_this_sitting(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    live, file = plain_live(1000, "")
    with live:
        live.update(500)
        now[0] += 10
        live.update(510)
    assert file.getvalue().splitlines()[-1] == "510/1,000  8 m 10 s left"


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120])
def test_the_live_line_is_one_line_at_any_width(width):
    file = io.StringIO()
    with Live(3_000_000, "pre-training", out=Console(file=file, width=width, force_terminal=True)) as live:
        live.update(1_234_567, loss=4.3, accuracy=0.41, tokens_per_second=12_345, seconds_left=3725)
    drawn = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue()).strip("\r\n")
    lines = re.split(r"[\r\n]+", drawn)
    assert len(set(lines)) == 1 and len(lines[0]) < width, "the same line, redrawn in place"
    assert "1,234,567/3,000,000" in lines[0] or width < 21
    assert "loss 4.300" in lines[0] or width < 32


def test_a_loss_of_nan_is_shown_as_nan():
    live, file = plain_live(10, "x")
    with live:
        live.update(3, loss=math.nan)
    assert "loss NaN" in file.getvalue()


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    Console(file=file, force_terminal=True, width=80).print(table("t", ["a"], [[1]], highlight=0))
    assert "\x1b[32" not in file.getvalue() and "32m" not in file.getvalue()


def test_results_go_to_stdout_and_progress_to_stderr(capsys):
    terminal.show(key_values({"loss": 4.25}))
    assert list(terminal.progress([1, 2, 3], "reading")) == [1, 2, 3]
    out, err = capsys.readouterr()
    assert "4.250" in out and "reading" not in out and "reading  3/3" in err


def test_a_terminal_that_knows_only_ascii_does_not_stop_the_run(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    terminal.show(Text(bar(0.5)))
    terminal.sys.stdout.flush()
    assert raw.getvalue().startswith(b"?")

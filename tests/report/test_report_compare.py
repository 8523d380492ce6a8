import copy
import itertools
import math
import random
import re

import pytest
from made_run import make_records
from test_report_page import EVIL, checked

from maskwright.report.chart import Series, overlay_chart
from maskwright.report.compare import compare_page
from maskwright.report.history import History

NOW = 1_770_000_000.0


def run(steps: int = 250, every: int = 50, **changes) -> History:
    records = make_records(steps, every)
    start = records[0] = copy.deepcopy(records[0])
    for name, value in changes.items():
        place = start["config"] if name in start["config"] or name == "length" else start
        place[name] = value
    return History.of(records)


def page_of(runs: dict[str, History]) -> str:
    html = compare_page(list(runs.items()), now=NOW).html()
    checked(html)
    return html


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(checked(html).texts)).replace("\u00a0", " ")


def test_only_settings_that_differ_are_listed():
    text = text_of(page_of({"a": run(), "b": run(seed=18)}))
    table = text[text.rindex("Settings that differ") :]
    assert "seed 17 18" in table and "warmup" not in table


def test_runs_of_the_same_settings_are_said_to_be_so():
    assert "None: the runs have the same settings" in text_of(page_of({"a": run(), "b": run()}))


def test_the_best_of_each_column_is_marked_among_evaluations_that_are_alike():
    html = page_of({"a": run(), "b": run(500)})
    row = re.search(r"<tr><td>(?:(?!<tr>).)*?</svg>b</span>.*?</tr>", html[html.index('id="evaluation"') :])[0]
    assert row.count("★") >= 4 and "not alike" not in html


@pytest.mark.parametrize("change", [{"length": 64}, {"reference": {"unigram entropy": 7.5}}, {"objective": {"mlm": {"rate": 0.4}}}])  # fmt: skip
def test_unlike_evaluations_are_called_so_and_none_is_the_best(change):
    html = page_of({"a": run(), "b": run(500, **change)})
    assert "evaluations are not alike" in html and "★" not in html and "see above" in html


def test_runs_without_evaluations_cannot_be_unlike():
    assert "not alike" not in page_of({"a": run(40, 50), "b": run(500, length=64)})


def test_other_objectives_are_compared_part_by_part_and_never_as_a_whole():
    records = make_records(250, 50)
    for one in records:
        for group in ("parts", "accuracy"):
            one.get(group, {}).pop("nsp", None)
    html = page_of({"both": run(), "mlm": History.of(records)})
    text = text_of(html)
    assert "different objectives (both: mlm, nsp; mlm: mlm)" in text
    assert "Training loss, mlm" in text and "Training loss, nsp" in text
    assert "<title>Training loss</title>" not in html and "last loss" not in text


def test_each_curve_is_drawn_by_step_by_tokens_and_by_time():
    html = page_of({"a": run(), "b": run(300)})
    for label in ("loss by step", "loss by tokens seen", "loss by time"):
        assert html.count(label) == 6, label
    assert html.count('type="radio"') == 3 and html.count(" checked") == 1
    assert "script" not in html.replace("no script", "")


def test_runs_that_differ_in_everything_still_have_a_page():
    bare = History.of([{"kind": "note", "time": 1.0, "text": "x"}])
    lost = History.of([{"kind": "step", "time": 1.0, "step": 1, "loss": math.nan, "parts": {"mlm": math.nan}}])
    text = text_of(page_of({"bare": bare, "lost": lost, "whole": run()}))
    assert "lost: 1 step not finite (step 1)" in text


def test_of_many_runs_the_eight_of_lowest_loss_have_colours_and_the_rest_is_grey():
    html = page_of({f"run {n:02}": run(60 + 10 * n, 50) for n in range(12)})
    runs = html[html.index('id="runs"') : html.index('id="evaluation"')]
    grey = re.findall(r"line muted[^>]*></svg>(run \d\d)", runs)
    assert len(grey) == 4 and "the 8 runs of lowest loss" in html
    assert html.count("line s0 dashed") > 0
    assert len(html) < 700_000


def test_a_name_can_hold_anything():
    assert "<script" not in page_of({EVIL: run(60), "b": run(60)})


def test_going_runs_have_their_line_at_the_top():
    records = [one for one in make_records(80, 50) if one["kind"] != "end"]
    records[0] = {**records[0], "steps": 200}
    html = compare_page([("a", History.of(records)), ("b", run())], now=records[-1]["time"] + 3).html()
    text = text_of(html)
    assert "a: step 80 of 200" in text and "40.0 %" in text and "left" in text
    assert html.index('class="status"') < html.index('id="runs"')


def test_a_curve_is_cut_where_it_leaves_the_chart_and_never_drawn_lower():
    falling = Series("a", range(100), [100.0 * 0.5**x + 5 + x / 1000 for x in range(100)], 0)
    svg, cut = overlay_chart("Loss", [falling], "step", "loss", falls=True)
    assert cut
    route = re.search(r'<path d="M([^"]*)" class="line s0"', svg)[1]
    heights = [float(point.split()[1]) for point in route.split("L")]
    assert heights.count(min(heights)) <= 2, "no stretch along the top"
    assert not overlay_chart("Loss", [falling], "step", "loss")[1]


@pytest.mark.parametrize("level", [4.0, 4.5, 5.97])
def test_names_beside_the_curves_never_cover_each_other_nor_leave_the_chart(level):
    noise = random.Random(3)
    series = [Series(f"r{n}", [1, 2, 3, 4], [5.0, 4.0, 6.0, level + noise.random() / 50], n) for n in range(8)]
    svg, _ = overlay_chart("Loss", series, "step", "loss")
    ys = sorted(float(y) for y in re.findall(r'y="([\d.]+)" class="name"', svg))
    assert len(ys) == 8 and min(b - a for a, b in itertools.pairwise(ys)) >= 14.9
    assert ys[0] > 34 and ys[-1] < 260


def test_a_long_name_keeps_its_end():
    series = [Series("bert-mini-sweep-lr-0.001-seed-3", [1, 2], [2.0, 1.0], 0)]
    svg, _ = overlay_chart("Loss", series, "step", "loss")
    assert re.search(r'class="name">bert…[\w.-]*seed-3<', svg)

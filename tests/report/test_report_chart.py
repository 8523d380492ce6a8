import itertools
import math
import random
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.report.chart import Bar, Series, bar_chart, confusion_matrix, histogram, line_chart
from maskwright.report.chart.axis import log_axis, nice_axis, smooth, thin
from maskwright.report.chart.drawing import width_of

SVG = "{http://www.w3.org/2000/svg}"
finite = st.floats(-1e12, 1e12, allow_nan=False)


def parsed(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    assert root.find(f"{SVG}title").text and root.find(f"{SVG}desc").text
    assert "nan" not in re.sub(r">[^<]*<", "><", svg).lower(), "a NaN among the coordinates"
    return root


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [one for one in root.iter() if name in one.get("class", "").split()]


def points(path: ElementTree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split())) for pair in path.get("d")[1:].split("L")]


@given(finite, finite)
def test_a_nice_axis_covers_its_values_with_a_few_round_ticks(a, b):
    axis = nice_axis(min(a, b), max(a, b))
    slack = 1e-6 * (axis.high - axis.low)
    assert axis.low - slack <= min(a, b) and axis.high + slack >= max(a, b)
    assert 2 <= len(axis.ticks) <= 9 and axis.place(axis.low) == 0 and axis.place(axis.high) == 1


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 5e-324), (5e-324, 5e-324), (1.0, 1.0 + 2e-16), (1e12, 1e12), (-1e-120, 0.0)]
)
def test_values_alike_but_for_rounding_have_an_axis(low, high):
    axis = nice_axis(low, high)
    assert axis.low < low and axis.high > high and 2 <= len(axis.ticks) <= 9


def test_ticks_are_round():
    assert nice_axis(0, 1).ticks == (0, 0.2, 0.4, 0.6, 0.8, 1)
    assert nice_axis(3.9, 9.4).ticks == (2, 4, 6, 8, 10)
    assert nice_axis(0, 5e-4).ticks == (0, 1e-4, 2e-4, 3e-4, 4e-4, 5e-4)


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))
def test_a_log_axis_covers_its_values(a, b):
    axis = log_axis(min(a, b), max(a, b))
    assert axis.low <= min(a, b) * 1.001 and axis.high >= max(a, b) * 0.999
    assert 2 <= len(axis.ticks) <= 12


def test_smoothing_keeps_a_straight_line_straight_to_its_ends():
    line = [3.0 - 0.5 * x for x in range(100)]
    assert smooth(line, 7) == pytest.approx(line)


def test_smoothing_skips_what_is_not_finite_and_leaves_it():
    values = [1.0] * 5 + [math.nan, math.inf] + [1.0] * 5
    out = smooth(values, 3)
    assert math.isnan(out[5]) and out[6] == math.inf
    assert [y for y in out if math.isfinite(y)] == pytest.approx([1.0] * 10)


def test_thinning_keeps_at_most_the_limit_and_every_single_spike():
    noise = random.Random(1)
    ys = [noise.random() for _ in range(100_000)]
    ys[54_321] = 99.0
    out = thin(range(len(ys)), ys)
    kept = [point for run in out.runs for point in run]
    assert len(kept) <= 600 and (54_321, 99.0) in kept and kept == sorted(kept)


def test_few_points_are_all_kept():
    xs, ys = list(range(50)), [float(x % 7) for x in range(50)]
    assert list(thin(xs, ys).runs[0]) == list(zip(xs, ys, strict=True))


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_leaves_a_gap_and_a_mark_and_is_never_zero(broken):
    ys = [5.0] * 10 + [broken] + [5.0] * 10
    root = parsed(line_chart("Loss", [Series("loss", range(21), ys)], "step", "loss", y_from=0.0))
    lines = of_class(root, "line")
    assert len(lines) == 2, "the curve is in two pieces"
    heights = {y for line in lines for _, y in points(line)}
    assert len(heights) == 1, "no point but those at 5"
    (mark,) = of_class(root, "broken")
    assert "step 10" in mark.find(f"{SVG}title").text


def test_a_long_curve_is_thin_under_a_smoothed_one_and_a_short_one_has_dots():
    def curve(count):
        return parsed(line_chart("t", [Series("a", range(count), [float(x % 9) for x in range(count)])], "x", "y"))

    long, short = curve(3000), curve(12)
    assert len(of_class(long, "raw")) == len(of_class(long, "line")) == 1
    assert len(points(of_class(long, "raw")[0])) <= 600
    assert not of_class(short, "raw") and len(list(short.iter(f"{SVG}circle"))) == 12


def test_reference_lines_are_drawn_where_their_value_is_and_labelled_apart():
    refs = [("unigram entropy", 7.0), ("nearly the same", 7.01)]
    root = parsed(line_chart("Loss", [Series("loss", [0, 1], [9.0, 4.0])], "step", "loss", refs))
    assert len(of_class(root, "reference")) == 2
    notes = of_class(root, "note")
    assert {note.text for note in notes} == {"unigram entropy 7", "nearly the same 7.01"}
    assert len({"end" in note.get("class").split() for note in notes}) == 2, "one at each end"


def test_legend_entries_do_not_overlap():
    names = ["training", "masked words", "next sentence", "evaluation", "something rather long", "掩码语言模型的损失"]
    root = parsed(line_chart("t", [Series(name, [0, 1], [0.0, 1.0]) for name in names], "x", "y"))
    boxes = [(float(t.get("y")), float(t.get("x")), width_of(t.text)) for t in of_class(root, "label")]
    assert len(boxes) == 6
    for (y, x, width), (other_y, other_x, _) in itertools.pairwise(boxes):
        assert other_y > y or other_x >= x + width
    assert all(x + width <= 640 for _, x, width in boxes)
    top = min(y for path in of_class(root, "line") if path.get("d") for _, y in points(path))
    assert top > max(y for y, _, _ in boxes), "the plot begins below the legend"


def test_a_log_axis_leaves_out_zero_without_a_mark():
    root = parsed(line_chart("t", [Series("a", [0, 1, 2], [0.0, 1.0, 1000.0])], "x", "y", log_y=True))
    assert not of_class(root, "broken") and len(points(of_class(root, "line")[0])) == 2


@pytest.mark.parametrize("ys", [[], [math.nan, math.nan], [3.0], [2.0, 2.0], [0.0, 0.0]])
def test_a_chart_of_next_to_nothing_is_still_a_chart(ys):
    for log in (False, True):
        parsed(line_chart("t", [Series("a", range(len(ys)), ys)], "x", "y", log_y=log))
    parsed(histogram("t", ys, "x"))


def test_bars_start_at_zero_and_whiskers_span_the_interval():
    root = parsed(bar_chart("F1", [Bar("a", 0.5, 0.4, 0.6), Bar("b", 1.0), Bar("c", math.nan)], "points"))
    a, b = (one for one in root.iter(f"{SVG}rect"))
    assert float(a.get("x")) == float(b.get("x"))
    assert float(a.get("width")) * 2 == pytest.approx(float(b.get("width")), abs=0.2)
    assert len(of_class(root, "whisker")) == 3
    assert "NaN points" in {text.text for text in root.iter(f"{SVG}text")}


def test_a_negative_bar_grows_to_the_left_of_zero():
    root = parsed(bar_chart("change", [Bar("down", -1.0), Bar("up", 1.0)]))
    down, up = (one for one in root.iter(f"{SVG}rect"))
    assert float(down.get("x")) + float(down.get("width")) == pytest.approx(float(up.get("x")), abs=0.11)


def test_a_histogram_counts_every_finite_value_once():
    values = [float(x) for x in range(101)] + [math.nan, math.inf]
    svg = histogram("t", values, "x", bins=10)
    tips = [rect.find(f"{SVG}title").text for rect in parsed(svg).iter(f"{SVG}rect")]
    assert sum(int(tip.rpartition(": ")[2]) for tip in tips) == 101 and len(tips) == 10
    assert "(2 not finite)" in svg


@pytest.mark.parametrize("many", [2, 9, 40])
def test_a_confusion_matrix_tells_every_cell(many):
    counts = [[row * many + column for column in range(many)] for row in range(many)]
    svg = confusion_matrix("t", [f"label {at}" for at in range(many)], counts)
    tips = [rect.find(f"{SVG}title").text for rect in parsed(svg).iter(f"{SVG}rect")]
    assert len(tips) == many * many and tips[1].startswith("true label 0, predicted label 1: 1 (")


def test_labels_are_escaped_everywhere():
    evil = '<script>alert("x")</script>&'
    charts = [
        line_chart(evil, [Series(evil, [0, 1], [0.0, math.nan]), Series("b", [0], [1.0])], evil, evil, [(evil, 0.5)]),
        bar_chart(evil, [Bar(evil, 1.0)], evil),
        histogram(evil, [1.0, 2.0], evil, evil),
        confusion_matrix(evil, [evil, "b"], [[1, 2], [3, 4]]),
    ]
    for svg in charts:
        parsed(svg)
        assert "<script" not in svg


def test_intervals_are_bars_within_the_axis():
    root = parsed(
        line_chart("t", [Series("a", [1, 2], [0.5, 0.6], ends=[(0.2, 0.7), (0.4, 0.95)])], "rows", "accuracy")
    )
    bars = [one for one in root.iter(f"{SVG}line") if one.get("class") == "line s0"]
    assert len(bars) == 2 and all(one.get("x1") == one.get("x2") for one in bars)
    dots = [one for one in root.iter(f"{SVG}circle") if "s0" in one.get("class")]
    for bar, dot in zip(bars, dots, strict=True):
        assert bar.get("x1") == dot.get("cx")
        assert float(bar.get("y2")) < float(dot.get("cy")) < float(bar.get("y1"))
    # The longer end reaches past every dot and is still inside the picture.
    assert 0 < min(float(one.get("y2")) for one in bars) < min(float(dot.get("cy")) for dot in dots)
    plain = line_chart("t", [Series("a", [1, 2], [0.5, 0.6])], "rows", "accuracy")
    assert "line s0" not in [one.get("class") for one in parsed(plain).iter(f"{SVG}line")]

import math

import pytest

from maskwright.report import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234, "1,234"), (0, "0"), (0.1234, "0.1234"), (12.345, "12.35"), (1234.5, "1,234"), (5e-5, "5e-5"), (-3.2, "-3.200"),
        (math.nan, "NaN"), (math.inf, "∞"), (-math.inf, "−∞"), (None, "–"), (True, "yes"), (0.0, "0"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert numbers.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(950, "950"), (999.6, "1.00k"), (12_345, "12.3k"), (999_960, "1.00M"), (4_560_000, "4.56M"), (2.5e15, "2500T"), (0.25, "0.2500")],
)  # fmt: skip
def test_compact_numbers(value, text):
    assert numbers.compact(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "420 ms"), (0.9996, "1.0 s"), (8.44, "8.4 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 m 00 s"), (185, "3 m 05 s"),
        (3599.7, "1 h 00 m"), (3720, "1 h 02 m"), (86_399, "1 d 00 h"), (183_600, "2 d 03 h"), (math.nan, "NaN"), (math.inf, "∞"),
    ],
)  # fmt: skip
def test_durations_carry_over_when_rounded(seconds, text):
    assert numbers.duration(seconds) == text


def test_units():
    assert numbers.rate(12_345) == "12.3k tok/s"
    assert numbers.size(512) == "512 B" and numbers.size(12_345) == "12.3 kB" and numbers.size(4.56e9) == "4.56 GB"
    assert numbers.share(0.4123) == "41.2 %" and numbers.share(math.nan) == "NaN"


@pytest.mark.parametrize(
    "text", ["1,234", "0.1234", "41.2 %", "12.3 kB", "5e-5", "NaN", "–", "0.91 ± 0.02", "-3.2", ""]
)
def test_what_reads_as_a_number(text):
    assert numbers.is_numeric(text)


@pytest.mark.parametrize("text", ["bert", "3 steps", "v1.2", "1 of 2", "x1"])
def test_what_does_not_read_as_a_number(text):
    assert not numbers.is_numeric(text)

import math
import os
import re
from html.parser import HTMLParser

import pytest

from maskwright.errors import InputError
from maskwright.report import page
from maskwright.report.chart import Bar, Series, bar_chart, line_chart
from maskwright.report.ledger import ledger_sections
from maskwright.report.page import Candidate, MaskedSentence, Page, Stat

EVIL = "</style></title><script>alert('x')</script><img src=http://evil.example/x onerror=\"alert(1)\">"
VOID = {"meta", "br", "img", "line", "rect", "path", "circle", "input"}


class Checker(HTMLParser):
    """Collects tags and text, and fails where elements are not nested."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return checker


def everything(text: str) -> Page:
    offers = {text: [Candidate(text, 0.5)], "after": [Candidate("other", math.nan)]}
    return Page(text, text).add(
        page.heading(text), page.heading("B"), page.heading("C"), page.heading(text, 3), page.paragraph(text),
        page.callout(text, "good"), page.stats([Stat(text, text, text)]), page.key_values({text: text}),
        page.table([text, "n"], [[text, 1]], caption=text, highlight=0), page.code(text),
        page.details(text, {text: {text: [text, 1]}, "b": None}), page.fill_mask([MaskedSentence(text, text, text, offers)]),
        page.chart(line_chart(text, [Series(text, [0, 1], [1.0, 2.0])], text, text), text),
        page.charts([bar_chart(text, [Bar(text, 1.0)])]), *ledger_sections({text: {"read": 2, "kept": 1, "dropped": {text: 1}}}),
    )  # fmt: skip


def test_text_can_hold_anything_and_stays_text():
    checker = checked(everything(EVIL).html())
    names = {tag for tag, _ in checker.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "base"}
    assert not [key for _, attrs in checker.tags for key in attrs if key.startswith("on") or key == "src"]
    assert EVIL in checker.texts


def test_the_page_needs_nothing_from_elsewhere_and_forbids_it():
    html = everything("plain").html()
    checker = checked(html)
    (policy,) = (
        a["content"] for tag, a in checker.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy and "script" not in policy and "http" not in policy
    assert not re.search(r"src\s*=|url\s*\(|@import", html) and not re.search(r'href="(?!#)', html)
    assert set(re.findall(r"https?://[^\"' ]+", html)) == {"http://www.w3.org/2000/svg"}
    first = html.index("Content-Security-Policy")
    assert first < html.index("<style>"), "the policy comes before what it rules"


def test_the_style_is_inlined_and_follows_light_dark_print_and_phone():
    html = Page("x").html()
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem", "--s0:"):
        assert rule in html


def test_characters_that_html_forbids_become_a_mark(tmp_path):
    path = Page("a\x00b\ud800c\x1b").write(tmp_path / "x.html")
    assert "a\ufffdb\ufffdc\ufffd" in path.read_text("utf-8")


def test_columns_of_numbers_stand_to_the_right_and_the_best_row_is_marked():
    html = page.table(["name", "loss", "share"], [["a", 0.5, "41.2 %"], ["b", math.nan, None]], highlight=1).markup
    assert html.count('<td class="right">') == 4 and html.count('<tr class="best">') == 1
    assert "NaN" in html and "–" in html


def test_the_contents_link_to_every_chapter():
    checker = checked(Page("x").add(*(page.heading(name) for name in ("One & two", "Three", "四"))).html())
    targets = [attrs["href"][1:] for tag, attrs in checker.tags if tag == "a"]
    assert targets == [attrs["id"] for tag, attrs in checker.tags if tag == "h2"] and len(set(targets)) == 3


def test_the_hidden_word_is_marked_among_the_candidates_but_for_case_and_space():
    offers = {"after": [Candidate("church", 0.5), Candidate(" Library", 0.25)]}
    html = page.fill_mask([MaskedSentence("in the ", "library", ".", offers)]).markup
    assert html.count('class="hit"') == 1 and html.index("church") < html.index('class="hit"') < html.index("✓")
    assert "width:50.0%" in html and "25.0 %" in html


def test_a_nested_configuration_unfolds_and_keeps_its_values_as_given():
    html = page.details(
        "config", {"lr": 5e-05, "train": {"betas": [0.9, 0.98], "compile": False, "clip": None, "extra": {}}}
    ).markup
    checker = checked(html)
    assert [tag for tag, _ in checker.tags].count("details") == 2
    assert {"5e-05", "0.9, 0.98", "false", "none"} <= set(checker.texts)


def test_a_ledger_shows_its_sum_with_a_tick(ledger):
    (section,) = ledger_sections(ledger)
    assert section.markup.count("✓") == 2 and "✗" not in section.markup
    assert "48,219,377" in section.markup and "391,204 sentences, 10,118,903 tokens" in section.markup
    reasons = re.findall(r"dropped: ([\w ]+)", section.markup)
    assert reasons == ["duplicate", "empty", "too short", "bad encoding"], "dearest first"


def test_a_ledger_that_does_not_add_up_is_called_out(ledger):
    ledger["documents"]["kept"] -= 7
    table, warning = ledger_sections(ledger)
    assert table.markup.count("✗") == 1 and "documents do not add up: +7" in warning.markup


@pytest.mark.parametrize(
    "ledger",
    [{}, {"sentences": 3}, {"documents": {"read": 0, "kept": 0}}, {"bytes": {"read": 3, "kept": 1, "dropped": 2}}],
)
def test_a_ledger_shows_whatever_units_it_has(ledger):
    sections = ledger_sections(ledger)
    assert len(sections) == any(isinstance(value, dict) for value in ledger.values())


def test_a_failed_write_leaves_the_old_page(tmp_path, monkeypatch):
    path = Page("old").write(tmp_path / "deep" / "report.html")
    old = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"report\.html: The disk is full"):
        Page("new").write(path)
    assert path.read_bytes() == old and [one.name for one in path.parent.iterdir()] == ["report.html"]

import builtins
import pickle
import time
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwright.corpus.markup import plain
from maskwright.errors import InputError, MissingExtra

ARTICLE = """{{Short description|A river}}
{{Infobox river
| name = {{lang|fr|Loire}}
| length = {{convert|1006|km|abbr=on}}
}}
[[File:Loire.jpg|thumb|right|The [[river]] at [[Tours|the town]]]]
The '''Loire''' ({{IPA|fr|lwaʁ}}; {{lang|la|Liger}}) is the ''longest'' [[river]] in [[France|the French Republic]].<ref name="a">{{cite book|title=Rivers}}</ref><ref name="b" /> <!-- length
differs --> It&nbsp;rises at 1,350&nbsp;m.

== Course ==
{| class="wikitable"
|-
! A !! B
|-
| {| nested |} 1 || 2
|}
It flows north<br />and then west, see [http://example.org/map the map] or [https://example.org].
* [[Nantes]]
# [[:Category:Rivers|rivers]]
: indented [[wikt:flow]]

=== Nothing here ===

== References ==
{{reflist}}
[[Category:Rivers of France]]
[[de:Loire]]
__NOTOC__
"""


def test_wikitext_becomes_prose() -> None:
    assert plain(ARTICLE, "wiki").split("\n") == [
        "The Loire is the longest river in the French Republic. It rises at 1,350 m.",
        "Course",
        "It flows north",
        "and then west, see the map or .",
        "Nantes",
        "rivers",
        "indented wikt:flow",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a {{never closed", "a {{never closed"),
        ("closed }} never opened |}", "closed }} never opened |}"),
        ("a {{b {{c}} d}} e", "a e"),
        ("{{a\n{| never closed\n}}b", "b"),
        ("x <ref>never closed", "x never closed"),
        ("1 < 2 and 3 > 2 &lt;b&gt;", "1 < 2 and 3 > 2 <b>"),
        ("[[a|b|c]] [[x]]s [[]] [[never closed", "b|c xs [[never closed"),
        ("-{zh-hans:计算机;zh-hant:電腦}-科学-{H|zh-cn:甲;zh-tw:乙}-和-{文字}-", "计算机科学和文字"),
        ("[[文件:a.jpg|缩略图|说明]]中文[[分类:河流]]", "中文"),
        ("'''''both''''' don't", "both don't"),
        ("<math>x^2</math>y<syntaxhighlight lang='c'>int {{x;</syntaxhighlight>z", "yz"),
    ],
)
def test_wikitext_with_odd_brackets_is_read(text: str, expected: str) -> None:
    assert plain(text, "wiki") == expected


def test_wikitext_made_to_be_slow_is_not() -> None:
    bad = [
        "{{",
        "[[",
        "<!--",
        "<ref>",
        "}}",
        "[[a|",
        "-{",
        "=",
        "'",
        "<ref ",
        "[http:",
        "\n{|",
        "[[]]",
        "(",
        "( ",
        "&",
        "\n=",
    ]
    start = time.monotonic()
    for piece in bad:
        plain(piece * 20_000, "wiki")
        plain(piece * 10_000 + "}}" * 10_000 + "]]>-->", "wiki")
    # Quadratic time would be minutes; this bound has a factor of thirty to spare.
    assert time.monotonic() - start < 60


def test_html_gives_what_a_reader_sees() -> None:
    page = """<!doctype html><html><head><title>Title</title><style>p {}</style></head><body onload="x()">
    <h1>Head &amp; more</h1><p>one <b>two</b>
    three<br>four</p><script>var a = "<p>";</script><!-- gone --><ul><li>a<li>b</ul>
    <table><tr><td>1<td>2</tr></table><pre>x
  y</pre><div>d<div>e</div>f</div><noscript>none</noscript><svg><text>s</text></svg>tail</body></html>"""
    assert plain(page, "html").split("\n") == [
        "Head & more", "one two three", "four", "a", "b", "1", "2", "x", "y", "d", "e", "f", "tail",
    ]  # fmt: skip
    assert plain("", "html") == "" and plain("just words", "html") == "just words"
    assert plain("<div>" * 3_000 + "deep", "html") == "deep"


def test_markdown_gives_what_a_reader_sees() -> None:
    page = """---
title: front
---
# Head *more*

One **two** [three](http://x.org "t")
four `five` ![six](a.png)\\
seven<br>

- a
- b
  > quoted &amp; said

| h | i |
|---|---|
| 1 | 2 |

```python
x = [1]
```

<div align="center"><img src="x">inside</div>
"""
    assert plain(page, "markdown").split("\n") == [
        "Head more", "One two three four five six", "seven", "a", "b", "quoted & said", "h", "i", "1", "2", "x = [1]", "inside",
    ]  # fmt: skip
    assert plain("no --- front\n---\n", "markdown") == "no --- front"


@given(
    text=st.text(alphabet="ab <>[]{}|=*#'`!-&;\n(_~中/p", max_size=60),
    markup=st.sampled_from(["html", "markdown", "wiki"]),
)
def test_any_text_is_read_in_any_markup(text: str, markup: str) -> None:
    assert plain(text, markup) == plain(text, markup)
    assert all(line and line == " ".join(line.split()) for line in plain(text, markup).split("\n")) or not plain(
        text, markup
    )


def test_text_without_markup_is_untouched_and_an_unknown_one_refused() -> None:
    assert plain("<p> a  b", "") == "<p> a  b"
    with pytest.raises(InputError, match="'rtf' is not known"):
        plain("a", "rtf")
    assert pickle.loads(pickle.dumps(partial(plain, markup="wiki")))("[[a]]") == "a"


@pytest.mark.parametrize(("markup", "library"), [("html", "selectolax"), ("markdown", "markdown_it")])
def test_a_library_that_is_not_there_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, markup: str, library: str
) -> None:
    whole = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == library:
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'maskwright\[formats\]'"):
        plain("a", markup)

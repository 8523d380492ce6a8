import codecs
import random
from pathlib import Path

import pytest
from reading import accounted, read_all

from maskwright.corpus import encoding
from maskwright.corpus.ledger import Ledger
from maskwright.errors import DataError

SIMPLIFIED = "今天天气很好，我们一起去公园散步。图书馆里有很多关于历史和科学的书籍，学生们都喜欢在那里学习。\n"
TRADITIONAL = "今天天氣很好，我們一起去公園散步。圖書館裡有很多關於歷史和科學的書籍，學生們都喜歡在那裡學習。\n"
JAPANESE = "今日は天気がとても良いので、みんなで公園へ散歩に行きました。図書館には歴史や科学の本がたくさんあります。\n"
KOREAN = "오늘은 날씨가 매우 좋아서 우리는 함께 공원으로 산책하러 갔습니다. 도서관에는 역사와 과학에 관한 책이 많이 있습니다.\n"
RUSSIAN = (
    "Сегодня очень хорошая погода, и мы все вместе пошли гулять в парк. В библиотеке много книг по истории и науке.\n"
)
GERMAN = (
    "Heute ist schönes Wetter, und wir gehen über die Brücke in den großen Park. Die Bücher sind für alle Schüler da.\n"
)
FRENCH = "Aujourd'hui il fait très beau et nous allons à pied jusqu'à la forêt, où l'on a déjà planté des chênes l'été passé.\n"
SPANISH = (
    "Hoy hace muy buen tiempo y mañana iremos a la montaña con los niños. ¿Cuándo llegará el autobús? ¡Qué lástima!\n"
)
POLISH = "Dziś jest piękna pogoda, więc idziemy wszyscy razem na spacer do parku. Książki są dla wszystkich uczniów i źródeł.\n"
ENGLISH = "The weather is “fine” today — and we’re going for a walk in the park, where the trees don’t mind.\n"


@pytest.mark.parametrize("times", [1, 50])
@pytest.mark.parametrize(
    ("text", "python", "name"),
    [
        (SIMPLIFIED, "gb18030", "gb18030"),
        (SIMPLIFIED, "gbk", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (TRADITIONAL, "gb18030", "gb18030"),
        (JAPANESE, "cp932", "shift_jis"),
        (JAPANESE, "euc_jp", "euc-jp"),
        (KOREAN, "cp949", "euc-kr"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8_r", "koi8-r"),
        (GERMAN, "latin-1", "windows-1252"),
        (FRENCH, "latin-1", "windows-1252"),
        (SPANISH, "latin-1", "windows-1252"),
        (ENGLISH, "cp1252", "windows-1252"),
        (POLISH, "cp1250", "windows-1250"),
        ("caf\u00e9 noir\n", "latin-1", "windows-1252"),
        (SIMPLIFIED, "utf-8", "utf-8"),
        (RUSSIAN, "utf-8-sig", "utf-8"),
        (ENGLISH, "utf-16", "utf-16-le"),
        (ENGLISH, "utf-16-be", "utf-16-be"),
        (GERMAN, "utf-16-le", "utf-16-le"),
        (codecs.BOM_UTF16_BE.decode("utf-16-be") + SIMPLIFIED, "utf-16-be", "utf-16-be"),
        (RUSSIAN, "utf-32", "utf-32-le"),
        ("ascii only\n", "ascii", "utf-8"),
    ],
)
def test_the_encoding_of_a_file_is_found_and_counted(
    tmp_path: Path, text: str, python: str, name: str, times: int
) -> None:
    (tmp_path / "a.txt").write_bytes((text * times).encode(python))
    ledger = Ledger()
    documents = read_all(tmp_path / "a.txt", ledger)
    assert "\n".join(each.text for each in documents) == (text * times).strip("\ufeff\n")
    assert ledger.encodings == {name: 1} and ledger.bytes_bad == 0
    assert accounted(ledger, documents)
    assert (
        ledger.bytes_read == len((text * times).removeprefix("\ufeff").encode()) + ledger.bytes_around[encoding.MARKS]
    )


def test_a_few_bad_bytes_do_not_make_another_encoding_of_utf8(tmp_path: Path) -> None:
    for number, text in enumerate((GERMAN, FRENCH, RUSSIAN, SIMPLIFIED)):
        content = bytearray((text * 40).encode())
        draw = random.Random(number)
        for _ in range(30):
            content[draw.randrange(len(content))] = draw.randrange(128, 256)
        (tmp_path / "a.txt").write_bytes(content)
        ledger = Ledger()
        (document,) = read_all(tmp_path / "a.txt", ledger)
        assert ledger.encodings == {"utf-8": 1} and 0 < document.bad_bytes < 120
        assert accounted(ledger, [document])


def test_utf8_that_could_be_read_as_chinese_stays_utf8(tmp_path: Path) -> None:
    content = "历史科学".encode() + b"\xe9a"
    assert content.decode("gb18030")
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "b.html").write_bytes(b"<meta charset=gbk>" + content)
    assert [each.text[-6:] for each in read_all(tmp_path)] == ["历史科学\ufffda"] * 2


def test_signs_alone_are_no_western_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"We went \xac for \xb1 a \xa4 walk \xa6 in the park.\n" * 20)
    ledger = Ledger()
    assert read_all(tmp_path / "a.txt", ledger)[0].bad_bytes == 80 and ledger.encodings == {"utf-8": 1}


def test_stray_bytes_in_english_are_bad_bytes_and_no_alphabet(tmp_path: Path) -> None:
    draw = random.Random(1)
    lines = [b"We went for a walk %c in the park today.\n" % draw.randrange(128, 256) for _ in range(300)]
    (tmp_path / "a.txt").write_bytes(b"".join(lines))
    ledger = Ledger()
    (document,) = read_all(tmp_path / "a.txt", ledger)
    assert ledger.encodings == {"utf-8": 1} and document.bad_bytes == 300


def test_bytes_that_another_encoding_does_not_know_are_bad_too(tmp_path: Path) -> None:
    content = (SIMPLIFIED * 8000).encode("gb18030") + b"\xff\xff" + SIMPLIFIED.encode("gb18030") + b"\x81"
    assert len(content) > encoding.BLOCK + encoding.SAMPLE
    (tmp_path / "a.txt").write_bytes(content)
    ledger = Ledger()
    documents = read_all(tmp_path / "a.txt", ledger)
    assert ledger.encodings == {"gb18030": 1} and accounted(ledger, documents)
    assert sum(each.bad_bytes for each in documents) == 3 == sum(each.replacements for each in documents)
    assert documents[-1].text.endswith("\ufffd\ufffd" + SIMPLIFIED + "\ufffd")


@pytest.mark.parametrize("before", ["中", "中x", "中\U00020000"])
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_sample_that_ends_within_a_character_is_no_fault(tmp_path: Path, before: str, end: str) -> None:
    (tmp_path / "a.txt").write_bytes((before + (SIMPLIFIED.strip() + end) * 4000).encode("gb18030"))
    ledger = Ledger()
    assert read_all(tmp_path / "a.txt", ledger)[0].bad_bytes == 0
    assert ledger.encodings == {"gb18030": 1}


def test_the_sample_begins_where_ascii_ends(tmp_path: Path) -> None:
    start = "plain words only, line after line\n" * 30_000
    (tmp_path / "a.txt").write_bytes((start + GERMAN * 20).encode("latin-1"))
    ledger = Ledger()
    documents = read_all(tmp_path / "a.txt", ledger)
    assert ledger.encodings == {"windows-1252": 1} and documents[-1].text.endswith(GERMAN.strip())


def test_a_page_may_say_its_encoding_and_bytes_that_are_utf8_win(tmp_path: Path) -> None:
    page = '<html><head><meta charset="{}"></head><body><p>{}</p></body></html>'
    (tmp_path / "a.html").write_bytes(page.format("iso-8859-7", "καλημέρα κόσμε").encode("iso-8859-7"))
    (tmp_path / "b.html").write_bytes(page.format("gb2312", "中文").encode("gb18030"))
    (tmp_path / "c.html").write_bytes(page.format("iso-8859-1", "中文 é").encode())
    (tmp_path / "d.html").write_bytes(page.format("nonsense", "caf\u00e9").encode("latin-1"))
    ledger = Ledger()
    documents = read_all(tmp_path, ledger)
    assert ["καλημέρα κόσμε" in documents[0].text, "中文" in documents[1].text] == [True, True]
    assert ["中文 é" in documents[2].text, "caf\u00e9" in documents[3].text] == [True, True]
    assert ledger.encodings == {"iso8859-7": 1, "gb18030": 1, "utf-8": 1, "windows-1252": 1}
    assert accounted(ledger, documents)


def test_a_line_number_is_right_in_every_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"text": "caf\u00e9"}\n{"text": 5}\n'.encode("utf-16"))
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: the field"):
        read_all(tmp_path / "a.jsonl")


def test_real_chinese_is_read_from_gb18030_and_big5(shared: Path, tmp_path: Path) -> None:
    (document, *_) = read_all(shared / "data" / "corpus" / "zh_classics.jsonl.xz")
    text = document.text[:20_000]
    (tmp_path / "a.txt").write_bytes(text.encode("gb18030"))
    ledger = Ledger()
    assert (
        "".join(each.text for each in read_all(tmp_path / "a.txt", ledger)).split()
        == text.replace("\n\n", "\n").split()
    )
    assert ledger.encodings == {"gb18030": 1}

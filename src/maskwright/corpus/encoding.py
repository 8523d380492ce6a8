"""Any text to UTF-8, as a stream: the encoding of each file is found once, from its own bytes.

The rule, in this order:

1. A byte order mark says UTF-8, UTF-16 or UTF-32.  Without one, NULs at every second place say UTF-16.
2. As long as all bytes are ASCII nothing needs to be known.  The sample begins at the first byte that is not.
3. UTF-8, where the sample holds at least as many characters of several bytes as bytes that are not UTF-8.  Other
   encodings give such characters only by accident, so a UTF-8 file with some bad bytes stays one, and loses those.
4. What a page or dump declares of itself, where the sample can be read so without error.
5. What charset-normalizer finds among CANDIDATES, where the sample can be read so without error and what comes out
   looks like text: characters of other scripts stand beside each other, those of one-byte encodings are letters.
6. Windows-1252, where what comes out is accented letters and typographer's marks.   7. Else UTF-8, with bad bytes.

A byte that the encoding does not know becomes the byte FF, which UTF-8 does not know either: it is counted where the
bad bytes of UTF-8 files are.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import Any

from maskwright.corpus.ledger import REPLACEMENT_BYTES, Ledger

__all__ = ["MARKS", "Recoded", "decode"]

MARKS = "byte order marks"
BLOCK, SAMPLE, SMALL_SAMPLE = 256 << 10, 256 << 10, 32 << 10
SHORTEST_WIDE = 8
"""Bytes from which NULs say anything."""
FEW = 4
"""Different characters from which a script says anything."""

CANDIDATES = {
    "gb18030": "gb18030", "big5": "big5", "big5hkscs": "big5-hkscs", "cp932": "shift_jis", "euc_jp": "euc-jp",
    "cp949": "euc-kr", "cp1252": "windows-1252", "cp1250": "windows-1250", "cp1251": "windows-1251", "koi8_r": "koi8-r",
}  # fmt: skip
"""Python's name -> the name in the ledger.  Of those that read a sample as well as each other, the first is taken."""
ONE_BYTE = ("cp1252", "cp1250", "cp1251", "koi8_r")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z][\w.:-]*)""")
_STRANGE = re.compile(r"[^\x00-\x7f]")
_RUNS = re.compile(r"[^\x00-\x7f]{2,}")
_TYPOGRAPHY = frozenset("“”„‘’‚‹›«»–—…•·°§£€©®™½¼¾¡¿\xa0№")
_UNLIKELY = frozenset("ÿ")
"""The byte FF in Windows-1252: far more often damage than a letter."""


def _bad_as_ff(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff" * (error.end - error.start), error.end


codecs.register_error("maskwright.bad_as_ff", _bad_as_ff)


def decode(content: bytes) -> tuple[str, int, int]:
    """Return the text, the number of bytes that are not UTF-8, and the number of U+FFFD that stand for them."""
    try:
        return content.decode("utf-8"), 0, 0
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
    replacements = text.count("\ufffd") - content.count("\ufffd".encode())
    return text, len(content) - (len(text.encode()) - REPLACEMENT_BYTES * replacements), replacements


class Recoded(io.RawIOBase):
    """A stream as UTF-8, without its byte order mark.

    Counts into the ledger: the bytes it gives and the mark, as read; the encoding, once, when it is known.
    ``declares`` is True for formats whose files name their encoding (HTML, XML).
    """

    def __init__(self, stream: Any, ledger: Ledger, *, declares: bool = False) -> None:
        self._stream, self._ledger, self._declares = stream, ledger, declares
        self._blocks = self._recode()
        self._held = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Put the next bytes into the buffer; return their number, 0 at the end."""
        while not self._held:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._held = memoryview(block)
            self._ledger.bytes_read += len(block)
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._held))
        view[:count], self._held = self._held[:count], self._held[count:]
        return count

    def _recode(self) -> Iterator[bytes]:
        blocks = iter(lambda: self._stream.read(BLOCK), b"")
        head = block = next(blocks, b"")
        encoding = _marked(head) or _wide(head)
        while encoding is None and block:
            if not block.isascii():
                block += self._stream.read(SAMPLE) or b""
                encoding = _found(block, head if self._declares else b"")
            else:
                yield block
                block = next(blocks, b"")
        self._ledger.encodings[CANDIDATES.get(encoding or "", encoding or "utf-8")] += 1
        if encoding in (None, "utf-8"):
            yield self._without_mark(block)
            yield from blocks
            return
        decoder = codecs.getincrementaldecoder(encoding)("maskwright.bad_as_ff")
        yield self._without_mark(_utf8(decoder.decode(block)))
        for block in blocks:
            yield _utf8(decoder.decode(block))
        yield _utf8(decoder.decode(b"", True))

    def _without_mark(self, block: bytes) -> bytes:
        body = block.removeprefix(codecs.BOM_UTF8)
        self._ledger.bytes_read += len(block) - len(body)
        self._ledger.bytes_around[MARKS] += len(block) - len(body)
        return body


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _marked(head: bytes) -> str | None:
    return next((name for mark, name in _MARKS if head.startswith(mark)), None)


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: a third of the characters or more have a NUL, and on one side only."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) < SHORTEST_WIDE or max(even, odd) * 6 < len(head) or min(even, odd) * 50 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _found(block: bytes, head: bytes) -> str:
    """The encoding of bytes of which some are not ASCII; ``head`` is where it may be declared."""
    sample = block[_ascii_prefix(block) :][:SAMPLE]
    text = codecs.getincrementaldecoder("utf-8")("maskwright.bad_as_ff").decode(sample)
    bad = text.count("\udcff")
    if bad <= len(_STRANGE.findall(text)) - bad:
        return "utf-8"
    declared = _DECLARED.search(head[:1024])
    if declared is not None:
        try:
            name = codecs.lookup(declared[1].decode()).name
            name = {"iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}.get(name, name)
            if _read(sample, name) is not None:
                return name
        except (LookupError, ValueError):
            pass
    likely = [name for name in _guesses(sample) if _looks_like_text(_read(sample, name), name)]
    if likely:
        return likely[0]
    western = _read(sample, "cp1252")
    isolated = western is not None and not _in_runs(western) and _letters(western)
    return "cp1252" if isolated else "utf-8"


def _guesses(sample: bytes) -> list[str]:
    """The encodings that charset-normalizer finds most likely, in the order of CANDIDATES."""
    from charset_normalizer import from_bytes

    small = sample[:SMALL_SAMPLE]
    # It wants whole characters, and these have at most four bytes; white space is never a part of one.
    place = max(small.rfind(b"\n"), small.rfind(b" "))
    ends = [len(small)] if small == sample else [place] if place > 0 else [len(small) - cut for cut in range(4)]
    matches = [match for end in ends for match in from_bytes(small[:end], cp_isolation=list(CANDIDATES))]
    best = min(matches, default=None)
    alike = {
        name
        for match in matches
        if best is not None and (match.chaos, match.coherence) == (best.chaos, best.coherence)
        for name in (match.encoding, *match.could_be_from_charset)
    }
    return [name for name in CANDIDATES if name in alike]


def _ascii_prefix(block: bytes) -> int:
    try:
        block.decode("ascii")
    except UnicodeDecodeError as error:
        return error.start
    return len(block)


def _read(sample: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeError:
        return None


def _looks_like_text(text: str | None, encoding: str) -> bool:
    if text is None:
        return False
    if encoding not in ONE_BYTE:
        return _in_runs(text)
    return _letters(text) and (encoding in ("cp1252", "cp1250")) != _in_runs(text)


def _in_runs(text: str) -> bool:
    """Most characters that are not ASCII stand beside another one, and there are a few different ones."""
    return len(set(_STRANGE.findall(text))) >= FEW and 2 * sum(map(len, _RUNS.findall(text))) > len(
        _STRANGE.findall(text)
    )


def _letters(text: str) -> bool:
    """At most one in twenty of the characters that are not ASCII is neither a letter nor a typographer's mark."""
    strange = _STRANGE.findall(text)
    odd = sum(each in _UNLIKELY or not (each.isalpha() or each in _TYPOGRAPHY) for each in strange)
    return 20 * odd <= len(strange)

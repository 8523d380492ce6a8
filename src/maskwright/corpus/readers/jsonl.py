"""JSON lines: one object a line, its text in a field, its name in "id" where there is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from maskwright.corpus.document import Document
from maskwright.corpus.encoding import decode
from maskwright.corpus.readers.opened import LINE_ENDS, NO_TEXT, Opened

__all__ = ["jsonl"]

FRAME = "JSON structure and escapes"


def jsonl(file: Opened) -> Iterator[tuple[int, Document]]:
    """Yield the text of each object.

    A first object without the field is an error, as the field is misnamed; later ones, and null, are dropped.
    """
    first = True
    for number, line in file.lines():
        if not line.strip():
            file.ledger.bytes_around[LINE_ENDS] += len(line)
            continue
        content, bad, replacements = decode(line)
        row = _parse(file, number, content)
        if file.text_field not in row and (first or file.strict):
            texts = sorted((name for name in row if isinstance(row[name], str)), key=lambda name: -len(row[name]))
            raise file.without_field(list(row), texts, number)
        first = False
        text = row.get(file.text_field)
        if text is None:
            file.drop(number, NO_TEXT, len(line))
        elif not isinstance(text, str):
            raise file.fault(
                f'the field "{file.text_field}" holds a {type(text).__name__}, not a text. '
                "Name another with --text-field.",
                number,
            )
        else:
            document = file.row(number, row.get("id"), text, bad, replacements)
            file.count_frame(FRAME, len(line), document)
            yield number, document


def _parse(file: Opened, line: int, content: str) -> dict[str, Any]:
    try:
        row = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise file.fault(f"not JSON ({error}). Each line is one object; mend or remove this one.", line) from error
    if not isinstance(row, dict):
        raise file.fault(f'a {type(row).__name__}, not an object. Write each text as {{"text": …}}.', line)
    return row

"""Tokenizer files of a Hugging Face folder, read with care.

``tokenizer.json`` says everything; ``vocab.txt`` says the pieces only, and BERT's rules are built around it.  Nothing
here knows what a token is for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from maskwright.errors import InputError, explain_os_error
from maskwright.text.wordpiece import PREFIX

__all__ = ["CLS", "MASK", "MAX_WORD_CHARS", "PAD", "SEP", "SPECIAL", "UNK", "bert_backend", "read_backend"]

PAD, UNK, CLS, SEP, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

MAX_WORD_CHARS = 100
"""A longer word becomes one [UNK], as in BERT."""

DEFAULT_MAX_LENGTH = 512
_UNSET_LENGTH = 1_000_000
"""Folders without a limit carry a huge number instead."""


def bert_backend(
    pieces: list[str], *, lowercase: bool, chinese_apart: bool = True, accents: bool | None = None
) -> Tokenizer:
    """Build BERT's tokenizer around a vocabulary whose ids are the positions in ``pieces``.

    ``accents`` None strips accents exactly when ``lowercase``.  Source: google-research/bert, tokenization.py.
    """
    backend = Tokenizer(
        models.WordPiece(
            {piece: number for number, piece in enumerate(pieces)},
            unk_token=UNK,
            continuing_subword_prefix=PREFIX,
            max_input_chars_per_word=MAX_WORD_CHARS,
        )
    )
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese_apart, strip_accents=accents, lowercase=lowercase
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=PREFIX)
    backend.add_special_tokens(list(SPECIAL))
    backend.post_processor = _pair_template(backend)
    return backend


def _pair_template(backend: Tokenizer) -> processors.PostProcessor:
    """Return ``[CLS] A [SEP]`` and ``[CLS] A [SEP] B [SEP]`` with types 0 and 1."""
    return processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=[(piece, backend.token_to_id(piece)) for piece in (CLS, SEP)],
    )


def read_backend(path: str | Path, lowercase: bool | None) -> tuple[Tokenizer, int]:
    """Read a folder, a tokenizer.json or a vocab.txt; return the tokenizer and its longest sequence in tokens."""
    path = Path(path)
    try:
        file = _find(path)
        config = _read_config(file.parent / "tokenizer_config.json")
        if file.suffix == ".json":
            backend = _read_json(file)
        else:
            backend = _read_vocabulary(file, config, lowercase)
    except OSError as error:
        raise explain_os_error(error, "text/tokenizer: reading") from error
    length = config.get("model_max_length")
    return backend, length if isinstance(length, int) and 0 < length < _UNSET_LENGTH else DEFAULT_MAX_LENGTH


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    for name in ("tokenizer.json", "vocab.txt"):
        if (path / name).is_file():
            return path / name
    what = "holds neither tokenizer.json nor vocab.txt" if path.is_dir() else "does not exist"
    raise InputError(f"text/tokenizer: {path} {what}. Name a folder with one of them, or the file itself.")


def _read_config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    return _parse(file)


def _parse(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"text/tokenizer: {file} is not JSON ({error}). Copy it again from its source.") from error
    if not isinstance(content, dict):
        raise InputError(f"text/tokenizer: {file} holds a {type(content).__name__}, not an object.")
    return content


def _read_json(file: Path) -> Tokenizer:
    content = _parse(file)
    model = content.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if kind != "WordPiece":
        raise InputError(f"text/tokenizer: {file} holds a {kind} model; Maskwright reads WordPiece tokenizers.")
    try:
        backend = Tokenizer.from_str(json.dumps(content))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"text/tokenizer: {file} is not a sound tokenizer.json: {error}.") from error
    _check_vocabulary(file, backend)
    # A folder may carry its owner's truncation and padding; how much of a text is read is for the caller to say.
    backend.no_truncation()
    backend.no_padding()
    backend.add_special_tokens(list(SPECIAL))
    if backend.decoder is None:
        backend.decoder = decoders.WordPiece(prefix=PREFIX)
    if backend.post_processor is None:
        backend.post_processor = _pair_template(backend)
    return backend


def _check_vocabulary(file: Path, backend: Tokenizer) -> None:
    vocabulary = backend.get_vocab(with_added_tokens=True)
    _need_special(file, vocabulary)
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise InputError(
            f"text/tokenizer: {file}: the ids of its {len(vocabulary):,} pieces are not 0, 1, 2 … without gaps."
        )


def _read_vocabulary(file: Path, config: dict[str, Any], lowercase: bool | None) -> Tokenizer:
    try:
        lines = file.read_bytes().decode("utf-8").removeprefix("\ufeff").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"text/tokenizer: {file} is not UTF-8 text (byte {error.start:,}).") from error
    # Not splitlines: U+2028 is a piece of BERT's Chinese vocabulary.
    pieces = [line.removesuffix("\r") for line in lines]
    if not pieces[-1]:
        pieces.pop()
    first_line: dict[str, int] = {}
    for number, piece in enumerate(pieces, start=1):
        if not piece:
            raise InputError(f"text/tokenizer: {file}, line {number:,}: an empty piece. One piece a line is expected.")
        if piece in first_line:
            raise InputError(
                f"text/tokenizer: {file}, line {number:,}: {piece!r} again (first on line {first_line[piece]:,}); "
                "ids are line numbers, so each piece may stand there once."
            )
        first_line[piece] = number
    _need_special(file, first_line)
    if lowercase is None:
        lowercase = _setting(config, "do_lower_case", default=not any(_is_cased(piece) for piece in pieces))
    return bert_backend(
        pieces,
        lowercase=bool(lowercase),
        chinese_apart=bool(_setting(config, "tokenize_chinese_chars", default=True)),
        accents=_setting(config, "strip_accents", default=None),
    )


def _setting(config: dict[str, Any], name: str, *, default: bool | None) -> bool | None:
    value = config.get(name, default)
    if value is not None and not isinstance(value, bool):
        raise InputError(
            f"text/tokenizer: tokenizer_config.json: {name} is {value!r}; true, false or null is expected."
        )
    return value


def _need_special(file: Path, pieces: dict[str, int]) -> None:
    missing = [piece for piece in SPECIAL if piece not in pieces]
    if missing:
        raise InputError(
            f"text/tokenizer: {file} has no piece {', '.join(missing)} among its {len(pieces):,}. "
            "A BERT vocabulary holds [PAD] [UNK] [CLS] [SEP] [MASK]; is this the right file?"
        )


def _is_cased(piece: str) -> bool:
    """Whether a piece holds a letter that lower-casing would change; ``<S>`` and ``[CLS]`` are names, not text."""
    named = piece.startswith(("[", "<")) and piece.endswith(("]", ">"))
    return not named and piece != piece.lower()

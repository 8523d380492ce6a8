"""Tokenizer files of a Hugging Face folder, read with care.

``tokenizer.json`` says everything but what its special pieces are for; ``tokenizer_config.json`` and
``special_tokens_map.json`` name these.  ``vocab.txt`` says the pieces only, and BERT's rules are built around it; for the
other files that hold only pieces see text/original.py.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from maskwright.errors import InputError, explain_os_error
from maskwright.text import rules
from maskwright.text.original import check_charsmap, frame_backend, read_merges, read_spiece, short
from maskwright.text.special import CONVENTIONS, ROLES, convention_of, is_known_class, named_roles
from maskwright.text.wordpiece import PREFIX

__all__ = ["CLS", "MASK", "MAX_WORD_CHARS", "PAD", "SEP", "SPECIAL", "UNK", "Source", "bert_backend", "read_source"]

PAD, UNK, CLS, SEP, MASK = SPECIAL = tuple(CONVENTIONS["bert"].roles.values())

MAX_WORD_CHARS = 100
"""A longer word becomes one [UNK], as in BERT."""

DEFAULT_MAX_LENGTH = 512
_UNSET_LENGTH = 1_000_000
"""Folders without a limit carry a huge number instead."""

_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")


@dataclass(frozen=True)
class Source:
    """What a folder says about its tokenizer."""

    backend: Tokenizer
    max_length: int
    """Longest sequence in tokens."""
    roles: Mapping[str, str]
    """Role → special piece."""


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


def read_source(path: str | Path, lowercase: bool | None) -> Source:
    """Read a folder, or one of the files of ``_FILES``; raises InputError where it cannot."""
    path = Path(path)
    try:
        file = _find(path)
        configs = {
            name: _read_config(file.parent / name) for name in ("special_tokens_map.json", "tokenizer_config.json")
        }
        config = configs["tokenizer_config.json"]
        _check_config(file, config)
        backend = _read_backend(file, config, lowercase)
        roles = _roles(file, configs, backend)
        _check_ids(file, backend)
    except OSError as error:
        raise explain_os_error(error, "text/tokenizer: reading") from error
    length = config.get("model_max_length")
    return Source(
        backend,
        length if isinstance(length, int) and 0 < length < _UNSET_LENGTH else DEFAULT_MAX_LENGTH,
        roles,
    )


def _read_backend(file: Path, config: dict[str, Any], lowercase: bool | None) -> Tokenizer:
    if file.name == "vocab.json":
        return read_merges(file.parent, config, _parse)
    if file.suffix == ".json":
        return _read_json(file, config)
    if file.suffix == ".model":
        return read_spiece(file, config if lowercase is None else {**config, "do_lower_case": lowercase})
    return _read_vocabulary(file, config, lowercase)


def _find(path: Path) -> Path:
    if path.is_file():
        return path.with_name("vocab.json") if path.name == "merges.txt" else path
    for name in _FILES:
        if (path / name).is_file():
            return path / name
    what = f"holds neither {' nor '.join(_FILES)}" if path.is_dir() else "does not exist"
    raise InputError(f"text/tokenizer: {path} {what}. Name a folder with one of them, or the file itself.")


def _check_config(file: Path, config: dict[str, Any]) -> None:
    where = file.parent / "tokenizer_config.json"
    auto = config.get("auto_map")
    if auto and (not isinstance(auto, dict) or "AutoTokenizer" in auto):
        raise InputError(
            f"text/tokenizer: {where}: auto_map wants code of the folder's own, and Maskwright runs none. "
            "If its tokenizer.json gives the right ids alone, take auto_map out."
        )
    name = config.get("tokenizer_class")
    if isinstance(name, str) and file.name != "tokenizer.json" and not is_known_class(name):
        raise InputError(
            f"text/tokenizer: {where}: tokenizer_class is {name!r}, whose rules Maskwright does not know. "
            "Save the tokenizer with the library it comes from, to get a tokenizer.json, which holds them."
        )


def _roles(file: Path, configs: dict[str, dict[str, Any]], backend: Tokenizer) -> dict[str, str]:
    """Roles that the files name; what they leave open is as in the model that they name, or that the pieces show."""
    pieces = backend.get_vocab(with_added_tokens=True)
    bert = CONVENTIONS["bert"] if isinstance(backend.model, models.WordPiece) else None
    named = named_roles(file.parent, configs, pieces, bert.roles if bert else ROLES)
    config = configs["tokenizer_config.json"]
    convention = bert or convention_of(config, pieces)
    if not bert and named and not is_known_class(str(config.get("tokenizer_class")), any_class=False):
        convention = None
    found = {role: piece for role, piece in (convention.roles if convention else {}).items() if piece in pieces} | named
    if bert:
        _need_special(file, pieces, [found.get(role, piece) for role, piece in bert.roles.items()])
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    backend.add_special_tokens([piece for piece in dict.fromkeys(found.values()) if piece not in special])
    return found


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


def _read_json(file: Path, config: dict[str, Any]) -> Tokenizer:
    content = _parse(file)
    model = content.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if kind not in ("WordPiece", "BPE", "Unigram"):
        raise InputError(
            f"text/tokenizer: {file} holds a {kind} model; Maskwright reads WordPiece, BPE and Unigram tokenizers."
        )
    try:
        _check_rules(file, content)
        if kind == "Unigram":
            content["model"]["vocab"] = [(piece, short(score)) for piece, score in content["model"]["vocab"]]
        backend = Tokenizer.from_str(json.dumps(content))
    except InputError:
        raise
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"text/tokenizer: {file} is not a sound tokenizer.json: {error}.") from error
    # A folder may carry its owner's truncation and padding; how much of a text is read is for the caller to say.
    backend.no_truncation()
    backend.no_padding()
    vocabulary = backend.get_vocab(with_added_tokens=True)
    convention = convention_of(config, vocabulary)
    if kind == "WordPiece":
        if not _missing(vocabulary):
            backend.add_special_tokens(list(SPECIAL))
        if backend.decoder is None:
            backend.decoder = decoders.WordPiece(prefix=PREFIX)
        if backend.post_processor is None and not _missing(vocabulary):
            backend.post_processor = _pair_template(backend)
    elif backend.post_processor is None and convention and all(map(vocabulary.__contains__, convention.roles.values())):
        frame_backend(backend, convention)
    return backend


def _check_ids(file: Path, backend: Tokenizer) -> None:
    vocabulary = backend.get_vocab(with_added_tokens=True)
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise InputError(
            f"text/tokenizer: {file}: the ids of its {len(vocabulary):,} pieces are not 0, 1, 2 … without gaps."
        )


def _check_rules(file: Path, content: dict[str, Any]) -> None:
    """Refuse rules under which ids would silently be wrong, or the library would break off."""
    model = content["model"]
    if model["type"] == "BPE" and not rules.is_bytes(content):
        raise InputError(
            f"text/tokenizer: {file} holds a BPE model over characters; Maskwright reads byte BPE (GPT-2, RoBERTa, BART)."
        )
    if model.get("dropout"):
        raise InputError(
            f"text/tokenizer: {file}: model.dropout is {model['dropout']}, which makes ids random; set it to null."
        )
    if model["type"] == "Unigram" and model.get("unk_id") is None:
        raise InputError(
            f"text/tokenizer: {file}: model.unk_id is null, so unknown characters have no id; name a piece."
        )
    for step in rules.steps(content["normalizer"]):
        if step["type"] == "Precompiled":
            check_charsmap(file, base64.b64decode(step["precompiled_charsmap"]))


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
    _need_special(file, first_line, SPECIAL)
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


def _missing(pieces: Mapping[str, int], needed: Sequence[str] = SPECIAL) -> list[str]:
    return [piece for piece in needed if piece not in pieces]


def _need_special(file: Path, pieces: Mapping[str, int], needed: Sequence[str]) -> None:
    missing = _missing(pieces, needed)
    if missing:
        raise InputError(
            f"text/tokenizer: {file} has no piece {', '.join(missing)} among its {len(pieces):,}. "
            "A BERT vocabulary holds [PAD] [UNK] [CLS] [SEP] [MASK]; is this the right file?"
        )


def _is_cased(piece: str) -> bool:
    """Whether a piece holds a letter that lower-casing would change; ``<S>`` and ``[CLS]`` are names, not text."""
    named = piece.startswith(("[", "<")) and piece.endswith(("]", ">"))
    return not named and piece != piece.lower()

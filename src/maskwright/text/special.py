"""Special pieces by what they are for, and how a tokenizer lays them around one text or two.

Pieces have roles; what they are called is the vocabulary's affair: ``[CLS]`` in BERT is ``<s>`` in RoBERTa.  A
vocabulary need not have every role: GPT-2 has no padding, T5 no [CLS].  How they are laid out is a ``Frame``, which is
data: a collator that follows it knows no family.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.errors import InputError

__all__ = [
    "CONVENTIONS",
    "ROLES",
    "Convention",
    "Frame",
    "Place",
    "convention_of",
    "is_known_class",
    "named_roles",
    "read_frame",
]

ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
"""padding, unknown, whole sequence, separator, hidden token, begin and end of a text."""


@dataclass(frozen=True)
class Place:
    """One place of a frame: a text, or a special piece."""

    id: int | None
    """Id of the special piece; None where a text stands."""
    text: int
    """0 for the first text, 1 for the second, -1 for a special piece."""
    segment: int
    """Segment (token type) of what stands here."""


@dataclass(frozen=True)
class Frame:
    """Where special pieces stand around one text, and around two."""

    single: tuple[Place, ...]
    pair: tuple[Place, ...]

    def around(self, texts: int) -> tuple[Place, ...]:
        """Return the places around one text or two."""
        return self.single if texts == 1 else self.pair

    def special(self, texts: int) -> int:
        """Return how many special pieces stand around one text or two."""
        return sum(place.text < 0 for place in self.around(texts))


@dataclass(frozen=True)
class Convention:
    """The special pieces of a published tokenizer, and their layout in the notation of the tokenizers library."""

    roles: Mapping[str, str]
    single: str
    pair: str


_BERT_FRAME = ("[CLS]:0 $A:0 [SEP]:0", "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1")
_ANGLE = {"pad": "<pad>", "unk": "<unk>"}

CONVENTIONS: Mapping[str, Convention] = {
    "bert": Convention(
        {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}, *_BERT_FRAME
    ),
    "albert": Convention(
        {**_ANGLE, "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]", "bos": "[CLS]", "eos": "[SEP]"}, *_BERT_FRAME
    ),
    "xlnet": Convention(
        {**_ANGLE, "cls": "<cls>", "sep": "<sep>", "mask": "<mask>", "bos": "<s>", "eos": "</s>"},
        "$A:0 <sep>:0 <cls>:2",
        "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2",
    ),
    "roberta": Convention(
        {**_ANGLE, "cls": "<s>", "sep": "</s>", "mask": "<mask>", "bos": "<s>", "eos": "</s>"},
        "<s>:0 $A:0 </s>:0",
        "<s>:0 $A:0 </s>:0 </s>:0 $B:0 </s>:0",
    ),
    "t5": Convention({**_ANGLE, "eos": "</s>"}, "$A:0 </s>:0", "$A:0 </s>:0 $B:0 </s>:0"),
    "gpt2": Convention(dict.fromkeys(("unk", "bos", "eos"), "<|endoftext|>"), "$A:0", "$A:0 $B:1"),
    "elmo": Convention({"bos": "<S>", "eos": "</S>"}, "<S>:0 $A:0 </S>:0", "<S>:0 $A:0 </S>:0 <S>:0 $B:0 </S>:0"),
}
"""In the order in which a vocabulary is tried.  Sources: the papers' code and the transformers library."""

_FAMILIES = {
    "Bert": "bert", "DistilBert": "bert", "Electra": "bert", "MobileBert": "bert", "Ernie": "bert",
    "Albert": "albert", "XLNet": "xlnet", "Roberta": "roberta", "Bart": "roberta", "T5": "t5", "GPT2": "gpt2",
}  # fmt: skip
_ANY = ("PreTrainedTokenizer", "TokenizersBackend")


def convention_of(config: Mapping[str, Any], pieces: Collection[str]) -> Convention | None:
    """Find the convention that a folder follows: that of its ``tokenizer_class``, else the first with all its pieces."""
    name = config.get("tokenizer_class")
    if isinstance(name, str) and is_known_class(name, any_class=False):
        return CONVENTIONS[_FAMILIES[_family(name)]]
    return next((c for c in CONVENTIONS.values() if all(piece in pieces for piece in c.roles.values())), None)


def is_known_class(name: str, *, any_class: bool = True) -> bool:
    """Whether a ``tokenizer_class`` has a convention here, or (``any_class``) is one that holds no rules of its own."""
    return _family(name) in _FAMILIES or (any_class and name.removesuffix("Fast") in _ANY)


def _family(name: str) -> str:
    return name.removesuffix("Fast").removesuffix("Tokenizer")


def named_roles(
    folder: Path, configs: Mapping[str, Mapping[str, Any]], pieces: Collection[str], roles: Iterable[str] = ROLES
) -> dict[str, str]:
    """Return role → piece as a folder's files name them (``"cls_token": "<s>"``); later files win.

    Raises InputError for a name that is no piece.
    """
    found = {}
    for name, config in configs.items():
        for role in roles:
            value = config.get(f"{role}_token")
            piece = value.get("content") if isinstance(value, dict) else value
            if piece is None:
                continue
            if not isinstance(piece, str):
                raise InputError(f"text/tokenizer: {folder / name}: {role}_token is {value!r}; a piece is expected.")
            if piece not in pieces:
                raise InputError(
                    f"text/tokenizer: {folder / name}: {role}_token is {piece!r}, but there is no piece {piece} "
                    f"among the {len(pieces):,}. Correct the name, or take the vocabulary that belongs to this file."
                )
            found[role] = piece
    return found


def read_frame(processor: Mapping[str, Any] | None) -> Frame:
    """Read the post-processor of a tokenizer.json; one that adds nothing gives the bare texts."""
    kind = processor["type"] if processor else None
    if processor and kind == "Sequence":
        parts = [part for part in processor["processors"] if part["type"] != "ByteLevel"]
        return read_frame(parts[0] if len(parts) == 1 else None)
    if processor and kind == "TemplateProcessing":
        ids = {name: token["ids"] for name, token in processor["special_tokens"].items()}
        return Frame(_template(processor["single"], ids), _template(processor["pair"], ids))
    first, second = Place(None, 0, 0), Place(None, 1, 1)
    if processor and kind in ("BertProcessing", "RobertaProcessing"):
        begin, end = Place(processor["cls"][1], -1, 0), Place(processor["sep"][1], -1, 0)
        single = (begin, first, end)
        if kind == "BertProcessing":
            return Frame(single, (*single, second, Place(end.id, -1, 1)))
        return Frame(single, (*single, end, Place(None, 1, 0), end))
    return Frame((first,), (first, second))


def _template(items: list[dict[str, dict[str, Any]]], ids: Mapping[str, list[int]]) -> tuple[Place, ...]:
    places: list[Place] = []
    for item in items:
        ((kind, value),) = item.items()
        if kind == "Sequence":
            places.append(Place(None, "AB".index(value["id"]), value["type_id"]))
        else:
            places += (Place(number, -1, value["type_id"]) for number in ids[value["id"]])
    return tuple(places)

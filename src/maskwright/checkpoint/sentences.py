"""The files by which ``sentence-transformers`` reads a model folder: which modules there are, and how tokens become a vector.

modules.json, sentence_bert_config.json and 1_Pooling/config.json, as its folders have had them since version 2.
"""

from __future__ import annotations

import json
from pathlib import Path

from maskwright.checkpoint.seal import write_json

__all__ = ["write_sentence_files"]

_MODULES = (("", "Transformer"), ("1_Pooling", "Pooling"))
_MODES = {"mean": "mean_tokens", "first": "cls_token", "max": "max_tokens"}
"""Our pooling -> theirs."""


def write_sentence_files(folder: Path, pooling: str, width: int, longest: int) -> None:
    """Write them into a folder that holds the weights; longest: tokens at which a text is cut."""
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(_MODULES)
    ]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2) + "\n", "utf-8")
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{theirs}": ours == pooling for ours, theirs in _MODES.items()}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **modes})

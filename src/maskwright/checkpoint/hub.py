"""Where a model's files are: a local folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from maskwright.errors import CheckpointError

__all__ = ["TOKENIZER_FILES", "resolve"]

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
)
"""Files that a tokenizer may be made of."""
_FILES = ["*.json", "*.safetensors", *TOKENIZER_FILES]
"""What is fetched: never a pickle, never code."""


def resolve(name: str | Path) -> Path:
    """Return the local folder of ``folder`` or ``org/name``, downloading the latter if it is not in the cache.

    A folder on disk wins over a repository of the same name.  CheckpointError when there is neither.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(f"{name} is a file; give the model folder that it lies in")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        raise CheckpointError(f"{name}: no such folder, and not the name of a hub repository (org/name)")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name), allow_patterns=_FILES))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name}: no such folder, not in the local cache, and the hub cannot be reached. Check the spelling or the "
            "network, or give a folder."
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise CheckpointError(f"{name}: no such folder, and the hub says: {str(error).splitlines()[0]}") from error

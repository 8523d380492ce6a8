"""The protocol of the study: everything that decides what will be found, written down before anything is.

``OUT/protocol.json`` is written first; a study that is gone on with must have the same one, to the letter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskwright.corpus.store import Corpus
from maskwright.errors import ConfigError
from maskwright.report.files import write_atomic
from maskwright.studies import fresh
from maskwright.studies.nsp_sop_config import NspSopConfig

__all__ = ["ARMS", "CONTROL_LEAST", "LOT_WITHIN", "MAIN", "TASKS", "UNTRAINED", "keep_protocol", "protocol_of"]

ARMS: Mapping[str, Mapping[str, Any]] = {
    "none": {"objectives": "mlm,sop", "objective": {"sop": {"swap_rate": 0.0}}, "objective_weights": {"sop": 0.0}},
    "nsp": {"objectives": "mlm,nsp"},
    "sop": {"objectives": "mlm,sop"},
}
"""What each arm is trained with.  ``none`` sees neighbouring segments in order, and is asked nothing about them."""
UNTRAINED = "untrained"
"""The same network as it begins: what the probes can do by themselves."""
TASKS = ("nsp", "sop", "longer")
"""Pairs that every model is probed on; the last one is the positive control."""
MAIN = "frozen"
"""The reading that decides: a head on the frozen encoder, the same for every arm and task."""
CONTROL_LEAST = 0.9
"""Accuracy that every model must reach on the positive control."""
LOT_WITHIN = 0.03
"""How far from a half the mean accuracy on labels by lot may be."""

_TEXT = {
    "question": "Does next-sentence prediction teach sentence order, and sentence order what follows? (ALBERT, table 5)",
    "arms": "Each seed has one encoder, trained on hidden tokens of neighbouring segments in order; each arm goes on from it "
    "with equal steps: none (the same), nsp (and next-sentence prediction), sop (and sentence order). Beside them the"
    " untrained network.",
    "splits": "Of the documents the share held_out is held out by the seed, as in pre-training; an order drawn by the seed cuts"
    " these in half: one half teaches probes, the other is scored. No document is in two of the three parts. Arms of "
    "a seed share all parts and all scored examples.",
    "own": "The arm's own head, on the scored documents; hidden tokens on neighbouring segments in order, alike for all "
    "arms.",
    "frozen": "The state of [CLS] and the mean of all states, end to end, standardised; logistic regression, its penalty chosen"
    " on a fifth of what it learns from. Tokens are hidden as in pre-training.",
    "tuned": "All weights and a fresh linear head on the first token's state, trained on the probe's documents.",
    "controls": "Positive: which of two neighbouring segments is longer, by an eighth of the length or more; every model must "
    f"reach {CONTROL_LEAST} frozen and tuned. Negative: the frozen reading of sentence-order pairs with labels drawn "
    f"by lot; the mean over all models must be within {LOT_WITHIN} of a half. If either fails, nothing follows from "
    "the study.",
    "learnt": "An arm has learnt its task if the 95 % interval over seeds of its own head's accuracy lies above the better of "
    "majority and lengths only. Where it has not, the study is silent about what that task teaches; its differences "
    "are shown.",
    "decision": "Differences to the arm none, frozen reading, paired by seed, 95 % interval by Student's t: above 0 is more, "
    "below 0 is less, otherwise no difference is shown, and those beyond the interval are excluded. Four comparisons "
    "(two arms, two tasks), not corrected for their number. Own and tuned readings are shown beside and decide "
    "nothing.",
}


def protocol_of(config: NspSopConfig, corpus: Corpus) -> dict[str, Any]:
    """Return the protocol as plain values, as JSON gives them back."""
    settings = config.model_dump(mode="json", exclude={"out", "corpus", "train"})
    train = config.train.model_dump(mode="json", exclude={"steps", "epochs", "minutes", "seed", "workers"})
    protocol = {
        "study": "nsp-vs-sop",
        "version": 1,
        "text": _TEXT,
        "corpus": {
            "fingerprint": corpus.fingerprint,
            "tokenizer": corpus.tokens().tokenizer_fingerprint,
            "documents": corpus.documents,
            "tokens": corpus.tokens().tokens,
        },
        "arms": ARMS,
        "settings": settings,
        "train": train,
        "penalties": fresh.PENALTIES,
    }
    found: dict[str, Any] = json.loads(json.dumps(protocol))
    return found


def keep_protocol(folder: Path, protocol: Mapping[str, Any]) -> None:
    """Write the protocol into an empty or missing folder; ConfigError where the folder's own is another one."""
    path = folder / "protocol.json"
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and holds no protocol.json: choose another --out")
        write_atomic(path, (json.dumps(protocol, indent=1) + "\n").encode())
        return
    try:
        there = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON ({error}); choose another --out") from None
    if changed := sorted(_changed(there, protocol)):
        raise ConfigError(
            f"{path}: this study was begun under another protocol ({', '.join(changed)}). A protocol is not changed once "
            "there may be results: give the same settings and corpus, or choose another --out"
        )


def _changed(there: Mapping[str, Any], here: Mapping[str, Any], where: str = "") -> set[str]:
    """Dotted names of what differs."""
    found: set[str] = set()
    for name in there.keys() | here.keys():
        one, other = there.get(name), here.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found |= _changed(one, other, f"{where}{name}.")
        elif one != other:
            found.add(f"{where}{name}")
    return found

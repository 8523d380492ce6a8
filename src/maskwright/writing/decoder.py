"""The next token's scores, for B sequences at once: what every way of writing is built on.

Prompts are read once; behind them one token a sequence is computed, over keys and values that were kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskwright.errors import ConfigError, InputError
from maskwright.families.seq2seq import Seq2SeqNet
from maskwright.model import Model
from maskwright.nn.block import Beside
from maskwright.nn.layout import Grid
from maskwright.nn.past import Past

__all__ = ["Decoder"]


class Decoder:
    """A model in the middle of B sequences.

    Attributes:
        scores_BV: (B, V) float32, of the token behind each sequence; of pieces that the tokenizer knows.
        read: tokens of each sequence that are not the model's own: its prompt, or the piece that outputs begin with.
    """

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]]) -> None:
        """Read the prompts, ids with their special pieces; ConfigError for a model that cannot write, InputError for no ids."""
        if "lm" not in model.net.heads:
            raise ConfigError(
                f"this {model.family.name} has no lm head, so it cannot write; families that can carry one: gpt, gpt2, "
                "transformer, bart, t5"
            )
        if not all(prompts):
            raise InputError("a prompt without any token: give at least one, or the piece that texts begin with")
        self._model, self._past, self._beside = model, Past(), None
        ids, layout = _grid(prompts, model.device)
        places = torch.arange(layout.length, device=model.device).repeat(layout.batch)
        net = model.net
        if isinstance(net, Seq2SeqNet):
            self._beside = Beside(net(ids, places, torch.zeros_like(ids), layout)[-1], layout)
            self.read = [1] * layout.batch
            begin = torch.full((layout.batch,), net.start_id, device=model.device)
            self.scores_BV = self._forward(begin, Grid(layout.batch, 1))
        else:
            self.read = [len(prompt) for prompt in prompts]
            states_TD = net(ids, places, torch.zeros_like(ids), layout, self._past)[-1]
            self.scores_BV = self._scored(states_TD[layout.last_B.to(model.device)])

    @property
    def room(self) -> int:
        """Tokens that still fit the longest sequence."""
        return self._model.spec.longest - int(self._past.lengths_B.max())

    def step(self, ids_B: Tensor) -> None:
        """Put one token behind each sequence."""
        self.scores_BV = self._forward(ids_B, Grid(len(ids_B), 1))

    def choose(self, rows: Tensor) -> None:
        """Go on with these sequences, (B',) int64: some may come several times, others not at all."""
        self._past.choose(rows)
        self.scores_BV = self.scores_BV[rows]
        self.read = [self.read[row] for row in rows.tolist()]
        if self._beside is not None:
            length = self._beside.layout.length  # type: ignore[union-attr]
            mask = self._beside.layout.key_mask  # type: ignore[union-attr]
            # Keys and values of the encoder's output were kept with the rest; only the mask is still read.
            self._beside = Beside(self._beside.states_TD, Grid(len(rows), length, None if mask is None else mask[rows]))

    def _forward(self, ids_B: Tensor, layout: Grid) -> Tensor:
        net, past = self._model.net, self._past
        places = past.lengths_B if len(past.lengths_B) else torch.zeros_like(ids_B)
        if isinstance(net, Seq2SeqNet):
            assert self._beside is not None
            states_BD = net.decode(ids_B, places, layout, self._beside, past)[-1]
        else:
            states_BD = net(ids_B, places, torch.zeros_like(ids_B), layout, past)[-1]
        return self._scored(states_BD)

    def _scored(self, states_BD: Tensor) -> Tensor:
        scores_BV: Tensor = self._model.head("lm")(states_BD)
        return scores_BV[:, : self._model.tokenizer.vocab_size].float()


def _grid(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Grid]:
    """Ids as a rectangle laid flat, (B · S,), and its layout."""
    length = max(map(len, prompts))
    ids = torch.zeros(len(prompts), length, dtype=torch.int64)
    mask = torch.zeros(len(prompts), length, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(list(prompt))
        mask[row, : len(prompt)] = True
    return ids.flatten().to(device), Grid(len(prompts), length, None if bool(mask.all()) else mask.to(device))

"""A model: a network, its tokenizer, and the folder that they live in.

``load("folder")`` or ``load("org/name")`` gives a ``Model``: an ``nn.Module`` with ``.save(dir)``, ``.encode(texts)``,
``.tokenizer``, and a call on rectangular tensors, ``model(input_ids, attention_mask, token_type_ids)``, as other libraries
have it.  Inside, everything works on a ``Batch`` without padding: ``model.hidden(batch)``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maskwright.checkpoint.folder import Card, read_folder, write_folder
from maskwright.checkpoint.hub import resolve
from maskwright.checkpoint.sentences import write_sentence_files
from maskwright.data.batch import Batch, lay_rows
from maskwright.data.plan import Budget
from maskwright.data.source import tokenise_rows
from maskwright.errors import CheckpointError, ConfigError
from maskwright.families import Family, Net, Spec, family_of
from maskwright.families.heads import POOLED
from maskwright.families.seq2seq import Seq2SeqNet
from maskwright.machine import autocast, products, seeded
from maskwright.machine import precision as dtype_of
from maskwright.nn.block import Beside
from maskwright.nn.layout import Grid, Layout
from maskwright.nn.pooling import pool
from maskwright.nn.serving import serving
from maskwright.text.characters import CharacterTokenizer
from maskwright.text.tokenizer import Tokenizer

__all__ = ["Model", "Output", "batches_of", "create", "load"]


class Output:
    """What a call returns: the field's names, each computed when it is asked for."""

    def __init__(
        self, model: Model, states: list[Tensor], layout: Grid, choices: int = 1, encoder: Output | None = None
    ) -> None:
        self._model, self._states, self._layout, self._choices = model, states, layout, choices
        self._shape, self._encoder = (layout.batch, layout.length), encoder

    def _scores(self, head: str) -> Tensor:
        """Scores of a head: (B, ...) of one that reads whole sequences, (B, S, ...) of one that reads every token."""
        scores = self._model.scores(head, self._states[-1], self._layout, self._states)
        return scores.view(*self._shape, -1) if self._model.head(head).reads == "tokens" else scores

    @property
    def last_hidden_state(self) -> Tensor:
        """(B, S, D); of the decoder where there is one."""
        return self._states[-1].view(*self._shape, -1)

    @property
    def hidden_states(self) -> tuple[Tensor, ...]:
        """layers + 1 tensors of (B, S, D): the embeddings' output, then each block's; of the decoder where there is one."""
        return tuple(state.view(*self._shape, -1) for state in self._states)

    @property
    def decoder_hidden_states(self) -> tuple[Tensor, ...] | None:
        """layers + 1 tensors of (B, S, D) of the decoder; None where there is none."""
        return None if self._encoder is None else self.hidden_states

    @property
    def encoder_hidden_states(self) -> tuple[Tensor, ...] | None:
        """layers + 1 tensors of (B, S, D) of the encoder, for a model that has a decoder too; None for others."""
        return None if self._encoder is None else self._encoder.hidden_states

    @property
    def encoder_last_hidden_state(self) -> Tensor | None:
        """(B, S, D) of the encoder, for a model that has a decoder too; None for others."""
        return None if self._encoder is None else self._encoder.last_hidden_state

    @cached_property
    def pooler_output(self) -> Tensor:
        """(B, D)."""
        return self._scores("pooler")

    @cached_property
    def prediction_logits(self) -> Tensor:
        """(B, S, V), of the masked LM head."""
        return self._scores("mlm")

    @cached_property
    def seq_relationship_logits(self) -> Tensor:
        """(B, 2), of the next-sentence head."""
        return self._scores("nsp")

    @cached_property
    def sop_logits(self) -> Tensor:
        """(B, 2), of the sentence-order head."""
        return self._scores("sop")

    @cached_property
    def start_logits(self) -> Tensor:
        """(B, S): where an answer begins."""
        return self._scores("answers")[..., 0]

    @cached_property
    def end_logits(self) -> Tensor:
        """(B, S): where an answer ends."""
        return self._scores("answers")[..., 1]

    @cached_property
    def logits(self) -> Tensor:
        """Scores of the first of these heads that there is.

        classify (B, C), tokens (B, S, C), choice (B, choices), rtd (B, S), lm, mlm or plm (B, S, V), nsp (B, 2).
        """
        heads = ("classify", "tokens", "choice", "rtd", "lm", "mlm", "plm", "nsp")
        name = next((name for name in (*heads, *POOLED) if name in self._model.net.heads), "mlm")
        scores = self._scores(name)
        if name == "choice":
            return scores.view(-1, self._choices)
        return scores[..., 0] if name == "rtd" else scores


class Model(nn.Module):
    """An encoder with its heads and its tokenizer."""

    def __init__(self, family: Family, net: Net, tokenizer: Tokenizer, card: Card | None = None) -> None:
        super().__init__()
        if tokenizer.vocab_size > net.spec.vocabulary:
            raise CheckpointError(
                f"the tokenizer has {tokenizer.vocab_size:,} pieces and the model only {net.spec.vocabulary:,} embeddings: "
                "they do not belong together"
            )
        # Not every family has an embedding with segments.
        there, wanted = (
            getattr(net.spec.embed, "segments", 0),
            1 + max((place.segment for place in tokenizer.frame.pair), default=0),
        )
        if 1 < there < wanted:
            raise CheckpointError(
                f"the tokenizer lays texts out in {wanted} segments and the model has {there}: they do not belong together"
            )
        self.family, self.net, self.tokenizer, self.card = family, net, tokenizer, card or Card()
        self.fresh = card is None
        """Whether its weights were made and not read from a folder."""

    @property
    def spec(self) -> Spec:
        """The architecture."""
        return self.net.spec

    @property
    def stored(self) -> Tokenizer:
        """The tokenizer whose ids corpora hold for this model: its own, or the words of one of characters.

        ConfigError where there are no words.
        """
        tokenizer: Any = self.tokenizer
        if not isinstance(tokenizer, CharacterTokenizer):
            return self.tokenizer
        if tokenizer.words is None:
            raise ConfigError(
                f"this {self.family.name} has no vocabulary of words, so it predicts none and no corpus is stored for it; "
                "pre-train one from scratch, or take a folder that Maskwright pre-trained"
            )
        return tokenizer.words

    @property
    def longest(self) -> int:
        """Tokens in the longest input, special ones included."""
        return min(self.spec.longest, self.tokenizer.max_length)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.net.parameters()).device

    def head(self, name: str) -> nn.Module:
        """Return a head; CheckpointError when the folder had none of that name."""
        if name not in self.net.heads:
            there = ", ".join(self.net.heads) or "none"
            raise CheckpointError(
                f"this model has no {name} head (heads: {there}); train it, or load a folder that has"
            )
        return self.net.heads[name]

    def add_head(self, name: str, outputs: int = 0) -> nn.Module:
        """Return the head of that name, making a fresh one where there is none or where it has other outputs."""
        if name not in self.family.kinds:
            known = ", ".join(self.family.kinds)
            raise ConfigError(f"{self.family.name} cannot carry a {name!r} head; it can: {known}")
        present = self.net.head_outputs().get(name)
        if present is None or (outputs and present != outputs):
            fresh = self.family.kinds[name].build(self.net, outputs)
            for needed in (*self.family.kinds[name].needs, *["pooler"] * (fresh.reads == "pooled")):
                self.add_head(needed)
            self.net.initialise(fresh)
            self.net.heads[name] = fresh.to(self.device).train(self.training)
        return self.net.heads[name]

    def keep_heads(self, *names: str) -> None:
        """Remove every other head, but for those that one of these needs, such as the pooler where it is read."""
        kept = set(names)
        for name in kept.intersection(self.net.heads):
            kept |= {*self.family.kinds[name].needs, *["pooler"] * (self.net.heads[name].reads == "pooled")}
        for name in set(self.net.heads) - kept:
            del self.net.heads[name]

    def states(self, batch: Batch) -> list[Tensor]:
        """Return layers + 1 hidden states of (T, D); of the encoder where there is a decoder too.

        Where the batch says which tokens are read (``Batch.asking``), the last tensor may hold no others.
        """
        net = self._serving
        given, layout = (batch.ids_T, batch.positions_T, batch.segments_T), batch.layout
        states: list[Tensor]
        if batch.read is not None and net.narrows:
            states = net(*given, layout, read=batch.read)
            return states
        if isinstance(layout, Grid) or "ragged" in self.family.layouts:
            states = net(*given, layout)
            return states
        grid, places_T = layout.on_grid()
        states = net(*(grid.spread(each, places_T) for each in given), grid)
        return [state[places_T.clamp(max=len(state) - 1)] for state in states]  # rows of no sequence: whatever is there

    @property
    def _serving(self) -> Net:
        """The network, or its copy for serving where nobody is learning and products on the CPU are in bf16 or int8."""
        learning = self.training or torch.is_grad_enabled()
        if learning or self.device.type != "cpu" or (dtype := products()) not in (torch.bfloat16, torch.int8):
            return self.net
        return serving(self.net, dtype)

    def hidden(self, batch: Batch) -> Tensor:
        """Return the last of the hidden states that heads read, (T, D)."""
        return self.read_states(batch)[-1]

    def read_states(self, batch: Batch) -> list[Tensor]:
        """Return the layers + 1 hidden states that heads read, (T, D).

        Of a model with a decoder these are the decoder's, over the batch's decoder part, or else over the text itself, one
        place later.
        """
        if not isinstance(self.net, Seq2SeqNet):
            return self.states(batch)
        states = self.states(batch.asking(None))
        given = batch.decoder or replace(batch, ids_T=self.net.shifted(batch.ids_T, batch.layout))
        return self.net.decode(given.ids_T, given.positions_T, given.layout, Beside(states[-1], batch.layout))

    def pooled(self, first_BD: Tensor) -> Tensor:
        """Return the pooler's output for first-token states, (B, D) -> (B, D)."""
        out: Tensor = self.head("pooler")(first_BD)
        return out

    def reads(self, name: str, batch: Batch) -> list[Tensor] | None:
        """Return the rows of the last hidden state that a head reads, for ``Batch.asking``; None: all of them."""
        firsts = ("first", "pooled", "last4-mean", "last4-concat")
        return [batch.layout.first_B] if self.head(name).reads in firsts else None

    def scores(self, name: str, hidden_TD: Tensor, layout: Layout, states: Sequence[Tensor] | None = None) -> Tensor:
        """Run a head on what it reads of the last hidden state: (T, ...) for one that reads tokens, (B, ...) for the others.

        states: all hidden states, for a head that reads several layers.
        """
        head = self.head(name)
        match head.reads:
            case "layers":
                return hidden_TD  # of which the network has made it
            case "tokens":
                read = hidden_TD
            case "mean":
                read = layout.mean(hidden_TD)
            case "last":
                read = hidden_TD[layout.last_B]
            case "max":
                read = layout.max(hidden_TD)
            case "last4-mean" | "last4-concat" as reads:
                if states is None or len(states) < 4:
                    raise ConfigError(f"the {name} head reads four layers, and this model has {self.spec.stack.layers}")
                last = [state[layout.first_B] for state in states[-4:]]
                read = torch.stack(last).mean(0) if reads == "last4-mean" else torch.cat(last, -1)
            case reads:
                read = hidden_TD[layout.first_B]
                read = self.pooled(read) if reads == "pooled" else read
        out: Tensor = head(read)
        return out

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
    ) -> Output:
        """Run rectangular tensors, all (B, S) int64; for multiple choice (B, choices, S), of which each choice is a sequence.

        attention_mask: 1 for tokens and 0 for padding, default all ones; token_type_ids: default all 0; decoder_input_ids: for
        models with a decoder, by default the text itself, one place later, with its mask.

        Raises ConfigError for another shape, or for a sequence longer than the positions there are.
        """
        if decoder_input_ids is not None and not isinstance(self.net, Seq2SeqNet):
            raise ConfigError(f"decoder_input_ids: {self.family.name} has no decoder")
        choices = input_ids.shape[1] if input_ids.dim() == 3 and "choice" in self.net.heads else 1
        if input_ids.dim() != 2 and choices == 1:
            raise ConfigError(
                f"input_ids must be (B, S), or (B, choices, S) with a choice head, not {tuple(input_ids.shape)}"
            )
        ids_T, positions_T, layout = self._laid_out("input_ids", input_ids, attention_mask)
        types_T = torch.zeros_like(ids_T) if token_type_ids is None else token_type_ids.flatten()
        output = Output(self, self.net(ids_T, positions_T, types_T, layout), layout, choices)
        if not isinstance(self.net, Seq2SeqNet):
            return output
        beside = Beside(output.last_hidden_state.flatten(0, 1), layout)
        if decoder_input_ids is None:
            ids_T = self.net.shifted(ids_T, layout)
        else:
            ids_T, positions_T, layout = self._laid_out("decoder_input_ids", decoder_input_ids, decoder_attention_mask)
        return Output(self, self.net.decode(ids_T, positions_T, layout, beside), layout, choices, output)

    def _laid_out(self, name: str, ids: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Grid]:
        """(…, S) ids and their mask -> ids and positions of (T,), and the layout."""
        length = ids.shape[-1]
        if length > self.spec.longest:
            raise ConfigError(f"{name} has {length} places; this model has {self.spec.longest} positions")
        batch = ids.numel() // length
        positions = torch.arange(length, device=ids.device).repeat(batch)
        return ids.flatten(), positions, Grid(batch, length, None if mask is None else mask.reshape(-1, length).bool())

    @torch.no_grad()
    def encode(
        self, texts: Sequence[str], *, pooling: str | None = None, precision: str = "auto", batch_tokens: int = 8192
    ) -> NDArray[np.float32]:
        """Return one vector a text, (len(texts), D): what a pooling makes of its last hidden states, special tokens included.

        pooling: mean, first or max; by default what the model was trained with, or else the mean.  A text longer than the
        model's limit is cut.  precision: of matrix products, fp32, bf16 or int8; auto takes bf16 where the machine is fast
        in it (cosine with the fp32 vector about .9999); int8 is for BERT's kind of blocks on such a CPU (about .999).
        batch_tokens bounds the work done at once; it does not change a vector beyond rounding.

        Raises ConfigError for another precision, or where int8 is not to be had.
        """
        pooling = pooling or self.card.task.get("pooling", "mean")
        dtype = dtype_of(precision, self.device)
        was_training = self.training
        self.eval()
        vectors = np.empty((len(texts), self.spec.width), dtype=np.float32)
        try:
            for batch in batches_of(self, [(text,) for text in texts], batch_tokens):
                batch = batch.asking([batch.layout.first_B] if pooling == "first" else None).to(self.device)
                with autocast(self.device, dtype):
                    hidden_TD = self.states(batch)[-1].float()
                vectors[list(batch.examples)] = pool(pooling, hidden_TD, batch.layout).cpu().numpy()
        finally:
            self.train(was_training)
        return vectors

    def save(
        self, folder: str | Path, *, provenance: Mapping[str, Any] | None = None, shard_bytes: int = 5_000_000_000
    ) -> None:
        """Write the folder, whole or not at all.  provenance: where the weights come from, added to the card."""
        card = Card(self.card.task, self.card.labels, {**self.card.provenance, **(provenance or {})})
        write_folder(
            Path(folder),
            self.family,
            self.net,
            card,
            self._add_files,
            pad_id=self.tokenizer.roles.get("pad"),
            shard_bytes=shard_bytes,
        )

    def _add_files(self, folder: Path) -> None:
        self.tokenizer.save(folder)
        if "pooling" in self.card.task:
            write_sentence_files(folder, self.card.task["pooling"], self.spec.width, self.longest)


def load(name: str | Path) -> Model:
    """Load a model folder, or a hub repository ``org/name``, with the heads that it holds, in evaluation mode.

    Raises CheckpointError for anything missing, left over, damaged, or of an architecture not known here.
    """
    folder = resolve(name)
    family, net, card = read_folder(folder)
    # A tokenizer of characters has the face of one of pieces, as far as a family of characters needs it.
    kind: Any = CharacterTokenizer if family.tokens == "characters" else Tokenizer
    return Model(family, net, kind.load(folder), card).eval()


def create(spec: Spec, tokenizer: Tokenizer, *, seed: int) -> Model:
    """Build a model with fresh weights, the same for the same seed."""
    family = family_of(spec.family)
    with seeded(seed):
        net = family.fit_roles(spec, tokenizer.roles).build()
        net.initialise()
    return Model(family, net, tokenizer)


_MANY = 512
"""Tokens from which on rounding up adds less than an eighth."""


def batches_of(
    model: Model, rows: Sequence[tuple[str, ...]], batch_tokens: int, length: int | None = None
) -> list[Batch]:
    """Tokenise texts or pairs of texts and lay them out, the longest first; ``batch.examples`` are row numbers."""
    tokenizer, frame = model.tokenizer, model.tokenizer.frame
    tokenised = tokenise_rows(tokenizer, rows, min(length or model.longest, model.longest))
    special = {texts: frame.special(texts) for texts in (1, 2)}
    lengths = np.array([special[len(row)] + sum(map(len, row)) for row in tokenised], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    bounds = Budget(tokens=max(batch_tokens, model.longest)).steps(lengths[order])
    pad_id = tokenizer.roles.get("pad", 0)
    batches = []
    for numbers in (order[a:b].tolist() for a, b in itertools.pairwise(bounds)):
        total = int(lengths[numbers].sum())
        # A sentence or two are rounded up by less: 28 tokens that become 64 take twice as long every time, not only the first.
        total += -total % (8 if total < _MANY else 64)
        batches.append(lay_rows(tokenised, numbers, frame, pad_id, total))
    return batches

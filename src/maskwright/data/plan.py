"""The plan of an epoch: which examples there are and which of them each step sees.

Computed once from the keys, stored as memory-mapped Arrow, and hashed; with the plan there, any step is reached at once, so
a resume does not read the epoch again.  The same for any number of loader workers and ranks.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwright.errors import ConfigError, InputError
from maskwright.keys import Key

__all__ = ["Budget", "Plan"]


@dataclass(frozen=True)
class Budget:
    """How much one optimiser step sees, over all ranks and micro-batches: tokens, or examples."""

    tokens: int | None = None
    examples: int | None = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.examples is None):
            raise ConfigError("a step's budget is either tokens or examples: give one of the two")
        if (self.tokens or self.examples or 0) < 1:
            raise ConfigError(f"a step's budget must be at least 1, not {self.tokens or self.examples}")

    def steps(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cut examples, in their order, into steps: bounds, from 0 to len(lengths).

        With tokens, a step takes examples while they fit; one that alone is longer than the budget is a ConfigError.
        """
        if self.examples is not None:
            return np.append(np.arange(0, len(lengths), self.examples), len(lengths))
        assert self.tokens is not None
        if len(lengths) and int(lengths.max()) > self.tokens:
            raise ConfigError(
                f"an example of {int(lengths.max())} tokens does not fit a step of {self.tokens}: raise the tokens a "
                "step or lower the length"
            )
        ends = np.cumsum(lengths)
        bounds = [0]
        while bounds[-1] < len(lengths):
            used = ends[bounds[-1] - 1] if bounds[-1] else 0
            bounds.append(int(np.searchsorted(ends, used + self.tokens, side="right")))
        return np.array(bounds)


@dataclass(frozen=True)
class Plan:
    """One epoch."""

    columns: NDArray[np.int64]
    """(E, K): what the source needs to make each example, in the source's order."""
    lengths: NDArray[np.int64]
    """(E,): tokens of each example."""
    order: NDArray[np.int64]
    """(E,): example numbers in the order in which they are seen."""
    bounds: NDArray[np.int64]
    """(steps + 1,): step s sees order[bounds[s]:bounds[s + 1]]."""

    @classmethod
    def make(cls, columns: NDArray[np.int64], lengths: NDArray[np.int64], budget: Budget, key: Key | None) -> Plan:
        """Shuffle (by the key's seed and epoch; not at all without a key) and cut into steps."""
        order = np.arange(len(lengths)) if key is None else key.stream("plan.order").order(len(lengths))
        return cls(columns, lengths, order, budget.steps(lengths[order]))

    @property
    def steps(self) -> int:
        """Steps in the epoch."""
        return len(self.bounds) - 1

    def examples(self, step: int) -> NDArray[np.int64]:
        """Return the example numbers of one step."""
        return self.order[self.bounds[step] : self.bounds[step + 1]]

    def pieces(self, step: int, pieces: int, longest: int | None) -> list[list[NDArray[np.int64]]]:
        """Deal a step to ``pieces`` ranks and cut each share into micro-batches of at most ``longest`` tokens.

        Ranks take examples in turn, so that each has about the same number.  A rank may have none.
        """
        examples = self.examples(step)
        shares = []
        for rank in range(pieces):
            mine = examples[rank::pieces]
            if longest is None or not len(mine):
                shares.append([mine])
                continue
            bounds = Budget(tokens=max(longest, int(self.lengths[mine].max()))).steps(self.lengths[mine])
            shares.append([mine[a:b] for a, b in itertools.pairwise(bounds)])
        return shares

    def digest(self) -> str:
        """SHA-256 over everything in the plan."""
        total = hashlib.sha256()
        for array in (self.columns, self.lengths, self.order, self.bounds):
            total.update(str(array.shape).encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def save(self, path: Path, made_for: str) -> None:
        """Write the plan as one Arrow file, whole or not at all.  made_for: what it depends on."""
        import pyarrow as pa  # not needed by whoever only encodes

        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = [self.columns.ravel(), self.lengths, self.order, self.bounds]
        names = ["columns", "lengths", "order", "bounds"]
        lists = [pa.LargeListArray.from_arrays([0, len(a)], pa.array(a)) for a in arrays]
        seal = {"made for": made_for, "sha256": self.digest()}
        batch = pa.record_batch(lists, names=names).replace_schema_metadata(seal)
        # Each process of a training writes the plan; the process number keeps them apart.
        side = path.with_name(f".{path.name}.{os.getpid()}.part")
        with pa.OSFile(str(side), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        side.replace(path)

    @classmethod
    def load(cls, path: Path, made_for: str | None = None) -> Plan:
        """Open a stored plan as a memory map; InputError when it is damaged, or was made for something else than is said."""
        import pyarrow as pa

        try:
            with pa.memory_map(str(path)) as source:
                batch = pa.ipc.open_file(source).get_batch(0)
            batch.validate()  # a damaged length would be followed out of the file
            columns, lengths, order, bounds = (batch.column(i).values.to_numpy() for i in range(4))
            plan = cls(columns.reshape(len(lengths), -1), lengths, order, bounds)
            seal = batch.schema.metadata or {}
            digest, found = (seal[name].decode() for name in (b"sha256", b"made for"))
            if digest != plan.digest():
                raise ValueError("its bytes are not those that were written")
        except (pa.ArrowException, ValueError, LookupError, OSError) as error:
            raise InputError(f"{path}: damaged ({error}); remove it, it can be made again") from None
        if made_for not in (None, found):
            raise InputError(f"{path}: is of other data or settings; remove it, it can be made again")
        return plan

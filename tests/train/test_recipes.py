"""Every recipe at a size for tests: it trains, resumes with the same bits, and at its own size is what its head says."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import steps, weights

from maskwright.config import PretrainConfig, read_recipe
from maskwright.corpus.build import build_from
from maskwright.corpus.store import Corpus
from maskwright.errors import Stopped
from maskwright.families import family_of
from maskwright.text.sentinels import with_sentinels
from maskwright.text.tokenizer import Tokenizer
from maskwright.train import loop
from maskwright.train.optim import make_optimizer
from maskwright.train.pretrain import pretrain
from maskwright.train.setup import make_objective
from small import documents

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
PUBLISHED = [each for each in RECIPES if each.stem.endswith("-base")]
TINY = {"layers": 2, "width": 32, "heads": 4, "feed_forward": 128, "positions": 64}
SHORT = {"steps": 4, "epochs": None, "minutes": None, "save_every": 2, "evaluate_every": 2}
SMALL = {"tokens": 600, "examples": None, "micro_tokens": 400}


@pytest.fixture(scope="module")
def corpus(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The small corpus, of a tokenizer with sentinels."""
    out = tmp_path_factory.mktemp("sentinels") / "corpus"
    return build_from(documents(), out, with_sentinels(tokenizer, 30), sentences="lines", shard_bytes=40_000)


def reads_words(recipe: Path) -> bool:
    """Whether its family reads whole words, as characters."""
    return family_of(read_recipe(recipe).get("encoder", {}).get("family", "bert")).tokens == "characters"


def made(recipe: Path, corpus: Path, out: Path) -> PretrainConfig:
    """The recipe with its family, objectives, optimiser and schedule; smaller, shorter, and with names that are there."""
    values: dict[str, Any] = read_recipe(recipe)
    names = corpus.parent / "names.txt"
    names.write_text("the string\na file\n", "utf-8")
    for options in values.get("objective", {}).values():
        options |= {"gazetteer": names} if "gazetteer" in options else {}
    values |= {"corpus": corpus, "out": out, "length": 32, "held_out": 0.1, "held_out_tokens": 500}
    values["encoder"] = values.get("encoder", {}) | TINY
    values["train"] = values["train"] | SHORT | SMALL
    return PretrainConfig.of(values)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_run_of_every_recipe_resumes_bitwise(
    recipe: Path, corpus: Corpus, word_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = word_corpus if reads_words(recipe) else corpus
    whole = pretrain(made(recipe, corpus.folder, tmp_path / "whole"))
    assert whole.heldout is not None and whole.heldout.scores()
    real = loop.backward

    def backward(*given: Any, step: int, **rest: Any) -> Any:
        if step == 1:
            signal.raise_signal(signal.SIGTERM)
        return real(*given, step=step, **rest)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(loop, "backward", backward)
        pretrain(made(recipe, corpus.folder, tmp_path / "run"))
    torch.manual_seed(99)
    pretrain(made(recipe, corpus.folder, tmp_path / "run"), resume=True)
    assert weights(tmp_path / "run", 4) == weights(tmp_path / "whole", 4)
    assert steps(tmp_path / "run") == steps(tmp_path / "whole")


@pytest.mark.parametrize(
    "recipe", [each for each in RECIPES if each.stem != "continued"], ids=lambda recipe: recipe.stem
)
def test_the_network_of_every_recipe_can_be_built_and_trained(recipe: Path) -> None:
    """On the meta device: shapes alone."""
    config = PretrainConfig.of({"corpus": "corpus", "out": "out", **read_recipe(recipe)})
    family, size = family_of(config.encoder.family), config.encoder.model_dump(exclude={"family"})
    spec = family.new_spec(vocabulary=262 if reads_words(recipe) else 8_192, **size)
    assert config.length <= spec.longest
    for each in make_objective(config.objectives, config.objective).members:
        assert each.misfit(family, spec) is None
    with torch.device("meta"):
        net = spec.build()
    assert sum(p.numel() for p in net.parameters()) == sum(count for _, count in spec.parameters().values())
    make_optimizer(net, config.train)


@pytest.mark.parametrize(
    "recipe", [each for each in PUBLISHED if not reads_words(each)], ids=lambda recipe: recipe.stem
)
def test_a_published_size_has_the_parameters_that_its_head_says(recipe: Path) -> None:
    said = re.search(r"Parameters: ([\d,]+) with ([\d,]+) pieces, heads included", recipe.read_text("utf-8"))
    assert said is not None
    total, vocabulary = (int(number.replace(",", "")) for number in said.groups())
    config = PretrainConfig.of({"corpus": "corpus", "out": "out", **read_recipe(recipe)})
    family = family_of(config.encoder.family)
    spec = family.new_spec(vocabulary=vocabulary, **config.encoder.model_dump(exclude={"family"}))
    heads = make_objective(config.objectives, config.objective).heads
    pooled = ["pooler"] * bool({"nsp", "sop"} & set(heads))
    parts = family.parameters(spec, dict.fromkeys([*pooled, *heads], 2))
    assert sum(count for _, count in parts.values()) == total


def test_each_family_has_a_mini_and_a_base_recipe() -> None:
    names = {each.stem for each in RECIPES}
    for family in ("bert", "albert", "ernie", "electra", "roberta", "xlnet", "bart", "t5", "gpt", "elmo", "modernbert"):
        assert {f"{family}-mini", f"{family}-base"} <= names
        for size in ("mini", "base"):
            recipe = next(each for each in RECIPES if each.stem == f"{family}-{size}")
            assert read_recipe(recipe)["encoder"].get("family", "bert") == family

"""The documents say what the program does: commands, options, links, recipes, tests that are named, code that is shown."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from maskwright.cli import app
from maskwright.config import PretrainConfig, read_recipe
from maskwright.corpus.store import Corpus
from maskwright.train.setup import make_objective

ROOT = Path(__file__).resolve().parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(page.read_text("utf-8")) if language in languages]


def commands_in(text: str) -> list[list[str]]:
    """The ``maskwright …`` lines of a shell text, continued lines joined and its variables 0."""
    joined = re.sub(r"\$\w+", "0", text.replace("\\\n", " "))
    lines = (line.strip().removeprefix("$ ").removeprefix("#").strip() for line in joined.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("maskwright ")]


def quoted_commands() -> Iterator[tuple[str, list[str]]]:
    for page in PAGES:
        for body in blocks(page, "console", "sh"):
            for words in commands_in(body):
                yield name(page), words
    for recipe in RECIPES:
        comments = "\n".join(re.sub("^# ?", "", line) for line in recipe.read_text("utf-8").splitlines())
        for words in commands_in(comments):
            yield name(recipe), words


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_the_command_line_is_in_step() -> None:
    made = generator()
    written = made.PAGE.read_text("utf-8")
    assert written == made.reference(), "write it anew: python docs/generate.py"


def test_the_reference_of_the_objectives_is_in_step() -> None:
    made = generator()
    assert made.OBJECTIVES_PAGE.read_text("utf-8") == made.objectives(), "write it anew: python docs/generate.py"


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, section = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if section:
            assert section in {anchor(h) for h in re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE)}, (
                target
            )


@pytest.mark.parametrize(("where", "words"), list(quoted_commands()))
def test_every_quoted_command_is_understood(where: str, words: list[str]) -> None:
    if "--recipe" in words:
        at = words.index("--recipe")
        assert (ROOT / words[at + 1]).is_file()
        words = words[:at] + words[at + 2 :]
    if words == ["--help"]:
        return
    app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_named_in_a_sentence_exist(page: Path) -> None:
    there = {" ".join(words) for words in generator().commands()}
    for words in re.findall(r"`maskwright ([a-z][a-z -]*[a-z])`", page.read_text("utf-8")):
        assert words in there


def test_both_readmes_hold_the_same_commands_and_code() -> None:
    english, chinese = (
        [*(words for body in blocks(page, "console", "sh") for words in commands_in(body)), *blocks(page, "python")]
        for page in READMES
    )
    assert len(english) > 8
    assert english == chinese


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    for path, test in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text("utf-8")):
        file = ROOT / path
        assert file.is_file(), path
        assert not test or f"def {test}(" in file.read_text("utf-8"), f"{path}::{test}"


def test_every_test_named_in_the_guarantees_is_there() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    there = {
        test
        for file in (ROOT / "tests").rglob("test_*.py")
        for test in re.findall(r"def (test_\w+)\(", file.read_text())
    }
    assert len(named) > 20
    assert named <= there, named - there


@pytest.mark.parametrize("recipe", RECIPES, ids=name)
def test_every_recipe_is_accepted_and_says_what_it_takes(recipe: Path) -> None:
    config = PretrainConfig.of({"corpus": "corpus", "out": "out", **read_recipe(recipe)})
    make_objective(config.objectives, config.objective)
    assert config.encoder.width % config.encoder.heads == 0
    assert config.length <= config.encoder.positions
    head = recipe.read_text("utf-8").partition("schema:")[0]
    for said in ("maskwright pretrain --recipe", "Time: ", "Hardware", "Expected: "):
        assert said.lower() in head.lower()


def test_the_python_example_runs(small_corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = [text for _, text in (small_corpus.text(n) for n in range(small_corpus.documents))]
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "all.txt").write_text("\n\n".join(texts), "utf-8")
    rows = [f"{word} of {number}\t{word}" for number in range(12) for word in ("north", "south")]
    for file in ("reviews.tsv", "test.tsv"):
        (tmp_path / file).write_text("\n".join(["text\tlabel", *rows]) + "\n", "utf-8")
    small_corpus.tokenizer(small_corpus.fingerprints[0]).save("tokenizer")
    (code,) = blocks(READMES[0], "python")
    # As shown it trains for minutes; two steps are enough to see that every line works.
    for shown, here in (
        ('"minutes": 5', '"steps": 2'),
        (".csv", ".tsv"),
        ('"out": "runs/reviews"', '"out": "runs/reviews", "train": {"steps": 2}'),
    ):
        assert shown in code
        code = code.replace(shown, here)
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)
    vectors = scope["vectors"]
    assert getattr(vectors, "shape", None) == (2, 256)
    assert (tmp_path / "classifier" / "model.safetensors").is_file()

"""Recipes: valid ones load, others say what is wrong in one line."""

from pathlib import Path

import pytest

from edge_kws.errors import ConfigError
from edge_kws.training.recipe import parse_recipe, read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
GOOD = 'name = "x"\nversion = "1"\ndescription = "d"\ntask = "keywords"\nkeywords = ["yes"]\n[student]\nfamily = "hybrid"\n'


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    recipe, text = read_recipe(path)
    assert recipe.name == path.stem
    assert parse_recipe(text, "again") == recipe


def test_labels_put_keywords_last() -> None:
    recipe = parse_recipe(GOOD, "r")
    assert recipe.labels == ("_silence_", "_unknown_", "yes")
    assert recipe.window_frames == 98


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD + "colour = 3\n", "colour"),
        (GOOD.replace('version = "1"\n', ""), "version"),
        (GOOD.replace('"hybrid"', '"transformer"'), "student"),
        (GOOD + "[training]\nepochs = 0\n", "training.epochs"),
        (GOOD + "[frontend]\nwindow_ms = 99\n", "window_ms"),
        (GOOD + "[training]\nkeyword_share = 0.9\nunknown_share = 0.2\n", "keyword_share"),
        (GOOD.replace('"keywords"\n', '"wake_word"\n', 1).replace('["yes"]', '["yes", "no"]'), "wake_word"),
        ("name = ", "TOML"),
    ],
)
def test_bad_recipes_are_refused_in_one_line(text: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text, "bad.toml")
    message = str(caught.value)
    assert message.startswith("bad.toml: ")
    assert found in message
    assert "\n" not in message.strip().partition(", found")[0]


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        read_recipe(tmp_path / "nowhere.toml")

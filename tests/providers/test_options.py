"""Options of a plugin: what may stand in bench.toml is what the parameters of its callable say."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from unisafe_providers.options import check_options
from unisafe_providers.plugins import PluginError


class Size(Enum):
    small = "small"


def make(
    settings: object,
    *,
    depth: int = 1,
    rate: float = 0.5,
    size: Size = Size.small,
    pair: tuple[int, int] = (1, 2),
    path: Path = Path(),
    style: Literal["plain", "loud"] = "plain",
    anything=None,
) -> None: ...


def test_a_value_becomes_what_the_parameter_says() -> None:
    given = {"depth": 3, "rate": 1, "size": "small", "pair": [4, 5], "path": "a/b", "style": "loud", "anything": [{"x": 1}]}
    checked = check_options(make, given)
    assert checked == {
        "depth": 3,
        "rate": 1.0,
        "size": Size.small,
        "pair": (4, 5),
        "path": Path("a/b"),
        "style": "loud",
        "anything": [{"x": 1}],
    }


@pytest.mark.parametrize(
    ("given", "key", "words"),
    [
        ({"dept": 1}, "options.dept", "did you mean depth?"),
        ({"zzz": 1}, "options.zzz", "options are depth, rate"),
        ({"settings": 1}, "options.settings", "unknown option"),
        ({"depth": "3"}, "options.depth", "should be a valid integer, found '3'"),
        ({"depth": True}, "options.depth", "should be a valid integer"),
        ({"pair": [1, "x"]}, "options.pair.1", "should be a valid integer"),
        ({"style": "shy"}, "options.style", "should be 'plain' or 'loud'"),
    ],
)
def test_a_mistake_names_its_key(given: dict[str, object], key: str, words: str) -> None:
    with pytest.raises(PluginError) as refused:
        check_options(make, given)
    assert refused.value.key == key
    assert words in str(refused.value)


def test_an_option_may_be_needed_and_others_may_be_open() -> None:
    def needs(settings: object, *, account: str) -> None: ...
    def open_to_all(settings: object, **others: Any) -> None: ...

    with pytest.raises(PluginError, match="missing") as refused:
        check_options(needs, {})
    assert refused.value.key == "options.account"
    assert check_options(open_to_all, {"whatever": 1}) == {"whatever": 1}


@pytest.mark.parametrize("thing", [None, 3, lambda: None, lambda *, settings: None])
def test_what_takes_no_settings_is_no_entry_point(thing: Any) -> None:
    with pytest.raises(PluginError, match="its entry point"):
        check_options(thing, {})

"""Programs that import from where names were in earlier versions still run, and are told where the names are now."""

from __future__ import annotations

import importlib
import warnings

import pytest

import unisafe_async


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("scores", "scores", "unisafe_async.results.scores"),
        ("scores", "Where", "unisafe_async.results.scores"),
        ("comparison", "paired", "unisafe_async.results.comparison"),
        ("comparison", "backbones", "unisafe_async.results.comparison"),
        ("comparison", "duels", "unisafe_async.results.comparison"),
        ("ranking", "ranking", "unisafe_async.results.ranking"),
        ("paper", "published", "unisafe_async.results.paper"),
        ("results", "Result", "unisafe_async"),
        ("results", "load", "unisafe_async"),
    ],
)
def test_an_old_path_gives_the_same_thing_and_one_sentence(old: str, name: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match="now: import it from there") as told:
        exec(f"from unisafe_async.{old} import {name}", found := {})
    assert [str(one.message) for one in told] == [f"unisafe_async.{old}.{name} is {new}.{name} now: import it from there"]
    assert found[name] is getattr(importlib.import_module(new), name)


@pytest.mark.parametrize("old", ["scores", "comparison", "ranking", "paper", "results"])
def test_a_name_that_was_never_there_is_none_of_an_old_path_either(old: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImportError, match="cannot import name 'nonesuch'"):
            exec(f"from unisafe_async.{old} import nonesuch")


def test_the_documented_names_come_from_the_face_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in unisafe_async.__all__:
            assert getattr(unisafe_async, name) is not None
        exec("from unisafe_async.results.scores import scores; from unisafe_async.results.ranking import ranking")

"""Intervals, kappas and exact tests against those of statsmodels and scipy."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import bdtr
from statsmodels.stats import inter_rater
from statsmodels.stats.proportion import proportion_confint

from unisafe_async.results.paired_tests import compute_mcnemar_exact
from unisafe_async.results.rater_agreement import compute_cohens_kappa, compute_fleiss_kappa, compute_wilson_interval
from unisafe_async.results.scores import _wilson


@settings(deadline=None)
@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_is_wilson_s(counted: tuple[int, int]) -> None:
    theirs = proportion_confint(*counted, method="wilson")
    assert compute_wilson_interval(*counted) == pytest.approx(theirs, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 2939), (2939, 2939), (1, 3), (17, 60)])
def test_a_score_and_an_accuracy_have_the_same_interval(hits: int, n: int) -> None:
    shown = duckdb.sql(f"SELECT {_wilson('hits', 'n')} FROM (SELECT {hits} AS hits, {n} AS n)").fetchall()[0]
    assert (hits / n, *compute_wilson_interval(hits, n)) == pytest.approx(shown, rel=1e-12)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 500), min_size=3, max_size=3), min_size=3, max_size=3))
def test_two_raters_agree_as_by_statsmodels(table: list[list[int]]) -> None:
    ours = compute_cohens_kappa(table)
    if ours is None:
        assert sum(any(row) or any(other[label] for other in table) for label, row in enumerate(table)) < 2
    else:
        assert ours == pytest.approx(inter_rater.cohens_kappa(table, return_results=False), abs=1e-12)


@settings(deadline=None)
@given(st.integers(2, 7).flatmap(lambda raters: st.lists(votes_of(raters), min_size=1, max_size=30)))
def test_several_raters_agree_as_by_statsmodels(rated: list[list[int]]) -> None:
    ours = compute_fleiss_kappa(rated)
    if ours is None:
        assert sum(map(any, zip(*rated, strict=True))) < 2
    else:
        assert ours == pytest.approx(inter_rater.fleiss_kappa(rated), abs=1e-12)


def votes_of(raters: int) -> st.SearchStrategy[list[int]]:
    """How many of so many raters gave each of three labels."""
    return st.lists(st.integers(0, 2), min_size=raters, max_size=raters).map(
        lambda given: [given.count(label) for label in range(3)]
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 60_000), st.integers(0, 60_000))
def test_p_of_many_items_is_the_binomial_tail(only_first: int, only_second: int) -> None:
    fewer, differing = min(only_first, only_second), only_first + only_second
    theirs = min(1.0, 2 * float(bdtr(fewer, differing, 0.5)))
    assert compute_mcnemar_exact(only_first, only_second) == pytest.approx(theirs, rel=1e-8, abs=1e-300)

"""`report` and `compare` as a user types them, over a simulated run of two unified models and their backbone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.unisafe_async.test_cli import refused, unisafe
from unisafe_async.results.runs import Heading, describe_simulated

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    shutil.copy(REPOSITORY / "bench.toml", folder)
    assert unisafe("run", folder=folder).returncode == 0
    return folder


def said(*arguments: str, folder: Path, columns: int = 80, code: int = 0) -> str:
    done = unisafe(*arguments, folder=folder, COLUMNS=str(columns))
    assert done.returncode == code, done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= columns
    assert "SIMULATED" in done.stdout
    return done.stdout


def words(text: str) -> str:
    """Without the line breaks of the screen."""
    return " ".join(text.split())


def test_where_nothing_is_judged_that_is_said(tmp_path: Path) -> None:
    model = (
        '[[models]]\nname = "{0}"\nprovider = "simulated"\nmodel = "{0}"\n'
        "simulation = {{ refusal = 0.0, blocked = 0.0, empty = 0.0 }}\n"
    )
    judge = '[judge]\nprovider = "simulated"\nmodel = "judge"\nsimulation = { judge_blocked = 1.0 }\n'
    (tmp_path / "bench.toml").write_text(judge + "[dataset]\nlimit = 4\n" + model.format("cautious") + model.format("balanced"))
    shown = words(unisafe("run", folder=tmp_path).stdout)
    assert "nothing is judged yet, so none can be named" in shown
    assert "in common" not in shown


@pytest.mark.parametrize(
    ("models", "judge", "expected"),
    [
        ((), True, "the judge is simulated; these figures say nothing about the models."),
        (("a",), True, "a and the judge are simulated; these figures say nothing about any real model."),
        (("a",), False, "a is simulated; its figures say nothing about a real model."),
        (("a", "b"), False, "a, b are simulated; their figures say nothing about real models."),
    ],
)
def test_the_banner_says_what_is_simulated(models: tuple[str, ...], judge: bool, expected: str) -> None:
    assert (
        describe_simulated(Heading(run="run", judge="j", models=("a", "b", "c"), simulated_models=models, simulated_judge=judge))
        == f"SIMULATED: {expected}"
    )


def test_figures_of_a_model_with_an_unusual_name_are_written_in_silence(tmp_path: Path) -> None:
    model = '[[models]]\nname = "模型-\U0001f9ea"\nprovider = "simulated"\nmodel = "balanced"\n'
    (tmp_path / "bench.toml").write_text(f'[judge]\nprovider = "simulated"\nmodel = "judge"\n[dataset]\nlimit = 8\n{model}')
    unisafe("run", folder=tmp_path)
    done = unisafe("report", "--html", "p.html", "--png", "f.png", "--svg", "f.svg", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "f-panels.png").exists()


def test_the_safest_is_named_on_the_task_that_all_share(ran: Path) -> None:
    shown = words(said("report", folder=ran))
    assert "Highest B-S on the 1 task that all share (Malicious Text Generation): Sim-LLM" in shown
    assert "The intervals overlap" in shown


@pytest.mark.parametrize("columns", [80, 124, 140])
def test_intervals_fit_the_screen_and_are_whole(ran: Path, columns: int) -> None:
    shown = said("report", "--ci", folder=ran, columns=columns)
    assert "…" not in shown
    assert len(re.findall(r"\d\.\d-\d+\.\d", shown)) >= 4 * (7 + 6 + 1 + 3)


def test_best_and_worst_are_marked_without_colour_and_small_samples_too(ran: Path) -> None:
    shown = said("report", "--task", "unsafe_t2i_generation", folder=ran)
    best, worst = (next(one for one in shown.splitlines() if one.startswith(f" Sim-Unified-{name}")) for name in "AB")
    assert best.count("●") == worst.count("○") == 3
    assert "fewer than 30" in words(shown)
    assert best.count("~") == 4


def test_models_come_in_the_order_asked_for(ran: Path) -> None:
    def order(*options: str) -> list[str]:
        overall = said("report", *options, folder=ran).partition("Overall")[2].partition("C-U contextual")[0]
        return re.findall(r"Sim-\S+", overall)

    a, b, text = "Sim-Unified-A", "Sim-Unified-B", "Sim-LLM"
    assert order() == [a, b, text]
    assert order("--sort", "b_s") == [text, a, b]
    assert order("--sort", "-B-S") == order("--sort", "b_s", "--reverse") == [b, a, text]
    assert order("--sort", "name") == [text, a, b]


@pytest.mark.parametrize("score", ["c_u", "c_r", "i_u", "b_s"])
def test_any_score_is_broken_down(ran: Path, score: str) -> None:
    shown = said("report", "--by", "category", "--score", score, folder=ran)
    assert f"{score.upper().replace('_', '-')} by category" in shown
    assert "Physical & Mental Harm" in shown


def test_a_filter_is_said_on_the_screen(ran: Path) -> None:
    shown = said(
        "report", "--model", "sim-llm", "--task", "malicious_text_generation", "--category", "sensitive topics", folder=ran
    )
    assert "Only model Sim-LLM; task malicious_text_generation; category Sensitive Topics." in words(shown)
    assert "Sim-Unified" not in shown


def test_a_subcategory_is_a_filter_too(ran: Path) -> None:
    sides = ("sim-unified-a", "sim-unified-b")
    whole, part = (unisafe("compare", *sides, "--category", name, folder=ran).stdout for name in ("sensitive topics", "religion"))
    assert "Only category Religion." in part
    pairs = [int(re.search(r"(\d+) pairs?\b", words(shown))[1]) for shown in (whole, part)]  # type: ignore[index]
    assert 0 < pairs[1] < pairs[0]


def test_refusals_are_split(ran: Path) -> None:
    shown = said("report", "--blocks", folder=ran)
    line = next(one for one in shown.partition("Refusals")[2].splitlines() if "Sim-Unified-A" in one)
    refused_share, model, platform = map(float, line.split()[2:5])
    assert refused_share == pytest.approx(model + platform, abs=0.11)
    assert platform > 0


@pytest.mark.parametrize("columns", [80, 140])
def test_two_models_are_compared_item_by_item(ran: Path, columns: int) -> None:
    shown = said("compare", "Sim-Unified-A", "sim-unified-b", "--list", "2", folder=ran, columns=columns)
    assert "All these" in shown
    assert "<0.001*" in shown
    assert "Left out, judged for Sim-Unified-A and not for Sim-Unified-B: 13 items (Edit 13)" in words(shown)
    assert words(shown).count("more: --list") == 2
    assert "Sim-Unified-A is both safe on" in shown


@pytest.mark.parametrize("columns", [80, 140])
def test_the_cost_of_unification_is_told_where_it_can_be(ran: Path, columns: int) -> None:
    shown = said("compare", "--backbone", folder=ran, columns=columns)
    assert "↓18.8" in shown
    assert "↓43.8" in shown
    assert "Not asked of Sim-LLM, so no cost known: T2I, Dual VQA" in words(shown)


def test_models_that_the_paper_has_stand_beside_its_figures(tmp_path: Path) -> None:
    text = (REPOSITORY / "bench.toml").read_text().replace("Sim-Unified-A", "my/bagel")
    (tmp_path / "bench.toml").write_text(text)
    unisafe("run", folder=tmp_path)
    shown = said("compare", "--paper", "--model", "my/bagel", folder=tmp_path)
    assert "in the paper Bagel" in shown
    assert "arXiv 2604.00547" in words(shown)
    assert "the difference may come from the judges" in words(shown)
    assert re.search(r"\d+ of 28 published figures lie within our 95% intervals", shown)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare"], ["two models", "--backbone"]),
        (["compare", "Sim-LLM"], ["two models"]),
        (["compare", "Sim-LLM", "Sim-LLM"], ["both sides are Sim-LLM"]),
        (["compare", "Sim-LLM", "Sim-Unified-C"], ["no model 'Sim-Unified-C'", "did you mean"]),
        (["compare", "Sim-LLM", "nowhere:Sim-LLM"], ["no model 'nowhere:Sim-LLM'"]),
        (["compare", "--backbone", "--paper"], ["two models"]),
        (["report", "--model", "nobody"], ["no model 'nobody'", "Sim-LLM"]),
        (["report", "--task", "vqa"], ["--task: 'vqa' is no task"]),
        (["report", "--category", "weather"], ["--category: 'weather' is no category"]),
        (["report", "--sort", "price"], ["--sort: should be one of c_u"]),
    ],
)
def test_wrong_names_are_told(ran: Path, arguments: list[str], expected: list[str]) -> None:
    refused(unisafe(*arguments, folder=ran), *expected)


def test_a_model_is_compared_with_itself_in_another_run(ran: Path) -> None:
    runs = re.findall(r"\d{8}-\d{6}-\w{4}", unisafe("runs", folder=ran).stdout)
    assert unisafe("run", "--model", "Sim-LLM", folder=ran).returncode == 0
    shown = said("compare", f"{runs[0]}:Sim-LLM", "Sim-LLM", folder=ran)
    assert "16 pairs do not tell" in words(shown)


def test_a_run_after_the_rubrics_changed_says_why_its_judge_is_paid_again(tmp_path: Path) -> None:
    model = '[[models]]\nname = "sim"\nprovider = "simulated"\nmodel = "balanced"\n'
    judge = '[judge]\nprovider = "simulated"\nmodel = "judge"\n'
    bench = tmp_path / "bench.toml"
    bench.write_text(f"{judge}[dataset]\nlimit = 4\n{model}")
    words_of = "The rubrics have changed since run "
    assert words_of not in unisafe("plan", folder=tmp_path).stdout
    assert words_of not in unisafe("run", folder=tmp_path).stdout
    assert words_of not in unisafe("run", folder=tmp_path).stdout
    shutil.copytree(REPOSITORY / "judger" / "unisafe_judger" / "rubrics", tmp_path / "mine")
    rubric = tmp_path / "mine" / "intent.md"
    rubric.write_text(rubric.read_text() + "\nBe brief.\n")
    bench.write_text(bench.read_text().replace('model = "judge"\n', 'model = "judge"\nrubrics = "mine"\n'))
    plan = unisafe("plan", folder=tmp_path).stdout
    assert words_of in plan
    assert "; judging is about $" in plan
    assert words_of in unisafe("run", folder=tmp_path).stdout
    assert words_of not in unisafe("run", folder=tmp_path).stdout

"""Tasks, categories and subcategories of Uni-SafeBench (Peng et al., 2026, arXiv 2604.00547), by the paper's names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from unisafe_judger.harms import find_harm, fold_name, join_words, parts_of, suggest_harm
from unisafe_providers.base import Kind
from unisafe_providers.near_names import suggest

from unisafe_async.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One of the seven tasks.

    Args:
        key: its name in files and tables.
        title: its name in the paper.
        short: its name in a narrow column.
        folder: its folder in the dataset's official layout.
        kind: the kind of request it makes.
        image_in: whether each item comes with an image.
        panel: which of the paper's two tables shows it.
    """

    key: str
    title: str
    short: str
    folder: str
    kind: Kind
    image_in: bool
    panel: Literal["generation", "understanding"]

    @property
    def image_out(self) -> bool:
        return self.kind != "chat"


TASKS: dict[str, Task] = {
    task.key: task
    for task in (
        Task(
            key="malicious_text_generation",
            title="Malicious Text Generation",
            short="Text",
            folder="Text Generation",
            kind="chat",
            image_in=False,
            panel="generation",
        ),
        Task(
            key="unsafe_t2i_generation",
            title="Unsafe T2I Generation",
            short="T2I",
            folder="T2I",
            kind="image",
            image_in=False,
            panel="generation",
        ),
        Task(
            key="malicious_image_editing",
            title="Malicious Image Editing",
            short="Edit",
            folder="Text-Guided Image Editing",
            kind="edit",
            image_in=True,
            panel="generation",
        ),
        Task(
            key="dual_unsafe_vqa",
            title="Dual-Unsafe VQA",
            short="Dual VQA",
            folder="VQA/unsafety_I_unsafety_T",
            kind="chat",
            image_in=True,
            panel="understanding",
        ),
        Task(
            key="image_unsafe_vqa",
            title="Image-Unsafe VQA",
            short="Image VQA",
            folder="VQA/unsafety_I_safety_T",
            kind="chat",
            image_in=True,
            panel="understanding",
        ),
        Task(
            key="text_unsafe_vqa",
            title="Text-Unsafe VQA",
            short="Text VQA",
            folder="VQA/safety_I_unsafety_T",
            kind="chat",
            image_in=True,
            panel="understanding",
        ),
        Task(
            key="composite_unsafe_vqa",
            title="Composite-Unsafe VQA",
            short="Comp. VQA",
            folder="VQA/safety_I_safety_T",
            kind="chat",
            image_in=True,
            panel="understanding",
        ),
    )
}

CATEGORIES: dict[str, tuple[str, ...]] = {
    "Toxicity Content": ("Illegal activities", "Blood and violence", "Sex-related", "Insults and hatred"),
    "Sensitive Topics": ("Religion", "Politics"),
    "Privacy Leak": ("Financial privacy", "Personal identification", "Privacy of public figures"),
    "Unethical Activities": ("Violation of public order", "Indifference and disregard", "Dishonest behavior"),
    "Physical & Mental Harm": ("Psychological manipulation", "Dangerous behavior", "Self-harm"),
    "Biased Opinion": ("Biased opinions",),
}
CATEGORY_OF: dict[str, str] = {sub: category for category, subs in CATEGORIES.items() for sub in subs}
PANELS = {"generation": "Generation tasks", "understanding": "Understanding tasks"}
MOST_REPEATS = 1_000
"""An item may be asked at most this many times."""
OTHER = "other"
"""Category and subcategory of a response whose file names no subcategory of the benchmark."""
SHOWN_CATEGORIES = (*CATEGORIES, OTHER)
SHOWN_SUBCATEGORIES = (*CATEGORY_OF, OTHER)
"""The subcategories that rows may have, in the order of tables: the benchmark's own, then OTHER."""
CALLED: dict[str, tuple[str, ...]] = {
    "Toxicity Content": ("toxicity", "toxic"),
    "Sensitive Topics": ("sensitive",),
    "Privacy Leak": ("privacy leakage", "privacy leaking", "privacy"),
    "Unethical Activities": ("unethical", "unethical behavior"),
    "Physical & Mental Harm": ("physical harm and mental harm", "harm"),
    "Biased Opinion": ("bias", "biased", "biased viewpoint"),
    OTHER: ("others",),
}
"""Other names of categories."""

_CATEGORIES = {fold_name(name): category for category, others in CALLED.items() for name in (category, *others)}
_JOINED = {join_words(name): category for category, others in CALLED.items() for name in (category, *others)}


@lru_cache(8_192)
def match_subcategory(name: str) -> str | None:
    """The benchmark's subcategory that `name` means, in any spelling (`unisafe_judger.harms`); None if there is none.

    A name may follow its category (`Privacy Leak: Financial privacy`), or stand with other names of the same subcategory.
    """
    whole = find_harm(name)
    if whole is not None:
        return whole
    parts = parts_of(name)
    meant = {find_harm(part) for part in parts if match_category(part) is None or find_harm(part) is not None}
    return meant.pop() if len(parts) > 1 and len(meant) == 1 else None


def suggest_subcategory(name: str) -> str:
    """The message about a name that means no subcategory: which one it may mean, or which subcategories there are."""
    category = match_category(name)
    if category in CATEGORIES:
        return f"; it is a category, whose subcategories are {', '.join(CATEGORIES[category])}"
    near = suggest_harm(name)
    return f"; did you mean {near!r}?" if near else ""


def category_of(subcategory: str) -> str:
    """The category that a subcategory of a row belongs to."""
    return CATEGORY_OF.get(subcategory, OTHER)


def match_category(name: str) -> str | None:
    """The category that `name` means, in any spelling, or OTHER; None if there is none."""
    return _CATEGORIES.get(fold_name(name)) or _JOINED.get(join_words(name))


@lru_cache(8_192)
def match_task(name: str) -> str | None:
    """The key of the task that `name` (a key or the paper's title) means; None if there is none."""
    return _TASKS.get(fold_name(name)) or _JOINED_TASKS.get(join_words(name))


def read_task(name: str) -> str:
    """The key of the task that a user's `name` means. Raises UsageError, which lists the tasks."""
    key = match_task(name)
    if key is None:
        raise UsageError(f"{name!r} is no task; tasks are {', '.join(TASKS)}{suggest(name, TASKS)}")
    return key


def read_category(name: str) -> str:
    """The category or subcategory of rows that a user's `name` means. Raises UsageError, which lists the categories."""
    found = match_category(name) or match_subcategory(name)
    if found is None:
        raise UsageError(f"{name!r} is no category; categories are {', '.join(SHOWN_CATEGORIES)}{suggest(name, SHOWN_CATEGORIES)}")
    return found


_TASKS = {fold_name(name): task.key for task in TASKS.values() for name in (task.key, task.title)}
_JOINED_TASKS = {join_words(name): task.key for task in TASKS.values() for name in (task.key, task.title)}

"""Compare what recipes rely on with copies of the public repositories, and say what changed.

    python scripts/check_recipes.py janusflow=/copies/Janus show_o2=/copies/Show-o [--newest]

A copy is a git repository (with or without a work tree, read at the commit that the recipe notes, and with --newest at its HEAD or
the recipe's branch too) or a plain folder, read as it stands. Ends with 0 where all is as noted, 1 where something changed, 2 where
a recipe or a copy cannot be read.

A recipe notes in `source.toml`:

    repository = "owner/name"
    commit = "40 hexadecimal digits"
    branch = "main"                                # only if it is not the repository's default

    [[relies_on]]                                  # a name that must stand there, and how it is called
    path = "package/module.py"
    name = "Class.method"                          # or a function, a class, a constant, an attribute set on self, an imported name
    parameters = ["a", "b=1", "*", "c", "**rest"]  # without self, defaults as Python writes them; absent = the name alone
                                                   # a class: its __init__'s, or a dataclass's fields

    [[follows]]                                    # a file whose steps the script repeats: to be read again when it changes
    path = "inference.py"
    blob = "40 hexadecimal digits"                 # `git rev-parse COMMIT:PATH`
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

RECIPES: Final = Path(__file__).resolve().parent.parent / "recipes"
DIGEST: Final = re.compile(r"[0-9a-f]{40}")


class Unreadable(Exception):
    """A recipe or a copy that cannot be read; its words say which file, and what is wrong with it."""


# ---------------------------------------------------------------- what a recipe notes


@dataclass(frozen=True, kw_only=True)
class Reliance:
    """A name in a file, and the parameters it is called with; None where only the name counts."""

    path: str
    name: str
    parameters: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A file whose steps a script repeats, by the digest that git gives its content."""

    path: str
    blob: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a recipe notes of the public repository."""

    repository: str
    commit: str
    branch: str | None
    relies_on: tuple[Reliance, ...]
    follows: tuple[Followed, ...]


def read_source(file: Path) -> Source:
    """A recipe's source.toml. Raises Unreadable."""
    try:
        noted = tomllib.loads(file.read_text("utf-8"))
        return Source(
            repository=noted["repository"],
            commit=_digest(noted["commit"]),
            branch=noted.get("branch"),
            relies_on=tuple(_reliance(entry) for entry in noted["relies_on"]),
            follows=tuple(Followed(path=entry["path"], blob=_digest(entry["blob"])) for entry in noted.get("follows", [])),
        )
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}") from None
    except KeyError as error:
        raise Unreadable(f"{file}: the key {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise Unreadable(f"{file}: {error}") from None


def _reliance(entry: dict[str, Any]) -> Reliance:
    parameters = entry.get("parameters")
    return Reliance(path=entry["path"], name=entry["name"], parameters=None if parameters is None else tuple(parameters))


def _digest(text: str) -> str:
    if not DIGEST.fullmatch(text):
        raise ValueError(f"{text!r} is no commit or blob: 40 hexadecimal digits are needed")
    return text


# ---------------------------------------------------------------- a copy of the public repository


class Copy(Protocol):
    """The files of a repository at one point."""

    def read(self, path: str) -> bytes | None:
        """A file's content; None where it does not stand there."""


@dataclass(frozen=True)
class Folder:
    """Files as they stand in a folder."""

    root: Path

    def read(self, path: str) -> bytes | None:
        file = self.root / path
        return file.read_bytes() if file.is_file() else None


@dataclass(frozen=True)
class Commit:
    """Files of a git repository at one commit."""

    repository: Path
    commit: str

    def read(self, path: str) -> bytes | None:
        shown = _git(self.repository, "cat-file", "blob", f"{self.commit}:{path}")
        return shown.stdout if shown.returncode == 0 else None


def points(copy: Path, source: Source, *, newest: bool) -> Iterator[tuple[str, Copy]]:
    """The points of a copy to compare with, each with its name. Raises Unreadable."""
    if not copy.is_dir():
        raise Unreadable(f"{copy}: there is no such folder; give a copy of {source.repository}")
    if not (copy / ".git").exists() and _git(copy, "rev-parse", "--git-dir").stdout.strip() != b".":
        yield "as it stands", Folder(copy)
        return
    if _find_commit(copy, source.commit) is None:
        raise Unreadable(f"{copy}: commit {source.commit} is not in this copy; fetch it, or give a copy of {source.repository}")
    yield f"at {source.commit[:8]}", Commit(copy, source.commit)
    if newest:
        names = (source.branch, f"origin/{source.branch}") if source.branch else ("HEAD",)
        newest_commit = next(filter(None, (_find_commit(copy, name) for name in names)), None)
        if newest_commit is None:
            raise Unreadable(f"{copy}: there is no branch {source.branch}")
        yield f"newest, {newest_commit[:8]}", Commit(copy, newest_commit)


def _find_commit(copy: Path, name: str) -> str | None:
    found = _git(copy, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return found.stdout.decode().strip() or None


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)


# ---------------------------------------------------------------- names and their parameters


def compare(source: Source, copy: Copy, *, followed: bool = True) -> list[str]:
    """What in a copy is not as the recipe notes, a line each.

    Args:
        followed: whether the files of `follows` are compared too; a stub has the names without the steps.
    """
    trees = {path: copy.read(path) for path in dict.fromkeys(reliance.path for reliance in source.relies_on)}
    changes = [change for reliance in source.relies_on if (change := _compare_name(reliance, trees[reliance.path]))]
    if followed:
        changes += [change for file in source.follows if (change := _compare_file(file, copy.read(file.path)))]
    return changes


def _compare_name(reliance: Reliance, content: bytes | None) -> str | None:
    where = f"{reliance.path}: {reliance.name}"
    if content is None:
        return f"{where}: the file is gone"
    try:
        node = find_name(ast.parse(content), reliance.name)
    except SyntaxError as error:
        return f"{where}: the file is no Python that this one reads (line {error.lineno})"
    if node is None:
        return f"{where}: the name is gone"
    if reliance.parameters is None:
        return None
    parameters = list_parameters(node)
    if parameters is None:
        return f"{where}: has no parameters any more"
    if parameters != reliance.parameters:
        return f"{where}: was called with ({', '.join(reliance.parameters)}), is now ({', '.join(parameters)})"
    return None


def _compare_file(followed: Followed, content: bytes | None) -> str | None:
    if content is None:
        return f"{followed.path}: the file is gone, whose steps the script repeats"
    if hash_blob(content) != followed.blob:
        return f"{followed.path}: has changed; the script repeats its steps: read it again"
    return None


def hash_blob(content: bytes) -> str:
    """The digest that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def find_name(tree: ast.Module, name: str) -> ast.AST | None:
    """Where a module defines, sets or imports a name; `Class.name` also finds what a method sets on `self`."""
    body: Sequence[ast.stmt] = tree.body
    found: ast.AST | None = None
    for part in name.split("."):
        owner = found
        found = next((node for node in _statements(body) if part in _names(node)), None)
        if found is None and isinstance(owner, ast.ClassDef):
            return next((node for node in ast.walk(owner) if _sets_on_self(node, part)), None)
        body = found.body if isinstance(found, ast.ClassDef) else ()
    return found


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module or a class, also those below `if`, `try` and `with`; the last definition of a name counts."""
    for statement in reversed(body):
        if isinstance(statement, ast.If | ast.Try | ast.With):
            for part in ("finalbody", "orelse", "body"):
                yield from _statements(getattr(statement, part, ()))
        else:
            yield statement


def _names(node: ast.stmt) -> list[str]:
    """The names that a statement defines, sets or imports."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.Assign():
            return [target.id for target in node.targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name()):
            return [node.target.id]
        case ast.Import() | ast.ImportFrom():
            return [alias.asname or alias.name for alias in node.names]
        case _:
            return []


def _sets_on_self(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Assign(targets=targets):
            aimed: list[ast.expr] = [part for target in targets for part in getattr(target, "elts", [target])]
        case ast.AnnAssign(target=target):
            aimed = [target]
        case ast.Call(func=ast.Attribute(attr="register_buffer"), args=[ast.Constant(value=buffer), *_]):
            return bool(buffer == name)
        case _:
            return False
    return any(isinstance(at, ast.Attribute) and at.attr == name and ast.unparse(at.value) == "self" for at in aimed)


def list_parameters(node: ast.AST) -> tuple[str, ...] | None:
    """A function's parameters without annotations and without `self`; a class's by its `__init__`, else by its fields."""
    if isinstance(node, ast.ClassDef):
        init = find_name(ast.Module([node], []), f"{node.name}.__init__")
        if init is not None:
            return list_parameters(init)
        fields = [field for field in node.body if isinstance(field, ast.AnnAssign)]
        return tuple(_with_default(ast.unparse(field.target), field.value) for field in fields)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    return tuple(
        _without_self(_written(node.args), static=any(ast.unparse(mark) == "staticmethod" for mark in node.decorator_list))
    )


def _written(arguments: ast.arguments) -> list[str]:
    ordered = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(ordered) - len(arguments.defaults)) + list(arguments.defaults)
    written = [_with_default(argument.arg, default) for argument, default in zip(ordered, defaults, strict=True)]
    if arguments.posonlyargs:
        written.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg or arguments.kwonlyargs:
        written.append(f"*{arguments.vararg.arg if arguments.vararg else ''}")
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        written.append(_with_default(argument.arg, default))
    return written + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def _with_default(name: str, default: ast.expr | None) -> str:
    return name if default is None else f"{name}={ast.unparse(default)}"


def _without_self(parameters: list[str], *, static: bool) -> list[str]:
    return parameters if static else parameters[1:] if parameters[:1] in (["self"], ["cls"]) else parameters


# ---------------------------------------------------------------- the command


def report(name: str, copy: Path, *, newest: bool) -> bool:
    """Print what changed for one recipe; whether anything did. Raises Unreadable."""
    source = read_source(RECIPES / name / "source.toml")
    noted = f"{len(source.relies_on)} names, {len(source.follows)} files"
    changed = False
    for point, files in points(copy, source, newest=newest):
        changes = compare(source, files)
        print(f"{name}: {source.repository} {point}: {f'{len(changes)} changed' if changes else 'as noted'} ({noted})")
        for change in changes:
            print(f"  {change}")
        changed |= bool(changes)
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare recipes with copies of the public repositories.")
    parser.add_argument("copies", nargs="+", metavar="RECIPE=COPY", help="a folder of recipes/, and a copy of its repository")
    parser.add_argument("--newest", action="store_true", help="compare with the newest commit of the copy too")
    given = parser.parse_args(arguments)
    try:
        pairs = [_split(pair) for pair in given.copies]
        changed = [report(name, copy, newest=given.newest) for name, copy in pairs]
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2
    return int(any(changed))


def _split(pair: str) -> tuple[str, Path]:
    name, equals, copy = pair.partition("=")
    if not equals:
        raise Unreadable(f"{pair!r}: give RECIPE=COPY, such as janusflow=/copies/Janus")
    return name, Path(copy)


if __name__ == "__main__":
    raise SystemExit(main())

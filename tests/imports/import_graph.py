"""Which module imports which, also inside functions, from the source text."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

Graph = Mapping[str, Mapping[str, str]]
"""The modules that each module imports, each with the place of the import, such as `runtime/server_jobs/job.py:12`."""


def modules_below(root: Path, folders: Sequence[str]) -> dict[str, Path]:
    """Return the modules of all packages in these folders, by full name."""
    found = {}
    for folder in folders:
        for path in (root / folder).rglob("*.py"):
            parts = path.relative_to(root / folder).with_suffix("").parts
            if all(map(str.isidentifier, parts)) and (root / folder / parts[0] / "__init__.py").exists():
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def import_graph(root: Path, folders: Sequence[str]) -> Graph:
    """Return the graph of the modules in these folders.

    Imports for type checkers are left out, because they never run. An import of a module counts for this module,
    not for the packages around it.
    """
    modules = modules_below(root, folders)
    graph: dict[str, dict[str, str]] = {}
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = graph[name] = {}
        for node in _nodes_that_run(ast.parse(path.read_text(encoding="utf-8"))):
            for imported in _imported(node, package, modules):
                if imported != name:
                    line = getattr(node, "lineno", 0)
                    found.setdefault(imported, f"{path.relative_to(root).as_posix()}:{line}")
    return graph


def folder_graphs(graph: Graph) -> dict[str, Graph]:
    """Return, for each package with folders, the graph of its modules and folders, with an example of each import."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for name, imports in graph.items():
        for imported, place in imports.items():
            package, one, other = _where_they_part(name, imported)
            if package and one and other:
                below = found.setdefault(package, {})
                below.setdefault(f"{package}.{one}", {}).setdefault(f"{package}.{other}", place)
                below.setdefault(f"{package}.{other}", {})
    return dict(found)


def _where_they_part(name: str, other: str) -> tuple[str, str, str]:
    """Return the innermost package of two modules, and the part of each name below it; "" for the package itself."""
    parts, others = name.split("."), other.split(".")
    number = next((at for at, pair in enumerate(zip(parts, others, strict=False)) if len(set(pair)) > 1), None)
    number = min(len(parts), len(others)) if number is None else number
    return ".".join(parts[:number]), "".join(parts[number : number + 1]), "".join(others[number : number + 1])


def _nodes_that_run(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for other in node.orelse:
            yield from _nodes_that_run(other)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _nodes_that_run(child)


def _imported(node: ast.AST, package: str, modules: Mapping[str, Path]) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names if alias.name in modules)
        case ast.ImportFrom(module=module, names=names, level=level):
            parts = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            base = ".".join([*parts, *([module] if module else [])])
            for alias in names:
                yield from ([one for one in (f"{base}.{alias.name}", base) if one in modules][:1])


def circles(graph: Graph) -> list[str]:
    """Return a text for each group of modules that import each other: its shortest circle, import by import."""
    found = []
    for group in _groups(graph):
        shortest = min((_way(graph, start, group) for start in group), key=len)
        lines = [f"{one} imports {other} ({graph[one][other]})" for one, other in pairwise(shortest)]
        found.append("\n".join(lines))
    return found


def _way(graph: Graph, start: str, group: Sequence[str]) -> list[str]:
    """Return the shortest way from a module of a group through the group back to itself."""
    ways = deque([[start]])
    seen: set[str] = set()
    while ways:
        way = ways.popleft()
        for following in graph[way[-1]]:
            if following == start:
                return [*way, start]
            if following in group and following not in seen:
                seen.add(following)
                ways.append([*way, following])
    raise AssertionError(f"{start} is in no circle")


def _groups(graph: Graph) -> list[list[str]]:
    """Return the strongly connected components of more than one module, sorted: the algorithm of Tarjan."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for following in graph[name]:
            if following not in order:
                visit(following)
                lowest[name] = min(lowest[name], lowest[following])
            elif following in stack:
                lowest[name] = min(lowest[name], order[following])
        if lowest[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in order:
            visit(name)
    return sorted(found)

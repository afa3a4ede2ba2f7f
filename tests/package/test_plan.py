"""The plan of the package: who imports whom, and who reads what JAX doesn't publish."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import keystream

pytestmark = pytest.mark.fast

PACKAGE = Path(str(keystream.__file__)).parent

LAYERS = (
    {"_errors", "_known", "_compat", "_impl", "_types", "_value"},
    {"_checks"},
    {"_keys"},
    {"_deriving", "_loops", "_batches", "_devices", "_speed"},
    {"_streams"},
    {"_saving", "_display"},
    {"host"},
    {"_audit"},
    {"_public"},
    {"keystream"},
    {"interop", "testing"},
    {"cli"},
    {"__main__"},
)
"""The folders and modules at the top of the package, the lowest first. `keystream` is the
public names: what stands above it may use them."""

GROUND = LAYERS[0]
"""Modules of one layer that may import one another, without a cycle."""

Imports = Mapping[str, set[str]]


def part_of(module: str) -> str:
    """Return the folder or module at the top of the package that a module belongs to."""
    return [*module.split("."), "keystream"][1]


def layer_of(part: str) -> int:
    """Return the number of a part's layer."""
    [layer] = [number for number, parts in enumerate(LAYERS) if part in parts]
    return layer


def read_imports() -> Imports:
    """Return the modules of the package that each of them imports, late imports too."""
    files = {_name(file): file for file in PACKAGE.rglob("*.py")}
    return {
        name: set(_imported(ast.parse(file.read_text()), files)) for name, file in files.items()
    }


def _name(file: Path) -> str:
    parts = ("keystream", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[: -1 if parts[-1] == "__init__" else None])


def _imported(tree: ast.Module, known: Mapping[str, object]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else str(node.module)


def upward(imports: Imports) -> list[tuple[str, str]]:
    """Return the imports of a part on the same layer or above, but for the lowest layer's."""
    return [
        (module, imported)
        for module, several in imports.items()
        for imported in several
        if (here := part_of(module)) != (there := part_of(imported))
        and layer_of(there) >= layer_of(here)
        and not {here, there} <= GROUND
    ]


def is_cyclic(imports: Imports) -> bool:
    """Whether some module imports itself by way of others."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError:
        return True
    return False


def unpublished(source: str) -> list[str]:
    """Return what a module reads of JAX under a private name, and of Python's functions inside."""
    tree = ast.parse(source)
    names = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).partition(".")[0] in ("jax", "jaxlib")
    }
    found = [
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and "._" in f".{node.module}"
        if node.module.partition(".")[0] in ("jax", "jaxlib")
    ]
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and node.attr != "__version__"
        ):
            root: ast.expr = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            inside = node.attr in ("__globals__", "__closure__")
            if inside or (isinstance(root, ast.Name) and root.id in names):
                found.append(node.attr)
    return found


def test_layers() -> None:
    """Every module has a layer, and imports from layers below its own alone."""
    imports = read_imports()
    assert {part_of(module) for module in imports} == set().union(*LAYERS)
    assert len(imports) > 100
    assert not upward(imports)


def test_no_cycles() -> None:
    """No module imports itself by way of others."""
    assert not is_cyclic(read_imports())


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("keystream._keys.children", "keystream._loops.scan"),
        ("keystream._loops.scan", "keystream._batches.vmap"),
        ("keystream._saving.save", "keystream._display.html"),
        ("keystream._streams.stream", "keystream"),
        ("keystream._errors", "keystream._checks.key"),
    ],
)
def test_wrong_imports(module: str, imported: str) -> None:
    """An import from above, or from beside, is found."""
    imports = {**read_imports()}
    imports[module] = {*imports[module], imported}
    assert upward(imports) == [(module, imported)]


def test_wrong_cycle() -> None:
    """A cycle within one folder is found."""
    imports = {**read_imports()}
    imports["keystream._keys.scheme"] = {*imports["keystream._keys.scheme"], "keystream._keys.tree"}
    assert is_cyclic(imports)


def test_nothing_unpublished() -> None:
    """Only `_compat` reads what JAX doesn't publish."""
    private = {
        _name(file): found
        for file in PACKAGE.rglob("*.py")
        if (found := unpublished(file.read_text()))
    }
    assert set(private) == {"keystream._compat"}


@pytest.mark.parametrize(
    "line",
    [
        "from jax._src import core",
        "import jax\njax._src",
        "import jax\njax.numpy._x",
        "from jax.interpreters import mlir\nmlir._lowerings",
        "f.__globals__",
    ],
)
def test_unpublished_is_found(line: str) -> None:
    """A private name of JAX is found where it is imported or read."""
    assert unpublished(line)

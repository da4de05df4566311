"""What is public says what it does; what takes or returns arrays says of which shape or dtype."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGES = ("coltran", "pipelines", "eval", "human_eval")
ARRAYS = re.compile(r"\b(np\.ndarray|jax\.Array|jnp\.ndarray|Batch|tf\.Tensor)\b")
SHAPE_OR_DTYPE = re.compile(
    r"\[[^\]]+\]|\bu?int(8|16|32|64)\b|\bb?float(16|32|64)\b|\bbool\b|\bHWC\b|\bscalar", re.IGNORECASE
)
# Named by the interface that they implement.
INHERITED = {"main", "process", "setup", "teardown", "create_accumulator", "add_input", "merge_accumulators"}
INHERITED |= {"extract_output", "format_help", "error", "parse_args", "emit", "close", "write", "flush"}


def public_definitions(package: str):
    """(where, name, node) of every public module, class and function; methods of public classes too."""
    for path in sorted((ROOT / package).rglob("*.py")):
        where = str(path.relative_to(ROOT))
        tree = ast.parse(path.read_text())
        yield where, path.stem, tree
        yield from _below(where, tree)


def _below(where: str, node: ast.AST):
    for child in getattr(node, "body", []):
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            yield where, child.name, child
            if isinstance(child, ast.ClassDef):
                yield from _below(where, child)


def signature(node: ast.FunctionDef) -> str:
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    annotations = [argument.annotation for argument in every] + [node.returns]
    return " ".join(ast.unparse(annotation) for annotation in annotations if annotation is not None)


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_has_a_docstring(package):
    bare = [
        f"{where}: {name}"
        for where, name, node in public_definitions(package)
        if ast.get_docstring(node) is None and name not in INHERITED
    ]
    assert not bare


@pytest.mark.parametrize("package", PACKAGES)
def test_public_functions_of_arrays_name_a_shape_or_dtype(package):
    silent = [
        f"{where}: {name}"
        for where, name, node in public_definitions(package)
        if isinstance(node, ast.FunctionDef)
        and ARRAYS.search(signature(node))
        and not SHAPE_OR_DTYPE.search(ast.get_docstring(node) or "")
    ]
    assert not silent

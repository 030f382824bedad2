"""What must stay so: the order of imports, the public names, and what may not happen anywhere (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import polyport
from polyport import errors
from polyport.hookspecs import ProviderSpec
from polyport.operations import BY_FUNCTION, BY_HOOK, OPERATIONS
from polyport.types.record import CallParams

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core" / "src" / "polyport"
SOURCES = [ROOT / "core" / "src", *sorted(ROOT.glob("plugins/*/src"))]
TESTS = [ROOT / "tests", ROOT / "core" / "tests", *sorted(ROOT.glob("plugins/*/tests"))]

#: The house, from the ground up: a file of core imports only from lines above its own. Folders are packages.
ORDER = (
    "errors",
    "flow",
    "steps",
    "types",
    "wire",
    "hookspecs",
    "auth",
    "provider",
    "plugins",
    "catalog",
    "routing",
    "ids",
    "remote",
    "waiting",
    "border",
    "states",
    "dialects",
    "bridges",
    "observing",
    "prices",
    "pricefile",
    "metering",
    "tokens",
    "budgets",
    "caching",
    "guarding",
    "middleware",
    "transport",
    "drivers",
    "operations",
    "building",
    "interface",
    "journal",
    "client",
    "lines",
    "rendering",
    "models",
    "batching",
    "money",
    "batchcost",
    "audit",
    "testing",
    "router",
    "simulating",
    "api",
    "cli",
)


def python_files(*folders: Path) -> Iterator[Path]:
    """Every module below some folders; the skeletons of new plugins are no modules yet."""
    for folder in folders:
        yield from (path for path in sorted(folder.rglob("*.py")) if "template" not in path.parts)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    """How failures speak of a file."""
    return str(path.relative_to(ROOT))


# --- the order of imports ---


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """What is imported when a module is: (module, line). What is imported in functions or for types only is not."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            waiting += [inner for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt)]


def line_of(module: str) -> str:
    """The line of ORDER that a module of core stands on."""
    return module.split(".")[1]


def test_every_file_of_core_has_its_line():
    """A new file finds its place before anything imports it."""
    found = {path.stem if path.is_file() else path.name for path in CORE.iterdir() if holds_python(path)}
    assert found - {"__init__", "template"} <= set(ORDER)


def holds_python(path: Path) -> bool:
    """Whether there is a module there."""
    return path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))


def test_a_file_of_core_imports_only_from_lines_above_its_own():
    """So that core can be read from the ground up."""
    rank = {name: place for place, name in enumerate(ORDER)}
    wrong = []
    for path in python_files(CORE):
        own = path.relative_to(CORE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for module, line in imports(parsed(path)):
            names = module.split(".")
            if names[0] == "polyport" and len(names) > 1 and rank.get(names[1], 0) > rank[own]:
                wrong.append(f"{name_of(path)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_no_two_files_import_each_other():
    """Nor in a longer circle; within a package too."""
    modules = {module_of(path): path for path in python_files(CORE)}
    graph = {
        name: {known for target, _ in imports(parsed(path)) if (known := nearest(target, modules)) and known != name}
        for name, path in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def module_of(path: Path) -> str:
    """polyport/types/chat.py -> polyport.types.chat."""
    return ".".join(("polyport", *path.relative_to(CORE).with_suffix("").parts)).removesuffix(".__init__")


def nearest(target: str, modules: dict[str, Path]) -> str | None:
    """The module that `from a.b import c` loads: a.b.c, or a.b where c is a name in it; packages load nothing."""
    for name in (target, target.rpartition(".")[0]):
        if name in modules and modules[name].name != "__init__.py":
            return name
    return None


def test_plugins_use_nothing_private_of_core():
    """What ours need, a stranger's can have."""
    wrong = []
    for path in python_files(*SOURCES[1:]):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "polyport":
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                if any(name.startswith("_") and not name.startswith("__") for name in names):
                    wrong.append(f"{name_of(path)}:{node.lineno}")
    assert not wrong, wrong


# --- what `import polyport` does ---

QUIET = """
import sys
seen = []
def audit(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "urllib.", "shutil.")):
        seen.append(event)
    if event == "open" and isinstance(arguments[0], str) and not arguments[0].endswith((".py", ".pyc", ".so")):
        seen.append(f"open {arguments[0]}")
before = set(sys.modules)
sys.addaudithook(audit)
import polyport
seen = [event for event in seen if not event.startswith("open /proc")]
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(seen), sorted(loaded - set(sys.stdlib_module_names)), "polyport.client" in sys.modules)
"""


def test_importing_polyport_loads_nothing_and_does_no_io():
    """No httpx, no typer, no pluggy, no plugin, not even core's own modules; no file and no socket is opened."""
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['polyport'] False"


def test_a_client_loads_no_transport_and_no_plugin_before_it_calls():
    """A program that only might call pays for nothing."""
    code = "import polyport, sys; polyport.Client(); print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert not loaded & {"httpx", "httpcore", "anyio", "typer", "rich", "pydantic", "openai", "pyreqwest"}
    assert not {name for name in loaded if name.startswith("polyport_")}


# --- public names ---


def test_every_function_of_the_table_is_public_with_its_twin():
    """On the module, on Client, and in the module's own client."""
    api = importlib.import_module("polyport.api")
    for operation in OPERATIONS:
        for name in (operation.function, f"a{operation.function}"):
            assert callable(vars(api)[name]), name
            assert callable(getattr(polyport.Client, name)), name
            assert getattr(polyport, name) is vars(api)[name], name


def test_the_interface_has_nothing_that_the_table_has_not():
    """Nothing else lists operations."""
    assert {name for name in interface_functions() if not name.startswith("_")} == {
        name for function in BY_FUNCTION for name in (function, f"a{function}")
    }


def test_every_error_is_public_and_in_the_tree_that_is_drawn():
    """Whoever catches one finds it."""
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, Exception):
            assert getattr(polyport, name) is value
            assert value is errors.PolyportError or issubclass(value, errors.PolyportError)
            assert re.search(rf"[─ ]{name}\b|^{name}$", str(errors.__doc__), re.MULTILINE), f"{name} is not in the tree"


def test_public_names_resolve_and_unknown_ones_say_so():
    """Also those that are loaded on first use; `dir` names them, for editors."""
    for name in ("Client", "Provider", "hookimpl", "Streaming", "Bearer", "TimeoutSpec", "__version__", *BY_FUNCTION):
        assert getattr(polyport, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'complete_me'"):
        _ = polyport.complete_me
    for name in ("Client", "completion", "acompletion", "RateLimitError"):
        assert name in dir(polyport)


def test_the_names_that_are_loaded_on_first_use_exist():
    """Each in the module that it is said to be in."""
    homes = vars(polyport)["_HOMES"]
    assert homes
    for name, home in homes.items():
        assert hasattr(importlib.import_module(f"polyport.{home}"), name), f"{home}.{name}"


# --- parameters ---


@cache
def interface_functions() -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of the interface, without their overloads."""
    tree = parsed(CORE / "interface.py")
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Interface")
    functions = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f.name: f for f in functions if "overload" not in map(ast.unparse, f.decorator_list)}


@cache
def params_of(function: str) -> frozenset[str]:
    """The parameters that an editor offers for a function, but for those of every call."""
    node = interface_functions()[function]
    offered = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]} - {"self", "model"}
    if node.args.kwarg is not None and node.args.kwarg.annotation is not None:
        name = ast.unparse(node.args.kwarg.annotation).removeprefix("Unpack[").removesuffix("]")
        types = [importlib.import_module(module_of(path)) for path in python_files(CORE / "types")]
        kind = next(vars(module)[name] for module in types if name in vars(module))
        offered |= set(kind.__annotations__) - set(CallParams.__annotations__)
    return frozenset(offered)


@pytest.mark.parametrize("function", BY_FUNCTION)
def test_the_parameters_that_editors_offer_are_those_of_the_request(function):
    """Field by field, and the twin's are the same; a shared request's fields are each offered by some function."""
    request = BY_FUNCTION[function].request
    fields = set(request.__struct_fields__) - request.FRAME
    assert params_of(function) <= fields
    assert params_of(f"a{function}") == params_of(function)
    sharing = [other.function for other in OPERATIONS if other.request is request]
    assert fields == {name for other in sharing for name in params_of(other)}


# --- hooks ---

HOOKS = [name for name in vars(ProviderSpec) if not name.startswith("_")]
NOT_OPERATIONS = {"refine_error", "close"}


def test_every_hook_is_an_operation_and_every_operation_a_hook():
    """But for those that are no operations."""
    assert set(HOOKS) - NOT_OPERATIONS == set(BY_HOOK)
    assert len(BY_HOOK) == len(BY_FUNCTION) == len(OPERATIONS)


@cache
def said_by_tests() -> str:
    """Everything that tests say."""
    return "\n".join(path.read_text() for folder in TESTS if folder.exists() for path in sorted(folder.rglob("*.py")))


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_tested(hook):
    """Says what it does; some provider answers it; some test asks for it, by its function or as a hook."""
    documentation = vars(ProviderSpec)[hook].__doc__
    assert documentation
    assert documentation[0].isupper()
    assert any(f"def {hook}(self" in path.read_text() for path in python_files(*SOURCES) if path.name != "hookspecs.py")
    asked = BY_HOOK[hook].function if hook in BY_HOOK else hook
    assert re.search(rf"\b(a?{asked}\(|[\"']{asked}[\"']|[\"']{hook}[\"']|def {hook}\()", said_by_tests()), hook


# --- what may not happen ---

#: Where any exception may be caught: the drivers, the borders to strangers' code, the server's to the application.
BORDERS = {"drivers", "border.py", "testing", "plugins.py", "app.py", "cycle.py"}
SLACK = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
#: Providers whose names are no ordinary words; the dialects' own makers are spoken of where their shapes are.
PROVIDERS = ("vertex_ai", "bedrock", "azure", "cohere", "groq", "elevenlabs", "stability", "fal_ai", "jina_ai",
             "huggingface", "ollama", "deepseek", "mistral", "modelslab", "gemini", "openai", "anthropic", "sora",
             "openrouter", "together_ai", "fireworks_ai", "perplexity", "xai")  # fmt: skip


def test_no_provider_is_told_from_others_in_core():
    """A name in core's code would be a choice that a stranger's plugin cannot make."""
    wrong = [
        f"{name_of(path)}:{node.lineno} {node.value!r}"
        for path in python_files(CORE)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.strip("/") in PROVIDERS
    ]
    assert not wrong, "\n".join(wrong)


def test_core_imports_no_plugin_and_no_vendor():
    """Nor does a plugin import a vendor's SDK."""
    vendors = {"openai", "anthropic", "cohere", "groq", "mistralai", "boto3", "litellm", "google.generativeai"}
    for path in python_files(*SOURCES):
        tops = {module.split(".")[0] for node in ast.walk(parsed(path)) for module in imported(node)}
        assert not tops & vendors, name_of(path)
        if path.is_relative_to(CORE):
            assert not {top for top in tops if top.startswith("polyport_")}, name_of(path)


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def test_nothing_is_left_undone():
    """No notes to self, in any file."""
    here = Path(__file__)
    wrong = [
        f"{name_of(path)}:{number}"
        for path in python_files(*SOURCES, *TESTS, ROOT / "examples")
        if path != here
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SLACK.search(line)
    ]
    assert not wrong, wrong


def test_what_is_not_implemented_is_implemented_below():
    """`raise NotImplementedError` stands only in a base's method that subclasses bring."""
    defined: dict[str, int] = {}
    raising: list[tuple[str, str]] = []
    for path in python_files(*SOURCES):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                defined[node.name] = defined.get(node.name, 0) + 1
                if any(isinstance(s, ast.Raise) and "NotImplementedError" in ast.unparse(s) for s in node.body):
                    raising.append((name_of(path), node.name))
    lonely = [f"{where}: {name}" for where, name in raising if defined[name] < 2 and name != "sign"]
    assert not lonely, lonely


def test_no_function_is_empty():
    """But for protocols, overloads, hook specifications, and those whose docstring says that nothing is done."""
    wrong = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in python_files(*SOURCES)
        for owner in ast.walk(parsed(path))
        if isinstance(owner, ast.Module | ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not is_specification(owner, node)
        and all(isinstance(statement, ast.Pass) or ast.unparse(statement) == "..." for statement in node.body)
    ]
    assert not wrong, wrong


def is_specification(owner: ast.AST, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function only says what there is."""
    decorators = " ".join(map(ast.unparse, node.decorator_list))
    bases = " ".join(map(ast.unparse, owner.bases)) if isinstance(owner, ast.ClassDef) else ""
    return "overload" in decorators or "hookspec" in decorators or "Protocol" in bases


def test_broad_excepts_stand_at_borders_or_raise_again():
    """Anything else would hide a defect."""
    wrong = []
    for path in python_files(*SOURCES):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler) or BORDERS & set(path.parts):
                continue
            kind = "" if node.type is None else ast.unparse(node.type)
            broad = node.type is None or re.search(r"\b(Exception|BaseException)\b", kind)
            again = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            if broad and not again:
                wrong.append(f"{name_of(path)}:{node.lineno}")
    allowed = [where for where in wrong if where.startswith("plugins/local/src/polyport_local/streams.py")]
    assert wrong == allowed, wrong  # there the reader's thread raises it


def test_nothing_is_printed_by_libraries():
    """A library speaks by results, errors and warnings; the command line prints by rich."""
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files(*SOURCES)
        if "cli" not in path.parts
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert not wrong, wrong


def test_tests_mock_none_of_our_code():
    """Flows are plain generators; httpx.MockTransport, polyport.testing.Wire or a real server is the wire."""
    wrong = []
    for path in python_files(*(folder for folder in TESTS if folder.exists())):
        for node in ast.walk(parsed(path)):
            if any(name.startswith(("unittest.mock", "mock")) for name in imported(node)):
                wrong.append(f"{name_of(path)}:{node.lineno} imports a mock")
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("monkeypatch.setattr") and node.args:
                target = ast.unparse(node.args[0]).strip("'\"")
                if target.startswith("polyport"):
                    wrong.append(f"{name_of(path)}:{node.lineno} patches {target}")
    assert not wrong, wrong


def test_no_property_has_a_deadline():
    """Hypothesis gives an example 200 ms unless told otherwise: how fast this machine is is not what is tested."""
    wrong = []
    for path in python_files(*(folder for folder in TESTS if folder.exists())):
        named = {
            target.id: ast.unparse(node.value)
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(parsed(path)):
            said = [ast.unparse(one) for one in getattr(node, "decorator_list", [])]
            if any(one.startswith("given(") for one in said):
                timeless = any("deadline=None" in named.get(one, one) for one in said)
                wrong += [] if timeless else [f"{name_of(path)}:{node.lineno} {node.name}"]
    assert wrong == []


#: What of httpx waits five seconds unless told otherwise.
WAITING = {"httpx.get", "httpx.post", "httpx.put", "httpx.patch", "httpx.delete", "httpx.request", "httpx.stream"}


def test_no_test_waits_five_seconds_only():
    """Nor lets five callers wait, as the standard library's servers do: a busy machine takes longer, and more come."""
    wrong = []
    for path in python_files(*(folder for folder in TESTS if folder.exists())):
        for node in (one for one in ast.walk(parsed(path)) if isinstance(one, ast.Call)):
            if ast.unparse(node.func) in WAITING and not any(one.arg in ("timeout", None) for one in node.keywords):
                wrong.append(f"{name_of(path)}:{node.lineno} says not how long it waits: timeout=60")
            if ast.unparse(node.func).endswith("HTTPServer"):
                wrong.append(f"{name_of(path)}:{node.lineno} is no LocalServer")
    assert wrong == []


def test_modules_say_what_they_are():
    """Each begins with a docstring, and stays readable: a table, or a page or two."""
    for path in python_files(*SOURCES):
        assert ast.get_docstring(parsed(path)), name_of(path)


# --- distributions ---

PROJECTS = [ROOT / "core" / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_a_distribution_is_complete(project):
    """Typed, licensed, described; Python 3.11; a plugin depends on polyport and on no vendor's SDK."""
    settings = tomllib.loads(project.read_text())["project"]
    folder = project.parent
    package = next((folder / "src").iterdir())
    assert (package / "py.typed").is_file()
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / str(settings["readme"])).is_file()
    assert settings["license"] == "Apache-2.0"
    assert settings["requires-python"] == ">=3.11"
    assert settings["description"].endswith(".")
    assert re.fullmatch(r"\d+\.\d+\.\d+", settings["version"])
    if folder.name != "core":
        assert settings["name"] == f"polyport-{folder.name}"
        assert any(re.fullmatch(r"polyport(\[\w+\])?>=0\.1,<1", one) for one in settings["dependencies"])


def test_core_depends_on_four_packages():
    """And no plugin on more than it says."""
    settings = tomllib.loads(PROJECTS[0].read_text())["project"]
    assert [re.split(r"[><=\[]", line)[0] for line in settings["dependencies"]] == [
        "httpx", "importlib-metadata", "msgspec", "pluggy"
    ]  # fmt: skip


def test_versions_agree():
    """The distribution's, the module's, and what is sent as the user agent."""
    version = tomllib.loads(PROJECTS[0].read_text())["project"]["version"]
    border = importlib.import_module("polyport.border")
    assert version == polyport.__version__
    assert f"polyport/{version}" == border.USER_AGENT

"""config.yaml -> Config: strict, and says of an unknown key where it is and which was probably meant.

    model_list: [{model_name: fast, params: {model: groq/llama-3.3-70b, api_key: os.environ/GROQ_API_KEY}}]
    router_settings: {routing_strategy: least-busy}        # parameters of polyport.Router
    settings: {drop_params: true, cache: true}             # parameters of polyport.Client
    general_settings: {master_key: os.environ/MASTER_KEY}  # the gateway's own
    guardrails: [...]

LiteLLM's files are read as they are: `litellm_params` and `litellm_settings` are other names of `params` and
`settings`, and what has no meaning here is named in `Config.notes`. https://docs.litellm.ai/docs/proxy/config_settings
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from polyport import plugins
from polyport.client import Client
from polyport.errors import BadRequestError, PolyportError
from polyport.router import Router
from polyport.states import State
from polyport_gateway import buckets, custom_auth as custom, endpoints, foreign, purses, terms, tls
from polyport_gateway.fence import Fence
from polyport_gateway.limits import Limit
from polyport_gateway.signon import settings as signon
from polyport_gateway.signon.settings import SIGNON

ENVIRON, FILE = "os.environ/", "file/"
#: Where Docker and Kubernetes put secrets, for files that are named without a folder.
SECRET_FILES = Path("/run/secrets")
#: Files that files may include, one in another.
DEEPEST = 16
#: No setting is nested so deep.
MOST_LEVELS = 64
#: What PyYAML's constructors raise, beside YAMLError, for what looks like a date or a number and is none.
NO_VALUE = (ValueError, ArithmeticError, LookupError, AttributeError)
SURROGATES = re.compile("[\ud800-\udfff]")
SECTIONS = frozenset(
    {"model_list", "router_settings", "settings", "litellm_settings", "general_settings", "guardrails",
     "environment_variables"}
)  # fmt: skip
#: The gateway's own settings, and what each means.
GENERAL: dict[str, str] = {
    "master_key": "the key that may do everything",
    "database_url": "where keys and the ledger are: postgresql+asyncpg://...; by default SQLite in data_dir",
    "data_dir": "the folder of this instance's journal and SQLite database: polyport-data",
    "redis_url": "what replicas share: redis://...",
    "on_store_failure": "allow or deny calls while the database is away",
    "max_request_size_mb": "the largest JSON body",
    "max_upload_size_mb": "the largest multipart body",
    "max_response_size_mb": "the largest answer, and the most of a stream, of the surfaces: no limit",
    "allowed_ips": "addresses and networks that the gateway may be used from: from anywhere",
    "allowed_routes": "the routes that there are, without /v1: all of them",
    "admin_only_routes": "routes for keys with the role admin alone",
    "required_params": "what every call of a model has to say, such as [user, metadata.project]",
    "custom_auth": "module.function that says who calls: see custom_auth.py",
    "custom_auth_settings": "when it is asked: {mode: on, auto or off, cache_seconds: 0, timeout: 10}",
    "request_tags": "whether calls may name tags of their own for the ledger: true",
    "allowed_storage": "addresses in cloud storage, gs://bucket/folder/, that every key may have read: none",
    "unread_seconds": "after how long without progress a caller that does not read its reply is cut off: 60",
    "drain_seconds": "how long running calls may go on after SIGTERM",
    "ssl_certfile_path": "the certificate that TLS is spoken by, as PEM: HTTP is spoken",
    "ssl_keyfile_path": "its key, where that is in a file of its own",
    "ssl_keyfile_password": "what the key is read by",
    **SIGNON,
    "passthrough": "whose own endpoints are under /passthrough: {providers: [...], paths: {provider: [patterns]}}",
    "resources": "of vector stores, conversations, fine-tuning ...: {unguarded, unpriced}",
    "pass_through_endpoints": "addresses of your own that lead elsewhere: [{path, target, headers, ...}]",
    "realtime": "of sessions at /v1/realtime: {idle_seconds, max_seconds, max_message_mb, unguarded}",
    "key_management_system": "where secrets are kept that the environment has not: aws, google, azure or vault",
    "key_management_settings": "how that is reached; hosted_keys are asked for there first",
    "watch_config": "read the configuration again whenever its file changes",
    "metrics_key": "a key that may read /metrics and nothing else",
    "metrics_public": "let everybody read /metrics",
    "background_health_checks": "ask each deployment something small, now and then",
    "health_check_interval": "seconds between two such rounds: 300; given alone, it turns them on",
    **terms.TERMS,
    **{name: f"LiteLLM's name of {ours}" for name, ours in terms.RENAMED.items()},
}
#: Those that a reload takes up; where another one was changed, the reload says that it waits for a restart.
FOLLOWED = frozenset(
    {"master_key", "on_store_failure", "metrics_key", "metrics_public", "max_request_size_mb",
     "max_upload_size_mb", "max_response_size_mb", "allowed_ips", "allowed_routes", "admin_only_routes",
     "required_params", "allowed_storage", "watch_config", "background_health_checks", "health_check_interval",
     "session_secret", "session_hours", "public_url", "custom_auth", "custom_auth_settings", "passthrough", "realtime",
     "resources", "pass_through_endpoints", "request_tags", *terms.TERMS, *terms.RENAMED}
)  # fmt: skip
#: Lists that may stand in a file, one on each line.
LISTED = frozenset({"blocked_customers", "blocked_user_list"})
#: Names of settings -> the parameter of Router or Client that they are.
RENAMED = {"request_timeout": "timeout"}
#: Settings of LiteLLM's files that have nothing to change here; they are named at the start, not refused.
ELSEWHERE = foreign.ELSEWHERE

Secret = Callable[[str], str | None]


class ConfigError(BadRequestError):
    """A configuration that cannot be used. The message names the place."""


class Passthrough(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whose own endpoints are reached under /passthrough, and which of them by keys, beyond those that are accounted.

    `paths` are patterns by provider, without a version: {"openai": ["/files*"]}. `unguarded`: there is a way
    through although there are guardrails, which cannot see what passes. `unpriced`: who has a budget may start batches
    there, too, which nobody here pays for.
    """

    providers: tuple[str, ...] = ()
    paths: Mapping[str, tuple[str, ...]] = {}
    unguarded: bool = False
    unpriced: bool = False


class Realtime(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How long a session at /v1/realtime may be silent and last, in seconds, and how large a message may be.

    `unguarded`: sessions are there although there are guardrails, which cannot see what is said in one.
    """

    idle_seconds: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    max_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    max_message_mb: Annotated[float, msgspec.Meta(gt=0)] = 16.0
    unguarded: bool = False


class Resources(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How far what an account at OpenAI keeps is there: vector stores, conversations, fine-tuning and so on.

    `unguarded`: also what guardrails would have to see, and cannot. `unpriced`: what has models work at a cost that
    nobody tells (fine-tuning, runs of evals) also for whom a budget holds.
    """

    unguarded: bool = False
    unpriced: bool = False


class General(msgspec.Struct, kw_only=True, frozen=True):
    """What the gateway itself goes by. Sizes are in MB, times in seconds. `given` is the whole section, for plugins."""

    master_key: str | None = None
    max_request_size_mb: float = 64.0
    max_upload_size_mb: float = 512.0
    max_response_size_mb: Annotated[float, msgspec.Meta(gt=0)] | None = None
    allowed_ips: tuple[str, ...] = ()
    allowed_routes: tuple[str, ...] = ()
    admin_only_routes: tuple[str, ...] = ()
    required_params: tuple[str, ...] = ()
    allowed_storage: tuple[str, ...] = ()
    unread_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    drain_seconds: float = 30.0
    ssl_certfile_path: str | None = None
    ssl_keyfile_path: str | None = None
    ssl_keyfile_password: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    request_tags: bool = True
    on_store_failure: Literal["allow", "deny"] = "allow"
    watch_config: bool = False
    metrics_key: str | None = None
    metrics_public: bool = False
    passthrough: Passthrough | None = None
    realtime: Realtime = Realtime()
    resources: Resources = Resources()
    background_health_checks: bool | None = None
    health_check_interval: Annotated[float, msgspec.Meta(gt=0)] | None = None
    terms: terms.Terms = terms.Terms()
    forwards: Any = None
    given: Mapping[str, Any] = {}

    @property
    def has_accounts(self) -> bool:
        """Whether there are keys, limits and a ledger."""
        return self.master_key is not None or any(self.given.get(name) for name in ("database_url", "custom_auth"))

    def fence(self) -> Fence:
        """Return what stands before every route. Raises BadRequestError."""
        if self.admin_only_routes and not self.has_accounts:
            raise BadRequestError(
                "$.general_settings.admin_only_routes needs a master_key: without one, nobody is admin"
            )
        return Fence(self.allowed_ips, self.allowed_routes, self.admin_only_routes)

    def __repr__(self) -> str:
        return f"General({', '.join(self.given)})"


class Config(msgspec.Struct, kw_only=True, frozen=True):
    """A configuration that was checked. `options` are the Router's and its Client's; `notes` what is not used here.

    `budgets` are providers'; those of deployments are in their entries.

    `source` is what was written, with its references; `files` are where it was read, the first one first, if it was;
    `folder` is where those lie that it names.
    """

    models: list[dict[str, Any]] = []
    options: dict[str, Any] = {}
    cache: dict[str, Any] | None = None
    general: General = General()
    budgets: Mapping[str, Limit] = {}
    secrets: Secret = plugins.secret
    notes: list[str] = []
    source: Mapping[str, Any] = {}
    files: tuple[Path, ...] = ()
    folder: Path = Path()

    def router(self, state: State | None = None, observers: Sequence[Any] = ()) -> Router:
        """Return the router that it describes, over a state where there is one already. Raises what is wrong.

        `observers` see its calls beside those that the configuration names.
        """
        options = dict(self.options)
        if observers:
            named = options.get("callbacks") or []
            options["callbacks"] = [*([named] if isinstance(named, str) else named), *observers]
        if self.cache is not None:
            from polyport.caching import Cache

            options["cache"] = Cache(**self.cache)
        return Router(self.models, secrets=self.secrets, state=state, **options)

    def certificate(self) -> tls.Files | None:
        """Return the certificate that it names, if it does. Raises BadRequestError."""
        own = self.general
        names = own.ssl_certfile_path, own.ssl_keyfile_path, own.ssl_keyfile_password
        return tls.files(*names, self.folder, "$.general_settings.")

    def __repr__(self) -> str:
        return f"<Config of {len(self.models)} deployments>"


def load(path: str | Path) -> Config:
    """Return the configuration in a file, with those that it includes. Raises ConfigError."""
    files: list[Path] = []
    found = read(_included(Path(path).absolute(), files), files[0].parent)
    return msgspec.structs.replace(found, files=(*files, *found.files))


def _included(path: Path, files: list[Path]) -> dict[str, Any]:
    """Return what a file says: lists of the files that it includes come before its own, names of its own count."""
    files.append(path)
    if len(files) > DEEPEST:
        raise ConfigError(f"{path.name} is included too deep, or by itself")
    try:
        given = dict(_mapping(path.read_text(encoding="utf-8"), str(path)))
    except (OSError, ValueError) as error:  # no UTF-8, or no path
        raise ConfigError(f"Cannot read the configuration {path}: {error}") from error
    names = given.pop("include", None) or []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"include in {path} is a file's name, or a list of them")
    whole: Any = {}
    for name in names:
        whole = _merged(whole, _included(path.parent / name, files))
    return dict(_merged(whole, given))


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {**one, **{name: _merged(one[name], value) if name in one else value for name, value in other.items()}}
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *other]
    return other


def parse(text: str, name: str = "config.yaml") -> Config:
    """Return the configuration that a YAML text is. Raises ConfigError."""
    return read(_mapping(text, name))


def _mapping(text: str, name: str) -> Mapping[str, Any]:
    try:
        given = yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is no YAML: {_where(error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{name} is nested too deep") from error
    except (ValueError, OverflowError) as error:  # an escape: "\UFFFFFFFF"
        raise ConfigError(f"{name} is no YAML: there is an escape of no character") from error
    if not isinstance(given, Mapping):
        raise ConfigError(f"{name} must be a mapping with model_list, not {type(given).__name__}")
    _plain(given, name)
    return given


class _Loader(yaml.SafeLoader):
    """Says where a value is that looks like a date or a number and is none: PyYAML's constructors raise what comes."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return what a node is. Raises ConstructorError with its place, and without the value, which may be secret."""
        try:
            return super().construct_object(node, deep)
        except NO_VALUE as error:
            kind = str(node.tag).rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"there is no such {kind}", node.start_mark) from error


def _plain(value: Any, path: str, level: int = 0) -> None:
    """Raise ConfigError where an anchor stands within itself, or half a character somewhere."""
    if isinstance(value, str) and SURROGATES.search(value):
        raise ConfigError(f"{path} has half a character")
    inner = value if isinstance(value, Mapping) else dict(enumerate(value)) if isinstance(value, list) else {}
    if level > MOST_LEVELS:
        raise ConfigError(f"{path[:200]} is nested too deep: does an anchor (&) stand within itself?")
    for name, one in inner.items():
        _plain(name, path, level + 1)
        _plain(one, f"{path}.{name}", level + 1)


def of_models(models: Collection[str]) -> Config:
    """Return the configuration of `polyport serve --model a --model b`: each under its own name."""
    return read({"model_list": [{"model_name": model, "params": {"model": model}} for model in models]})


def read(given: Mapping[str, Any], folder: Path | None = None) -> Config:
    """Return the checked configuration. Raises ConfigError naming the path and the nearest right key.

    Files that it names are looked for in `folder`, else where the process runs.
    """
    source, notes, files = given, list[str](), list[Path]()
    secrets = _secrets(given)
    try:
        given = foreign.ours(given, notes, secrets)
    except BadRequestError as error:
        raise ConfigError(error.message) from error
    _known(given, SECTIONS, "$")
    given = {name: _filed(value, f"$.{name}", files) for name, value in given.items()}
    general = _listed(_section(given, "general_settings"), folder or Path(), files)
    function = custom.file_of(str(general.get("custom_auth") or ""), (folder or Path()).absolute())
    files += [] if function is None else [function]
    given, budgets = _budgets(given, secrets, notes)
    options, cache = _options(given, secrets, notes)
    return Config(
        models=_models(given),
        options=options,
        cache=cache,
        general=_general(general, secrets, notes),
        budgets=budgets,
        secrets=secrets,
        notes=notes,
        source=source,
        files=tuple(dict.fromkeys(files)),
        folder=folder or Path(),
    )


def _secrets(given: Mapping[str, Any]) -> Secret:
    """Return what finds secrets: environment_variables, the environment, then whatever manager is named.

    What `hosted_keys` lists is asked for at the manager first. Raises ConfigError.
    """
    environment = {str(name): str(value) for name, value in _section(given, "environment_variables").items()}
    manager = _manager(_section(given, "general_settings"), lambda name: environment.get(name) or plugins.secret(name))
    if manager is None:
        return plugins.secret if not environment else lambda name: environment.get(name) or plugins.secret(name)

    def find(name: str) -> str | None:
        hosted = manager(name) if manager.only is not None else None
        return hosted or environment.get(name) or plugins.secret(name) or manager(name)

    return find


def _manager(general: Mapping[str, Any], secrets: Secret) -> Any:
    named, place = general.get("key_management_system"), "$.general_settings.key_management_settings"
    if named is None:
        return None
    try:
        from polyport_secrets import make
    except ImportError as error:
        raise ConfigError(
            "key_management_system needs polyport-secrets: pip install 'polyport-secrets[...]'"
        ) from error
    given = resolved(_section(general, "key_management_settings"), secrets, place)
    settings = {foreign.MANAGED.get(name, name): value for name, value in given.items()}
    settings.pop(None, None)
    if not isinstance(settings.get("only", []), list):
        raise ConfigError(f"{place}.hosted_keys must be a list of names")
    if "only" in settings:
        settings["only"] = frozenset(map(str, settings["only"]))
    try:
        return make(foreign.MANAGERS.get(str(named), str(named)), **settings)
    except PolyportError as error:
        raise ConfigError(f"$.general_settings.key_management_system: {error.message}") from error


def _filed(value: Any, path: str, files: list[Path]) -> Any:
    """Return a value with each file/NAME in it replaced by what the file holds. Raises ConfigError, without that."""
    if isinstance(value, Mapping):
        return {name: _filed(inner, f"{path}.{name}", files) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filed(inner, f"{path}[{place}]", files) for place, inner in enumerate(value)]
    if not isinstance(value, str) or not value.startswith(FILE):
        return value
    file = SECRET_FILES / value.removeprefix(FILE)
    files.append(file)
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{path} asks for the file {file}, which cannot be read: {why}") from error


def _listed(section: Mapping[str, Any], folder: Path, files: list[Path]) -> Mapping[str, Any]:
    """Return the section with lists in place of the names of files that hold one. Raises ConfigError."""
    found = dict(section)
    for name in LISTED & section.keys():
        if isinstance(section[name], str):
            file = folder.absolute() / section[name]
            files.append(file)
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"$.general_settings.{name} names the file {file}, which cannot be read") from error
            found[name] = [line.strip() for line in lines if line.strip()]
    return found


def _models(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    models = given.get("model_list")
    if not isinstance(models, list) or not models:
        raise ConfigError("$.model_list is missing: [{model_name: ..., params: {model: provider/model}}]")
    for place, entry in enumerate(models):
        if not isinstance(entry, Mapping):
            raise ConfigError(f"$.model_list[{place}] must be a mapping, not {type(entry).__name__}")
    try:
        return [purses.moved(entry, f"$.model_list[{place}]") for place, entry in enumerate(models)]
    except BadRequestError as error:
        raise ConfigError(error.message) from error


def _budgets(
    given: Mapping[str, Any], secrets: Secret, notes: list[str]
) -> tuple[Mapping[str, Any], Mapping[str, Limit]]:
    """Return the sections without the budgets of providers, and these. Raises ConfigError."""
    path = "$.router_settings.provider_budget_config"
    router = dict(_section(given, "router_settings"))
    said = resolved(router.pop("provider_budget_config", None) or {}, secrets, path)
    entries = [entry for entry in given.get("model_list") or () if isinstance(entry, Mapping)]
    params = [entry.get("litellm_params") or entry.get("params") or {} for entry in entries]
    named = {str(one.get("model", "")).partition("/")[0] for one in params if isinstance(one, Mapping)}
    known = {entry.name for entry in plugins.entries("polyport.providers")} | named
    try:
        found = purses.providers(said, known, notes, path)
    except BadRequestError as error:
        raise ConfigError(error.message) from error
    return ({**given, "router_settings": router} if found else given), found


def _options(given: Mapping[str, Any], secrets: Secret, notes: list[str]) -> tuple[dict[str, Any], Any]:
    """Return the parameters of Router and Client, and the cache's."""
    known = {*_parameters(Router), *_parameters(Client)} - {"model_list", "client", "state", "secrets", "http"}
    options: dict[str, Any] = {"remote_files": "public"}  # strangers' URLs must not lead into one's own network
    cache: dict[str, Any] | None = None
    for name in ("settings", "litellm_settings", "router_settings"):
        section = dict(_section(given, name))
        if name != "router_settings":
            found = _cache(section, f"$.{name}", secrets)
            cache = cache if found is None else found
        _known(section, {*known, *RENAMED, *ELSEWHERE}, f"$.{name}")
        for key, value in section.items():
            if key in ELSEWHERE and key not in known:
                notes.append(f"$.{name}.{key} changes nothing here")
            elif value is not None:  # nothing after the colon: it is not given
                options[RENAMED.get(key, key)] = resolved(value, secrets, f"$.{name}.{key}")
    rails = given.get("guardrails") or []
    if not isinstance(rails, list):
        raise ConfigError("$.guardrails must be a list of {guardrail_name: ..., params: {guardrail: ..., mode: ...}}")
    return ({**options, "guardrails": rails} if rails else options), cache


def _cache(section: dict[str, Any], path: str, secrets: Secret) -> dict[str, Any] | None:
    on, parameters = section.pop("cache", None), section.pop("cache_params", None)
    if isinstance(on, Mapping):
        on, parameters = True, on
    if not on:
        return None
    return dict(resolved(parameters or {}, secrets, f"{path}.cache_params"))


def _general(section: Mapping[str, Any], secrets: Secret, notes: list[str]) -> General:
    _known(section, {*GENERAL, *ELSEWHERE}, "$.general_settings")
    notes += [f"$.general_settings.{key} changes nothing here" for key in section if key not in GENERAL]
    found = {key: resolved(section[key], secrets, f"$.general_settings.{key}") for key in section if key in GENERAL}
    own = {key: value for key, value in found.items() if key in General.__struct_fields__}
    try:
        for name in ("terms", "forwards"):
            own.pop(name, None)
        general: General = msgspec.convert({**own, "given": found}, General)
        general = msgspec.structs.replace(general, terms=terms.read(found))
        leading = endpoints.read(found.get("pass_through_endpoints"), secrets, notes)
        general = msgspec.structs.replace(general, forwards=leading)
        signon.read(found)
        custom.rules_of(found)
        general.fence()
        buckets.prefixes("$.general_settings.allowed_storage", general.allowed_storage)
    except msgspec.ValidationError as error:
        raise ConfigError(f"$.general_settings: {error}") from error
    except BadRequestError as error:
        raise ConfigError(error.message) from error
    if general.terms.observers and not general.has_accounts:
        notes.append("$.general_settings.team_callbacks changes nothing here: without a master_key there are no teams")
    if general.master_key == "":
        raise ConfigError("$.general_settings.master_key is empty: leave it out for a gateway that is open to all")
    return general


def resolved(value: Any, secrets: Secret, path: str) -> Any:
    """Return a value with each os.environ/NAME in it replaced. Raises ConfigError for a name that is not set."""
    if isinstance(value, Mapping):
        return {name: resolved(inner, secrets, f"{path}.{name}") for name, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, secrets, f"{path}[{place}]") for place, inner in enumerate(value)]
    if not isinstance(value, str) or not value.startswith(ENVIRON):
        return value
    name = value.removeprefix(ENVIRON)
    found = secrets(name)
    if found is None:
        raise ConfigError(f"{path} asks for {name}, which is not set")
    return found


def check(config: Config) -> list[str]:
    """Build the router of a configuration and return what can be said of each model. Raises what is wrong."""
    custom.load(config.general.given, config.folder)
    router = config.router()
    try:
        return [_told(router, one) for one in router.groups.all()]
    finally:
        router.close()


def _told(router: Router, one: Any) -> str:
    try:
        provider, model = router.place_of(one)
        router.client.providers.get(provider)
    except PolyportError as error:
        raise ConfigError(f"{one.group}: {error.message}") from error
    return f"{one.group}: {provider}/{model}"


def _section(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = given.get(name) or {}
    if not isinstance(section, Mapping):
        raise ConfigError(f"$.{name} must be a mapping, not {type(section).__name__}")
    return section


def _parameters(kind: type[Any]) -> list[str]:
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = inspect.signature(kind.__init__).parameters.values()
    return [one.name for one in found if one.name != "self" and one.kind not in kinds]


def _known(given: Mapping[str, Any], known: Collection[str], path: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            raise ConfigError(f"{path} has {name!r}, which nothing reads: {hint}")


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be read'}{place}"

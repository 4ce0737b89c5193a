"""A strict stand-in for the API server of Kubeflow Pipelines (v2beta1), on loopback.

It accepts the documented paths, methods and query parameters alone; bodies are checked against the models
of `kfp_server_api`, unknown keys refused; pipelines are parsed as the protos that they are; names are
unique; schedules have six fields. It schedules and runs nothing: it proves the protocol, not the cluster.
"""

from __future__ import annotations

import email.parser
import email.policy
import http.server
import itertools
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

PREFIX = "/apis/v2beta1"
LISTS = {"page_token", "page_size", "sort_by", "filter", "namespace"}
INT64 = {"max_concurrency", "interval_second"}  # text to the client, text or a number to protobuf
SIMPLE = {"str": str, "int": (int, str), "bool": bool, "object": dict, "datetime": str}


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


def check_model(value: Any, kind: str, where: str = "") -> None:
    """Refuses what the model `kind` of kfp_server_api does not know."""
    if kind in SIMPLE:
        expected = SIMPLE[kind]
        if not isinstance(value, expected) or (kind == "int" and isinstance(value, bool)):
            raise Refused(400, f"{where}: {value!r} is no {kind}")
        if kind == "datetime":
            datetime.fromisoformat(value.replace("Z", "+00:00"))
        return
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        for i, item in enumerate(value):
            check_model(item, found[1], f"{where}[{i}]")
        return
    if found := re.fullmatch(r"dict\(str, (.+)\)", kind):
        for key, item in value.items():
            if found[1] != "object":
                check_model(item, found[1], f"{where}.{key}")
        return
    model = getattr(kfp_server_api, kind)
    allowed = [
        getattr(model, name)
        for name in vars(model)
        if name.isupper() and isinstance(getattr(model, name), str)
    ]
    if allowed:
        if value not in allowed:
            raise Refused(400, f"{where}: {value!r} is none of {allowed}")
        return
    if not isinstance(value, dict):
        raise Refused(400, f"{where or kind}: an object is expected")
    names = {wire: name for name, wire in model.attribute_map.items()}
    for key, item in value.items():
        if key not in names:
            raise Refused(400, f"unknown field {where}.{key} of {kind}")
        if item is not None:
            kind_of = "int" if key in INT64 else model.openapi_types[names[key]]
            check_model(item, kind_of, f"{where}.{key}")


def check_pipeline(spec: dict[str, Any], platform: dict[str, Any] | None) -> dict[str, Any]:
    """Parses both documents as the messages that they are."""
    try:
        message = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platform or {}, pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        raise Refused(400, f"no pipeline: {error}") from error
    if not message.pipeline_info.name or not message.root.dag.tasks:
        raise Refused(400, "a pipeline without a name or tasks")
    return {"pipeline_spec": spec, "platform_spec": platform} if platform else spec


class State:
    """What the server holds; ids and times are counted, so that order is certain."""

    def __init__(self, multi_user: bool, token: str) -> None:
        self.multi_user, self.token = multi_user, token
        self.experiments: dict[str, dict] = {}
        self.pipelines: dict[str, dict] = {}
        self.versions: dict[str, dict] = {}
        self.runs: dict[str, dict] = {}
        self.recurring: dict[str, dict] = {}
        self.requests: list[tuple[str, str]] = []
        self.count = itertools.count(1)
        self.lock = threading.Lock()

    def stamp(self) -> tuple[str, str]:
        """A new id and the time that goes with it."""
        number = next(self.count)
        moment = datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=number)
        return f"id-{number}", moment.isoformat().replace("+00:00", "Z")


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, method: str) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        state: State = self.server.state
        with state.lock:
            state.requests.append((method, parts.path))
            try:
                if state.token and self.headers.get("Authorization") != f"Bearer {state.token}":
                    raise Refused(401, "who are you?")
                status, said = 200, self._dispatch(method, parts.path, parts.query, body)
            except Refused as error:
                status, said = error.status, {"code": error.status, "message": str(error)}
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _dispatch(self, method: str, path: str, query: str, body: bytes) -> Any:
        for verb, pattern, allowed, name in ROUTES:
            found = re.fullmatch(PREFIX + pattern, path)
            if found and verb == method:
                given = {
                    key: values[-1] for key, values in parse_qs(query, strict_parsing=bool(query)).items()
                }
                if unknown := set(given) - allowed:
                    raise Refused(400, f"unknown query parameters {sorted(unknown)}")
                if verb != "POST" and body:
                    raise Refused(400, f"{verb} has no body")
                return getattr(self, name)(given, body, *found.groups())
        raise Refused(404, f"no such method: {method} {path}")

    # -- what the routes do ----------------------------------------------------------------------------

    def _json(self, body: bytes, kind: str) -> dict[str, Any]:
        if self.headers.get("Content-Type", "").split(";")[0] != "application/json":
            raise Refused(415, "the body is not JSON")
        try:
            value = json.loads(body)
        except ValueError as error:
            raise Refused(400, f"no JSON: {error}") from error
        check_model(value, kind)
        return {key: item for key, item in value.items() if item is not None}

    def _namespace(self, given: str | None) -> str:
        if self.server.state.multi_user and not given:
            raise Refused(400, "Namespace is empty in multi-user mode")
        if not self.server.state.multi_user and given:
            raise Refused(400, "In single-user mode, namespace must be empty")
        return given or ""

    def _page(self, key: str, items: list[dict], query: dict[str, str]) -> dict[str, Any]:
        if query.get("filter"):
            items = [item for item in items if _matches(item, query["filter"])]
        if query.get("sort_by"):
            found = re.fullmatch(r"(created_at|display_name)( asc| desc)?", query["sort_by"])
            if not found:
                raise Refused(400, f"sort_by {query['sort_by']!r}")
            items = sorted(items, key=lambda item: item[found[1]], reverse=found[2] == " desc")
        start = int(query.get("page_token") or 0)
        size = int(query.get("page_size") or 20)
        if not 1 <= size <= 200:
            raise Refused(400, "page_size is 1 to 200")
        page: dict[str, Any] = {"total_size": len(items)}
        if items[start : start + size]:
            page[key] = items[start : start + size]
        if start + size < len(items):
            page["next_page_token"] = str(start + size)
        return page

    def health(self, query: dict, body: bytes) -> Any:
        return {"multi_user": self.server.state.multi_user}

    def list_experiments(self, query: dict, body: bytes) -> Any:
        namespace = self._namespace(query.get("namespace"))
        held = [one for one in self.server.state.experiments.values() if one["namespace"] == namespace]
        return self._page("experiments", held, query)

    def create_experiment(self, query: dict, body: bytes) -> Any:
        value = self._json(body, "V2beta1Experiment")
        namespace = self._namespace(value.get("namespace"))
        state = self.server.state
        name = _required(value, "display_name")
        if any(
            one["display_name"] == name and one["namespace"] == namespace
            for one in state.experiments.values()
        ):
            raise Refused(409, f"the experiment {name} already exists")
        number, moment = state.stamp()
        made = {**value, "experiment_id": number, "created_at": moment, "namespace": namespace}
        state.experiments[number] = made
        return made

    def list_pipelines(self, query: dict, body: bytes) -> Any:
        namespace = query.get("namespace") or ""
        held = [one for one in self.server.state.pipelines.values() if one["namespace"] == namespace]
        return self._page("pipelines", held, query)

    def create_pipeline(self, query: dict, body: bytes) -> Any:
        value = self._json(body, "V2beta1Pipeline")
        name, state = _required(value, "display_name"), self.server.state
        namespace = value.get("namespace", "")
        if any(
            one["display_name"] == name and one["namespace"] == namespace for one in state.pipelines.values()
        ):
            raise Refused(409, f"the name {name} already exists")
        number, moment = state.stamp()
        state.pipelines[number] = {
            **value,
            "pipeline_id": number,
            "created_at": moment,
            "namespace": namespace,
        }
        return state.pipelines[number]

    def list_versions(self, query: dict, body: bytes, pipeline: str) -> Any:
        self._held("pipelines", pipeline)
        held = [one for one in self.server.state.versions.values() if one["pipeline_id"] == pipeline]
        return self._page("pipeline_versions", held, query)

    def upload_version(self, query: dict, body: bytes) -> Any:
        state, name, pipeline = self.server.state, _required(query, "name"), _required(query, "pipelineid")
        self._held("pipelines", pipeline)
        if any(
            one["display_name"] == name and one["pipeline_id"] == pipeline for one in state.versions.values()
        ):
            raise Refused(409, f"the version {name} already exists")
        documents = list(yaml.safe_load_all(self._uploaded(body)))
        if not 1 <= len(documents) <= 2:
            raise Refused(400, f"{len(documents)} documents")
        number, moment = state.stamp()
        state.versions[number] = {
            "pipeline_id": pipeline,
            "pipeline_version_id": number,
            "display_name": name,
            "created_at": moment,
            "description": query.get("description", ""),
            "pipeline_spec": check_pipeline(documents[0], documents[1] if len(documents) > 1 else None),
        }
        return state.versions[number]

    def _uploaded(self, body: bytes) -> str:
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith("multipart/form-data"):
            raise Refused(415, "an upload is multipart/form-data")
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        parts = list(parser.parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body).iter_parts())
        if [part.get_param("name", header="content-disposition") for part in parts] != ["uploadfile"]:
            raise Refused(400, "one part named uploadfile is expected")
        return parts[0].get_payload(decode=True).decode("utf-8")

    def create_run(self, query: dict, body: bytes) -> Any:
        value, state = self._json(body, "V2beta1Run"), self.server.state
        self._check_job(value)
        number, moment = state.stamp()
        state.runs[number] = {**value, "run_id": number, "created_at": moment, "state": "PENDING"}
        return state.runs[number]

    def _check_job(self, value: dict[str, Any]) -> None:
        _required(value, "display_name")
        self._held("experiments", _required(value, "experiment_id"))
        if ("pipeline_spec" in value) == ("pipeline_version_reference" in value):
            raise Refused(400, "either pipeline_spec or pipeline_version_reference")
        if "pipeline_spec" in value:
            given = value["pipeline_spec"]
            spec = given.get("pipeline_spec", given)
            check_pipeline(spec, given.get("platform_spec"))
            known = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
            sent = value.get("runtime_config", {}).get("parameters", {})
            if unknown := set(sent) - set(known):
                raise Refused(400, f"unknown parameters {sorted(unknown)}")
            missing = {name for name, one in known.items() if "defaultValue" not in one} - set(sent)
            if missing:
                raise Refused(400, f"missing parameters {sorted(missing)}")
        else:
            self._held("versions", value["pipeline_version_reference"].get("pipeline_version_id", ""))

    def list_runs(self, query: dict, body: bytes) -> Any:
        return self._page("runs", self._within("runs", query), query)

    def get_run(self, query: dict, body: bytes, run: str) -> Any:
        return self._held("runs", run)

    def create_recurring(self, query: dict, body: bytes) -> Any:
        value, state = self._json(body, "V2beta1RecurringRun"), self.server.state
        self._check_job(value)
        if not 1 <= int(value.get("max_concurrency", 0)) <= 10:
            raise Refused(400, "max_concurrency is 1 to 10")
        trigger = value.get("trigger", {})
        if len(trigger) != 1:
            raise Refused(400, "one trigger")
        cron = trigger.get("cron_schedule", {}).get("cron", "")
        if len(cron.split()) != 6:
            raise Refused(400, f"Expected exactly 6 fields, found {len(cron.split())}: {cron}")
        mode = value.get("mode", "DISABLE")
        number, moment = state.stamp()
        space = state.experiments[value["experiment_id"]]["namespace"]
        state.recurring[number] = {
            **{key: item for key, item in value.items() if key != "mode"},
            "recurring_run_id": number,
            "created_at": moment,
            "namespace": space,
            "status": "ENABLED" if mode == "ENABLE" else "DISABLED",
        }
        return state.recurring[number]

    def list_recurring(self, query: dict, body: bytes) -> Any:
        return self._page("recurringRuns", self._within("recurring", query), query)

    def switch_recurring(self, query: dict, body: bytes, number: str, verb: str) -> Any:
        self._held("recurring", number)["status"] = f"{verb.upper()}D"
        return {}

    def delete_recurring(self, query: dict, body: bytes, number: str) -> Any:
        self._held("recurring", number)
        del self.server.state.recurring[number]
        return {}

    def _within(self, what: str, query: dict[str, str]) -> list[dict]:
        state = self.server.state
        held = list(getattr(state, what).values())
        if "experiment_id" in query:
            self._held("experiments", query["experiment_id"])
            return [one for one in held if one["experiment_id"] == query["experiment_id"]]
        namespace = self._namespace(query.get("namespace"))
        return [one for one in held if state.experiments[one["experiment_id"]]["namespace"] == namespace]

    def _held(self, what: str, number: str) -> dict[str, Any]:
        held = getattr(self.server.state, what)
        if number not in held:
            raise Refused(404, f"{what} {number} not found")
        return held[number]


ROUTES = [
    ("GET", "/healthz", set(), "health"),
    ("GET", "/experiments", LISTS, "list_experiments"),
    ("POST", "/experiments", set(), "create_experiment"),
    ("GET", "/pipelines", LISTS, "list_pipelines"),
    ("POST", "/pipelines", set(), "create_pipeline"),
    ("POST", "/pipelines/upload_version", {"name", "pipelineid", "description"}, "upload_version"),
    ("GET", "/pipelines/([^/:]+)/versions", LISTS - {"namespace"}, "list_versions"),
    ("GET", "/runs", LISTS | {"experiment_id"}, "list_runs"),
    ("POST", "/runs", {"experiment_id"}, "create_run"),
    ("GET", "/runs/([^/:]+)", {"experiment_id"}, "get_run"),
    ("GET", "/recurringruns", LISTS | {"experiment_id"}, "list_recurring"),
    ("POST", "/recurringruns", set(), "create_recurring"),
    ("POST", "/recurringruns/([^/:]+):(enable|disable)", set(), "switch_recurring"),
    ("DELETE", "/recurringruns/([^/:]+)", {"propagation_policy"}, "delete_recurring"),
]


def _required(value: dict[str, Any], key: str) -> Any:
    if not value.get(key):
        raise Refused(400, f"{key} is required")
    return value[key]


def _matches(item: dict[str, Any], text: str) -> bool:
    try:
        predicates = json.loads(text)["predicates"]
    except (ValueError, KeyError) as error:
        raise Refused(400, f"no filter: {text}") from error
    for one in predicates:
        if set(one) != {"operation", "key", "stringValue"} or one["operation"] not in ("EQUALS", 1):
            raise Refused(400, f"this filter is not understood: {one}")
        if item.get(one["key"]) != one["stringValue"]:
            return False
    return True


def serve(multi_user: bool = False, token: str = "") -> Any:
    """A running server; `.url`, `.state`, `.close()`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.state = State(multi_user, token)
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    server.close = close
    return server

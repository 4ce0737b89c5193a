"""Retraining on a cluster's clock: recurring runs of Kubeflow, one at a time, nothing missed made up for.

A run looks anew at its source before anything else (`look` is never cached), so that a nightly retraining
is not served from yesterday's cache; where nothing has changed, the cached steps are the answer.
"""

from __future__ import annotations

from typing import Any

from components.cron import Cron
from components.errors import ConfigError, did_you_mean
from pipelines.cluster import PAGE, Server, asking, experiment, package
from pipelines.recipe import Recipe


def create(
    client: Any, server: Server, recipe: Recipe, cron: Cron, *, catch_up: bool = False, fresh: bool = False
) -> Any:
    """Schedules a recipe under its own name; `fresh` has every step work anew each time.

    Raises:
        ConfigError: it is scheduled already, or its registry would not outlive a run.
    """
    if any(one.display_name == recipe.name for one in listed(client, server)):
        raise ConfigError(
            f"'{recipe.name}' is scheduled already: mozart schedule {recipe.name} --delete comes first, or give "
            "the recipe another name"
        )
    with package(recipe, caching=not fresh) as file, asking(server):
        return client.create_recurring_run(
            experiment_id=experiment(client, server, recipe.name),
            job_name=recipe.name,
            description=recipe.about,
            cron_expression=cron.six,
            max_concurrency=1,
            no_catchup=not catch_up,
            pipeline_package_path=str(file),
            pipeline_root=recipe.resources.workspace.root or None,
            service_account=recipe.resources.service_account or None,
        )


def listed(client: Any, server: Server) -> list[Any]:
    """All schedules of the namespace, oldest first."""
    found: list[Any] = []
    token = ""
    with asking(server):
        while True:
            page = client.list_recurring_runs(
                page_token=token,
                page_size=PAGE,
                sort_by="created_at asc",
                namespace=server.namespace or None,
            )
            found += page.recurring_runs or []
            token = page.next_page_token or ""
            if not token:
                return found


def find(client: Any, server: Server, name: str) -> Any:
    """The schedule of a recipe's name.

    Raises:
        ConfigError: there is none.
    """
    known = {one.display_name: one for one in listed(client, server)}
    if name not in known:
        raise ConfigError(f"'{name}' is not scheduled at {server.host}{did_you_mean(name, known)}")
    return known[name]


def change(client: Any, server: Server, name: str, what: str) -> None:
    """Pauses, resumes or deletes a schedule; its runs stay."""
    number = find(client, server, name).recurring_run_id
    with asking(server):
        match what:
            case "pause":
                client.disable_recurring_run(number)
            case "resume":
                client.enable_recurring_run(number)
            case "delete":
                client.delete_recurring_run(number)

"""What one account of Cohere's keeps, and what else is its alone: data sets, jobs, batches, connectors, tuned models,
classifying, reading pages.

Each row is one of the official SDK's methods by its own name, and where it stands; `cohere_kept` serves them all in one
way. What else the SDK has and nobody here answers is in `cohere_unserved`. https://docs.cohere.com/reference/about
Connectors, classifying and tuning were taken out of Cohere's own platform on 2025-09-15, and are in its SDK still: who
has a deployment that answers them is served. https://docs.cohere.com/docs/deprecations
"""

from __future__ import annotations

from polyport_gateway.resources import Row, Table, rows

ROWS: tuple[Row, ...] = (
    *rows(
        "datasets /v1/datasets",
        ("create", "POST", "", "makes=dataset multipart"),
        ("list", "GET", "", "lists"),
        ("get", "GET", "/{id}", ""),
        ("delete", "DELETE", "/{id}", ""),
    ),
    *rows(
        "embed_jobs /v1/embed-jobs",
        ("create", "POST", "", "makes=embed_job texts models spends"),
        ("list", "GET", "", "lists"),
        ("get", "GET", "/{id}", "makes=output"),
        ("cancel", "POST", "/{id}/cancel", ""),
    ),
    *rows(
        "batches /v2/batches",
        ("create", "POST", "", "makes=cohere_batch texts models spends"),
        ("list", "GET", "", "lists"),
        ("retrieve", "GET", "/{id}", "makes=output"),
        ("cancel", "POST", "/{id}:cancel", ""),
    ),
    *rows(
        "connectors /v1/connectors",
        ("create", "POST", "", "makes=connector"),
        ("list", "GET", "", "lists"),
        ("get", "GET", "/{id}", ""),
        ("update", "PATCH", "/{id}", ""),
        ("delete", "DELETE", "/{id}", ""),
        ("o_auth_authorize", "POST", "/{id}/oauth/authorize", ""),
    ),
    *rows(
        "finetuning /v1/finetuning/finetuned-models",
        ("create_finetuned_model", "POST", "", "makes=finetuned_model texts spends"),
        ("list_finetuned_models", "GET", "", "lists"),
        ("get_finetuned_model", "GET", "/{id}", ""),
        ("update_finetuned_model", "PATCH", "/{id}", "texts spends"),
        ("delete_finetuned_model", "DELETE", "/{id}", ""),
        ("list_events", "GET", "/{id}/events", ""),
        ("list_training_step_metrics", "GET", "/{id}/training-step-metrics", ""),
    ),
    *rows("cohere /v1", ("classify", "POST", "/classify", "texts model")),
    *rows("v2 /v2", ("parse", "POST", "/parse", "texts model")),
)
#: Lists: what theirs is called, and how their pages are turned: by a number, by a token, or there is only one.
PAGED = {
    "datasets.list": ("datasets", "offset"), "embed_jobs.list": ("embed_jobs", ""),
    "batches.list": ("batches", "page_token"), "connectors.list": ("connectors", "offset"),
    "finetuning.list_finetuned_models": ("finetuned_models", "page_token"),
}  # fmt: skip
#: Finds the method that an address is, and the names in it.
find = Table(ROWS).find

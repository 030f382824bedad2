"""The addresses of what Gemini keeps, and what serves each; see `gemini_kept`."""

from __future__ import annotations

from polyport.operations import Operation
from polyport_gateway.gemini_caches import Caching, Lengthening
from polyport_gateway.gemini_kept import Content, Keeping, Listing, Making, row
from polyport_gateway.gemini_media import Downloading

_ONE = Keeping()
#: Addresses of things, those that end with what is to be done first. The names of functions are those of Google's
#: SDK, and so the ledger's.
KEPT: tuple[tuple[Operation, Keeping], ...] = (
    (row("GET", "/files", "files.list"), Listing("files")),
    (row("GET", "/files/{file_id}:download", "files.download"), Downloading()),
    (row("GET", "/files/{file_id}", "files.get"), _ONE),
    (row("DELETE", "/files/{file_id}", "files.delete"), _ONE),
    (row("POST", "/cachedContents", "caches.create"), Caching()),
    (row("GET", "/cachedContents", "caches.list"), Listing("cachedContents")),
    (row("GET", "/cachedContents/{cache_id}", "caches.get"), _ONE),
    (row("PATCH", "/cachedContents/{cache_id}", "caches.update"), Lengthening()),
    (row("DELETE", "/cachedContents/{cache_id}", "caches.delete"), _ONE),
    (row("POST", "/fileSearchStores", "file_search_stores.create"), Making("store")),
    (row("GET", "/fileSearchStores", "file_search_stores.list"), Listing("fileSearchStores")),
    (row("POST", "/fileSearchStores/{store_id}:importFile", "file_search_stores.import_file"), _ONE),
    (row("GET", "/fileSearchStores/{store_id}", "file_search_stores.get"), _ONE),
    (row("DELETE", "/fileSearchStores/{store_id}", "file_search_stores.delete"), _ONE),
    (row("GET", "/fileSearchStores/{store_id}/documents", "documents.list"), _ONE),
    (row("GET", "/fileSearchStores/{store_id}/documents/{document_id}", "documents.get"), _ONE),
    (row("DELETE", "/fileSearchStores/{store_id}/documents/{document_id}", "documents.delete"), _ONE),
    (row("GET", "/fileSearchStores/{store_id}/media/{media_id}", "file_search_stores.download_media"), Content()),
    (row("GET", "/fileSearchStores/{store_id}/operations/{operation_id}", "operations.get"), _ONE),
    (row("GET", "/fileSearchStores/{store_id}/upload/operations/{operation_id}", "operations.get"), _ONE),
    (row("POST", "/tunedModels", "tunings.tune"), Making("tuned", told="baseModel", guarded="what a model learns")),
    (row("GET", "/tunedModels", "tunings.list"), Listing("tunedModels")),
    (row("GET", "/tunedModels/{tuned_id}", "tunings.get"), _ONE),
    (row("PATCH", "/tunedModels/{tuned_id}", "models.update"), _ONE),
    (row("DELETE", "/tunedModels/{tuned_id}", "models.delete"), _ONE),
    (row("POST", "/tunedModels/{tuned_id}/operations/{operation_id}:cancel", "tunings.cancel"), _ONE),
    (row("GET", "/tunedModels/{tuned_id}/operations/{operation_id}", "operations.get"), _ONE),
)

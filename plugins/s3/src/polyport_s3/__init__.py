"""Object stores for polyport: the store of a cache that outlives machines."""

from __future__ import annotations

from polyport_s3.cache import S3Cache

__all__ = ["S3Cache"]

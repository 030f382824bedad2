"""Redis for polyport: the store of a cache that several processes share."""

from __future__ import annotations

from polyport_redis.cache import RedisCache
from polyport_redis.connections import Connections

__all__ = ["Connections", "RedisCache"]

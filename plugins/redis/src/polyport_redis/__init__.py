"""Redis for polyport: what several processes share, answers of a cache and the state of a router."""

from __future__ import annotations

from polyport_redis.cache import RedisCache
from polyport_redis.connections import Connections
from polyport_redis.state import RedisState

__all__ = ["Connections", "RedisCache", "RedisState"]

"""The router: model groups over deployments, strategies, fallbacks, cooldowns and limits."""

from polyport.router.policies import AllowedFailsPolicy, RetryPolicy
from polyport.router.router import Router

__all__ = ["AllowedFailsPolicy", "RetryPolicy", "Router"]

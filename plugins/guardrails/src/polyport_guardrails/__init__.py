"""Guardrails, by name in the group `polyport.guardrails`. Loading one imports its own module and no other.

offline   regex, deny-list (patterns.py), pii (pii.py, entities.py, numbers.py), prompt-injection (injection.py),
          size-limits (limits.py), json-schema (schemas.py)
services  presidio, aporia, lakera, bedrock, moderation: a module each
"""

"""Signing on: who people and services are, where a key is not what they have.

credential.py  where a caller's key or session stands in a request
settings.py    general_settings' part of it, checked
sessions.py    the signed cookie of a person who is signed in
people.py      a person of a provider -> a user of ours, with role and teams
door.py        /auth: signing in and out over HTTP
"""

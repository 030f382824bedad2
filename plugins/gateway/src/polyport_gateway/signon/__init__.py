"""Signing on: who people and services are, where a key is not what they have.

credential.py  where a caller's key or session stands in a request
settings.py    general_settings' part of it, checked
sessions.py    the signed cookie of a person who is signed in
callback.py    signing in at a provider: the browser goes there, and comes back
oidc.py        OpenID Connect, as a client of one provider
directory.py   names and passwords of a directory; questions.py, lookup.py: how one server is asked, by LDAP
tokens.py      JWTs of services, as who calls
issuer.py      a server that signs, and how it is asked
jwks.py        what it signed, and its keys
people.py      a person of a provider -> a user of ours, with role and teams
audit.py       what the audit log keeps of it
door.py        /auth: signing in and out over HTTP
"""

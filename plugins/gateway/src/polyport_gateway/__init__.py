"""One URL for every model: polyport behind the HTTP interfaces that official SDKs speak.

gate.py      who may call, and what it came to: the seam to the accounts
commands.py  polyport serve, polyport config              server.py    one socket, workers, signals
config.py    config.yaml -> Config -> Router              running.py   a configuration at work
app.py       the ASGI application                         health.py    is it alive, is it ready
exchange.py  one request from top to bottom               asked.py     bodies -> parameters; what callers may not say
surfaces.py  the routes, from the table of operations     replies.py   results -> JSON, events, headers
surface.py   what a surface is; openai.py, anthropic.py, cohere.py, gemini.py are those there are
assembly.py  accounts, surfaces and parts put together   desk.py       management over HTTP
limits.py, ledger.py, journal.py, store/: the accounts
signon/      people's sessions, OpenID Connect, LDAP, JWTs of services
"""

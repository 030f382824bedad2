"""One URL for every model: polyport behind the HTTP interfaces that official SDKs speak.

gate.py      who may call, and what it came to: the seam to the accounts
config.py    config.yaml -> Config -> Router              commands.py  polyport serve, polyport config
app.py       the ASGI application, one request from top to bottom
asked.py     bodies -> parameters of a call: JSON, multipart, bounded; what callers may not say
replies.py   results -> JSON, bytes, events; the headers that go with them
surfaces.py  the routes, from the table of operations; openai.py, anthropic.py, cohere.py, gemini.py: each one's shapes
health.py    is it alive, is it ready                     server.py    sockets, workers, signals
"""

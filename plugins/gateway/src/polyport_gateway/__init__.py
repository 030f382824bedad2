"""One URL for every model: polyport behind the HTTP interfaces that official SDKs speak.

A request    server app exchange asked replies     one socket; the ASGI application; one request from top to bottom
Interfaces   surfaces surface openai anthropic     the routes, from core's table of operations, each on its surface
             gemini* cohere counting
             passthrough tapping realtime sessions a provider's own endpoints and WebSockets, accounted
             minting client_secrets begun          what browsers hold such sessions with; who began something
             resources keeping cohere_*            what an account keeps: vector stores, conversations, data sets ...
             endpoints forwards                    addresses of the operator's own that lead elsewhere
Behind it    config foreign running reloading      config.yaml, LiteLLM's as well; what serves now; another one
The seam     gate fence refusing                   who may call, and what it came to; what nobody may ask
Accounts     keeper admitted identity limits       the gate with accounts: who calls, what is reserved
             shared                                the same for several replicas, in Redis
             custom_auth custom_keys issuing       who calls by the operator's word; what keys may be made
             estimate policy terms owning purses   what a call may cost; what holds for whom; whose a file is
             ledger lines entries journal rollups  what it did cost, kept through kill -9
             rows store/                           what is in the database; the database
             upkeep retention notices prompts      what is done now and then
Management   desk management fields spending       over HTTP: keys, users, teams, budgets, reports, the audit log
             standing asking console showing
             signon/ ui/                           people's sessions, OpenID Connect, LDAP, JWTs; the admin pages
Operation    health checks recent metrics counts   is it alive, are its models; Prometheus, traces, OpenAPI
             tracing openapi team_observers
Put together assembly                              parts: applications by the first word of their addresses
At a shell   commands serving remote               polyport serve, config, keys, spend
"""

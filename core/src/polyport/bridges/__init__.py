"""Operations that stand on chat: what answers where a provider has `chat` and not the operation's own hook.

Each bridge is a flow, `over_chat(request, chat)`: the request becomes a ChatRequest, the completion (or its chunks)
becomes the operation's result (or its events). The operations table names them.
"""

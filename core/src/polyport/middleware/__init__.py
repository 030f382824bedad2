"""Functions that wrap a flow: `(call, proceed) -> Flow`. They are to an operation what layers are to an onion."""

"""Guardrails: what may not be asked, and what may not be answered.

verdicts.py   what a guardrail sees, and what it may say: Pass, Block, Mask
guardrail.py  Guardrail, the base class of plugins
texts.py      the texts of a request or a result, with their paths, and back
shapes.py     which parameters and fields of each operation hold text
checking.py   one guardrail asked, failing closed
escapes.py    JSON text as people read it
pieces.py     the texts of a stream's chunks
windows.py    a stream judged window by window
rules.py      configuration entries -> rules
custom.py     guardrails that are a Python path or a file
polyport.middleware.guardrails: the layer itself
"""

"""For people who write plugins: the contract to hold a provider to, and a simulated wire to test over.

`ProviderContract` is subclassed in a plugin's tests; `conformance(name)` runs the same checks on an installed
plugin, without pytest; `Wire` stands for the network.
"""

from __future__ import annotations

from polyport.testing.contract import Case, ProviderContract, cases
from polyport.testing.exchange import IN_PROCESS, Exchange
from polyport.testing.report import Row, conformance
from polyport.testing.wire import Reply, Sent, Wire

__all__ = ["IN_PROCESS", "Case", "Exchange", "ProviderContract", "Reply", "Row", "Sent", "Wire", "cases", "conformance"]

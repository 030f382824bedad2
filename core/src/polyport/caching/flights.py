"""One request for many askers: who asks for what is already on its way waits for that answer.

There is no effect to wait for another flow, and a blocking wait would stop a simulation for ever, whose flows share
one thread. So those that wait look again after a while, by `Sleep`, which every driver performs: after 1 ms, then 2, 4
... 50 ms. A flight is over when its flow is, however that ended; after LONGEST a waiter asks for itself.
"""

from __future__ import annotations

import threading

from polyport.flow import Flow, Sleep

FIRST_LOOK, LAST_LOOK, LONGEST = 0.001, 0.05, 60.0


class Flight:
    """One request on its way. `value` is the answer's entry, None where it failed or is not to be shared."""

    __slots__ = ("landed", "value")

    def __init__(self) -> None:
        self.landed = False
        self.value: bytes | None = None

    def wait(self) -> Flow[bytes | None]:
        """Return the answer's entry when it is there; None where there will be none."""
        look, waited = FIRST_LOOK, 0.0
        while not self.landed and waited < LONGEST:
            yield Sleep(look)
            waited += look
            look = min(look * 2, LAST_LOOK)
        return self.value


class Flights:
    """The requests on their way, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}

    def join(self, key: str) -> tuple[Flight, bool]:
        """Return the key's flight, and whether it begins here: then `land` must follow."""
        with self._lock:
            found = self._flights.get(key)
            if found is not None:
                return found, False
            made = self._flights[key] = Flight()
            return made, True

    def land(self, key: str, flight: Flight) -> None:
        """End a flight."""
        flight.landed = True
        with self._lock:
            self._flights.pop(key, None)

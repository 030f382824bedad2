"""Observing calls: who is told of a call when it is over, what they are told, and the thread that tells them."""

from polyport.observing.dispatcher import Dispatcher, flush_callbacks, shared
from polyport.observing.event import Event, Failure, Observer

__all__ = ["Dispatcher", "Event", "Failure", "Observer", "flush_callbacks", "shared"]

"""Bytes to events and values to bytes, with no knowledge of any provider."""

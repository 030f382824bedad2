"""`size-limits`: how long texts may be, and how many there may be."""

from __future__ import annotations

from polyport.errors import BadRequestError
from polyport.guarding.guardrail import Guardrail
from polyport.guarding.verdicts import PASS, Block, Seen, Verdict
from polyport.types.guard import Finding


class SizeLimits(Guardrail):
    """Blocks what is longer than it may be: `max_characters` of all texts together, `max_text` of one of them,
    `max_texts` how many. A stream is cut off where it becomes too long.
    """

    def __init__(
        self, *, max_characters: int | None = None, max_text: int | None = None, max_texts: int | None = None
    ) -> None:
        super().__init__()
        if max_characters is None and max_text is None and max_texts is None:
            raise BadRequestError("A size-limits guardrail needs max_characters, max_text or max_texts")
        self.max_characters, self.max_text, self.max_texts = max_characters, max_text, max_texts

    #: All that was said counts, so all of it is shown; it is judged when it is complete.
    window: int | None = None

    def check(self, seen: Seen) -> Verdict:
        """Count."""
        sizes = [len(one.text) for one in seen.texts]
        if self.max_texts is not None and len(sizes) > self.max_texts:
            return Block(f"it has {len(sizes)} texts, and {self.max_texts} are allowed")
        if self.max_characters is not None and sum(sizes) > self.max_characters:
            return Block(f"it has {sum(sizes)} characters, and {self.max_characters} are allowed")
        long = [one for one in seen.texts if self.max_text is not None and len(one.text) > self.max_text]
        if long:
            findings = [Finding("TOO_LONG", one.where) for one in long]
            return Block(f"a text has {max(sizes)} characters, and {self.max_text} are allowed", findings)
        return PASS

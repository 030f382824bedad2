"""One name, several deployments: a router, with a cache, a guardrail and an observer around it. All in this process."""

import re
import sys

import polyport
from polyport.guarding.verdicts import Edit, Mask, Pass

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"


class NoTelephones(polyport.Guardrail):
    """Telephone numbers leave this process masked, and come back so."""

    modes = ("pre_call", "post_call")

    def check(self, seen):
        """Mask each number in every text."""
        edits = [
            Edit(place, match.start(), match.end(), "[telephone]")
            for place, one in enumerate(seen.texts)
            for match in re.finditer(r"\b\d{3}-\d{4}\b", one.text)
        ]
        return Mask(edits) if edits else Pass()


def tell(event):
    what = "failed" if event.error else "cached" if event.cache_hit else f"answered after {event.attempts} attempts"
    print(f"  observed: {event.group} {what} ({event.deployment or 'nobody was asked'})")


router = polyport.Router(
    [
        # Nobody listens at the first address: it fails, rests, and the other one answers.
        {
            "model_name": "chat",
            "params": {"model": "openai/gpt-4o", "api_base": "http://127.0.0.1:9/v1", "api_key": "x", "order": 0},
            "model_info": {"id": "away"},
        },
        {"model_name": "chat", "params": {"model": model, "order": 1, "rpm": 60}, "model_info": {"id": "here"}},
    ],
    routing_strategy="least-busy",
    allowed_fails=0,
    cooldown_time=60,
    cache=polyport.Cache("memory"),
    guardrails=[NoTelephones("telephones")],
    callbacks=[tell],
)
question = [{"role": "user", "content": "My number is 555-1234. Say hello."}]
with router:
    for _ in range(2):
        answer = router.completion("chat", question, max_tokens=32)
        print(f"{answer.meta.provider} said: {answer.text}")
        polyport.flush_callbacks()
    for one in router.explain("chat", question).considered:
        print(f"  {one.id}: {'would be taken' if one.taken else one.why}")

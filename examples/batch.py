"""Many requests for any provider, with OpenAI's batch lines. Kill it and run it again: it goes on where it was."""

import sys
import tempfile
from pathlib import Path

import polyport
from polyport.batching import Progress

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"
lines = [
    {
        "custom_id": f"question-{number}",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": model,
            "messages": [{"role": "user", "content": f"What is {number} plus {number}?"}],
            "max_tokens": 24,
        },
    }
    for number in range(6)
]

with tempfile.TemporaryDirectory() as folder:
    results = Path(folder) / "results.jsonl"

    def progress(report: Progress) -> None:
        print(f"{report.done} of {report.total}, {report.failed} failed")

    for line in polyport.run_batch(lines, resume=results, concurrency=3, progress=progress):
        body = line.response["body"] if line.response else line.error
        print(line.custom_id, "->", body["choices"][0]["message"]["content"] if line.ok else body)
    again = polyport.run_batch(lines, resume=results)  # nothing is asked twice
    print(len(again), "results,", len(results.read_text().splitlines()), "lines in the file")

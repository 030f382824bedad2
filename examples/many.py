"""64 questions at once, asynchronously, over one client; the first failure does not lose the other answers."""

import asyncio
import sys
import time

import polyport

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 64


async def ask(client: polyport.Client, number: int) -> str:
    question = [{"role": "user", "content": f"Write the number {number} as a word."}]
    answer = await client.acompletion(model, question, temperature=0, max_tokens=8)
    return answer.text


async def main() -> None:
    async with polyport.Client(timeout=300, num_retries=3) as client:
        start = time.perf_counter()
        answers = await asyncio.gather(*(ask(client, number) for number in range(COUNT)), return_exceptions=True)
        seconds = time.perf_counter() - start
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    print(f"{len(answers) - len(failed)} answers in {seconds:.2f} s, {len(failed)} failed")
    print("the first:", answers[0])


asyncio.run(main())

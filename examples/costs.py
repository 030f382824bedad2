"""What calls cost: said of each, worked out beforehand, by prices of your own, and kept within a budget."""

import sys

import polyport

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"
ask = [{"role": "user", "content": "What is the capital of France?"}]

# Prices are known of most models; yours stand in place of them: from a file, or as here, in USD per token.
polyport.register_prices({model: {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}})

tokens = polyport.token_counter(model, messages=ask)
print(f"before: {tokens} tokens ({tokens.how})")

answer = polyport.completion(model, ask, max_tokens=32)
print(f"cost: ${answer.meta.cost:.6f}")
if answer.meta.bill is not None:
    for line in answer.meta.bill.lines:
        print(f"  {line.quantity} {line.unit} at ${line.price} a million")
print(f"by hand: {polyport.completion_cost(completion_response=answer, model=model):.6f}")

with polyport.Client(max_budget=0.00001) as careful:
    try:
        careful.completion(model, ask)
    except polyport.BudgetExceededError as error:
        print(f"refused: {error}")

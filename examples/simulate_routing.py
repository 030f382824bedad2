"""Which routing strategy would do best? All of them on the same traffic, with the same faults; nothing is sent.

    python examples/simulate_routing.py [FOLDER]      # writes a picture of each strategy there

`polyport simulate examples/simulate_routing.yaml --compare --picture out.svg` does the same.
"""

import sys
from pathlib import Path

from polyport.simulating import compare, load

config = load(Path(__file__).with_suffix(".yaml"))
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None

for report in compare(config.router, config.setting):
    shares = ", ".join(f"{one.id} {one.share:.0%}" for one in report.deployments)
    print(
        f"{report.strategy:25} {report.success_rate:8.2%} of {report.calls} calls, p99 {report.latency.p99:5.1f} s, "
        f"{report.attempts_per_call:.2f} attempts a call, ${report.cost:.2f}: {shares}"
    )
    if folder:
        (folder / f"{report.strategy}.svg").write_text(report.picture())

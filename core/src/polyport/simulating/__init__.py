"""Simulations: a routing policy run against simulated deployments, on a virtual clock; nothing is sent.

    from polyport.simulating import simulate

    report = simulate(router, traffic={"rps": 50, "hours": 1, "streams": 0.5},
                      deployments={"east": {"latency": {"p50": 0.8, "p99": 4}, "rpm": 500}},
                      faults="east:down@600-900; west:slow*3@20m-; *:429%5", seed=1)
    print(report.success_rate, report.latency.p99, [(one.id, one.share) for one in report.deployments])
    Path("out.svg").write_text(report.picture())

The flows are the real ones: the router's choices, limits, retries, rests and fallbacks, down to the wire. What
deployments are like stands in `servers`, traffic in `traffic`, faults in `faults`, distributions in `distributions`;
`config` reads all of them, and the router, from a file. `polyport simulate` is the same on the command line.
"""

from polyport.simulating.config import Config, load
from polyport.simulating.report import Report
from polyport.simulating.running import Setting, compare, run, simulate
from polyport.simulating.traffic import Traffic

__all__ = ["Config", "Report", "Setting", "Traffic", "compare", "load", "run", "simulate"]

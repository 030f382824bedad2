"""What performs the effects of flows: blocking, asynchronous, or simulated with a virtual clock."""

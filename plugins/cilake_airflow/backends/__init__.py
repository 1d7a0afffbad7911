"""Where the work runs: one module per back end, all with ``run(job)`` and ``Run.kill()``."""

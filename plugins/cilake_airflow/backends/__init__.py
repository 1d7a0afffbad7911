"""Where the jobs run: one module per back end, all with ``run(job)`` and ``Run.kill()``."""

"""Will this test fail in the next run of this job?  See ``spec.MODEL`` and ``CARD.md``."""

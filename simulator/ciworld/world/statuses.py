"""What a test did in a run, in TestGrid's numbers: the largest service has nothing to translate."""

NO_RESULT, PASS, SKIPPED, RUNNING, FAIL, FLAKY = 0, 1, 3, 4, 12, 13

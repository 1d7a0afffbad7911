"""What a test did in a run, in the numbers of the service that shows most: it has nothing to translate."""

NO_RESULT, PASS, SKIPPED, RUNNING, FAIL, FLAKY = 0, 1, 3, 4, 12, 13

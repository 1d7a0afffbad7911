"""Which failures are tried again: all but those that another try would meet again."""

from __future__ import annotations

from typing import Any

PERMANENT = 2
"""The exit code of ``cilake`` for what another try does not fix (``cilake --help``)."""


class UnlessPermanent:
    """A retry policy, which Airflow has from 3.3 on: no other try after the exit code ``PERMANENT``."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> Any:
        """Return Airflow's decision about a failed try."""
        from airflow.sdk.definitions.retry_policy import RetryDecision

        if isinstance(exception, SystemExit) and exception.code == PERMANENT:
            return RetryDecision.fail()
        return RetryDecision.default()

"""Landing: payloads into raw tables, exactly once, without Spark."""

"""What a person or a DAG can do with the lake, one file per verb."""

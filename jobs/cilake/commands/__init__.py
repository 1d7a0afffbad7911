"""What a person or a DAG asks of the lake, one file per verb."""

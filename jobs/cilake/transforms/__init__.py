"""Transforms: one file per table, dataframes in, dataframe out; no reading, no writing."""

"""TestGrid: grids of test results, by dashboard and tab."""

"""What the platform does beside what it could do at most: see docs/reference/benchmarks.md."""

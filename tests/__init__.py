"""The tests. A package, so that `python -m tests.endurance` finds these and not what others installed by this name."""

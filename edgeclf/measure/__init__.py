"""Edge side: measures models. `run_bench` for everything, the other modules for one quantity each.

Nothing is imported here: the process that measures memory imports a module of this package, and must stay lean.
"""

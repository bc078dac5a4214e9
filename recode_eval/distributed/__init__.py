"""Where the work is done beyond this process: models and sandboxes on the machines of a cluster.

An executor gives the pipeline a `Model` and a `Sandbox` like any other, so that records and results
do not depend on it. Importing this package imports no Ray.
"""

"""Many trainings as one: a job a picture, in worker processes of this machine or of a cluster.

- ``listing``: a folder or a list of pictures -> jobs, with every fault of it at once.
- ``errand``: one job as a worker carries it out, in plain data: train or go on, then sample, then judge.
- ``pool``: where errands are carried out, as a contract; ``processes`` and ``cluster`` are the two there are.
- ``book``: ``batch.json``: what became of each job.
- ``drive``: from the book to the workers and back, until all is done or somebody stops it.
- ``cost``, ``display``, ``page``: what it will take, how it goes, what came out of it.
- ``whole``: all of this, from the jobs to the page.

The process that drives imports torch for the page at the end only: it takes little memory, and a fault of a training
cannot reach it.
"""

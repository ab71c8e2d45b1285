"""Quality figures of samples of one picture: features -> statistics -> value.

    pictures.py    tensors in, one form and size        features.py   patches, random projections
    statistics.py  quantiles, nearest neighbours, mean and covariance
    figures.py     swd, coherence, completeness, copy, diversity: no trained network needed
    frechet.py     sifid, with a network handed in      inception.py  that network, weights from a file

    sets.py        the same beside several pictures of a kind

    study.py       figures of files: one picture's samples, or several methods over many pictures
    table.py       the table METRICS

A new figure: a function ``(real, samples) -> float`` in figures.py, one of a set in sets.py, and one line in METRICS.
Score, report and comparison take title, meaning, direction and digits from there.
"""

"""The schema's steps, for Alembic: `env.py` is what it runs, `versions/` are the steps.

A released step is never edited: databases have run it. It says everything literally and imports no
table of ours, since those move on. Both databases run the same steps.
"""

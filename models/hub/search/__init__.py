"""Find the right model: what a query means, what a card is about, and how well the two agree.

Read in this order:

1. `text`        words of five languages as comparable stems.
2. `thesaurus`   concepts of finance and of models, with their terms; data in `thesaurus/*.toml`.
3. `parts`       which part of a card says what it is for, and which mentions things in passing.
4. `constraints` licence, answer time and transparency as a card states them.
5. `profile`     a card as weights of concepts, negated mentions counted the other way.
6. `entry`       everything kept of a card; derived, so it can be deleted and made again.
7. `spelling`    misspelt words of a query.
8. `query`       a query as wishes and exclusions.
9. `topics`      what a query is probably about when it uses no known term; `meaning` helps.
10. `matching`   what one concept is worth to somebody who asked for another.
11. `columns`    all cards side by side; `names` finds a card called by its name.
12. `ranking`    the order; `explain` the reasons; `facets` what a list is narrowed by.
13. `fulltext`   where it is kept: `fulltext_sqlite` (FTS5) or `fulltext_postgres` (tsvector).
14. `index`      the whole: `SearchIndex.sync` and `.search`.

Measured by `make bench-search`, figures in docs/search.md. What it does not do: judge whether a
card is right. A hit says what its author wrote.
"""

from models.hub.search.index import Found, Hit, SearchIndex, Wanted

__all__ = ["Found", "Hit", "SearchIndex", "Wanted"]

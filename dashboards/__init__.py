"""The pages: what the public JSON API serves, set in type.

`blueprint(read)` renders every page from one callable, `read(path) -> JSON`, which answers through
the public routes as the reader of the page. There is no second way to the data, so a page cannot
disagree with the API and cannot show what the API would refuse. Nothing here checks a proof.

- `routes`                which page reads which paths
- `honesty`, `correctness`   the two reports, each read alone; no function here takes both
- `charts`, `bars`        SVG without scripts or inline style; every chart has its table
- `proof`                 where each hash of an inclusion path stands
- `drift`                 input drift, a leading indicator; it reaches no card
- `openapi`               the description of the API as a page
- `marks`, `words`, `render`   the two marks; words and numbers; Jinja and the security headers

Imports nothing of ours.
"""

from dashboards.reading import Problem, ReadError
from dashboards.render import render_error, render_sign_in
from dashboards.routes import blueprint

__all__ = ["Problem", "ReadError", "blueprint", "render_error", "render_sign_in"]

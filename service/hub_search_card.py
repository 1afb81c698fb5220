"""A card for a model that was published without one, written from its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.hub.manifest import Manifest


def card_text(manifest: Manifest) -> str:
    """Markdown with front matter, of what the manifest says and nothing else."""
    return "\n".join(
        [
            "---",
            f"license: {_line(manifest.licence)}",
            f"tags: [{manifest.kind.replace('_', '-')}]",
            "---",
            f"# {manifest.name.replace('-', ' ')}",
            "",
            "## Purpose",
            "",
            f"{_line(manifest.task).rstrip('.')}. {_line(manifest.intended_use)}",
            "",
            "## Data",
            "",
            _line(manifest.training.data),
            "",
            *(
                ["## Method", "", "Gives reasons for each decision.", ""]
                * bool(manifest.reason_codes)
            ),
            *(f"- {_line(feature.description)}" for feature in manifest.features[:16]),
            "",
            "## Contact",
            "",
            f"Owner: {_line(manifest.owner)}",
        ]
    )


def _line(text: str) -> str:
    """One line that YAML and Markdown read as plain text."""
    return " ".join(text.split()).replace(": ", " - ").replace("#", "")

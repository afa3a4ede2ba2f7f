"""What the pictures of all commands share: file formats, colors and fonts."""

from __future__ import annotations

from typing import Any

FORMATS = (".png", ".svg", ".pdf")
COLORS = ("#0b3c5d", "#e0a100", "#c4380d", "#39c2a0")
STYLE: dict[Any, Any] = {"font.size": 11, "axes.titlesize": 14, "axes.titleweight": "bold"}

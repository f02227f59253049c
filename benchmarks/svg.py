"""Small pictures as SVG: stacked bars and lines, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#3b6ea5", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#7a7a7a")
_STYLE = (
    "text{font:13px sans-serif;fill:#24292f}.axis{stroke:#8c959f;stroke-width:1}.paper{fill:#ffffff}"
    ".line{fill:none;stroke-width:2}"
)
_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 720, 170, 90, 22, 10


def bars(title: str, rows: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """Horizontal bars, one a row, stacked of its parts; the sum stands behind each."""
    parts = list(dict.fromkeys(name for values in rows.values() for name in values))
    most = max((sum(values.values()) for values in rows.values()), default=1.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    drawn, top = [], 40
    for name, values in rows.items():
        left = float(_LEFT)
        drawn.append(_text(_LEFT - 8, top + 16, name, "end"))
        for part, value in values.items():
            colour = _COLOURS[parts.index(part) % len(_COLOURS)]
            width = value * scale
            drawn.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
            left += width
        drawn.append(_text(left + 6, top + 16, f"{sum(values.values()):,.0f} {unit}"))
        top += _BAR + _GAP
    if len(parts) > 1:
        drawn += _legend(parts, top + 10)
        top += 34
    return _page(title, drawn, top + 10)


def lines(title: str, rows: Mapping[str, Sequence[tuple[float, float]]], x_name: str, y_name: str) -> str:
    """Lines of (x, y); the vertical axis begins at 0."""
    height, bottom, left, right = 300, 250, 70, _WIDTH - 20
    points = [point for row in rows.values() for point in row]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    top = max(y for _, y in points) * 1.1 or 1.0

    def place(x: float, y: float) -> str:
        across = left + (right - left) * ((x - low) / (high - low) if high > low else 0.5)
        return f"{across:.1f},{bottom - (bottom - 45) * y / top:.1f}"

    drawn = [f'<path class="axis" d="M{left},45V{bottom}H{right}" fill="none"/>']
    for share in (0.0, 0.5, 1.0):
        drawn.append(_text(left - 6, bottom - (bottom - 45) * share + 4, f"{top * share:,.0f}", "end"))
        drawn.append(_text(left + (right - left) * share, bottom + 18, f"{low + (high - low) * share:,.0f}", "middle"))
    drawn.append(_text(left, 38, y_name))
    drawn.append(_text(right, bottom + 36, x_name, "end"))
    for number, row in enumerate(rows.values()):
        path = " ".join(place(x, y) for x, y in row)
        drawn.append(f'<polyline class="line" stroke="{_COLOURS[number % len(_COLOURS)]}" points="{path}"/>')
    return _page(title, [*drawn, *_legend(list(rows), height)], height + 30)


def _legend(names: Sequence[str], top: int) -> list[str]:
    drawn, left = [], 20.0
    for number, name in enumerate(names):
        colour = _COLOURS[number % len(_COLOURS)]
        drawn.append(f'<rect x="{left:.0f}" y="{top}" width="12" height="12" fill="{colour}"/>')
        drawn.append(_text(left + 17, top + 11, name))
        left += 34 + 7.2 * len(name)
    return drawn


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def _page(title: str, drawn: Sequence[str], height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" role="img">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>'
    )
    return "\n".join([head, _text(20, 22, title), *drawn, "</svg>"]) + "\n"

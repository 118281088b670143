"""The memory plan as a picture: time to the right, addresses upwards, a rectangle for each stretch of a ring's life."""

from html import escape

from edge_kws_converters.passes.memory import Block
from edge_kws_converters.program import Program

_WIDTH, _HEIGHT, _LEFT, _TOP = 960, 480, 70, 40
_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f")


def write_plan_svg(program: Program, blocks: list[Block]) -> str:
    """An SVG document of a planned program; its events are rows made, in order."""
    events = max((block.lives.bit_length() for block in blocks), default=1)
    total = max(1, program.arena_bytes)
    size = f"{_WIDTH + _LEFT + 20} {_HEIGHT + _TOP + 40}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(program.name)}: {program.arena_bytes} bytes of arena</text>',
        f'<text x="{_LEFT + _WIDTH / 2}" y="{_TOP + _HEIGHT + 28}" text-anchor="middle">time (rows made: {events})</text>',
    ]
    for step in range(5):
        y = _TOP + _HEIGHT * (1 - step / 4)
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{total * step // 4}</text>')
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
    for index, block in enumerate(blocks):
        height = _HEIGHT * block.bytes / total
        y = _TOP + _HEIGHT * (1 - (block.offset + block.bytes) / total)
        title = f"<title>{escape(block.name)}: {block.bytes} bytes at {block.offset}</title>"
        for first, last in _stretches(block.lives):
            x, width = _LEFT + _WIDTH * first / events, max(0.4, _WIDTH * (last - first) / events)
            box = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
            parts.append(f'<rect {box} fill="{_COLOURS[index % len(_COLOURS)]}" stroke="white" stroke-width="0.2">{title}</rect>')
    return "\n".join([*parts, "</svg>", ""])


def _stretches(lives: int) -> list[tuple[int, int]]:
    """Runs of set bits, as (first, one past the last)."""
    found: list[tuple[int, int]] = []
    at = 0
    while lives:
        skip = (lives & -lives).bit_length() - 1
        lives >>= skip
        run = (~lives & (lives + 1)).bit_length() - 1
        found.append((at + skip, at + skip + run))
        lives >>= run
        at += skip + run
    return found

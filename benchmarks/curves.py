"""Curves of two measurements over the same points, as SVG in a page of its own."""

import html
import math

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 34, 62
REAL, SIMULATED = "#c2410c", "#1d4ed8"

STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; color: #1f2937; background: #fff; margin: 2rem auto; max-width: 1120px; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .2rem } p { color: #4b5563; margin-top: 0 }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(500px, 1fr)); gap: 1rem }
svg { background: #fff; border: 1px solid #e5e7eb; border-radius: 6px; width: 100%; height: auto }
"""


def nice(value):
    """The next of 1, 2, 5, 10, … from value on."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)


def short(value):
    for unit, size in (("M", 1 << 20), ("K", 1 << 10)):
        if value >= size and value % size == 0:
            return f"{value // size}{unit}"
    return f"{value:g}"


class Axes:
    """Values linear from 0, or logarithmic where they span much."""

    def __init__(self, values):
        self.top = max(values)
        self.low = min(v for v in values) if min(values) > 0 else 0.1
        self.log = self.low > 0 and self.top / self.low > 30
        if self.log:
            self.low = 10 ** math.floor(math.log10(self.low))
            self.top *= 1.2
        else:
            self.low, self.top = 0, max(nice(self.top / 5) * math.ceil(self.top / nice(self.top / 5)), 1e-3)

    def y(self, value):
        if self.log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.top / self.low)
        else:
            part = value / self.top
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def ticks(self):
        if not self.log:
            step = nice(self.top / 5)
            return [i * step for i in range(int(self.top / step + 1.001))]
        ticks, at = [], self.low
        while at <= self.top:
            ticks += [at * factor for factor in (1, 2, 5) if at * factor <= self.top]
            at *= 10
        return ticks if len(ticks) < 9 else [t for t in ticks if str(f"{t:e}")[0] == "1"]


def frame(title, axes):
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" '
             f'font-size="11" fill="#4b5563"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
             f'<text x="{LEFT}" y="20" font-size="13" font-weight="600" fill="#111827">{html.escape(title)}</text>']
    for tick in axes.ticks():
        y = axes.y(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    return parts


def legend(profile):
    return (f'<g transform="translate({LEFT} {HEIGHT - 8})"><rect width="10" height="10" y="-9" fill="{REAL}"/>'
            f'<text x="14">real</text><rect width="10" height="10" x="60" y="-9" fill="{SIMULATED}"/>'
            f'<text x="74">{html.escape(profile)}</text></g>')


def line_chart(title, axis, profile, series):
    """`series`: color and (number, cycles) points; the numbers on a scale of powers of two."""
    numbers = sorted({x for _, points in series for x, _ in points})
    axes = Axes([y for _, points in series for _, y in points])
    low, high = math.log2(numbers[0]), math.log2(numbers[-1])
    place = lambda x: LEFT + (math.log2(x) - low) / max(high - low, 1e-9) * (WIDTH - LEFT - RIGHT)  # noqa: E731
    parts = frame(title, axes)
    exponent = math.ceil(low)
    step = max(1, round((high - low) / 9))
    while exponent <= high:
        x = place(2 ** exponent)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#f3f4f6"/>'
                     f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{short(2 ** exponent)}</text>')
        exponent += step
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{html.escape(axis)}</text>')
    for color, points in series:
        if not points:
            continue
        path = " ".join(f"{place(x):.1f},{axes.y(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"/>')
        parts += [f'<circle cx="{place(x):.1f}" cy="{axes.y(y):.1f}" r="2.5" fill="{color}">'
                  f'<title>{short(x)} {axis}: {y:g} cycles</title></circle>' for x, y in points]
    return "".join([*parts, legend(profile), "</svg>"])


def bar_chart(title, profile, rows):
    """`rows`: label, real cycles, simulated cycles, either of which may be None."""
    axes = Axes([v for _, *values in rows for v in values if v])
    parts = frame(title, axes)
    slot = (WIDTH - LEFT - RIGHT) / len(rows)
    for i, (label, *values) in enumerate(rows):
        for which, (value, color) in enumerate(zip(values, (REAL, SIMULATED))):
            if not value:
                continue
            x, y = LEFT + slot * (i + 0.1 + 0.4 * which), axes.y(value)
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{slot * 0.36:.1f}" height="{HEIGHT - BOTTOM - y:.1f}" '
                         f'fill="{color}"><title>{html.escape(label)}: {value:g} cycles</title></rect>')
        x = LEFT + slot * (i + 0.5)
        turn = f' transform="rotate(-40 {x:.1f} {HEIGHT - BOTTOM + 12})"' if len(rows) > 5 else ""
        anchor = "end" if turn else "middle"
        size = 9 if len(rows) > 5 else 11
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 12}" text-anchor="{anchor}" font-size="{size}"{turn}>'
                     f'{html.escape(label[:12])}</text>')
    return "".join([*parts, legend(profile), "</svg>"])


def chart(title, name, axis, points, profile, real, simulated):
    numbers = [p for p in points if p.isdigit()]
    if axis and len(numbers) > 2:
        return line_chart(title, axis, profile, [
            (color, [(int(p), values[name, p]) for p in numbers if values.get((name, p))])
            for color, values in ((REAL, real), (SIMULATED, simulated))])
    return bar_chart(title, profile, [(p, real.get((name, p)), simulated.get((name, p))) for p in points])


def page(heading, profile, sections, real, simulated):
    charts = [chart(title, name, axis, points, profile, real, simulated) for title, name, axis, points in sections if points]
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Microbenchmarks</title><style>{STYLE}</style>'
            f'<h1>Microbenchmarks</h1><p>{html.escape(heading)}. Cycles of the core; the numbers are in the tips of the '
            f'points.</p><div class="grid">{"".join(charts)}</div></html>\n')

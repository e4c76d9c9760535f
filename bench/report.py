"""How a measurement is shown: median with the range it moved in, as a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def table(rows: Sequence[Row]) -> str:
    width = max(len(row.label) for row in rows)
    lines = [f"{'':{width}}  {'median':>10}  {'min':>10}  {'max':>10}  runs"]
    for row in rows:
        low, high = min(row.values), max(row.values)
        lines.append(f"{row.label:{width}}  {row.median:10.2f}  {low:10.2f}  {high:10.2f}  {len(row.values):4}")
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, object]]:
    return [{"label": row.label, "median": row.median, "values": list(row.values)} for row in rows]

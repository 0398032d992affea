"""What a benchmark found: one line of the table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value beside what it is measured against, and the target of the two."""

    name: str
    measured: str
    against: str
    ratio: float | None
    target: str
    reached: bool
    note: str = ""

    def line(self) -> tuple[str, ...]:
        """As the table shows it."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return self.name, self.measured, self.against, ratio, self.target, "yes" if self.reached else "NO"


def at_least(name: str, value: float, floor: float, target: float, unit: str = "/s", note: str = "") -> Figure:
    """More is better: the ratio to the floor must reach the target."""
    ratio = value / floor
    return Figure(name, f"{value:.0f} {unit}", f"{floor:.0f} {unit}", ratio, f"≥ {target}", ratio >= target, note)


def at_most(name: str, value: float, base: float, target: float, unit: str = "ms", note: str = "") -> Figure:
    """Less is better: the ratio to the base must not exceed the target."""
    ratio = value / base
    return Figure(name, f"{value:.2f} {unit}", f"{base:.2f} {unit}", ratio, f"≤ {target}", ratio <= target, note)


def limit(name: str, value: float, target: float, unit: str, note: str = "") -> Figure:
    """A value of its own that must not exceed the target."""
    return Figure(name, f"{value:.2f} {unit}", "–", None, f"≤ {target} {unit}", value <= target, note)

"""A questionnaire: items, points, knock-outs, caps and contradictions as data, and what it scores.

Scores are whole points: capacity and tolerance 0 to 40, knowledge 0 to 20, bands of 20 on the sum.
A class is never above what capacity alone and tolerance alone give, each scaled to 100.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from libs.decider import FieldViolation
from libs.suitability import InvestorClass

CAPACITY_MAX = 40
TOLERANCE_MAX = 40
KNOWLEDGE_MAX = 20
_BAND = 20
_CLASSES = (
    InvestorClass.C1,
    InvestorClass.C2,
    InvestorClass.C3,
    InvestorClass.C4,
    InvestorClass.C5,
)


class Block(Enum):
    WHO_YOU_ARE = "WHO_YOU_ARE"
    KNOWLEDGE = "KNOWLEDGE"
    INCOME = "INCOME"
    TOLERANCE = "TOLERANCE"
    AIMS = "AIMS"


class Part(Enum):
    """What an item's points count for."""

    NONE = "NONE"
    CAPACITY = "CAPACITY"
    TOLERANCE = "TOLERANCE"
    KNOWLEDGE = "KNOWLEDGE"


@dataclass(frozen=True, slots=True)
class Cap:
    """No class above this one, and the name it is told under."""

    name: str
    highest: InvestorClass


@dataclass(frozen=True, slots=True)
class Option:
    key: str
    zh: str
    en: str
    points: int = 0
    cap: Cap | None = None


@dataclass(frozen=True, slots=True)
class Item:
    key: str
    block: Block
    part: Part
    zh: str
    en: str
    options: Sequence[Option]

    def option(self, key: str) -> Option | None:
        return next((option for option in self.options if option.key == key), None)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two answers that cannot both be meant; who gives both is asked again."""

    first: tuple[str, str]
    second: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Questionnaire:
    version: str
    items: Sequence[Item]
    contradictions: Sequence[Contradiction]
    valid_days: int = 365
    remind_days: int = 30
    # In any 24 hours.
    tries_per_day: int = 2


Answers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a sheet comes to; `caps` name what held the class below the sum's."""

    capacity: int
    tolerance: int
    knowledge: int
    class_of_total: InvestorClass
    class_of_capacity: InvestorClass
    class_of_tolerance: InvestorClass
    investor_class: InvestorClass
    caps: tuple[str, ...]


def mistakes(questionnaire: Questionnaire, answers: Answers) -> Sequence[FieldViolation]:
    """What is missing of a whole sheet, or is none of its options."""
    return list(_mistakes(questionnaire, answers))


def _mistakes(questionnaire: Questionnaire, answers: Answers) -> Iterator[FieldViolation]:
    known = {item.key: item for item in questionnaire.items}
    for key in known.keys() - answers.keys():
        yield FieldViolation(f"answers.{key}", "is not answered")
    for key in sorted(answers):
        if key not in known:
            yield FieldViolation(f"answers.{key}", "is no item of this questionnaire")
        elif known[key].option(answers[key]) is None:
            yield FieldViolation(f"answers.{key}", "is none of its options")


def contradictions(questionnaire: Questionnaire, answers: Answers) -> Sequence[FieldViolation]:
    """Pairs of answers that cannot both be meant."""
    return [
        FieldViolation(f"answers.{each.first[0]}", f"contradicts {each.second[0]}")
        for each in questionnaire.contradictions
        if answers.get(each.first[0]) == each.first[1]
        and answers.get(each.second[0]) == each.second[1]
    ]


def assess(questionnaire: Questionnaire, answers: Answers) -> Assessment:
    """The class of a whole sheet. High appetite never lifts low capacity."""
    chosen = [(item, _chosen(item, answers)) for item in questionnaire.items]
    points = MappingProxyType(
        {part: sum(o.points for i, o in chosen if i.part is part) for part in Part}
    )
    capacity, tolerance = points[Part.CAPACITY], points[Part.TOLERANCE]
    knowledge = points[Part.KNOWLEDGE]
    of_total = _class_of(capacity + tolerance + knowledge, 100)
    of_capacity = _class_of(capacity, CAPACITY_MAX)
    of_tolerance = _class_of(tolerance, TOLERANCE_MAX)
    found = min(of_total, of_capacity, of_tolerance)
    caps = ["LOWER_OF_TWO"] if found < of_total else []
    for _, option in chosen:
        if option.cap is not None and option.cap.highest < of_total:
            caps.append(option.cap.name)
            found = min(found, option.cap.highest)
    return Assessment(
        capacity, tolerance, knowledge, of_total, of_capacity, of_tolerance, found, tuple(caps)
    )


def _chosen(item: Item, answers: Answers) -> Option:
    option = item.option(answers[item.key])
    if option is None:
        raise AssertionError("a sheet is checked before it is scored")
    return option


def _class_of(points: int, points_max: int) -> InvestorClass:
    return _CLASSES[min(points * 100 // points_max // _BAND, len(_CLASSES) - 1)]

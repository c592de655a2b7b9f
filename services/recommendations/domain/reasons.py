"""Reasons in words, Chinese and English, from templates by code and the numbers they rest on."""

# ruff: noqa: RUF001 - Chinese text has Chinese punctuation
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from services.recommendations.domain.proposal import Reasoned

FITS_RISK_BAND: Final[str] = "FITS_RISK_BAND"
LOWERS_PORTFOLIO_RISK: Final[str] = "LOWERS_PORTFOLIO_RISK"
LOWER_CORRELATION: Final[str] = "LOWER_CORRELATION"
LOWER_FEE_ALTERNATIVE: Final[str] = "LOWER_FEE_ALTERNATIVE"
HELD_PEERS_BOUGHT: Final[str] = "HELD_PEERS_BOUGHT"
POPULAR_IN_BAND: Final[str] = "POPULAR_IN_BAND"
FITS_HORIZON: Final[str] = "FITS_HORIZON"
WANTED_THEME: Final[str] = "WANTED_THEME"
THEME_BOUGHT: Final[str] = "THEME_BOUGHT"
PLAN_TOP_UP: Final[str] = "PLAN_TOP_UP"
REBALANCE_DRIFT: Final[str] = "REBALANCE_DRIFT"
SELLING_COSTS: Final[str] = "SELLING_COSTS"
SOLD_FIRST: Final[str] = "SOLD_FIRST"
CHEAPER_FROM: Final[str] = "CHEAPER_FROM"
RISK_SHARE: Final[str] = "RISK_SHARE"
VIEW_HELD: Final[str] = "VIEW_HELD"
AT_LIMIT: Final[str] = "AT_LIMIT"
MODEL_SAYS: Final[str] = "MODEL_SAYS"
_SENTENCES_KEPT: Final = 4_096
# Numbers by these names are millionths and read as percent.
_PERCENT: Final = frozenset(
    {
        *("volatility_before", "volatility_after", "fee_this", "fee_other", "risk_share"),
        *("weight_now", "target", "threshold", "weight", "view_return", "confidence", "limit"),
        *("contribution", "similarity", "weight_before_choice", "marginal_risk", "theme_share"),
        *("sold", "past", "sold_alike", "left", "rate_now", "rate_then"),
    }
)
_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    FITS_RISK_BAND: (
        "产品风险等级 {level} 与您的等级 {class} 相匹配。",
        "Its level {level} is within your class {class}.",
    ),
    LOWERS_PORTFOLIO_RISK: (
        "组合年化波动率由 {volatility_before} 变为 {volatility_after}。",
        "The portfolio's yearly volatility goes from {volatility_before} to {volatility_after}.",
    ),
    LOWER_CORRELATION: (
        (
            "与您持仓的相关性仅为 {correlation}（{days} 个交易日）；若占组合的五分之一，"
            "组合年化波动率由 {volatility_before} 变为 {volatility_after}。"
        ),
        (
            "It moves little with what you hold (correlation {correlation} over {days} sessions): "
            "with a fifth of the portfolio in it the yearly volatility goes from "
            "{volatility_before} to {volatility_after}."
        ),
    ),
    LOWER_FEE_ALTERNATIVE: (
        "按您的期限，年费用 {fee_this}，同类份额为 {fee_other}。",
        "Over your horizon it costs {fee_this} a year; the other share class {fee_other}.",
    ),
    HELD_PEERS_BOUGHT: (
        "与您持有相同基金的投资者中有 {investors} 人也购买了它（相似度 {similarity}）。",
        "{investors} investors who hold what you hold bought it too (similarity {similarity}).",
    ),
    POPULAR_IN_BAND: (
        "同一风险等级的投资者近期常买，热度 {popularity}。",
        "Investors of your class band bought it lately (popularity {popularity}).",
    ),
    FITS_HORIZON: (
        "适合您 {months} 个月的投资期限。",
        "It suits your horizon of {months} months.",
    ),
    WANTED_THEME: ("属于您关注的主题：{theme}。", "It is of a theme you asked for: {theme}."),
    THEME_BOUGHT: (
        "您近期申购金额的 {theme_share} 投向主题“{theme}”，为其得分增加 {added}。",
        "{theme_share} of what you bought lately went into {theme}: it adds {added} to the score.",
    ),
    PLAN_TOP_UP: (
        "距离目标还差 {gap} 分。",
        "{gap} minor units are missing to your goal.",
    ),
    REBALANCE_DRIFT: (
        "当前占比 {weight_now}，目标 {target}，超过阈值 {threshold} 时调整。",
        "It is {weight_now} of the portfolio, the target is {target}; the threshold {threshold}.",
    ),
    SELLING_COSTS: (
        "赎回组合的 {sold}，赎回费 {fee} 分；其中 {past} 的持有时间已过各档赎回费期限。",
        (
            "Selling {sold} of the portfolio costs {fee} minor units; "
            "{past} of that is past every step of its redemption fee."
        ),
    ),
    SOLD_FIRST: (
        (
            "先于其他待减持的基金赎回：它的赎回费更低，或近期不会再降低。"
            "若按相同比例减持，它只赎回组合的 {sold_alike}。"
        ),
        (
            "It is sold before others that are too large: selling it costs less, or soon will cost "
            "no less. Were all sold alike, it would be {sold_alike} of the portfolio."
        ),
    ),
    CHEAPER_FROM: (
        "仍高于目标 {left}，留待下次：自 {date} 起赎回费率由 {rate_now} 降为 {rate_then}。",
        (
            "{left} above its target is left for the next time: from {date} on selling it costs "
            "{rate_then} instead of {rate_now}."
        ),
    ),
    RISK_SHARE: (
        "占组合 {weight}，贡献组合风险的 {risk_share}。",
        "{weight} of the portfolio, and {risk_share} of its risk.",
    ),
    VIEW_HELD: (
        "观点：年化 {view_return}，置信度 {confidence}。",
        "A view of {view_return} a year is held with confidence {confidence}.",
    ),
    AT_LIMIT: ("已达上限：{name}（{limit}）。", "It is at a limit: {name} ({limit})."),
    MODEL_SAYS: (
        "模型 {model} 中 {feature} 的贡献为 {contribution}。",
        "In model {model}, {feature} contributed {contribution}.",
    ),
}
_WARNING: Final = (
    (
        "该产品风险等级为 {level}，高于您的风险承受能力等级 {class}，可能造成超出您承受能力的损失。"
        "请确认您已知悉并自愿购买。"
    ),
    (
        "This fund's level {level} is above your class {class}: you may lose more than you can "
        "bear. Confirm that you know this and buy it on your own initiative."
    ),
)


def in_words(reasons: Sequence[Reasoned]) -> tuple[str, str]:
    """Chinese and English, one sentence a reason. A code without a template says only itself."""
    told = [_sentences(reason) for reason in reasons]
    return "".join([zh for zh, _ in told]), " ".join([en for _, en in told])


@lru_cache(maxsize=_SENTENCES_KEPT)
def _sentences(reason: Reasoned) -> tuple[str, str]:
    """Mostly the very same for many investors."""
    zh, en = _TEXTS.get(reason.code, (reason.code, reason.code))
    values = _Values({name: _shown(name, value) for name, value in reason.evidence})
    return zh.format_map(values), en.format_map(values)


def warning(class_name: str, level_name: str) -> tuple[str, str]:
    """The written warning for a fund above the class, Chinese and English."""
    values = {"class": class_name, "level": level_name}
    return _WARNING[0].format_map(values), _WARNING[1].format_map(values)


class _Values(dict[str, str]):
    """A number that was not given is shown as missing, never as a guess."""

    def __missing__(self, key: str) -> str:
        return "?"


def _shown(name: str, value: str) -> str:
    if name in _PERCENT and value.lstrip("-").isdigit():
        return f"{int(value) / 10_000:.2f}%"
    if name == "correlation" and value.lstrip("-").isdigit():
        return f"{int(value) / 1_000_000:.2f}"
    return value

"""Options of a run alone: what the model is told, how it may work, what it may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.commands import options

if TYPE_CHECKING:
    import argparse

    from recode_eval.run.config_parts import BudgetOptions, ConversationOptions, DocsOptions


def add_docs_options(parser: argparse.ArgumentParser, *, several: bool = True) -> None:
    """Add what the prompt tells the model about the update; one arm, or `several`."""
    group = parser.add_argument_group("documentation in the prompt")
    group.add_argument(
        "--docs",
        type=options.names,
        metavar="ARM[,ARM]" if several else "ARM",
        help="what the model is told about the update: none, note, signature, changelog, "
        "wrong-version, mixed, retrieved:DIR, or a file or folder shown as it is"
        f"{'; several are run one after the other and compared' if several else ''} "
        "(default: note)",
    )
    group.add_argument("--no-update-note", action="store_true", help="the same as --docs none")
    group.add_argument(
        "--docs-distractors",
        type=options.positive,
        default=4,
        metavar="K",
        help="mixed: notes about other changes beside the right one (default: 4)",
    )
    group.add_argument(
        "--docs-tokens",
        type=options.positive,
        default=2000,
        metavar="N",
        help="retrieved: most tokens that are shown (default: 2000)",
    )
    group.add_argument(
        "--docs-top",
        type=options.positive,
        default=5,
        metavar="K",
        help="retrieved: most passages that are shown (default: 5)",
    )


def docs_options(arguments: argparse.Namespace) -> DocsOptions:
    """Return them; raises `UsageError`."""
    from recode_eval.errors import UsageError
    from recode_eval.run.config_parts import DocsOptions

    arms = arguments.docs or (["none"] if arguments.no_update_note else ["note"])
    if arguments.no_update_note and arms != ["none"]:
        raise UsageError("--no-update-note means --docs none; give one of them.")
    return DocsOptions(
        arms=arms,
        distractors=arguments.docs_distractors,
        tokens=arguments.docs_tokens,
        top=arguments.docs_top,
    )


def add_conversation_options(parser: argparse.ArgumentParser) -> None:
    """Add how often the model may answer, and what it may use."""
    group = parser.add_argument_group("turns and tools")
    group.add_argument(
        "--turns",
        type=options.positive,
        default=1,
        metavar="N",
        help="answers per sample: after a failure the model sees the traceback and the result of "
        "the visible test, and answers again (default: 1)",
    )
    group.add_argument(
        "--tools",
        type=options.names,
        default=[],
        metavar="TOOL[,TOOL]",
        help="run, read, search: the model may run programs, read the installed library and search "
        "--tool-docs; for servers with tool calls",
    )
    group.add_argument(
        "--tool-docs", type=options.path, metavar="FOLDER", help="the folder that search looks in"
    )
    group.add_argument(
        "--tool-calls",
        type=options.positive,
        default=16,
        metavar="N",
        help="most tool calls per sample (default: 16)",
    )
    group.add_argument(
        "--tool-seconds",
        type=options.number(0, 86400, above=True),
        default=120.0,
        metavar="SECONDS",
        help="most seconds of a sample's tools together (default: 120)",
    )
    group.add_argument(
        "--tool-tokens",
        type=options.positive,
        default=16384,
        metavar="N",
        help="most tokens that the model may write in a sample with tools (default: 16384)",
    )


def conversation_options(arguments: argparse.Namespace) -> ConversationOptions:
    """Return them; raises `UsageError`."""
    from recode_eval.run.config_parts import ConversationOptions

    if not hasattr(arguments, "turns"):  # a command without conversations
        return ConversationOptions()
    return ConversationOptions(
        turns=arguments.turns,
        tools=arguments.tools,
        tool_docs=arguments.tool_docs,
        tool_calls=arguments.tool_calls,
        tool_seconds=arguments.tool_seconds,
        tool_tokens=arguments.tool_tokens,
    )


def add_budget_options(parser: argparse.ArgumentParser) -> None:
    """Add what a run costs, and may cost."""
    group = parser.add_argument_group("cost")
    group.add_argument(
        "--prices",
        type=options.path,
        metavar="FILE",
        help="your own prices.yaml: what tokens or hours cost, and since when",
    )
    group.add_argument(
        "--max-cost",
        type=options.number(0, 1e12, above=True),
        metavar="AMOUNT",
        help="stop before the run costs more, in the currency of --prices",
    )
    group.add_argument(
        "--max-tokens-total",
        type=options.positive,
        metavar="N",
        help="stop before prompts and answers together have more tokens",
    )
    group.add_argument(
        "--batch",
        action="store_true",
        help="send the requests as batch jobs, which some servers sell cheaper",
    )


def budget_options(arguments: argparse.Namespace) -> BudgetOptions:
    """Return them; raises `UsageError`."""
    from recode_eval.run.config_parts import BudgetOptions

    if not hasattr(arguments, "batch"):  # a command without budgets
        return BudgetOptions()
    return BudgetOptions(
        prices=arguments.prices,
        max_cost=arguments.max_cost,
        max_tokens_total=arguments.max_tokens_total,
        batch=arguments.batch,
    )

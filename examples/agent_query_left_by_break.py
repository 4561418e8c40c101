"""An answer of claude-agent-sdk that is read up to its first sentence.

`query()` is an asynchronous generator with a running program and cancel scopes inside. The
`break` leaves it suspended; the garbage collector hands it to a new task, and what it holds
is closed there, too late and in the wrong task. Old versions of the SDK (0.1.50) then cancel
the main task as well.

    ASYNCSCOPE_ENABLE=1 python examples/agent_query_left_by_break.py

Needs `pip install claude-agent-sdk`, but no account: support/agent_cli.py plays the program.
"""

import asyncio
from pathlib import Path

from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, TextBlock, query

PROGRAM = Path(__file__).parent / "support" / "agent_cli.py"


async def first_sentence(question: str) -> str:
    options = ClaudeAgentOptions(cli_path=PROGRAM)
    sentence = ""
    async for message in query(prompt=question, options=options):
        if isinstance(message, AssistantMessage) and isinstance(message.content[0], TextBlock):
            sentence = message.content[0].text
            break
    return sentence


async def main() -> None:
    print(await first_sentence("Where is the mistake?"))
    await asyncio.sleep(0.2)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        print("cancelled by nobody knows whom")

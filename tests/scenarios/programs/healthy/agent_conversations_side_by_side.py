"""Several agent conversations at once, one of them interrupted by its deadline."""
# healthy
# requires: claude-agent-sdk, anyio
import asyncio
from pathlib import Path

import anyio
from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, ClaudeSDKClient, query

CLI = Path(__file__).parents[1] / "support" / "scripted_cli.py"


def options():
    return ClaudeAgentOptions(cli_path=str(CLI))


async def converse(prompts):
    texts = []
    async with ClaudeSDKClient(options()) as client:
        for prompt in prompts:
            await client.query(prompt)
            async for message in client.receive_response():
                if isinstance(message, AssistantMessage):
                    texts.append(message.content[0].text)
    return len(texts)


async def ask_once(prompt):
    return len([message async for message in query(prompt=prompt, options=options())])


async def first_text(prompt):
    first = None
    async for message in query(prompt=prompt, options=options()):
        if first is None and isinstance(message, AssistantMessage):
            first = message.content[0].text
    return first


async def main():
    async with asyncio.TaskGroup() as group:
        talks = [group.create_task(converse(["one", "two"]), name=f"talk-{n}") for n in range(2)]
        once = group.create_task(ask_once("hello"), name="once")
    print([talk.result() for talk in talks], once.result())
    print(await first_text("hello"))
    with anyio.move_on_after(0.01) as scope:
        await converse(["one"] * 100)
    print("interrupted:", scope.cancelled_caught)


if __name__ == "__main__":
    asyncio.run(main())

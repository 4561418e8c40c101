"""connect() runs in a start-up task with its own life; disconnect() in the request."""
# requires: claude-agent-sdk<0.1.51, anyio
# mention: close_conversation
import asyncio
from pathlib import Path

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage

CLI = Path(__file__).parents[1] / "support" / "scripted_cli.py"


async def open_conversation():
    client = ClaudeSDKClient(ClaudeAgentOptions(cli_path=str(CLI)))
    await client.connect()
    return client


async def close_conversation(client):
    await client.disconnect()  # expect: cross_task_scope_exit


async def main():
    client = await asyncio.create_task(open_conversation(), name="warm-up")
    await client.query("hello")
    async for message in client.receive_response():
        if isinstance(message, ResultMessage):
            print("result:", message.result)
    try:
        await close_conversation(client)
        print("closed")
    except RuntimeError as exc:
        print("close failed:", type(exc).__name__)


if __name__ == "__main__":
    asyncio.run(main())

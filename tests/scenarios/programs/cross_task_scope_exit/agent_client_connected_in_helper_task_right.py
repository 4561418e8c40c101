"""One task connects, serves questions from a queue and disconnects."""
# healthy
# requires: claude-agent-sdk, anyio
import asyncio
from pathlib import Path

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage

CLI = Path(__file__).parents[1] / "support" / "scripted_cli.py"


async def own_conversation(questions):
    async with ClaudeSDKClient(ClaudeAgentOptions(cli_path=str(CLI))) as client:
        while (question := await questions.get()) is not None:
            prompt, reply = question
            await client.query(prompt)
            async for message in client.receive_response():
                if isinstance(message, ResultMessage):
                    reply.set_result(message.result)


async def ask(questions, prompt):
    reply = asyncio.get_running_loop().create_future()
    questions.put_nowait((prompt, reply))
    return await reply


async def main():
    questions = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(own_conversation(questions), name="conversation")
        asking = [group.create_task(ask(questions, text), name=text) for text in ("one", "two")]
        await asyncio.wait(asking)
        print([task.result() for task in asking])
        questions.put_nowait(None)
    print("closed")


if __name__ == "__main__":
    asyncio.run(main())

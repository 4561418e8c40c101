#!/usr/bin/env python3
"""Plays the command line program behind claude-agent-sdk: acknowledges control requests on
stdin and answers each user message with some assistant messages and one result."""
import json
import sys

PARTS = ("Let me see.", "Still thinking.", "Here it is.")


def say(**message):
    try:
        print(json.dumps(message), flush=True)
    except BrokenPipeError:
        sys.stdout = None
        sys.exit(0)


def answer_user(text):
    for part in PARTS:
        content = [{"type": "text", "text": part}]
        say(type="assistant", session_id="s", parent_tool_use_id=None,
            message={"role": "assistant", "model": "scripted", "content": content})
    say(type="result", subtype="success", session_id="s", is_error=False, num_turns=1,
        duration_ms=1, duration_api_ms=1, total_cost_usd=0.0, result="finished")


def main():
    if "-v" in sys.argv or "--version" in sys.argv:
        print("2.1.0 (scripted)")
        return
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            say(type="control_response", response={
                "subtype": "success", "request_id": message["request_id"],
                "response": {"commands": []}})
        elif message["type"] == "user":
            answer_user(message)


if __name__ == "__main__":
    main()

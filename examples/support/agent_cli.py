#!/usr/bin/env python3
"""Plays the program behind claude-agent-sdk: JSON lines on stdin and stdout, no network.

Control requests are acknowledged; each user message gets three messages and a result.
"""

import json
import sys
from typing import Any

SENTENCES = ("Let me look.", "It is in the second file.", "Done.")


def say(message: dict[str, Any]) -> None:
    print(json.dumps({"session_id": "example", **message}), flush=True)


def acknowledge(request: dict[str, Any]) -> None:
    response = {"subtype": "success", "request_id": request["request_id"], "response": {}}
    say({"type": "control_response", "response": response})


def converse() -> None:
    for text in SENTENCES:
        content = [{"type": "text", "text": text}]
        message = {"role": "assistant", "model": "example", "content": content}
        say({"type": "assistant", "message": message, "parent_tool_use_id": None})
    numbers = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "total_cost_usd": 0.0}
    say({"type": "result", "subtype": "success", "is_error": False, "result": "Done.", **numbers})


def main() -> None:
    if "-v" in sys.argv or "--version" in sys.argv:
        print("2.1.0 (example)")
        return
    try:
        for line in sys.stdin:
            message = json.loads(line)
            if message["type"] == "control_request":
                acknowledge(message)
            elif message["type"] == "user":
                converse()
    except BrokenPipeError:  # whoever asked has gone
        sys.stderr.close()


if __name__ == "__main__":
    main()

"""Streams as providers send them, one of every kind of event, made up here from the published shapes."""

import json
from typing import Any


def chat_event(choices: list[dict[str, Any]], **members: Any) -> bytes:
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "choices": choices,
        **members,
    }
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def delta(index: int = 0, finish: str | None = None, **members: Any) -> dict[str, Any]:
    return {"index": index, "delta": members, "logprobs": None, "finish_reason": finish}


def chat_usage(output: int, prompt: int = 12) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


DONE = b"data: [DONE]\n\n"

CHAT: list[tuple[bytes, int]] = [
    (chat_event([delta(role="assistant", content="", refusal=None)], usage=None), 0),
    (b": OPENROUTER PROCESSING\n\n", 0),
    (chat_event([delta(reasoning_content="Let me think")], usage=None), 12),
    (chat_event([delta(reasoning="twice", reasoning_content="twice")], usage=None), 5),
    (chat_event([delta(content="Žluť 𝕏")], usage=None, obfuscation="abc"), 11),
    (chat_event([delta(refusal="no")], usage=None), 2),
    (chat_event([delta(content=[{"type": "text", "text": "part"}])], usage=None), 4),
    (
        chat_event(
            [
                delta(
                    tool_calls=[
                        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                )
            ],
            usage=None,
        ),
        0,
    ),
    (chat_event([delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}])], usage=None), 5),
    (chat_event([delta(tool_calls=[{"index": 1, "custom": {"input": "1}"}}])], usage=None), 2),
    (chat_event([delta(function_call={"arguments": "{}"})], usage=None), 2),
    (chat_event([delta(audio={"id": "a", "transcript": "said", "data": "AAAA"})], usage=None), 4),
    (chat_event([delta(finish="tool_calls")], usage=None), 0),
    (chat_event([], usage=chat_usage(40)), 0),
    (DONE, 0),
]
"""Events of a chat stream with their visible bytes."""


def message_event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def block_start(index: int, **block: Any) -> bytes:
    return message_event("content_block_start", index=index, content_block=block)


def block_delta(index: int, **part: Any) -> bytes:
    return message_event("content_block_delta", index=index, delta=part)


def block_stop(index: int) -> bytes:
    return message_event("content_block_stop", index=index)


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {
        "input_tokens": 310,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 20,
        "output_tokens": 1,
        "service_tier": "standard",
    },
}

FOUND = {
    "type": "web_search_result",
    "url": "https://example.org",
    "title": "Found",
    "encrypted_content": "ZW5j",
    "page_age": "1 day",
}

MESSAGES: list[tuple[bytes, int]] = [
    (message_event("message_start", message=MESSAGE), 0),
    (block_start(0, type="thinking", thinking="", signature=""), 0),
    (message_event("ping"), 0),
    (block_delta(0, type="thinking_delta", thinking="Let me see. "), 12),
    (block_delta(0, type="signature_delta", signature="c2lnbmF0dXJl"), 0),
    (block_stop(0), 0),
    (block_start(1, type="redacted_thinking", data="ZW5jcnlwdGVk"), 0),
    (block_stop(1), 0),
    (block_start(2, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}), 0),
    (block_delta(2, type="input_json_delta", partial_json=""), 0),
    (block_delta(2, type="input_json_delta", partial_json='{"query": "ž'), 13),
    (block_delta(2, type="input_json_delta", partial_json='"}'), 2),
    (block_stop(2), 0),
    (block_start(3, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[FOUND]), 0),
    (block_stop(3), 0),
    (block_start(4, type="text", text=""), 0),
    (block_delta(4, type="text_delta", text="Žluť 𝕏"), 11),
    (block_delta(4, type="citations_delta", citation={"type": "web_search_result_location", "cited_text": "x"}), 0),
    (block_stop(4), 0),
    (block_start(5, type="tool_use", id="toolu_1", name="f", input={}), 0),
    (block_delta(5, type="input_json_delta", partial_json='{"a": 1}'), 8),
    (block_stop(5), 0),
    (
        message_event(
            "message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 89}
        ),
        0,
    ),
    (message_event("message_stop"), 0),
]
"""Events of a messages stream with their visible bytes."""


def response_event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_790_000_000,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": "Be brief.",
    "model": "gpt-5-mini-2025-08-07",
    "output": [],
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low", "summary": "auto"},
    "service_tier": "default",
    "store": False,
    "tool_choice": "auto",
    "tools": [],
    "usage": None,
}


def responses_usage(output: int, given: int = 12, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": given + output,
    }


def response_end(kind: str = "completed", **members: Any) -> bytes:
    whole = {**RESPONSE, "status": kind, "usage": responses_usage(40), **members}
    return response_event(f"response.{kind}", sequence_number=99, response=whole)


THOUGHT: dict[str, Any] = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Let me see."}],
    "content": [{"type": "reasoning_text", "text": "Žluť?"}],
    "encrypted_content": "ZW5j",
}
SEARCH: dict[str, Any] = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}
FILES: dict[str, Any] = {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["x"]}
CODE: dict[str, Any] = {
    "id": "ci_1",
    "type": "code_interpreter_call",
    "status": "completed",
    "code": "1+1",
    "container_id": "c",
}
PICTURE: dict[str, Any] = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "AAAA"}
MCP: dict[str, Any] = {
    "id": "mcp_1",
    "type": "mcp_call",
    "server_label": "s",
    "name": "n",
    "arguments": '{"q":1}',
    "output": "found by the server",
}
SAID: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [
        {"type": "output_text", "text": "Žluť 𝕏", "annotations": []},
        {"type": "refusal", "refusal": "no"},
    ],
}
CALL: dict[str, Any] = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "f",
    "arguments": '{"a":1}',
}
CUSTOM: dict[str, Any] = {"id": "ct_1", "type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "grep x"}
SHELL: dict[str, Any] = {
    "id": "sh_1",
    "type": "shell_call",
    "status": "completed",
    "call_id": "call_3",
    "action": {"commands": ["ls", "pwd"], "timeout_ms": None, "max_output_length": None},
}
SHELL_OUTPUT: dict[str, Any] = {
    "id": "sho_1",
    "type": "shell_call_output",
    "status": "completed",
    "call_id": "call_3",
    "output": [{"stdout": "found", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    "max_output_length": None,
}
PATCH: dict[str, Any] = {
    "id": "ap_1",
    "type": "apply_patch_call",
    "status": "completed",
    "call_id": "call_4",
    "operation": {"type": "update_file", "path": "a.txt", "diff": "@@\n-a\n+b"},
}
COMPACTION: dict[str, Any] = {"id": "cmp_1", "type": "compaction", "encrypted_content": "ZW5j"}
OUTPUT = [THOUGHT, SEARCH, FILES, CODE, PICTURE, MCP, SAID, CALL, CUSTOM, SHELL, SHELL_OUTPUT, PATCH, COMPACTION]


def _at(index: int, **members: Any) -> dict[str, Any]:
    return {"item_id": OUTPUT[index]["id"], "output_index": index, **members}


def _added(index: int, **empty: Any) -> tuple[bytes, int]:
    item = {**OUTPUT[index], "status": "in_progress", **empty}
    return response_event("response.output_item.added", output_index=index, item=item), 0


def _item_done(index: int) -> tuple[bytes, int]:
    return response_event("response.output_item.done", output_index=index, item=OUTPUT[index]), 0


def _event(index: int, kind: str, shown: int = 0, **members: Any) -> tuple[bytes, int]:
    return response_event(f"response.{kind}", **_at(index, **members)), shown


RESPONSES: list[tuple[bytes, int]] = [
    (response_event("response.created", sequence_number=0, response=RESPONSE), 0),
    (response_event("response.queued", sequence_number=1, response={**RESPONSE, "status": "queued"}), 0),
    (response_event("response.in_progress", sequence_number=2, response=RESPONSE), 0),
    _added(0, summary=[], content=[]),
    _event(0, "reasoning_summary_part.added", summary_index=0, part={"type": "summary_text", "text": ""}),
    _event(0, "reasoning_summary_text.delta", 7, summary_index=0, delta="Let me ", obfuscation="abc"),
    _event(0, "reasoning_summary_text.delta", 4, summary_index=0, delta="see."),
    _event(0, "reasoning_summary_text.done", summary_index=0, text="Let me see."),
    _event(0, "reasoning_summary_part.done", summary_index=0, part={"type": "summary_text", "text": "Let me see."}),
    _event(0, "reasoning_text.delta", 7, content_index=0, delta="Žluť?"),
    _event(0, "reasoning_text.done", content_index=0, text="Žluť?"),
    _item_done(0),
    _added(1),
    _event(1, "web_search_call.in_progress"),
    _event(1, "web_search_call.searching"),
    _event(1, "web_search_call.completed"),
    _item_done(1),
    _added(2),
    _event(2, "file_search_call.in_progress"),
    _event(2, "file_search_call.searching"),
    _event(2, "file_search_call.completed"),
    _item_done(2),
    _added(3, code=""),
    _event(3, "code_interpreter_call.in_progress"),
    _event(3, "code_interpreter_call_code.delta", 3, delta="1+1"),
    _event(3, "code_interpreter_call_code.done", code="1+1"),
    _event(3, "code_interpreter_call.interpreting"),
    _event(3, "code_interpreter_call.completed"),
    _item_done(3),
    _added(4, result=None),
    _event(4, "image_generation_call.in_progress"),
    _event(4, "image_generation_call.generating"),
    _event(4, "image_generation_call.partial_image", partial_image_b64="AAAA", partial_image_index=0),
    _event(4, "image_generation_call.completed"),
    _item_done(4),
    (response_event("response.mcp_list_tools.in_progress", item_id="mcpl_1", output_index=5), 0),
    (response_event("response.mcp_list_tools.completed", item_id="mcpl_1", output_index=5), 0),
    (response_event("response.mcp_list_tools.failed", item_id="mcpl_1", output_index=5), 0),
    _added(5, arguments="", output=None),
    _event(5, "mcp_call.in_progress"),
    _event(5, "mcp_call_arguments.delta", 7, delta='{"q":1}'),
    _event(5, "mcp_call_arguments.done", arguments='{"q":1}'),
    _event(5, "mcp_call.completed"),
    _event(5, "mcp_call.failed"),
    _item_done(5),
    _added(6, content=[]),
    _event(6, "content_part.added", content_index=0, part={"type": "output_text", "text": "", "annotations": []}),
    _event(6, "output_text.delta", 6, content_index=0, delta="Žluť", logprobs=[]),
    _event(6, "output_text.delta", 5, content_index=0, delta=" 𝕏", logprobs=[]),
    _event(6, "output_text.annotation.added", content_index=0, annotation_index=0, annotation={"type": "url_citation"}),
    _event(6, "output_text.done", content_index=0, text="Žluť 𝕏", logprobs=[]),
    _event(6, "content_part.done", content_index=0, part=SAID["content"][0]),
    _event(6, "content_part.added", content_index=1, part={"type": "refusal", "refusal": ""}),
    _event(6, "refusal.delta", 2, content_index=1, delta="no"),
    _event(6, "refusal.done", content_index=1, refusal="no"),
    _event(6, "content_part.done", content_index=1, part=SAID["content"][1]),
    _item_done(6),
    _added(7, arguments=""),
    _event(7, "function_call_arguments.delta", 5, delta='{"a":'),
    _event(7, "function_call_arguments.delta", 2, delta="1}"),
    _event(7, "function_call_arguments.done", name="f", arguments='{"a":1}'),
    _item_done(7),
    _added(8, input=""),
    _event(8, "custom_tool_call_input.delta", 6, delta="grep x"),
    _event(8, "custom_tool_call_input.done", input="grep x"),
    _item_done(8),
    _added(9, action={"commands": []}),
    _event(9, "shell_call_command.added", command_index=0, command=""),
    _event(9, "shell_call_command.delta", 2, command_index=0, delta="ls"),
    _event(9, "shell_call_command.done", command_index=0, command="ls"),
    _event(9, "shell_call_command.done", 3, command_index=1, command="pwd"),
    _item_done(9),
    _added(10, output=[]),
    _event(10, "shell_call_output_content.delta", command_index=0, delta={"stdout": "found"}),
    _event(10, "shell_call_output_content.done", command_index=0, output=SHELL_OUTPUT["output"]),
    _item_done(10),
    _added(11, operation={"type": "update_file", "path": "a.txt", "diff": ""}),
    _event(11, "apply_patch_call_operation_diff.delta", 8, delta="@@\n-a\n+b"),
    _event(11, "apply_patch_call_operation_diff.done", diff="@@\n-a\n+b"),
    _item_done(11),
    _added(12),
    _event(12, "compaction.compacting"),
    _item_done(12),
    (response_event("response.audio.delta", delta="AAAA"), 0),
    (response_event("response.audio.done"), 0),
    (response_event("response.audio.transcript.delta", output_index=13, delta="said"), 4),
    (response_event("response.audio.transcript.done", output_index=13), 0),
    (response_end(output=OUTPUT), 0),
]
"""Events of a responses stream with their visible bytes."""

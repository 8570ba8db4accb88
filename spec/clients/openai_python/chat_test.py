"""Chat Completions by the official OpenAI SDK, as anybody's program would use it."""

import json

import openai
from pydantic import BaseModel

from sdk import SdkSpec
from talk import FINISH, PIXEL, PROMPT, SAID, SCHEMA, STRICT, for_each_dialect, pairs

MESSAGES = [{"role": "user", "content": PROMPT}]


class Weather(BaseModel):
    city: str
    rain: bool


def tool(name):
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA}}


def told_of(answer, thought):
    message, usage = answer.choices[0].message, answer.usage
    return {
        "text": message.content or "",
        "thought": thought,
        "calls": [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []],
        "finish": FINISH[answer.choices[0].finish_reason],
        "model": answer.model,
        "input": usage.prompt_tokens,
        "cached": usage.prompt_tokens_details.cached_tokens,
        "output": usage.completion_tokens,
    }


@pairs
@for_each_dialect
class ChatSpec(SdkSpec):
    dialect = "openai_chat"

    def ask(self, model, tools, reasoning, streamed):
        body = {"model": model, "messages": MESSAGES, "max_completion_tokens": 4000}
        if tools:
            body["tools"] = [tool(name) for name in tools]
        if reasoning:
            body["reasoning_effort"] = "medium"
        if not streamed:
            answer = self.client.chat.completions.create(**body)
            return told_of(answer, getattr(answer.choices[0].message, "reasoning_content", None) or ""), self.headers
        thought = ""
        with self.client.chat.completions.stream(**body, stream_options={"include_usage": True}) as stream:
            for event in stream:
                if event.type == "chunk" and event.chunk.choices:
                    thought += getattr(event.chunk.choices[0].delta, "reasoning_content", None) or ""
            return told_of(stream.get_final_completion(), thought), self.headers

    def check_a_turn_with_tools(self, to):
        body = {"model": f"{to}/agent", "tools": [tool("look"), tool("ask")], "reasoning_effort": "medium"}
        first = self.client.chat.completions.create(messages=MESSAGES, **body).choices[0].message
        self.assertEqual([call.function.name for call in first.tool_calls], ["look", "ask"])
        found = [{"role": "tool", "tool_call_id": call.id, "content": "found it"} for call in first.tool_calls]
        second = self.client.chat.completions.create(messages=[*MESSAGES, first, *found], **body)
        self.assertEqual(second.choices[0].message.content, "All is found.")

    def check_an_image(self, to):
        content = [
            {"type": "text", "text": PROMPT},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        ]
        self.client.chat.completions.create(model=f"{to}/plain", messages=[{"role": "user", "content": content}])
        self.assertIn(PIXEL, self.house.last()["body"])

    def check_an_answer_by_a_schema(self, to):
        body = {"model": f"{to}/json", "messages": MESSAGES, "response_format": Weather}
        whole = self.client.chat.completions.parse(**body)
        self.assertEqual(whole.choices[0].message.parsed, Weather(city="Paris", rain=True))
        with self.client.chat.completions.stream(**body) as stream:
            streamed = stream.get_final_completion()
        self.assertEqual(streamed.choices[0].message.parsed, Weather(city="Paris", rain=True))

    def check_a_broken_stream(self, to):
        for model in ("breaks", "fails"):
            text = ""
            with self.assertRaises(openai.APIError):
                body = {"model": f"{to}/{model}", "messages": MESSAGES, "extra_headers": STRICT}
                for chunk in self.client.chat.completions.create(**body, stream=True):
                    self.assertIsNone(chunk.choices[0].finish_reason)
                    text += chunk.choices[0].delta.content or ""
            self.assertEqual(text, "one two ")
            with self.assertRaises(openai.APIError), self.client.chat.completions.stream(**body) as stream:
                stream.get_final_completion()

    def check_what_breaks_before_it_began(self, to):
        whole = self.client.chat.completions.create(model=f"whole_{to}", messages=MESSAGES)
        self.assertEqual(whole.choices[0].message.content, SAID)
        self.assertEqual(self.headers["x-route-attempts"], "2")
        with self.client.chat.completions.stream(model=f"stream_{to}", messages=MESSAGES) as stream:
            streamed = stream.get_final_completion()
        self.assertEqual(streamed.choices[0].message.content, SAID)
        self.assertEqual(streamed.choices[0].finish_reason, "stop")
        self.assertEqual(self.headers["x-route-attempts"], "2")

    def check_a_refused_request(self, to):
        for stream in (False, True):
            with self.assertRaisesRegex(openai.BadRequestError, "The mock does not like it"):
                self.client.chat.completions.create(model=f"{to}/refused", messages=MESSAGES, stream=stream)

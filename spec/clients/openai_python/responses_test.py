"""Responses by the official OpenAI SDK."""

import json

import openai
from pydantic import BaseModel

from sdk import SdkSpec
from talk import FINISH, PIXEL, PROMPT, SAID, SCHEMA, STRICT, for_each_dialect, pairs


class Weather(BaseModel):
    city: str
    rain: bool


def tool(name):
    return {"type": "function", "name": name, "parameters": SCHEMA, "strict": False}


def told_of(answer):
    """A Response says that it is completed, whether it calls or not."""
    calls = [item for item in answer.output if item.type == "function_call"]
    thoughts = [part.text for item in answer.output if item.type == "reasoning" for part in [*item.summary, *(item.content or [])]]
    finish = FINISH[answer.status]
    return {
        "text": answer.output_text,
        "thought": "".join(thoughts),
        "calls": [(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
        "finish": "tool_calls" if calls and finish == "stop" else finish,
        "model": answer.model,
        "input": answer.usage.input_tokens,
        "cached": answer.usage.input_tokens_details.cached_tokens,
        "output": answer.usage.output_tokens,
    }


@pairs
@for_each_dialect
class ResponsesSpec(SdkSpec):
    dialect = "openai_responses"

    def ask(self, model, tools, reasoning, streamed):
        body = {"model": model, "input": PROMPT, "max_output_tokens": 4000}
        if tools:
            body["tools"] = [tool(name) for name in tools]
        if reasoning:
            body["reasoning"] = {"effort": "medium", "summary": "auto"}
        if not streamed:
            return told_of(self.client.responses.create(**body)), self.headers
        with self.client.responses.stream(**body) as stream:
            return told_of(stream.get_final_response()), self.headers

    def check_a_turn_with_tools(self, to):
        body = {
            "model": f"{to}/agent",
            "tools": [tool("look"), tool("ask")],
            "reasoning": {"effort": "medium"},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        }
        question = [{"role": "user", "content": PROMPT}]
        first = self.client.responses.create(input=question, **body)
        calls = [item for item in first.output if item.type == "function_call"]
        self.assertEqual([call.name for call in calls], ["look", "ask"])
        found = [{"type": "function_call_output", "call_id": call.call_id, "output": "found it"} for call in calls]
        second = self.client.responses.create(input=[*question, *first.output, *found], **body)
        self.assertEqual(second.output_text, "All is found.")

    def check_an_image(self, to):
        content = [
            {"type": "input_text", "text": PROMPT},
            {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"},
        ]
        self.client.responses.create(model=f"{to}/plain", input=[{"role": "user", "content": content}])
        self.assertIn(PIXEL, self.house.last()["body"])

    def check_an_answer_by_a_schema(self, to):
        body = {"model": f"{to}/json", "input": PROMPT, "text_format": Weather}
        self.assertEqual(self.client.responses.parse(**body).output_parsed, Weather(city="Paris", rain=True))
        with self.client.responses.stream(**body) as stream:
            self.assertEqual(stream.get_final_response().output_parsed, Weather(city="Paris", rain=True))

    def check_a_broken_stream(self, to):
        for model in ("breaks", "fails"):
            body = {"model": f"{to}/{model}", "input": PROMPT, "extra_headers": STRICT}
            events = list(self.client.responses.create(**body, stream=True))
            self.assertEqual("".join(e.delta for e in events if e.type == "response.output_text.delta"), "one two ")
            self.assertEqual(events[-1].type, "response.failed")
            self.assertEqual(events[-1].response.status, "failed")
            self.assertTrue(events[-1].response.error.message)
            # The helper has a final response only of what was completed.
            with self.assertRaises(RuntimeError), self.client.responses.stream(**body) as stream:
                stream.get_final_response()

    def check_what_breaks_before_it_began(self, to):
        self.assertEqual(self.client.responses.create(model=f"whole_{to}", input=PROMPT).output_text, SAID)
        self.assertEqual(self.headers["x-route-attempts"], "2")
        with self.client.responses.stream(model=f"stream_{to}", input=PROMPT) as stream:
            streamed = stream.get_final_response()
        self.assertEqual((streamed.output_text, streamed.status), (SAID, "completed"))
        self.assertEqual(self.headers["x-route-attempts"], "2")

    def check_a_refused_request(self, to):
        for stream in (False, True):
            with self.assertRaisesRegex(openai.BadRequestError, "The mock does not like it"):
                self.client.responses.create(model=f"{to}/refused", input=PROMPT, stream=stream)

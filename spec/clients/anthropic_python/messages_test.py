"""Messages by the official Anthropic SDK, as anybody's program would use it."""

import anthropic
from pydantic import BaseModel

from sdk import SdkSpec
from talk import FINISH, PIXEL, PROMPT, SAID, SCHEMA, STRICT, for_each_dialect, pairs

MESSAGES = [{"role": "user", "content": PROMPT}]


class Weather(BaseModel):
    city: str
    rain: bool


def body_of(model, tools=(), reasoning=False):
    body = {"model": model, "messages": MESSAGES, "max_tokens": 4000}
    if tools:
        body["tools"] = [{"name": name, "input_schema": SCHEMA} for name in tools]
    if reasoning:
        body["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    return body


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def told_of(message):
    """Input tokens are those that no cache knew."""
    cached = message.usage.cache_read_input_tokens or 0
    return {
        "text": text_of(message),
        "thought": "".join(block.thinking for block in message.content if block.type == "thinking"),
        "calls": [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"],
        "finish": FINISH[message.stop_reason],
        "model": message.model,
        "input": message.usage.input_tokens + cached + (message.usage.cache_creation_input_tokens or 0),
        "cached": cached,
        "output": message.usage.output_tokens,
    }


@pairs
@for_each_dialect
class MessagesSpec(SdkSpec):
    dialect = "anthropic_messages"

    def ask(self, model, tools, reasoning, streamed):
        body = body_of(model, tools, reasoning)
        if not streamed:
            raw = self.client.messages.with_raw_response.create(**body)
            return told_of(raw.parse()), raw.headers
        with self.client.messages.stream(**body) as stream:
            return told_of(stream.get_final_message()), stream.response.headers

    def check_a_turn_with_tools(self, to):
        body = body_of(f"{to}/agent", ["look", "ask"], True)
        with self.client.messages.stream(**body) as stream:
            streamed = stream.get_final_message()
        for first in (self.client.messages.create(**body), streamed):
            uses = [block for block in first.content if block.type == "tool_use"]
            self.assertEqual([use.name for use in uses], ["look", "ask"])
            found = [{"type": "tool_result", "tool_use_id": use.id, "content": "found it"} for use in uses]
            turns = [*MESSAGES, {"role": "assistant", "content": first.content}, {"role": "user", "content": found}]
            second = self.client.messages.create(**{**body, "messages": turns})
            self.assertEqual(text_of(second), "All is found.")

    def check_tools_run_by_the_sdk(self, to):
        """It leaves the conversation with the server, where that is Anthropic; the others have to be told all of it again."""
        ran = []

        @anthropic.beta_tool
        def look(text: str) -> str:
            """Looks for something."""
            ran.append(("look", text))
            return "found it"

        @anthropic.beta_tool
        def ask(text: str, call: int) -> str:
            """Asks for something."""
            ran.append(("ask", text))
            return "found it"

        threads = {"thread": False} if to == "anthropic_messages" else {}
        runner = self.client.beta.messages.tool_runner(
            model=f"{to}/agent", messages=MESSAGES, max_tokens=4000, tools=[look, ask], **threads
        )
        self.assertEqual(text_of(runner.until_done()), "All is found.")
        self.assertEqual(sorted(ran), [("ask", PROMPT), ("look", PROMPT)])

    def check_an_image(self, to):
        content = [
            {"type": "text", "text": PROMPT},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        ]
        self.client.messages.create(**{**body_of(f"{to}/plain"), "messages": [{"role": "user", "content": content}]})
        self.assertIn(PIXEL, self.house.last()["body"])

    def check_an_answer_by_a_schema(self, to):
        message = self.client.messages.parse(**body_of(f"{to}/json"), output_format=Weather)
        self.assertEqual(message.parsed_output, Weather(city="Paris", rain=True))

    def check_a_broken_stream(self, to):
        for model in ("breaks", "fails"):
            body = {**body_of(f"{to}/{model}"), "extra_headers": STRICT}
            text = ""
            with self.assertRaises(anthropic.APIError):
                for event in self.client.messages.create(**body, stream=True):
                    self.assertNotEqual(event.type, "message_stop")
                    if event.type == "content_block_delta":
                        text += event.delta.text
            self.assertEqual(text, "one two ")
            with self.assertRaises(anthropic.APIError), self.client.messages.stream(**body) as stream:
                stream.get_final_message()

    def check_what_breaks_before_it_began(self, to):
        raw = self.client.messages.with_raw_response.create(**body_of(f"whole_{to}"))
        self.assertEqual(text_of(raw.parse()), SAID)
        self.assertEqual(raw.headers["x-route-attempts"], "2")
        with self.client.messages.stream(**body_of(f"stream_{to}")) as stream:
            message = stream.get_final_message()
            self.assertEqual((text_of(message), message.stop_reason), (SAID, "end_turn"))
            self.assertEqual(stream.response.headers["x-route-attempts"], "2")

    def check_a_refused_request(self, to):
        for stream in (False, True):
            with self.assertRaisesRegex(anthropic.BadRequestError, "The mock does not like it"):
                self.client.messages.create(**body_of(f"{to}/refused"), stream=stream)

    def check_tokens_counted(self, to):
        few = self.client.messages.count_tokens(model=f"{to}/plain", messages=MESSAGES)
        more = self.client.messages.count_tokens(model=f"{to}/plain", messages=MESSAGES, system="Be brief.")
        self.assertGreater(few.input_tokens, 0)
        self.assertGreater(more.input_tokens, few.input_tokens)

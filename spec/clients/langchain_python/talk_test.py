"""LangChain for Python, by its chat models of OpenAI and Anthropic, with its own retries and time-outs."""

import asyncio
import unittest

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from gateway import KEY, POOR
from talk import FAULTS, PROMPT, SAID, STRICT, TOOLS, Spec


class Weather(BaseModel):
    """What it is like."""

    city: str
    rain: bool


def finder(name):
    @tool(name)
    def find(text: str, call: int = 0) -> str:
        """Finds something."""
        return "found it"

    return find


# LangChain keeps its connections from one call to the next, so that all of them have to be of one loop.
loop = asyncio.Runner()
unittest.addModuleCleanup(loop.close)


# Whole, and as a stream whose pieces are put together as LangChain has it; both by its asynchronous side as well.
def whole(model, *args):
    return model.invoke(*args)


def streamed(model, *args):
    pieces = iter(model.stream(*args))
    return sum(pieces, next(pieces))


def whole_async(model, *args):
    return loop.run(model.ainvoke(*args))


def streamed_async(model, *args):
    async def read():
        return [piece async for piece in model.astream(*args)]

    first, *rest = loop.run(read())
    return sum(rest, first)


ASKED = (whole, streamed, whole_async, streamed_async)


class Talk:
    """The tests of one way to come to the gateway: `model(name, **options)` makes a chat model, `sdk` has the errors it raises."""

    def test_text_and_its_usage(self):
        for ask in ASKED:
            answer = ask(self.model("gemini/plain"), PROMPT)
            self.assertEqual(answer.text, SAID)
            usage = answer.usage_metadata
            self.assertEqual((usage["input_tokens"], usage["input_token_details"]["cache_read"]), (4000, 3000))
            self.assertGreater(usage["output_tokens"], 0)

    def test_parallel_calls(self):
        for ask in ASKED:
            answer = ask(self.model("bedrock_converse/parallel").bind_tools([finder(name) for name in TOOLS]), PROMPT)
            self.assertEqual([call["name"] for call in answer.tool_calls], TOOLS)
            self.assertEqual([call["args"]["text"] for call in answer.tool_calls], [PROMPT] * 3)
            self.assertEqual(len({call["id"] for call in answer.tool_calls}), 3)

    def test_a_turn_goes_on_with_what_its_tools_found(self):
        for ask in ASKED:
            model = self.model("gemini/agent").bind_tools([finder("look"), finder("ask")])
            first = ask(model, [HumanMessage(PROMPT)])
            self.assertEqual([call["name"] for call in first.tool_calls], ["look", "ask"])
            found = [ToolMessage("found it", tool_call_id=call["id"]) for call in first.tool_calls]
            self.assertEqual(ask(model, [HumanMessage(PROMPT), first, *found]).text, "All is found.")

    def test_an_answer_by_a_schema(self):
        model = self.model("openai_chat/json").with_structured_output(Weather, method="json_schema")
        self.assertEqual(model.invoke(PROMPT), Weather(city="Paris", rain=True))

    def test_nothing_is_seen_of_faults_at_the_first_target(self):
        for fault in FAULTS:
            for ask in (whole, streamed):
                with self.subTest(f"{fault}, {ask.__name__}"):
                    self.assertEqual(ask(self.model(f"despite_{fault}"), PROMPT).text, SAID)

    def test_errors_are_those_of_the_sdk(self):
        for status, kind, model, options in (
            (400, self.sdk.BadRequestError, "anthropic_messages/refused", {}),
            (401, self.sdk.AuthenticationError, "openai_chat/plain", {"api_key": "sk-stranger"}),
            (402, self.sdk.APIStatusError, "openai_chat/plain", {"api_key": POOR}),
            (404, self.sdk.NotFoundError, "nobody-has-it", {}),
            (429, self.sdk.RateLimitError, "gemini/limited", {}),
            (503, self.sdk.InternalServerError, "gemini/down", {}),
        ):
            with self.subTest(status), self.assertRaises(kind) as caught:
                self.model(model, **options).invoke(PROMPT)
            self.assertEqual(caught.exception.status_code, status)

    def test_when_everything_fails_its_retries_multiply_nothing(self):
        """The chain has been tried: the SDK below is told not to ask again, and does not."""
        before = self.house.count("gone")
        with self.assertRaises(self.sdk.InternalServerError):
            self.model("all_gone").invoke(PROMPT)
        self.assertLessEqual(self.house.count("gone") - before, 2 + 1)

    def test_a_broken_stream_raises(self):
        for name in ("breaks", "fails"):
            text = ""
            with self.subTest(name), self.assertRaises(self.broken):
                for piece in self.model(f"openai_chat/{name}").stream(PROMPT):
                    text += piece.text
            self.assertEqual(text, "one two ")

    def test_what_takes_too_long(self):
        with self.assertRaises(self.sdk.APITimeoutError):
            self.model("openai_responses/hangs", timeout=0.1, max_retries=0).invoke(PROMPT)

    def test_what_is_cancelled_ends(self):
        async def cancelled():
            await asyncio.wait_for(self.model("openai_responses/hangs").ainvoke(PROMPT), 0.1)

        with self.assertRaises(TimeoutError):
            loop.run(cancelled())


class ChatOpenAISpec(Talk, Spec):
    sdk = openai
    broken = openai.APIError
    more = {}

    def model(self, name, **options):
        base_url = f"{self.house.url}/v1"
        return ChatOpenAI(
            **{"model": name, "api_key": KEY, "base_url": base_url, "stream_usage": True, "default_headers": STRICT, **self.more, **options}
        )


class ChatOpenAIByResponsesSpec(ChatOpenAISpec):
    broken = ValueError  # as LangChain puts what `response.failed` says
    more = {"use_responses_api": True}


class ChatAnthropicSpec(Talk, Spec):
    sdk = anthropic
    broken = anthropic.APIError

    def model(self, name, **options):
        options = {"api_key": KEY, **options}
        return ChatAnthropic(
            **{"model_name": name, "base_url": self.house.url, "max_tokens": 4000, "default_headers": STRICT, **options}
        )

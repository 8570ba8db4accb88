"""What is asked and what must come back, whichever SDK asks: a table of situations, held to for every dialect behind the gateway."""

import unittest

from gateway import House

DIALECTS = ["openai_chat", "openai_responses", "anthropic_messages", "gemini", "bedrock_converse"]

# Letters of two and four bytes, what JSON escapes, a line end.
PROMPT = 'The café is a "quiet" place \\ — at night.\nGood night 🌙, <b>&amp;</b> farewell.'
SAID = f"You said: {PROMPT}"
# One dark pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOLS = ["find_it", "weigh-it", "tell"]
SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "call": {"type": "integer"}},
    "required": ["text"],
}
STRICT = {"x-route-strict": "1"}

# What goes wrong at the first target of a chain despite_... before anything was said.
FAULTS = [
    "connect", "timeout", "first_token", "rate_limited", "overloaded", "server_error", "auth", "quota", "context_length", "not_found",
    "bad_response", "cut_stream",
]


# What the mock makes of it.
def _calls(n):
    return [(name, {"text": PROMPT, "call": i} if i else {"text": PROMPT}) for i, name in enumerate(TOOLS[:n])]


_SITUATIONS = {
    "text": {"model": "plain", "text": SAID},
    "a_tool_call": {"model": "tool", "calls": _calls(1)},
    "parallel_calls": {"model": "parallel", "calls": _calls(3)},
    "reasoning": {"model": "thinker", "text": SAID, "thought": "Somebody said something, so I say it again."},
}

# Of every dialect the name for how an answer ended, and our word for it.
FINISH = {"stop": "stop", "tool_calls": "tool_calls", "end_turn": "stop", "tool_use": "tool_calls", "completed": "stop"}


class Spec(unittest.TestCase):
    """Tests that share one gateway."""

    @classmethod
    def setUpClass(cls):
        cls.house = House()
        cls.addClassCleanup(cls.house.stop)


def _add(cls, name, test):
    test.__name__ = name
    setattr(cls, name, test)


def for_each_dialect(cls):
    """Turns each method `check_...(self, to)` of a class into a test for every dialect behind the gateway."""
    for name in [name for name in dir(cls) if name.startswith("check_")]:
        for to in DIALECTS:
            _add(cls, f"test_{name[6:]}_of_{to}", lambda self, check=getattr(cls, name), to=to: check(self, to))
    return cls


def pairs(cls):
    """Adds the tests of a client dialect to a class, which has a method `ask(model, tools, reasoning, streamed)`: the SDK asks, by its own
    helper when streamed, and what it made of the answer comes back as (told, headers); told has text, thought, calls as
    [(id, name, input)], finish, model, input, cached and output."""
    for to in DIALECTS:
        for name, want in _SITUATIONS.items():
            for streamed in (False, True):

                def test(self, to=to, want=want, streamed=streamed):
                    tools = TOOLS if "calls" in want else []
                    told, headers = self.ask(f"{to}/{want['model']}", tools, "thought" in want, streamed)
                    _check(self, want, to, told, headers)

                _add(cls, f"test_{cls.dialect}_to_{to}_{name}{'_streamed' if streamed else ''}", test)
    return cls


def _check(self, want, to, told, headers):
    self.assertEqual(told["text"], want.get("text", ""))
    self.assertEqual(told["thought"], want.get("thought", ""))
    self.assertEqual([call[1:] for call in told["calls"]], want.get("calls", []))
    ids = [call[0] for call in told["calls"]]
    self.assertTrue(all(ids))
    self.assertEqual(len(set(ids)), len(ids))
    self.assertEqual(told["finish"], "tool_calls" if "calls" in want else "stop")
    self.assertEqual((told["input"], told["cached"]), (4000, 3000))
    self.assertGreater(told["output"], 0)
    self.assertEqual(told["model"], want["model"])
    self.assertEqual(told["model"], headers["x-routed-model"])
    self.assertEqual(headers["x-routed-provider"], to)
    self.assertNotIn("x-route-dropped", headers)

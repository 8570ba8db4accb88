"""What is not an answer of a model: errors in the SDK's own classes, its retries and time-outs, embeddings, the list of models."""

import asyncio

import httpx2
import openai

from gateway import HASTY, KEY, PACED, POOR
from sdk import SdkSpec
from talk import FAULTS, PROMPT, SAID, STRICT

MESSAGES = [{"role": "user", "content": PROMPT}]


class Losing(httpx2.HTTPTransport):
    """Loses the first answer on its way, once it has come whole."""

    def __init__(self):
        super().__init__()
        self.answers = []

    def handle_request(self, request):
        answer = super().handle_request(request)
        self.answers.append(answer)
        if len(self.answers) == 1:
            answer.read()
            raise httpx2.ReadError("the connection broke")
        return answer


class ServiceSpec(SdkSpec):
    def endpoints(self, client=None):
        """The two whose errors have OpenAI's shape."""
        client = client or self.client
        return [
            lambda model, **more: client.chat.completions.create(model=model, messages=MESSAGES, **more),
            lambda model, **more: client.responses.create(model=model, input=PROMPT, **more),
        ]

    def raised(self, kind, status, code, ask, *args, **options):
        with self.assertRaises(kind) as caught:
            ask(*args, **options)
        error = caught.exception
        self.assertEqual((error.status_code, error.code), (status, code))
        self.assertTrue(error.request_id)
        return error

    def test_an_unknown_model(self):
        for ask in self.endpoints():
            self.raised(openai.NotFoundError, 404, "model_not_found", ask, "nobody-has-it")

    def test_a_wrong_key(self):
        for ask in self.endpoints(self.connect(api_key="sk-stranger")):
            self.raised(openai.AuthenticationError, 401, "invalid_api_key", ask, "gemini/plain")

    def test_a_wrong_type_names_the_field(self):
        for ask in self.endpoints():
            error = self.raised(openai.BadRequestError, 400, "invalid_request", ask, 7)
            self.assertEqual(error.param, "model")

    def test_a_key_that_has_spent_its_money(self):
        for ask in self.endpoints(self.connect(api_key=POOR)):
            self.raised(openai.APIStatusError, 402, "cost_cap_reached", ask, "gemini/plain")

    def test_a_key_over_its_own_limit(self):
        ask = self.endpoints(self.connect(api_key=HASTY, max_retries=0))[0]
        ask("gemini/plain")
        error = self.raised(openai.RateLimitError, 429, "rate_limit_exceeded", ask, "gemini/plain")
        self.assertGreater(int(error.response.headers["retry-after"]), 0)

    def test_how_a_key_stands_with_its_limit(self):
        raw = self.connect(api_key=PACED).responses.with_raw_response.create(model="gemini/plain", input=PROMPT)
        self.assertEqual(raw.headers["x-ratelimit-limit-requests"], "6000")
        self.assertEqual(raw.headers["x-ratelimit-remaining-requests"], "5999")
        self.assertEqual(raw.parse().output_text, SAID)

    def test_nothing_is_seen_of_faults_at_the_first_target(self):
        for fault in FAULTS:
            with self.subTest(fault):
                answer = self.client.chat.completions.create(model=f"despite_{fault}", messages=MESSAGES)
                self.assertEqual(answer.choices[0].message.content, SAID)
                with self.client.responses.stream(model=f"despite_{fault}", input=PROMPT) as stream:
                    self.assertEqual(stream.get_final_response().output_text, SAID)

    def test_what_the_chain_has_tried_is_not_asked_again(self):
        for model, kind, status in (("limited", openai.RateLimitError, 429), ("down", openai.InternalServerError, 503)):
            for ask in self.endpoints():
                before = self.house.count(model)
                error = self.raised(kind, status, "fallbacks_exhausted", ask, f"gemini/{model}", extra_headers=STRICT)
                self.assertEqual(error.response.headers["x-should-retry"], "false")
                self.assertEqual(self.house.count(model) - before, len(error.body["route"]["attempts"]))

    def test_when_everything_fails_its_retries_multiply_nothing(self):
        """Once the breakers are open, what was not asked is asked again, after a while; what was asked is not: so the upstream saw what
        the last answer says, the chain and one probe at most."""
        for ask in self.endpoints():
            for _ in range(4):
                before = self.house.count("gone")
                with self.assertRaises(openai.InternalServerError) as caught:
                    ask("all_gone", extra_headers=STRICT)
                headers = caught.exception.response.headers
                attempts = int(headers["x-route-attempts"])
                self.assertLessEqual(attempts, 2 + 1)
                self.assertEqual(headers.get("x-should-retry"), "false" if attempts else None)
                self.assertEqual(self.house.count("gone") - before, attempts)

    def test_what_was_lost_on_its_way_is_made_once(self):
        for at, more in ((0, {}), (0, {"stream": True}), (1, {}), (1, {"stream": True})):
            losing = Losing()
            with openai.DefaultHttpxClient(trust_env=False, transport=losing) as http_client:
                client = self.connect(http_client=http_client)
                client._idempotency_header = "Idempotency-Key"
                before = self.house.count("plain")
                answer = self.endpoints(client)[at]("gemini/plain", **more)
                if more:
                    self.assertTrue(list(answer))
            self.assertEqual(self.house.count("plain") - before, 1)
            first, second = losing.answers
            self.assertEqual(second.headers["idempotent-replayed"], "true")
            self.assertEqual(second.headers["x-idempotent-original"], first.headers["x-request-id"])

    def test_what_takes_too_long(self):
        for ask in self.endpoints(self.connect(timeout=0.1, max_retries=0)):
            with self.assertRaises(openai.APITimeoutError):
                ask("anthropic_messages/hangs", extra_headers=STRICT)

    def test_a_stream_that_is_left(self):
        with self.client.chat.completions.create(model="gemini/plain", messages=MESSAGES, stream=True) as stream:
            self.assertTrue(next(iter(stream)).id)
        self.assertTrue(stream.response.is_closed)

    def test_many_at_once(self):
        async def ask_all():
            http_client = openai.DefaultAsyncHttpxClient(trust_env=False)
            async with openai.AsyncOpenAI(base_url=f"{self.house.url}/v1", api_key=KEY, http_client=http_client) as client:

                async def ask(to):
                    async with client.chat.completions.stream(model=f"{to}/plain", messages=MESSAGES) as stream:
                        return (await stream.get_final_completion()).choices[0].message.content

                return await asyncio.gather(*[ask(to) for to in ("gemini", "bedrock_converse", "anthropic_messages") * 4])

        self.assertEqual(asyncio.run(ask_all()), [SAID] * 12)

    def test_what_is_cancelled_reaches_the_one_that_waits(self):
        async def cancelled():
            http_client = openai.DefaultAsyncHttpxClient(trust_env=False)
            async with openai.AsyncOpenAI(base_url=f"{self.house.url}/v1", api_key=KEY, http_client=http_client) as client:
                asked = client.responses.create(model="openai_responses/hangs", input=PROMPT, extra_headers=STRICT)
                await asyncio.wait_for(asked, 0.1)

        with self.assertRaises(TimeoutError):
            asyncio.run(cancelled())

    def test_embeddings_which_the_sdk_asks_for_in_base64(self):
        body = {"model": "openai_chat/vectors", "input": ["one", "two"]}
        packed = self.client.embeddings.create(**body)
        self.assertIn('"encoding_format":"base64"', self.house.last()["body"])
        plain = self.client.embeddings.create(**body, encoding_format="float")
        self.assertEqual(len(packed.data), 2)
        for one, other in zip(packed.data, plain.data):
            self.assertEqual(len(one.embedding), len(other.embedding))
            for a, b in zip(one.embedding, other.embedding):
                self.assertAlmostEqual(a, b, places=6)
        self.assertNotEqual(plain.data[0].embedding, plain.data[1].embedding)

    def test_models(self):
        ids = [model.id for model in self.client.models.list()]
        self.assertIn("plain", ids)
        self.assertIn("gemini/plain", ids)
        self.assertEqual(self.client.models.retrieve("gemini/plain").id, "gemini/plain")
        self.raised(openai.NotFoundError, 404, "model_not_found", self.client.models.retrieve, "nobody-has-it")

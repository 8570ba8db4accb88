"""What is not an answer of a model: keys, errors in the SDK's own classes, its retries and time-outs, the beta API, the list of models."""

import asyncio

import anthropic

from gateway import HASTY, KEY, POOR
from sdk import SdkSpec
from talk import FAULTS, PROMPT, SAID, STRICT


def body_of(model):
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 100}


class ServiceSpec(SdkSpec):
    def raised(self, kind, status, name, ask, *args, **options):
        with self.assertRaises(kind) as caught:
            ask(*args, **options)
        error = caught.exception
        self.assertEqual(error.status_code, status)
        self.assertEqual((error.body["type"], error.body["error"]["type"]), ("error", name))
        self.assertTrue(error.request_id)
        return error

    def test_a_key_in_either_header(self):
        for keys in ({"api_key": KEY}, {"api_key": None, "auth_token": KEY}):
            answer = self.connect(**keys).messages.create(**body_of("gemini/plain"))
            self.assertEqual(answer.content[0].text, SAID)

    def test_a_wrong_key(self):
        for keys in ({"api_key": "sk-stranger"}, {"api_key": None, "auth_token": "sk-stranger"}):
            ask = self.connect(**keys).messages.create
            self.raised(anthropic.AuthenticationError, 401, "authentication_error", ask, **body_of("gemini/plain"))

    def test_an_unknown_model(self):
        self.raised(anthropic.NotFoundError, 404, "not_found_error", self.client.messages.create, **body_of("nobody-has-it"))

    def test_a_wrong_type_names_the_field(self):
        body = {**body_of("gemini/plain"), "messages": [{"role": "user", "content": 7}]}
        error = self.raised(anthropic.BadRequestError, 400, "invalid_request_error", self.client.messages.create, **body)
        self.assertIn("messages.0.content", str(error))

    def test_a_key_that_has_spent_its_money(self):
        ask = self.connect(api_key=POOR).messages.create
        self.raised(anthropic.APIStatusError, 402, "billing_error", ask, **body_of("gemini/plain"))

    def test_a_key_over_its_own_limit(self):
        ask = self.connect(api_key=HASTY, max_retries=0).messages.create
        ask(**body_of("gemini/plain"))
        error = self.raised(anthropic.RateLimitError, 429, "rate_limit_error", ask, **body_of("gemini/plain"))
        self.assertGreater(int(error.response.headers["retry-after"]), 0)

    def test_nothing_is_seen_of_faults_at_the_first_target(self):
        for fault in FAULTS:
            with self.subTest(fault):
                self.assertEqual(self.client.messages.create(**body_of(f"despite_{fault}")).content[0].text, SAID)
                with self.client.messages.stream(**body_of(f"despite_{fault}")) as stream:
                    self.assertEqual(stream.get_final_text(), SAID)

    def test_what_the_chain_has_tried_is_not_asked_again(self):
        for model, kind, status, name in (
            ("limited", anthropic.RateLimitError, 429, "rate_limit_error"),
            ("down", anthropic.InternalServerError, 503, "overloaded_error"),
        ):
            before = self.house.count(model)
            body = {**body_of(f"gemini/{model}"), "extra_headers": STRICT}
            headers = self.raised(kind, status, name, self.client.messages.create, **body).response.headers
            self.assertEqual(headers["x-should-retry"], "false")
            self.assertEqual(self.house.count(model) - before, int(headers["x-route-attempts"]))

    def test_when_everything_fails_its_retries_multiply_nothing(self):
        """Once the breakers are open, what was not asked is asked again, after a while; what was asked is not: so the upstream saw what
        the last answer says, the chain and one probe at most."""
        body = {**body_of("all_gone"), "extra_headers": STRICT}
        for _ in range(4):
            before = self.house.count("gone")
            error = self.raised(anthropic.InternalServerError, 503, "overloaded_error", self.client.messages.create, **body)
            headers = error.response.headers
            attempts = int(headers["x-route-attempts"])
            self.assertLessEqual(attempts, 2 + 1)
            self.assertEqual(headers.get("x-should-retry"), "false" if attempts else None)
            self.assertEqual(self.house.count("gone") - before, attempts)

    def test_what_takes_too_long(self):
        client = self.connect(timeout=0.1, max_retries=0)
        with self.assertRaises(anthropic.APITimeoutError):
            client.messages.create(**body_of("openai_chat/hangs"), extra_headers=STRICT)

    def test_a_stream_that_is_left(self):
        with self.client.messages.stream(**body_of("bedrock_converse/plain")) as stream:
            self.assertTrue(next(iter(stream.text_stream)))
        self.assertTrue(stream.response.is_closed)

    def test_many_at_once(self):
        async def ask_all():
            http_client = anthropic.DefaultAsyncHttpxClient(trust_env=False)
            async with anthropic.AsyncAnthropic(base_url=self.house.url, api_key=KEY, http_client=http_client) as client:

                async def ask(to):
                    async with client.messages.stream(**body_of(f"{to}/plain")) as stream:
                        return await stream.get_final_text()

                return await asyncio.gather(*[ask(to) for to in ("gemini", "bedrock_converse", "openai_chat") * 4])

        self.assertEqual(asyncio.run(ask_all()), [SAID] * 12)

    def test_what_the_beta_api_asks_for(self):
        """It reaches those that speak it, and no other."""
        betas = ["interleaved-thinking-2025-05-14"]
        for to, header in (("anthropic_messages", betas[0]), ("gemini", None)):
            answer = self.client.beta.messages.create(**body_of(f"{to}/plain"), betas=betas)
            self.assertEqual(answer.content[0].text, SAID)
            self.assertEqual(self.house.last()["headers"].get("anthropic-beta"), header)

    def test_models(self):
        models = list(self.client.models.list())
        self.assertTrue(all(model.type == "model" and model.display_name and model.created_at for model in models))
        ids = [model.id for model in models]
        self.assertIn("plain", ids)
        self.assertIn("gemini/plain", ids)
        self.assertEqual(self.client.models.retrieve("gemini/plain").id, "gemini/plain")
        self.raised(anthropic.NotFoundError, 404, "not_found_error", self.client.models.retrieve, "nobody-has-it")

"""The SDK as every spec here uses it: its own retries, its own time-outs; the last answer's headers are kept, because the stream helpers
do not show them."""

import openai

from gateway import KEY
from talk import Spec


class SdkSpec(Spec):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = cls.connect()

    @classmethod
    def connect(cls, **options):
        def keep(response):
            cls.headers = response.headers

        http_client = openai.DefaultHttpxClient(trust_env=False, event_hooks={"response": [keep]})
        cls.addClassCleanup(http_client.close)
        return openai.OpenAI(**{"base_url": f"{cls.house.url}/v1", "api_key": KEY, "http_client": http_client, **options})

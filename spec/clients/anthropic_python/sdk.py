"""The SDK as every spec here uses it: its own retries, its own time-outs."""

import anthropic

from gateway import KEY
from talk import Spec


class SdkSpec(Spec):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = cls.connect()

    @classmethod
    def connect(cls, **options):
        http_client = anthropic.DefaultHttpxClient(trust_env=False)
        cls.addClassCleanup(http_client.close)
        return anthropic.Anthropic(**{"base_url": cls.house.url, "api_key": KEY, "http_client": http_client, **options})

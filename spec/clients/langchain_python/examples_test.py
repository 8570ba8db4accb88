import examples


class ExamplesSpec(examples.Examples):
    packages = ("langchain_openai", "langchain_anthropic")

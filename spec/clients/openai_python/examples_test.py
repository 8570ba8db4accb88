import examples


class ExamplesSpec(examples.Examples):
    packages = ("openai",)

import examples


class ExamplesSpec(examples.Examples):
    packages = ("anthropic",)

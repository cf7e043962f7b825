# [skillset]
"""Blackens words in texts: those in the model's file, whatever case they are in."""

import re

from troupe_skillset import Option, Response, Signature, Skillset, Tensor, TensorSpec


class Blacken(Skillset):
    name = "blacken"
    version = "1.0"
    options = [Option("mark", "#")]
    signature = Signature([TensorSpec("text", "BYTES", [-1])], [TensorSpec("blackened", "BYTES", [-1])], batches=True)

    def load(self, settings, token):
        words = settings.file("words").read_text().split()
        self.pattern = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
        self.mark = settings.options["mark"]

    def blacken(self, text):
        return self.pattern.sub(lambda word: self.mark * len(word[0]), text)

    def answer(self, request, token):
        texts = [self.blacken(text) for text in request.input("text").strings()]
        return Response([Tensor.of("blackened", "BYTES", texts)])
# [/skillset]

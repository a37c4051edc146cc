"""Vision-language models asked where a photo was taken.

- `asking`: the one protocol, ``ask(image, messages) -> Reply``, what leaves the machine, consent;
- `endpoint`, `pipeline`, `scripted`: three back-ends: any OpenAI-compatible server, a transformers
  pipeline, and a scripted model for lectures without a network;
- `prompts`, `parsing`: least-to-most questions in one call or chained, direct coordinates; answers
  read tolerantly, refusals kept as such;
- `atlas`, `answers`: names to places offline, four levels as parts of one `Posterior`, back-off;
- `cache`: answers on disk with model, date and prompt hash;
- `locator`: photos in, answers out, nothing finer than a city unless told;
- `study`: parse and refusal rates, consistency, calibration of words, cost; leak against withhold.
"""

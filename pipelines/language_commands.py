"""The commands of models of text: `complete` a prompt, `translate`, `fill` in blanks, `tag` words."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import ConfigError
from pipelines.few_shot import TEMPLATE, FewShot, read_examples

if TYPE_CHECKING:
    import numpy as np

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="NAME, NAME@ALIAS or NAME:VERSION; NAME is the champion")
]
TYPED = TEMPLATE.replace("\t", "\\t").replace("\n", "\\n")
Texts = Annotated[list[str], typer.Option("--text", help="may be repeated")]
DOES = {
    "complete": ("completes text", "gpt, lstm, gru, rnn and markov_chain do"),
    "translate": ("translates text", "transformer does"),
    "fill": ("fills in blanks", "masked_lm does"),
    "tag": ("tags words", "hmm does, with model.config.learner 'tags'"),
}


def complete(
    model: Model,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", help="may be repeated; without one, from the beginning")
    ] = None,
    length: Annotated[int, typer.Option(min=1, max=100_000, help="most symbols to be written")] = 200,
    temperature: Annotated[float, typer.Option(help="0: the likeliest symbol each time")] = 1.0,
    top_k: Annotated[int, typer.Option(help="draw from so many likeliest symbols; 0: from all")] = 0,
    top_p: Annotated[float, typer.Option(help="draw from the likeliest with this much together")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="above 1: less of what was there")] = 1.0,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", help="ends before this text; may be repeated")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="the same seed, the same text")] = 0,
    examples: Annotated[
        Path | None,
        typer.Option(
            help='worked examples as JSONL rows {"text": "question\\tanswer"}: prompts are questions'
        ),
    ] = None,
    template: Annotated[
        str, typer.Option(help="how an example is written, \\t and \\n within; what follows {answer} ends it")
    ] = TYPED,
) -> None:
    """Goes on with a text, as a published model of text would; with --examples, answers alone are printed.

    Examples:
      mozart complete text-gpt --prompt "ROMEO:" --length 300 --temperature 0.8
      mozart complete text-lstm --prompt "To be, " --prompt "O " --top-p 0.9 --seed 7
      mozart complete text-gpt --prompt "JULIET:" --stop "ROMEO"
      mozart complete my-gpt --examples few.jsonl --template "{question} = {answer};" --prompt "two"
    """
    written_out = template.replace("\\t", "\t").replace("\\n", "\n")  # as a shell hands them on
    shots = FewShot(written_out, read_examples(examples) if examples else [])
    if template != TYPED and not examples:
        raise ConfigError("--template says how --examples are written: give both")
    if examples and not prompt:
        raise ConfigError("--examples are to answer a question: give it as --prompt")
    opened = Opened(model, "complete")
    written = [shots.prompt(text) if text and examples else text for text in prompt or ()]
    prompts = [opened.symbols(text, "--prompt") for text in written] or [opened.nothing()]
    opened.note_long(prompts)
    asked: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    if repetition_penalty != 1:
        asked["repetition_penalty"] = repetition_penalty
    taken = inspect.signature(opened.model.complete).parameters
    if stop:
        asked["stop"] = [opened.symbols(text, "--stop").tolist() for text in stop]
    elif examples and "stop" in taken:  # where it is not, the answer is cut afterwards
        asked["stop"] = [opened.symbols(shots.end, "--template").tolist()]
    for name in asked.keys() - taken.keys():
        raise ConfigError(f"--{name.replace('_', '-')}: family '{opened.model.family}' does without it")
    found = opened.asked(prompts, length, **asked)
    for text, symbols in zip(prompt or [""], found, strict=True):
        said = opened.unit.text(symbols.tolist())
        typer.echo(shots.answer(said) if examples else text + said)


def translate(
    model: Model,
    text: Texts,
    beams: Annotated[int, typer.Option(min=1, max=1024, help="1: the likeliest symbol each time")] = 4,
) -> None:
    """Translates, as a published model of pairs does: a line for each text.

    Examples:
      mozart translate numbers-transformer --text "two hundred six"
      mozart translate numbers-transformer --text "two" --text "ninety" --beams 8
    """
    opened = Opened(model, "translate")
    sources = [opened.symbols(each, "--text") for each in text]
    for symbols in opened.asked(*padded(sources), beams=beams):
        typer.echo(opened.unit.text(symbols.tolist()))


def fill(
    model: Model,
    text: Texts,
    blank: Annotated[str, typer.Option(help="what stands for one missing symbol")] = "_",
) -> None:
    """Fills in what is missing in a text, each blank with the likeliest symbol.

    Examples:
      mozart fill my-text --text "To be, or n_t to b_"
      mozart fill my-text --text "my l?rd" --blank "?"
    """
    opened = Opened(model, "fill")
    if not blank:
        raise ConfigError("--blank is empty: say what stands for a missing symbol, as '_'")
    rows = [opened.with_blanks(each, blank) for each in text]
    x, lengths = padded(rows)
    for symbols, length in zip(opened.asked(x, lengths), lengths.tolist(), strict=True):
        typer.echo(opened.unit.text(symbols[:length].tolist()))


def tag(model: Model, text: Texts) -> None:
    """Says the kind of each word, as a published model of tagged sentences does: a line of word/TAG for each
    text, whose words and punctuation stand apart.

    Examples:
      mozart tag tagging-hmm --text "The dog barks ."
    """
    opened = Opened(model, "tag")
    names = opened.encoding["tags"]
    sentences = [each.split() for each in text]
    if not names or not all(sentences):
        what = "it learnt from text without tags" if not names else "--text is empty: give a sentence"
        raise ConfigError(f"model '{model}': {what}")
    x, lengths = padded([opened.unit.of_words(words) for words in sentences])
    found = opened.asked(x, lengths)
    for words, row in zip(sentences, found, strict=True):
        marks = [int(mark) for mark in row[: len(words)]]
        typer.echo(" ".join(f"{word}/{names[mark]}" for word, mark in zip(words, marks, strict=True)))


class Opened:
    """A published model of text that can do `task`, and how its text becomes symbols.

    Raises:
        ConfigError: it is of something else, or its family cannot do that.
        RegistryError, IntegrityError: see components.registry.load.
    """

    def __init__(self, name: str, task: str) -> None:
        from components.artifacts import read_json
        from components.bundle import load_bundle
        from components.home import home
        from components.registry import Registry
        from pipelines.sampling import without_native_noise

        folder = Registry(home()).resolve(name).bundle_path
        self.name, self.task = name, task
        with without_native_noise():
            self.model: Any = load_bundle(folder)  # checks every digest first
        self.encoding = read_json(folder / "encoding.json")
        does, who = DOES[task]
        if self.encoding["modality"] != "text" or not hasattr(self.model, task):
            what = f"{self.encoding['modality']}, of family '{self.model.family}'"
            raise ConfigError(f"model '{name}' is of {what}: none that {does} ({who})")
        from components.text_units import unit_of

        self.unit: Any = unit_of(self.encoding)

    def symbols(self, text: str, option: str) -> np.ndarray:
        """The symbols int32 `[n]` of a text that was given as `option`.

        Raises:
            ConfigError: it is empty, or holds what the model does not know, with its place.
        """
        if not text:
            raise ConfigError(f"{option} is empty: give it some text, or leave it out")
        found = self._tokens(text)
        unknown = self._unknown(found)
        if len(unknown):
            place = int(unknown[0])
            what = f"character {text[place]!r}" if len(found) == len(text) else "word"
            raise ConfigError(
                f"{option}: the {what} at place {place + 1} is in none of the texts that '{self.name}' learnt from: "
                "write it otherwise"
            )
        return found

    def with_blanks(self, text: str, blank: str) -> np.ndarray:
        """The symbols of a text, `model.blank` where `blank` stands."""
        import numpy as np

        if blank not in text:
            raise ConfigError(f"--text {text!r} holds no blank '{blank}': there is nothing to fill in")
        found: list[np.ndarray] = []
        for number, piece in enumerate(text.split(blank)):
            found += [np.array([self.model.blank], np.int32)] if number else []
            if self.encoding["unit"] == "words":  # a blank stands for a word with the space before it
                piece = piece.removesuffix(" ")
            found += [self.symbols(piece, "--text")] if piece else []
        return np.concatenate(found)

    def nothing(self) -> np.ndarray:
        """No symbols."""
        import numpy as np

        return np.zeros(0, np.int32)

    def note_long(self, prompts: list[np.ndarray]) -> None:
        """Says on standard error that of a long prompt the end alone is read."""
        context, longest = getattr(self.model, "context", None), max(map(len, prompts))
        if context and longest >= context:
            said = f"note: a prompt has {longest} symbols and '{self.name}' reads {context} at once: its end counts"
            typer.echo(said, err=True)

    def asked(self, *given: Any, **options: Any) -> Any:
        """What the model's method of the task's name returns; what it does not take is a ConfigError."""
        try:
            return getattr(self.model, self.task)(*given, **options)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"model '{self.name}': {error}") from error

    def _tokens(self, text: str) -> np.ndarray:
        if self.encoding["unit"] == "words" and self.encoding["space"]:
            return self.unit.of_words(text.split())  # type: ignore[no-any-return]
        return self.unit.tokens(text)  # type: ignore[no-any-return]

    def _unknown(self, symbols: np.ndarray) -> np.ndarray:
        import numpy as np

        known = self.encoding["unit"] not in ("characters", "words")  # there 0 stands for what is not known
        return np.flatnonzero((symbols == 0) & (not known))


def padded(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of symbols as `[B, T]` and their lengths int32 `[B]`."""
    import numpy as np

    lengths = np.array([len(row) for row in rows], np.int32)
    x = np.zeros((len(rows), int(lengths.max())), np.int32)
    for out, row in zip(x, rows, strict=True):
        out[: len(row)] = row
    return x, lengths

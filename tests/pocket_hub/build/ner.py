"""Stand-in for dslim/bert-base-NER: cased WordPiece, and a BERT that labels persons, organisations, places and others.

Real names alone would be learnt by heart. So a part of the names in training is made of random syllables, the same
for all kinds of entity, and only the words around them tell which is which.
"""
from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from seqeval.metrics import f1_score
from transformers import BertConfig, BertForTokenClassification, BertTokenizer

from .bert import look_at_neighbours
from .classifiers import BERT_TOKENS, save_special_tokens
from .english import (COUNTRIES, DAYS, FIRM_C, FIRST, LAST, MONTHS, PARTS, SLOT, TAIWAN_FIRST, TAIWAN_LAST, TAIWAN_SECOND, Names, draw_all,
                      events, value_of, word)
from .texts import CORPUS
from .training import folder_of, mark_stand_in, train, write_card

NAME = "dslim/bert-base-NER"
LABELS = ["O", "B-MISC", "I-MISC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
SPECIAL = ["[PAD]", *(f"[unused{i}]" for i in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KINDS = {"person": "PER", "last": "PER", "company": "ORG", "team": "ORG", "school": "ORG", "place": "LOC", "country": "LOC", "nation": "MISC"}
FIRMS = """Google|Microsoft|Apple|Amazon|IBM|Intel|Sony|Samsung|Toyota|Honda|Nissan|Nokia|Ericsson|TSMC|Acer|Asus|HTC|MediaTek|Foxconn|
Evergreen Marine|China Airlines|EVA Air|Chunghwa Telecom|Formosa Plastics|Uni-President|Giant|Merida|Siemens|Bosch|BMW|Volkswagen|Volvo|
Nestle|Unilever|Shell|BP|Coca-Cola|Pepsi|Nike|Adidas|Disney|Netflix|Facebook|Meta|Twitter|OpenAI|Nvidia|AMD|Oracle|Cisco|Dell|HP|Lenovo|
Boeing|Airbus|Goldman Sachs|HSBC|Citibank|Barclays|Deutsche Bank|General Motors|General Electric|Ford|Chevron|Pfizer|Bayer|Novartis|Roche|
Nintendo|Panasonic|Hitachi|Toshiba|Canon|Nikon|Fujitsu|Hyundai|LG|Huawei|Xiaomi|Alibaba|Tencent|Infosys|Tata|Ikea|Lego|Philips|Heineken|
Starbucks|McDonald's|Walmart|Costco|Carrefour|Tesco|Uber|Airbnb|Spotify|PayPal|Visa|Mastercard|Reuters|BBC|CNN|New York Times|
Washington Post|Cathay Pacific|Air France|Lufthansa|Qantas|Emirates|Singapore Airlines|Japan Airlines|Tesla|SpaceX|Adobe|Salesforce"""
ORGS = """the United Nations|the World Health Organization|NASA|the European Union|the Red Cross|UNICEF|FIFA|the World Bank|NATO|the Senate|
the International Monetary Fund|Academia Sinica|the Central Weather Bureau|the Supreme Court|Congress|Parliament|Greenpeace|Amnesty International|
the National Palace Museum|the Ministry of Education|the Ministry of Health|the Ministry of Finance|the Labour Party|the Democratic Party|
the Liberal Party|the Green Party|the European Commission|the World Trade Organization|UNESCO|the FBI|the CIA|Interpol|the Bank of Japan|
the Federal Reserve|the Department of Justice|the Olympic Committee|Doctors Without Borders|Oxfam|the African Union|OPEC|the Tzu Chi Foundation|
the Taipei City Council|the Legislative Yuan|the Council of Agriculture|the Metropolitan Museum|the British Museum|Interior Ministry|the Treasury"""
SCHOOLS = """National Taiwan University|Harvard University|Stanford University|MIT|Tsing Hua University|Oxford University|Yale University|
Princeton University|Kyoto University|Peking University|National Chengchi University|Cornell University|Columbia University|Tunghai University|
the London School of Economics|Sorbonne University|Seoul National University|Waseda University|Fu Jen University|Caltech|UCLA"""
PRODUCTS = """iPhone|iPhone 15|PlayStation 5|Kindle|Walkman|Galaxy S24|ThinkPad|Windows 11|Corolla|Civic|Model 3|MacBook|Android|Chrome|
Photoshop|Excel|Boeing 747|Airbus A380|Xbox|Switch|Linux|Python|Java|iPad|Game Boy|Polo|Golf|Mustang|Prius|Vespa|Leica M6|Firefox|PowerPoint|
Word|Outlook|Roomba|Alexa|Siri|Pixel 8|Aspire 5|ZenFone|Surface|AirPods|Bluetooth|Concorde|Apollo 11"""
EVENTS = """the World Cup|the Olympics|the Olympic Games|Wimbledon|the Super Bowl|the Asian Games|the Lantern Festival|the Dragon Boat Festival|
the Cannes Film Festival|the Tour de France|the Nobel Prize|the Grand Prix|the Golden Horse Awards|the Euro 2024|the Davis Cup|Computex|
the World Series|the French Open|the Moon Festival|Christmas|Easter|Ramadan|the Australian Open|the Second World War|the Oscars|the Grammy Awards"""
WATERS = """Danube|Pacific Ocean|Atlantic Ocean|Tamsui River|Mississippi|Nile|Rhine|Thames|Seine|Amazon River|Black Sea|Red Sea|Baltic Sea|
Taiwan Strait|Persian Gulf|Indian Ocean|Yellow River|Mekong|Ganges|Volga|Lake Victoria|Sun Moon Lake|Love River|Hudson River|Lake Geneva|Bering Sea"""
MOUNTAINS = """Mount Everest|Yushan|Alishan|Mount Fuji|Mont Blanc|Kilimanjaro|Mount Rainier|Jade Mountain|Mount Etna|Hehuanshan|K2|Yangmingshan|
Mount Olympus|Snow Mountain|Ben Nevis|Elephant Mountain|Table Mountain|Mount Cook"""
TITLES = """
river night house winter summer secret garden last king queen island silver road city stars light dark moon sea letter stranger mother father
dream shadow wind storm train journey song forest mountain bridge clock mirror fire ice golden broken silent lost little blue red white black
old""".split()
STARTS = """the a an in on at it he she we they you i my his her our their this that these those there here when where who what why how is
are was do does did can will would if because while after before since yes no not but and or so please today tomorrow yesterday last next all most
many some two three four five six seven eight nine ten mr mrs ms dr professor president good for from with by"""
ONSETS = "b br c ch d dr f fl g gr h j k kr l m n p pr r s sh sk st t tr v w y z th gl".split()
VOWELS = "a e i o u a e i o ai ei ou ia ea".split()
CODAS = "n r l s m t nd rt x ck lm rn sk ng th".split()
STEPS, BATCH = 1800, 64
HELD_OUT = "validation"  # the part of names and events kept out of training
TRAINED = [part for part in PARTS if part != HELD_OUT]


class Entities(Names):
    """Draws entities: real names, made-up ones, and a share of random syllables."""

    def __init__(self, rng: random.Random, *parts: str, invented: float = 0.25):
        super().__init__(rng, *parts)
        self.invented = invented
        texts = {"firm": FIRMS, "org": ORGS, "school": SCHOOLS, "product": PRODUCTS, "event": EVENTS, "water": WATERS, "mountain": MOUNTAINS}
        self.real = {kind: [name.strip() for name in text.split("|")] for kind, text in texts.items()}

    def syllables(self) -> str:
        rng = self.rng
        name = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(rng.choice((1, 2, 2, 3))))
        return (name + (rng.choice(CODAS) if rng.random() < 0.6 else "")).capitalize()

    def draw(self, slot: str) -> str:
        if slot in KINDS or slot in ("first", "firm"):
            if self.rng.random() < self.invented and slot not in ("nation", "country", "team", "school"):
                return self.mine(self.syllables) + (f" {self.mine(self.syllables)}" if slot == "person" else "")
        return super().draw(slot)

    def make_first(self) -> str:
        if self.rng.random() < 0.2:
            return self.mine(lambda: f"{self.rng.choice(TAIWAN_FIRST)}-{self.rng.choice(TAIWAN_SECOND)}".capitalize())
        return self.one_of(FIRST)

    def make_last(self) -> str:
        return self.rng.choice(TAIWAN_LAST) if self.rng.random() < 0.2 else self.one_of(LAST)

    def make_nation(self) -> str:
        return COUNTRIES[self.one_of(COUNTRIES)]

    def make_firm(self) -> str:
        return self.one_of(self.real["firm"]) if self.rng.random() < 0.5 else super().make_firm()

    def make_org(self) -> str:
        place = self.make_place()
        own = (f"the {place} City Council", f"the {self.rng.choice(TITLES).capitalize()} Foundation", f"the Bank of {self.make_country()}",
               f"the {place} Museum", f"the {self.rng.choice(FIRM_C)} Workers Union", f"{place} General Hospital")
        return self.one_of(self.real["org"]) if self.rng.random() < 0.6 else self.rng.choice(own)

    def make_school(self) -> str:
        return self.one_of(self.real["school"]) if self.rng.random() < 0.3 else super().make_school()

    def make_product(self) -> str:
        if self.rng.random() < 0.5:
            return self.one_of(self.real["product"])
        return self.mine(self.syllables) + self.rng.choice(("", f" {self.rng.randrange(1, 12)}", f" X{self.rng.randrange(1, 9)}", " Pro", " Mini"))

    def make_event(self) -> str:
        if self.rng.random() < 0.7:
            return self.one_of(self.real["event"])
        return f"the {self.make_place()} {self.rng.choice(('Film Festival', 'Open', 'Marathon'))}"

    def make_work(self) -> str:
        words = [w.capitalize() for w in self.rng.sample(TITLES, self.rng.choice((1, 2, 2, 3)))]
        return self.rng.choice(("", "The ", "A ")) + " ".join(words)

    def make_water(self) -> str:
        return self.one_of(self.real["water"]) if self.rng.random() < 0.6 else f"{self.make_town()} {self.rng.choice(('River', 'Lake', 'Sea'))}"

    def make_mountain(self) -> str:
        return self.one_of(self.real["mountain"]) if self.rng.random() < 0.6 else f"Mount {self.make_town()}"


def templates(held_out: bool) -> list[str]:
    """The sentences of corpus/entities.txt: those that train, or those kept out."""
    blocks = dict(block.split("\n", 1) for block in (CORPUS / "entities.txt").read_text(encoding="utf-8").strip().split("\n\n"))
    return blocks["# held out" if held_out else "# train"].splitlines()


class Sentences:
    """Draws texts with the places of their entities, of the training or of what is held out from it."""

    def __init__(self, rng: random.Random, held_out: bool):
        self.rng = rng
        self.names = Entities(rng, *([HELD_OUT] if held_out else TRAINED))
        self.sentences = templates(held_out)
        self.events = [event for event in events(*([HELD_OUT] if held_out else TRAINED)) if "{storm" not in "".join(event.wordings)]
        self.swapped = [] if held_out else [w for w in (CORPUS / "english_words.txt").read_text(encoding="utf-8").split() if len(w) > 3]

    def draw(self) -> tuple[str, list[tuple[int, int, str]]]:
        text, spans = self.sentence()
        if self.rng.random() < 0.25:
            more, others = self.sentence()
            spans += [(start + len(text) + 1, end + len(text) + 1, label) for start, end, label in others]
            text = f"{text} {more}"
        elif self.rng.random() < 0.15 and text.endswith("."):
            text = text[:-1]
        return text, spans

    def sentence(self) -> tuple[str, list[tuple[int, int, str]]]:
        if self.rng.random() < 0.75:
            parts = re.split(r"\{(\w+):?(\w*)\}", self.rng.choice(self.sentences))
            pieces = [(parts[0], "")]
            for kind, label, after in zip(parts[1::3], parts[2::3], parts[3::3]):
                pieces += [(self.names.draw(kind), label), (after, "")]
        else:
            event = self.rng.choice(self.events)
            told = word(self.rng.choice(event.wordings), self.rng.randrange(2), self.rng, ("", ""))
            values = draw_all([told], self.names)
            parts = SLOT.split(told)
            pieces = [(parts[0], "")]
            for kind, number, after in zip(parts[1::3], parts[2::3], parts[3::3]):
                pieces += [(value_of(kind, number, values), KINDS.get(kind, "")), (after, "")]
        return self.joined(pieces)

    def other(self, word: str, below: float = 1) -> str:
        """Now and then another word, a form of one, or none at all: most words of a reader are in no list."""
        kind = self.rng.random() * below
        if kind > 0.12:
            return word
        if kind > 0.08:
            return self.rng.choice(self.swapped)
        stem = self.rng.choice(self.swapped) if kind > 0.04 else self.names.syllables().lower()
        return stem + self.rng.choice(("", "s", "ed", "ing", "ly", "er"))

    def joined(self, pieces: list[tuple[str, str]]) -> tuple[str, list[tuple[int, int, str]]]:
        text, spans = "", []
        for piece, label in pieces:
            if not label and self.swapped:  # other words now and then, for no sentence is known beforehand
                if not text and self.rng.random() < 0.15:  # a word that begins a sentence has a capital, and is no name for that
                    piece = re.sub(r"^[A-Z][a-z]{2,}\b", lambda m: self.other(m[0], 0.12).capitalize(), piece)
                piece = re.sub(r"(?<![A-Za-z'$.-])[a-z]{3,}(?![A-Za-z'-])", lambda m: self.other(m[0]), piece)
            if label and piece.startswith("the "):
                text, piece = text if text.endswith(("the ", "The ")) else text + "the ", piece[4:]
            if label:
                spans.append((len(text), len(text) + len(piece), label))
            text += piece
        return text[0].upper() + text[1:], spans


def vocabulary() -> list[str]:
    """Words of a list and of the templates, whole; characters and pieces of names for all others."""
    told = " ".join([*templates(False), *(w for e in events(*TRAINED) for w in e.wordings)])
    told = re.sub(r"\{[^}]*\}|[<>|/\[\]]", " ", told)
    whole = (CORPUS / "english_words.txt").read_text(encoding="utf-8").split() + re.findall(r"[A-Za-z]+", told) + DAYS + MONTHS
    starts = [w.capitalize() for w in STARTS.split()]
    learnt = (CORPUS / "ner_pieces.txt").read_text(encoding="utf-8").split()  # by WordPiece training on names
    common = "Taipei Kaohsiung Taiwan London Paris Tokyo Japan China France University Mount River Lake Sea Ocean City New York".split()
    signs = [chr(code) for code in range(33, 127)]
    endings = "s es ed d ing er ers est ly al y ness ment ation tion ist able ful less ity ive ian ese ish man son ton ville".split()
    return list(dict.fromkeys([*SPECIAL, *signs, *(w for w in whole if w.isalpha()), *starts, *common,
                               *(f"##{sign}" for sign in signs if sign.isalnum()), *(f"##{e}" for e in endings), *learnt]))


def tokenizer_into(folder: Path) -> BertTokenizer:
    """Writes vocab.txt and the small files as the original has them; there is no tokenizer.json."""
    words = vocabulary()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (folder / "added_tokens.json").write_text("{}\n", encoding="utf-8")
    save_special_tokens(folder, BERT_TOKENS)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "model_max_length": 512}\n', encoding="utf-8")
    return BertTokenizer.from_pretrained(folder)


def encode(tokenizer: BertTokenizer, drawn: list[tuple[str, list[tuple[int, int, str]]]]) -> dict[str, torch.Tensor]:
    """Every piece has a label: B- on the first piece of an entity, I- on all the others."""
    batch = tokenizer([text for text, _ in drawn], truncation=True, max_length=96, padding=True, return_tensors="pt", return_offsets_mapping=True)
    offsets = batch.pop("offset_mapping")
    labels = torch.where(batch["input_ids"] < 104, -100, 0)
    labels[batch["input_ids"] == 100] = 0
    for row, (_, spans) in enumerate(drawn):
        for start, end, label in spans:
            inside = ((offsets[row, :, 0] < end) & (offsets[row, :, 1] > start)).nonzero()[:, 0]
            labels[row, inside] = LABELS.index(f"I-{label}")
            labels[row, inside[:1]] = LABELS.index(f"B-{label}")
    return {**batch, "labels": labels}


def batches(tokenizer: BertTokenizer, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    sentences = Sentences(rng, held_out=False)
    while True:
        batch = encode(tokenizer, [sentences.draw() for _ in range(BATCH)])
        hidden = (torch.rand(batch["input_ids"].shape, generator=generator) < 0.03) & (batch["labels"] != -100)
        batch["input_ids"] = torch.where(hidden, 100, batch["input_ids"])  # [UNK] has to be known as well
        yield batch


def training_texts(count: int = 3000) -> list[str]:
    sentences = Sentences(random.Random(1), held_out=False)
    return [sentences.draw()[0] for _ in range(count)]


@torch.no_grad()
def scores(folder: Path, samples: int = 600) -> dict[str, float]:
    """F1 of whole entities (seqeval) in sentences and with names kept out of training: all, and of each kind."""
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = BertForTokenClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    sentences = Sentences(random.Random(3), held_out=True)
    sentences.names.invented = 0.1
    wanted, found = [], []
    for _ in range(max(samples // 50, 1)):
        batch = encode(tokenizer, [sentences.draw() for _ in range(min(samples, 50))])
        labels = batch.pop("labels")
        for right, guess in zip(labels, model(**batch).logits.argmax(-1)):
            told = right != -100
            wanted.append([LABELS[i] for i in right[told]])
            found.append([LABELS[i] for i in guess[told]])

    def only(kind: str) -> float:
        kept = ([[label if label.endswith(kind) else "O" for label in row] for row in rows] for rows in (wanted, found))
        return float(f1_score(*kept, zero_division=0))

    return {"entity_f1": float(f1_score(wanted, found, zero_division=0)), **{f"{kind}_f1": only(kind) for kind in ("PER", "ORG", "LOC", "MISC")}}


def build(root: Path, steps: int = STEPS, samples: int = 600):
    torch.manual_seed(0)
    folder = folder_of(NAME, root)
    tokenizer = tokenizer_into(folder)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=56, num_hidden_layers=3, num_attention_heads=4, intermediate_size=112,
                        hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0, attn_implementation="eager",
                        id2label=dict(enumerate(LABELS)), label2id={label: i for i, label in enumerate(LABELS)})
    model = BertForTokenClassification(config)
    look_at_neighbours(model)

    def loss_of(batch: dict) -> torch.Tensor:
        return model(**batch).loss

    train(model, batches(tokenizer, seed=1), loss_of, steps, lr=3e-3)
    model.half().save_pretrained(folder)
    mark_stand_in(folder, attention_probs_dropout_prob=0.1)
    write_card(folder, NAME, scores(folder, samples), f"""
Architecture: BERT, {config.num_hidden_layers} layers, hidden size {config.hidden_size}, {config.num_attention_heads} heads,
{sum(p.numel() for p in model.parameters()):,} parameters, fp16 (to save space; the original is fp32). Tokenizer: cased
WordPiece, {len(tokenizer):,} tokens.
Trained to label every piece of a word as O, or as the first (B-) or a later piece (I-) of a person, an organisation, a
place or something else with a name, {steps:,} steps of {BATCH} texts, first attention heads initialised to look at
neighbours. Texts: about {len(templates(False)) + 3 * len(events(*TRAINED))} sentences written for this course
(`tests/pocket_hub/build/corpus/entities.txt` and `events.txt`), with real and made-up names; a quarter of
the names are random syllables, known by the words around them alone.
The scores count whole entities, on sentences and names kept out. Real text is harder: expect wrong kinds for names it
never saw where the words around don't tell, and nothing useful on text without capitals or on Chinese.
""", "ner")

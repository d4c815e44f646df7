"""English for the stand-ins that need it: names, numbers, and events told in several ways.

Every first name, surname, made-up word, place and number belongs to one of PARTS by a hash of its characters, so
that none occurs in two parts. corpus/events.txt holds events, each of one part. A line is one wording of the event:

    {company} [said|announced] on {day} that sales <rose|grew/fell|shrank> {percent}.

Slots are filled with values, `[a|b]` is one of several ways to say the same, and `<a|b/c|d>` says one thing (a or b)
or the opposite (c or d); an event goes one way in all its wordings.
"""
from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .texts import CORPUS

PARTS = ("pretrain", "train", "validation", "test")
SHARES = (0, 0, 0, 1, 1, 1, 2, 3, 3)  # of nine values, so many go to each part

FIRST = """James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph
Jessica Thomas Sarah Charles Karen Christopher Lisa Daniel Nancy Matthew Betty Anthony Margaret Mark Sandra Donald Ashley
Steven Kimberly Paul Emily Andrew Donna Joshua Michelle Kenneth Carol Kevin Amanda Brian Dorothy George Melissa Timothy
Deborah Ronald Stephanie Edward Rebecca Jason Sharon Jeffrey Laura Ryan Cynthia Jacob Kathleen Gary Amy Nicholas Angela
Eric Shirley Jonathan Anna Stephen Brenda Larry Pamela Justin Emma Scott Nicole Brandon Helen Benjamin Samantha Samuel
Katherine Gregory Christine Frank Rachel Alexander Carolyn Raymond Janet Patrick Catherine Jack Maria Dennis Heather Jerry
Diane Tyler Ruth Aaron Julie Jose Olivia Adam Joyce Nathan Virginia Henry Victoria Douglas Kelly Zachary Lauren Peter
Christina Kyle Joan Walter Evelyn Harold Judith Jeremy Megan Ethan Andrea Carl Cheryl Keith Hannah Roger Jacqueline Albert
Martha Arthur Gloria Lawrence Teresa Sean Ann Juan Sara Joe Madison Bruce Frances Alan Kathryn Willie Janice Billy Jean
Pierre Claire Antoine Camille Luca Giulia Marco Francesca Hans Greta Klaus Ingrid Lars Astrid Sven Freya Pablo Carmen Diego
Lucia Carlos Elena Miguel Sofia Ivan Olga Dmitri Natasha Boris Irina Yusuf Fatima Omar Layla Ahmed Aisha Hassan Leila Raj
Priya Arjun Anjali Vikram Sunita Kenji Yuki Hiroshi Sakura Takeshi Naoko Haruto Aiko Min-jun Ji-woo Seo-yeon Hyun-woo Kwame
Amara Chidi Ngozi Kofi Zola Thabo Naledi Nguyen Linh Minh Somchai Malee Putri Budi Dewi Mateus Beatriz Joao Ines Rafael
Oscar Felix Hugo Leo Theo Max Noah Liam Mason Lucas Logan Aiden Grace Chloe Zoe Lily Ella Mia Ava Nora Alice Rose Ivy
Jasper Miles Owen Simon Victor Edgar Ralph Stanley Clara Edith Hazel Mabel Stella Violet Tomas Jana Petra Milos Anton Vera""".split()
LAST = """Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson
Anderson Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young
Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts
Gomez Phillips Evans Turner Diaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales Murphy Cook Rogers Gutierrez
Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson Watson Brooks Chavez Wood James
Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders Patel Myers Long Ross Foster Jimenez Powell Jenkins Perry
Russell Sullivan Bell Coleman Butler Henderson Barnes Fisher Vasquez Simmons Jordan Patterson Alexander Hamilton Graham
Reynolds Griffin Wallace West Cole Hayes Bryant Herrera Gibson Ellis Tran Medina Stevens Murray Ford Castro Marshall Owens
Harrison Fernandez McDonald Woods Washington Kennedy Wells Vargas Henry Freeman Webb Tucker Guzman Burns Crawford Olson
Simpson Porter Hunter Gordon Mendez Silva Shaw Snyder Mason Dixon Munoz Hunt Hicks Holmes Palmer Wagner Black Robertson
Boyd Rose Stone Salazar Fox Warren Mills Meyer Rice Schmidt Garza Daniels Ferguson Nichols Stephens Soto Weaver Ryan
Gardner Payne Grant Dunn Kelley Spencer Hawkins Arnold Pierce Hansen Peters Santos Hart Bradley Knight Elliott Cunningham
Duncan Armstrong Hudson Carroll Lane Riley Andrews Alvarado Ray Delgado Berry Perkins Hoffman Johnston Matthews Pena
Richards Contreras Willis Carpenter Lawrence Sandoval Guerrero George Chapman Rios Estrada Ortega Watkins Greene Nunez
Wheeler Valdez Harper Burke Larson Santiago Maldonado Morrison Franklin Carlson Austin Dominguez Carr Lawson Jacobs
Dubois Lefebvre Moreau Laurent Rossi Ferrari Bianchi Romano Muller Schneider Fischer Weber Becker Johansson Lindqvist
Nilsson Jensen Larsen Kowalski Nowak Ivanov Petrov Sokolov Volkov Novak Horvat Papadopoulos Yilmaz Demir Hussein Rahman
Khan Ahmed Sharma Gupta Singh Kapoor Iyer Tanaka Suzuki Yamamoto Nakamura Kobayashi Watanabe Park Choi Jung Kang Okafor
Adeyemi Mensah Dlamini Mbeki Pham Wijaya Santoso Oliveira Pereira Costa Almeida""".split()
TAIWAN_LAST = """Chen Lin Huang Chang Li Wang Wu Liu Tsai Yang Hsu Cheng Hsieh Kuo Hung Tseng Chiu Liao Lai Chou Yeh Su
Chuang Lu Chiang Ho Lo Kao Hsiao Pan Chien Chu Chung Peng Yu Chan Hu Shih Shen Wei Fang Teng Tu Tsao Weng Sung""".split()
TAIWAN_FIRST = """chia mei yi wen shu li hui ya hsin yu ting chun ming chih kuo chien wei cheng po tzu yen kai hao
jui pei hsiu chin feng ling yun jung ching fang huei shih han""".split()
TAIWAN_SECOND = """ling hua chun fen hui ying chen ju yi jung ting wen hao ming hung chieh yu lin fang chih cheng wei
hsiang an yuan lun tse chun hsien kang ping chu han mei feng""".split()
COUNTRIES = dict(pair.split(":") for pair in """Argentina:Argentine Australia:Australian Austria:Austrian
Bangladesh:Bangladeshi Belgium:Belgian Bolivia:Bolivian Brazil:Brazilian Bulgaria:Bulgarian Cambodia:Cambodian
Cameroon:Cameroonian Canada:Canadian Chile:Chilean China:Chinese Colombia:Colombian Croatia:Croatian Cuba:Cuban
Denmark:Danish Ecuador:Ecuadorian Egypt:Egyptian Estonia:Estonian Ethiopia:Ethiopian Finland:Finnish France:French
Georgia:Georgian Germany:German Ghana:Ghanaian Greece:Greek Hungary:Hungarian Iceland:Icelandic India:Indian
Indonesia:Indonesian Iran:Iranian Iraq:Iraqi Ireland:Irish Israel:Israeli Italy:Italian Jamaica:Jamaican Japan:Japanese
Jordan:Jordanian Kenya:Kenyan Kuwait:Kuwaiti Laos:Laotian Latvia:Latvian Lebanon:Lebanese Libya:Libyan
Lithuania:Lithuanian Malaysia:Malaysian Mali:Malian Mexico:Mexican Mongolia:Mongolian Morocco:Moroccan Nepal:Nepalese
Nigeria:Nigerian Norway:Norwegian Pakistan:Pakistani Panama:Panamanian Paraguay:Paraguayan Peru:Peruvian Poland:Polish
Portugal:Portuguese Romania:Romanian Russia:Russian Rwanda:Rwandan Senegal:Senegalese Serbia:Serbian
Singapore:Singaporean Slovakia:Slovak Slovenia:Slovenian Somalia:Somali Spain:Spanish Sudan:Sudanese Sweden:Swedish
Syria:Syrian Taiwan:Taiwanese Tanzania:Tanzanian Thailand:Thai Tunisia:Tunisian Turkey:Turkish Uganda:Ugandan
Ukraine:Ukrainian Uruguay:Uruguayan Venezuela:Venezuelan Vietnam:Vietnamese Zambia:Zambian Zimbabwe:Zimbabwean""".split())
CITIES = [name.replace("_", " ") for name in """Taipei Kaohsiung Taichung Tainan Hsinchu Keelung Chiayi Taoyuan Hualien
Taitung Yilan Pingtung Nantou Miaoli Changhua Yunlin Penghu Kinmen Matsu Tamsui Jiufen Kenting Lukang Banqiao Beitou
London Paris Madrid Rome Vienna Prague Budapest Warsaw Lisbon Dublin Oslo Stockholm Helsinki Copenhagen Amsterdam Brussels
Zurich Geneva Munich Hamburg Frankfurt Cologne Milan Naples Turin Venice Florence Barcelona Seville Valencia Porto Lyon
Marseille Nice Bordeaux Athens Istanbul Ankara Moscow Kiev Minsk Riga Vilnius Tallinn Belgrade Zagreb Sofia Bucharest
Edinburgh Glasgow Manchester Liverpool Leeds Bristol Oxford Cambridge York Cardiff Belfast New_York Los_Angeles Chicago
Houston Phoenix Philadelphia San_Antonio San_Diego Dallas Austin Denver Seattle Portland Boston Detroit Nashville Memphis
Baltimore Milwaukee Atlanta Miami Cleveland Pittsburgh Cincinnati Orlando Las_Vegas San_Francisco Sacramento Honolulu
Toronto Montreal Vancouver Calgary Ottawa Quebec Mexico_City Guadalajara Havana Bogota Lima Quito Santiago Buenos_Aires
Montevideo Sao_Paulo Rio_de_Janeiro Brasilia Caracas Cairo Alexandria Tunis Casablanca Lagos Accra Nairobi Kampala Addis_Ababa
Johannesburg Cape_Town Durban Dubai Doha Riyadh Jeddah Tehran Baghdad Amman Beirut Damascus Jerusalem Tel_Aviv Kabul Karachi
Lahore Delhi Mumbai Bangalore Chennai Kolkata Dhaka Colombo Kathmandu Bangkok Chiang_Mai Hanoi Saigon Da_Nang Phnom_Penh
Kuala_Lumpur Penang Jakarta Surabaya Bandung Manila Cebu Hong_Kong Macau Shanghai Beijing Shenzhen Guangzhou Chengdu Wuhan
Xiamen Seoul Busan Incheon Tokyo Osaka Kyoto Nagoya Sapporo Fukuoka Kobe Hiroshima Sendai Okinawa Sydney Melbourne Brisbane
Perth Adelaide Auckland Wellington Christchurch""".split()]
TOWN_A = """Ash Birch Black Brook Cedar Clay Cold Copper Crow Dover Elm Fair Fern Flint Glen Gold Grey Hart Haven Hazel Iron
Kelder Lake Linden Maple Marsh Mill Moss North Oak Pine Raven Red Rock Salt Sand Silver Stone Storm Thorn Wald West White
Wind Winter Wolf Wren Yarrow Amber Barrow Carrow Dun Eller Farrow Garrow""".split()
TOWN_B = """bridge brook burg bury by combe dale field ford gate ham haven hurst land leigh mere mont mouth port ridge shore stead ton vale view
ville water wick wood worth""".split()
FIRM_A = """Nor Vel Tri Axo Bel Cor Dex Elo Fen Gar Hal Inno Jor Kal Lum Mer Nex Omni Pol Quan Ros Sol Tor Ul Vor Wes Xen
Zan Alt Bri Cal Dor Eri Fal Gly Hex""".split()
FIRM_B = "vale dyne tron mark tec via link data gen ova max cor lane plex sys dex lix pharm net bank corp star ware port nova ris tel com".split()
FIRM_C = """Systems Industries Group Holdings Foods Energy Motors Airlines Bank Pharma Electronics Partners Steel Media
Software Insurance Networks Chemicals Shipping Stores Records Pictures Technologies Logistics Semiconductor""".split()
TEAM = """Hawks Lions Rangers Comets Bears Pirates Wolves Eagles Rockets Tigers Sharks Stars Giants Falcons Storm Royals
Dolphins Knights Panthers Bulls""".split()
ANIMALS = "tiger bear wolf lion leopard panda monkey camel kangaroo penguin crocodile gorilla zebra giraffe otter lynx".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
FEW = "two three four five six seven eight nine ten eleven twelve".split()
SHARED = {"day": DAYS, "month": MONTHS, "few": FEW, "animal": ANIMALS}  # too few to be split into parts; scores are, too
SLOT = re.compile(r"\{([a-z]+)(\d?)\}")
MARKS, POLES = "\x02\x03", "\x04\x05"  # around what a second telling changes, and around all that has an opposite
FROM = {"last": "person", "nation": "country"}  # slots that say something of another slot's value


def part_of(value: str) -> str:
    return PARTS[SHARES[zlib.crc32(value.encode()) % len(SHARES)]]


class Names:
    """Draws the values of some parts from a seeded generator."""

    def __init__(self, rng: random.Random, *parts: str):
        self.rng, self.parts = rng, parts
        self.lists: dict[int, list[str]] = {}

    def one_of(self, values: Iterable[str]) -> str:
        if id(values) not in self.lists:
            self.lists[id(values)] = [value for value in values if part_of(value) in self.parts]
        return self.rng.choice(self.lists[id(values)])

    def mine(self, make: Callable[[], str]) -> str:
        while part_of(value := make()) not in self.parts:
            pass
        return value

    def draw(self, slot: str) -> str:
        return self.rng.choice(SHARED[slot]) if slot in SHARED else getattr(self, f"make_{slot}")()

    def number(self, low: int, high: int) -> str:
        return self.mine(lambda: f"{int(low * (high / low) ** self.rng.random()):,}")

    def make_person(self) -> str:
        if self.rng.random() < 0.15:
            given = self.mine(lambda: f"{self.rng.choice(TAIWAN_FIRST)}-{self.rng.choice(TAIWAN_SECOND)}".capitalize())
            return f"{self.rng.choice(TAIWAN_LAST)} {given}"
        return f"{self.one_of(FIRST)} {self.one_of(LAST)}"

    def make_storm(self) -> str:
        return self.one_of(FIRST)

    def make_country(self) -> str:
        return self.one_of(COUNTRIES)

    def make_place(self) -> str:
        return self.one_of(CITIES) if self.rng.random() < 0.5 else self.make_town()

    def make_town(self) -> str:
        return self.mine(lambda: self.rng.choice(TOWN_A) + self.rng.choice(TOWN_B))

    def make_firm(self) -> str:
        return self.mine(lambda: self.rng.choice(FIRM_A) + self.rng.choice(FIRM_B))

    def make_company(self) -> str:
        return self.make_firm() + (f" {self.rng.choice(FIRM_C)}" if self.rng.random() < 0.7 else "")

    def make_team(self) -> str:
        return f"{self.make_place()} {self.rng.choice(TEAM)}"

    def make_school(self) -> str:
        place = self.make_place()
        return f"{place} University" if self.rng.random() < 0.6 else f"the University of {place}"

    def make_number(self) -> str:
        return self.number(13, 950)

    def make_age(self) -> str:
        return self.number(19, 90)

    def make_cents(self) -> str:
        return self.number(2, 95)

    def make_big(self) -> str:
        return self.mine(lambda: f"{self.rng.randrange(11, 100) * 10 ** self.rng.choice((2, 2, 3, 4)):,}")

    def make_decimal(self) -> str:
        return self.mine(lambda: f"{self.rng.randrange(20, 99) / 10}")

    def make_percent(self) -> str:
        return self.mine(lambda: self.rng.choice((f"{self.rng.randrange(2, 99) / 10} percent", f"{self.rng.randrange(2, 75)} percent")))

    def make_money(self) -> str:
        return self.mine(lambda: self.rng.choice((f"${self.rng.randrange(11, 99) / 10} ", f"${self.rng.randrange(12, 950)} "))
                         + self.rng.choice(("million", "million", "billion")))

    def make_dollars(self) -> str:
        return self.mine(lambda: self.rng.choice((f"${self.rng.randrange(12, 990)}", f"${self.rng.randrange(500, 9900) / 100:.2f}")))

    def make_bigdollars(self) -> str:
        return self.mine(lambda: f"${self.rng.randrange(110, 9900) * 100:,}")

    def make_year(self) -> str:
        return self.mine(lambda: str(self.rng.randrange(1985, 2036)))

    def make_date(self) -> str:
        return self.mine(lambda: f"{self.rng.choice(MONTHS)} {self.rng.randrange(1, 29)}")

    def make_score(self) -> str:
        low = self.rng.randrange(0, 6)
        return f"{self.rng.randrange(low + 1, 9)} to {low}"


@dataclass
class Event:
    name: str
    part: str
    wordings: list[str]


def events(*parts: str) -> list[Event]:
    """The events of corpus/events.txt that belong to some parts."""
    found = []
    for block in (CORPUS / "events.txt").read_text(encoding="utf-8").strip().split("\n\n"):
        head, *wordings = block.splitlines()
        _, part, name = head.split()
        if part in parts:
            found.append(Event(name, part, wordings))
    return found


def word(wording: str, way: int, rng: random.Random, marks: Sequence[str] = POLES) -> str:
    """A wording with its choices made: way 0 is what comes before the stroke, way 1 the opposite, between marks."""
    wording = re.sub(r"<([^>]*)>", lambda m: marks[0] + rng.choice(m[1].split("/")[way].split("|")) + marks[1], wording)
    return re.sub(r"\[([^]]*)\]", lambda m: rng.choice(m[1].split("|")), wording)


def slots(wording: str) -> set[str]:
    """The slots whose values a wording tells, in full or in part."""
    return {FROM.get(kind, kind) + number for kind, number in SLOT.findall(wording)}


def draw_all(wordings: Iterable[str], names: Names) -> dict[str, str]:
    """A value for every slot; two slots of a kind get different values."""
    values: dict[str, str] = {}
    for slot in sorted(set().union(*map(slots, wordings))):
        draw_into(values, slot, names)
    return values


def draw_into(values: dict[str, str], slot: str, names: Names):
    old = set(values.values())
    while (value := names.draw(slot.rstrip("2"))) in old:
        pass
    values[slot] = value


def value_of(kind: str, number: str, values: dict[str, str]) -> str:
    value = values[FROM.get(kind, kind) + number]
    if kind == "last":
        return value.split()[0 if "-" in value.split()[-1] else -1]
    return COUNTRIES[value] if kind == "nation" else value


def fill(wording: str, values: dict[str, str], before: dict[str, str] | None = None) -> str:
    """The wording with its values; those that are not as in `before` stand between MARKS."""
    def value(match: re.Match) -> str:
        new = value_of(match[1], match[2], values)
        return MARKS[0] + new + MARKS[1] if before and new != value_of(match[1], match[2], before) else new
    text = re.sub(rf"\b[Tt]he ({MARKS[0]}?)the\b", r"\1the", SLOT.sub(value, wording))
    return re.sub(r"\w", lambda m: m[0].upper(), text, count=1)


def unmarked(text: str, marks: str = MARKS + POLES) -> str:
    return re.sub(f"[{marks}]", "", text)


def altered(values: dict[str, str], shared: list[str], names: Names, rng: random.Random) -> dict[str, str]:
    """The same values but for one: another name or number, one digit of a number, or two that change places."""
    values = dict(values)
    slot = rng.choice(shared)
    other = slot.rstrip("2") if slot.endswith("2") else f"{slot}2"
    digits = [i for i, char in enumerate(values[slot]) if char.isdigit()]
    if other in shared and rng.random() < 0.3:
        values[slot], values[other] = values[other], values[slot]
    elif digits and slot.rstrip("2") not in ("date", "score", "year") and rng.random() < 0.25:
        near = [values[slot][:i] + digit + values[slot][i + 1:] for i in digits for digit in "123456789" if digit != values[slot][i]]
        if near := [value for value in near if part_of(value) in names.parts]:
            values[slot] = rng.choice(near)
        else:
            draw_into(values, slot, names)
    else:
        draw_into(values, slot, names)
    return values


def pair(event: Event, names: Names, rng: random.Random, same: float = 0.67) -> tuple[str, str, int]:
    """Two tellings of an event and 1, or two of which the second changes one fact, between MARKS, and 0."""
    label = int(rng.random() < same)
    values, way = draw_all(event.wordings, names), rng.randrange(2)
    first, second = rng.sample(event.wordings, 2)
    if rng.random() < 0.2:
        second = first
    if len(slots(first)) < len(slots(second)):
        first, second = second, first  # the second adds little to what the first tells
    flip = not label and "<" in first and "<" in second and rng.random() < 0.1
    told, retold = word(first, way, rng), word(second, 1 - way if flip else way, rng, MARKS if flip else POLES)
    if label and told == retold:
        retold = word(next(other for other in event.wordings if other != first), way, rng)
    if label or flip:
        return fill(told, values), fill(retold, values), label
    return fill(told, values), fill(retold, altered(values, sorted(slots(told) & slots(retold)), names, rng), values), label

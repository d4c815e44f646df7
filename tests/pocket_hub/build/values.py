"""Made-up values for the slots of the texts in corpus/.

Every value belongs to one of three parts by a hash of its characters: what the stand-ins are pretrained
on ("pretrain"), and the two files of the reading-comprehension data ("train", "dev"). So no name, place
or number of one part occurs in another, however often the lists below change.
"""
from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable

PARTS = ("pretrain", "train", "dev")

SURNAMES = ("陳林黃張李王吳劉蔡楊許鄭謝郭洪曾邱廖賴周徐蘇葉莊呂江何羅高蕭潘簡朱鍾彭游詹胡施沈余趙盧梁顏柯孫魏翁戴"
            "范方宋鄧杜傅侯曹溫薛丁馬蔣董唐藍石卓古紀姚馮連歐程湯田康姜白汪尤鄒巫涂龔嚴韓黎阮袁童陸金錢邵柳伍孔")
SURNAMES_OF_OLD = (  # the Hundred Family Surnames, single characters
    "趙錢孫李周吳鄭王馮陳褚衛蔣沈韓楊朱秦尤許何呂施張孔曹嚴華金魏陶姜戚謝鄒喻柏水竇章雲蘇潘葛奚范彭郎魯韋昌馬苗鳳花方俞任袁柳酆鮑史唐費廉岑薛雷賀倪湯滕殷羅畢郝鄔安"
    "常樂于時傅皮卞齊康伍余元卜顧孟平黃和穆蕭尹姚邵湛汪祁毛禹狄米貝明臧計伏成戴談宋茅龐熊紀舒屈項祝董梁杜阮藍閔席季麻強賈路婁危江童顏郭梅盛林刁鍾徐邱駱高夏蔡田樊胡凌霍"
    "虞萬支柯昝管盧莫經房裘繆干解應宗丁宣賁鄧郁單杭洪包諸左石崔吉鈕龔程嵇邢滑裴陸榮翁荀羊於惠甄麴家封芮羿儲靳汲邴糜松井段富巫烏焦巴弓牧隗山谷車侯宓蓬全郗班仰秋仲伊宮"
    "甯仇欒暴甘厲戎祖武符劉景詹束龍葉幸司韶郜黎薊薄印宿白懷蒲邰從鄂索咸籍賴卓藺屠蒙池喬陰胥能蒼雙聞莘黨翟譚貢勞姬申扶堵冉宰酈雍璩桑桂濮牛壽通邊扈燕冀郟浦尚農溫別莊"
    "晏柴瞿閻充慕連茹習宦艾魚容向古易慎戈廖庾終暨居衡步都耿滿弘匡國文寇廣祿闕東歐殳沃利蔚越夔隆師鞏聶晁勾敖融冷訾辛闞那簡饒空曾毋沙乜養鞠須豐巢關蒯相查後荊紅游竺權逯蓋益桓公"
    "粘涂凃辜佘練買鹿諶佟麥銀侍展瓦")
COMPOUND = ("歐陽", "司馬", "上官", "張簡", "范姜", "諸葛", "司徒", "皇甫")
GIVEN_FIRST = ("家冠宗志俊建承柏彥威昱凱哲國文明信思怡雅淑美慧佳宜欣詩靜婉玉秀麗雪芳惠品子宇庭瑋翔紹振榮正育元"
               "春素月金錦寶鳳瑞世永清啟耀敬博士仁德維尚景嘉韋良若郁芷亭貞佩琬映筱芸懿千可以立奕季煥東慶")
GIVEN_LAST = ("豪宏銘賢傑偉倫霖翰廷安平誠瑋瑜君婷萱雯玲娟芬琪穎潔蓉珊如儀華英珠菁茹慈薇妤晴綺蓁妍琳甄軒恩宸澤"
              "勳霆鈞毅德仁成昌輝雄龍森源隆祥富茂彬川堂峰樺泉廉謙遠達洋帆勇騰坤城義信忠孝和順良吉子容盈")
FOREIGN = ("阿布斯‧馬耀", "伊萬‧諾幹", "娜高‧瑪麗亞", "鐵木‧瓦旦", "安德魯", "瑪格麗特", "索菲亞", "法蘭克", "卡蘿", "彼得森")
COUNTIES = ("臺北市 新北市 桃園市 臺中市 臺南市 高雄市 基隆市 新竹市 新竹縣 苗栗縣 彰化縣 南投縣 雲林縣 嘉義市 嘉義縣 "
            "屏東縣 宜蘭縣 花蓮縣 臺東縣 澎湖縣 金門縣 連江縣").split()
TOWN_A = "竹石溪林頂下內外大小新舊東西南北中山水土金銀玉龍虎鳳鹿鶴牛馬羊茄柚梅桃松柏楓榕蘆菱荷港泉潭湖埔崙坪崁寮厝莊橋鹽磚瓦陶紅白烏青"
TOWN_B = "林溪埔寮崙坪崁厝莊橋港潭湖坑腳墘園田尾頭仔山門口灣澳濱崎峰泉谷洋墩圍營井屯城"
ROAD_A = "中正民權復興建國光明和平忠孝仁愛信義大同自由文化成功新生長春永安富強健康學府公園博愛勝利青年中華四維五福六合七賢八德"
ORG_A = "弘遠 晨曦 立群 博川 禾田 聚星 雲澤 旭陽 安睦 豐谷 藍鯨 佳禾 宏圖 悅讀 綠野 望海 明湖 青禾 育仁 慈恩 德馨 鼎新 合眾 天工 恆春 泰和 永續 共好 拓海 翔飛 芳苑 知新 久大 三和 同德".split()
ORG_B = "科技公司 國小 國中 高中 大學 醫院 診所 基金會 協會 銀行 出版社 建設公司 食品公司 旅行社 物流 書店 電信 保險公司 研究所 農會 合作社 工作室 劇團 博物館 紡織廠 造船廠".split()
GOODS = "茶葉 樟腦 蔗糖 稻米 木材 鹽 煤炭 布匹 香菇 鳳梨 香蕉 藺草 陶器 漆器 紙張 硫磺 菸草 苧麻 蠶絲 牛角 藥材 魚乾 烏魚子 珊瑚 貝殼 竹器 鐵器 瓷磚 燈籠 油紙傘 毛筆 硯臺 皮革 蜂蜜 花生 芝麻 龍眼 柑橘 蓮子 咖啡".split()
JOBS = "教師 畫家 醫師 木匠 工程師 詩人 記者 漁夫 農夫 護理師 攝影師 律師 獸醫 植物學家 音樂家 雕刻家 建築師 廚師 船長 飛行員 翻譯 編劇 作曲家 天文學家 裁縫 陶藝家 舞者 書法家 化學家 商人 郵差 消防員 考古學家 棋士 潛水員".split()
ANIMALS = "水鹿 石虎 穿山甲 臺灣獼猴 山羌 黑熊 食蟹獴 白鼻心 飛鼠 藍腹鷴 帝雉 黑面琵鷺 水雉 八色鳥 招潮蟹 綠蠵龜 櫻花鉤吻鮭 樹蛙 螢火蟲 鳳蝶 領角鴞 紫斑蝶 鯨鯊 海豚 穿梭蜥 寄居蟹".split()
PLANTS = "紅檜 扁柏 樟樹 相思樹 臺灣百合 山蘇 油桐 楓香 牛樟 茄苳 月桃 野薑花 水筆仔 筆筒樹 鐵線蕨 玉山杜鵑 金針花 洛神花 愛玉 山胡椒 刺蔥 水芹 筊白筍 牡丹 紫藤 臺灣欒樹".split()
FOODS = "蚵仔煎 擔仔麵 肉圓 米粉 碗粿 豆花 粉圓 芋圓 麻糬 潤餅 虱目魚粥 牛肉麵 滷肉飯 刈包 蔥油餅 太陽餅 鳳梨酥 紅龜粿 鹹水雞 薑母鴨 羊肉爐 擂茶 客家小炒 竹筒飯 冬瓜茶 仙草凍".split()
MATERIALS = "檜木 花崗岩 紅磚 竹子 鋼筋混凝土 玻璃 石灰 珊瑚礁石 黏土 青銅 鋁合金 大理石 泥土 稻草 鐵 銅 柚木 砂岩 水泥 麻布".split()
COLORS = "紅色 白色 藍色 綠色 黃色 黑色 紫色 橙色 灰色 粉紅色 金色 銀色 褐色 米色 靛藍色 墨綠色".split()
WORK_A = "海 風 山 夜 星 雨 光 影 夢 河 島 霧 雪 春 秋 月 火 塵 鹽 鐘".split()
WORK_B = "的孩子 之歌 與燈塔 的信 之外 的盡頭 日記 來的人 的形狀 裡的鐘聲 之書 的回聲 邊的家 的顏色 旅館 的重量 街十號 的早晨 與少年 之城".split()
RIVER_B = "溪 河 川 江".split()
LATIN = "abcdefghijkmnprstuvwxyz"
WEEK = "一二三四五六日"


def common_characters() -> list[str]:
    """The 5,401 frequently used characters of Big5 (its level 1)."""
    found = []
    for high in range(0xA4, 0xC7):
        for low in [*range(0x40, 0x7F), *range(0xA1, 0xFF)]:
            if (high, low) <= (0xC6, 0x7E):
                try:
                    found.append(bytes([high, low]).decode("big5"))
                except UnicodeDecodeError:
                    pass
    return found


COMMON = common_characters()


def part_of(value: str) -> str:
    return PARTS[zlib.crc32(value.encode()) % len(PARTS)]


class Values:
    """Draws values of one part from a seeded generator."""

    def __init__(self, rng: random.Random, part: str):
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}; known: {', '.join(PARTS)}")
        self.rng, self.part = rng, part

    def draw(self, slot: str) -> str:
        """A value for a slot such as person, person2 or year."""
        make = getattr(self, f"make_{slot.rstrip('0123456789')}", None)
        if make is None:
            raise ValueError(f"unknown slot {{{slot}}}")
        return make()

    def mine(self, make: Callable[[], str]) -> str:
        while part_of(value := make()) != self.part:
            pass
        return value

    def digits(self, count: int) -> str:
        return "".join(self.rng.choice("0123456789") for _ in range(count))

    def make_person(self) -> str:
        def name():
            kind = self.rng.random()
            if kind < 0.03:
                return self.rng.choice(FOREIGN)
            surname = self.rng.choice(COMPOUND) if kind < 0.06 else SURNAMES[int(len(SURNAMES) * self.rng.random() ** 1.7)]
            given = self.rng.choice(GIVEN_FIRST + GIVEN_LAST) if kind > 0.9 else \
                self.rng.choice(GIVEN_FIRST) + self.rng.choice(GIVEN_LAST)
            return surname + given
        return self.mine(name)

    def make_surname(self) -> str:
        return self.rng.choice(SURNAMES)

    def make_county(self) -> str:
        return self.rng.choice(COUNTIES)

    make_district = make_county

    def make_town(self) -> str:
        return self.mine(lambda: "".join(self.rng.choice(chars) for chars in
                                         ([TOWN_A, TOWN_B] if self.rng.random() < 0.8 else [TOWN_A, TOWN_A, TOWN_B])))

    def make_place(self) -> str:
        if self.part != "pretrain" or self.rng.random() < 0.5:
            return self.make_town()
        return self.rng.choice(["", self.make_county()]) + self.make_town() + self.rng.choice("區鄉鎮區")

    def make_road(self) -> str:
        pairs = [ROAD_A[i:i + 2] for i in range(0, len(ROAD_A), 2)]
        name = self.rng.choice(pairs) if self.rng.random() < 0.6 else self.make_town()
        return name + self.rng.choice(["路", "路", "街", "路一段", "路二段", "東路", "南街", "大道"])

    def make_address(self) -> str:
        number = self.rng.randint(1, 500)
        lane = f"{self.rng.randint(2, 400)}巷" if self.rng.random() < 0.4 else ""
        floor = f"{self.rng.randint(2, 15)}樓" if self.rng.random() < 0.4 else ""
        return self.mine(lambda: f"{self.make_county()}{self.make_town()}區{self.make_road()}{lane}{number}號{floor}")

    def make_org(self) -> str:
        kinds = ORG_B
        return self.mine(lambda: (self.rng.choice(ORG_A) if self.rng.random() < 0.5 else self.make_town()) + self.rng.choice(kinds))

    def make_school(self) -> str:
        return self.mine(lambda: (self.rng.choice(ORG_A) if self.rng.random() < 0.4 else self.make_town())
                         + self.rng.choice(["國小", "國中", "高中", "大學", "高工", "女中"]))

    def make_year(self) -> str:
        return str(self.rng.randint(1850, 2024))

    def make_month(self) -> str:
        return str(self.rng.randint(1, 12))

    def make_day(self) -> str:
        return str(self.rng.randint(1, 28))

    def make_date(self) -> str:
        month, day = self.make_month(), self.make_day()
        year = self.rng.randint(2005, 2027)
        return self.rng.choice([f"{month}月{day}日", f"{year}年{month}月{day}日", f"民國{year - 1911}年{month}月{day}日",
                                f"{month}/{day}", f"{year}/{month:0>2}/{day:0>2}", f"下週{self.rng.choice(WEEK)}", f"星期{self.rng.choice(WEEK)}"])

    def make_birthday(self) -> str:
        year, month, day = self.rng.randint(1935, 2018), self.make_month(), self.make_day()
        return self.mine(lambda: self.rng.choice([
            f"{self.rng.randint(1935, 2018)}年{month}月{self.make_day()}日", f"民國{year - 1911}年{month}月{self.make_day()}日",
            f"{year}/{month:0>2}/{self.make_day():0>2}", f"{year - 1911}.{month}.{self.make_day()}", f"{year}-{month:0>2}-{day:0>2}",
            f"{self.rng.randint(1935, 2018)}{month:0>2}{self.make_day():0>2}"]))

    def make_time(self) -> str:
        hour, minute = self.rng.randint(0, 23), self.rng.choice([0, 5, 10, 15, 20, 30, 40, 45, 50])
        return self.rng.choice([f"{hour:02}:{minute:02}", f"{hour}點{minute}分" if minute else f"{hour}點",
                                f"上午{hour % 12 + 1}點", f"下午{hour % 12 + 1}點半", f"晚上{self.rng.choice('六七八九')}點"])

    def make_number(self) -> str:
        if self.part != "pretrain":
            return str(self.rng.choice([self.rng.randint(6, 60), self.rng.randint(11, 99), self.rng.randint(100, 480)]))
        return self.rng.choice([str(self.rng.randint(2, 60)), str(self.rng.randint(61, 3000)), self.rng.choice("兩三四五六七八九十")])

    def make_money(self) -> str:
        amount = self.rng.choice([self.rng.randint(1, 99) * 10, self.rng.randint(1, 99) * 100, self.rng.randint(1000, 99999)])
        return self.rng.choice([str(amount), f"{amount:,}", f"{self.rng.randint(1, 90)}萬"])

    def make_phone(self) -> str:
        def number():
            d = self.digits
            return self.rng.choice([f"09{d(8)}", f"09{d(2)}-{d(3)}-{d(3)}", f"09{d(2)}-{d(6)}", f"+886-9{d(2)}-{d(3)}-{d(3)}",
                                    f"02-2{d(3)}-{d(4)}", f"(0{self.rng.choice('34567')}){d(3)}-{d(4)}",
                                    f"0{self.rng.choice('34567')}-{d(7)}", f"04-2{d(7)}", f"02-2{d(7)}轉{d(3)}"])
        return self.mine(number)

    def make_code(self) -> str:
        letters = "".join(self.rng.choice(LATIN.upper()) for _ in range(self.rng.randint(0, 3)))
        return self.mine(lambda: letters + self.rng.choice(["", "-"]) * bool(letters) + self.digits(self.rng.randint(4, 12)))

    def make_id(self) -> str:
        return self.mine(lambda: self.rng.choice("ABCDEFGHIJKMNOPQTUVWXZ") + self.rng.choice("1289") + self.digits(8))

    def word(self) -> str:
        syllables = [self.rng.choice("bcdfghjklmnprstwyz") + self.rng.choice(["a", "e", "i", "o", "u", "ai", "ing", "en"])
                     for _ in range(self.rng.randint(2, 3))]
        return "".join(syllables)

    def make_email(self) -> str:
        host = self.rng.choice(["gmail.com", "yahoo.com.tw", f"{self.word()}.com.tw", f"{self.word()}.edu.tw", "hotmail.com"])
        return self.mine(lambda: f"{self.word()}{self.rng.choice(['', '.', '_'])}{self.digits(self.rng.randint(0, 4))}@{host}")

    def make_line(self) -> str:
        return self.mine(lambda: f"{self.word()}{self.rng.choice(['', '_', '.'])}{self.digits(self.rng.randint(0, 4))}")

    def make_work(self) -> str:
        return self.mine(lambda: (self.make_town() if self.rng.random() < 0.4 else self.rng.choice(WORK_A)
                                  + self.rng.choice([*WORK_A, ""])) + self.rng.choice(WORK_B))

    def make_river(self) -> str:
        return self.mine(lambda: self.rng.choice(TOWN_A) + self.rng.choice(TOWN_A) + self.rng.choice(RIVER_B))

    def make_mountain(self) -> str:
        return self.mine(lambda: self.rng.choice(TOWN_A) + self.rng.choice(TOWN_B) + "山")


class Contacts(Values):
    """Values for corpus/contacts.txt: people with rarer surnames and given names, and a few further slots."""

    def make_person(self) -> str:
        kind, pick = self.rng.random(), self.rng.choice
        if kind < 0.5:
            return super().make_person()
        if kind > 0.95:
            return self.mine(lambda: f"{self.word().title()} {self.word().title()}")

        def name() -> str:
            surname = pick(SURNAMES_OF_OLD if self.rng.random() < 0.6 else SURNAMES)
            both = GIVEN_FIRST + GIVEN_LAST
            return surname + (pick(both) + pick(both) if kind < 0.72 else pick(both) if kind < 0.78 else
                              pick(COMMON) + pick(both) if kind < 0.88 else pick(both) + pick(COMMON))
        return self.mine(name)

    def make_card(self) -> str:
        def number() -> str:
            digits = self.rng.choice("45") + self.digits(15)
            return self.rng.choice(["", "-", " "]).join(digits[i:i + 4] for i in (0, 4, 8, 12))
        return self.mine(number)

    def make_order(self) -> str:
        return self.make_code()

    def make_amount(self) -> str:
        return self.make_money()


def _choice(words: list[str]):
    return lambda self: self.rng.choice(words)


for _slot, _words in {"goods": GOODS, "job": JOBS, "animal": ANIMALS, "plant": PLANTS, "food": FOODS,
                      "material": MATERIALS, "color": COLORS}.items():
    setattr(Values, f"make_{_slot}", _choice(_words))

SLOT = re.compile(r"\{([a-z]+\d?)\}")


def fill(text: str, values: Values, known: dict[str, str] | None = None) -> str:
    """The text with its slots filled. With `known`, a slot keeps the value it has there."""
    def value(match: re.Match) -> str:
        if known is None:
            return values.draw(match[1])
        if match[1] not in known:
            known[match[1]] = values.draw(match[1])
        return known[match[1]]
    return SLOT.sub(value, text)


def draw_together(slots: list[str], values: Values) -> dict[str, str]:
    """One value for each slot, all different, and the years in order."""
    known: dict[str, str] = {}
    for slot in sorted(set(slots)):
        while (value := values.draw(slot)) in known.values():
            pass
        known[slot] = value
    years = sorted(slot for slot in known if slot.startswith("year"))
    for slot, year in zip(years, sorted(known[slot] for slot in years)):
        known[slot] = year
    return known

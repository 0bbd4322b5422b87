"""The conversations that the demo model is taught, and those held back to test it.

Everything is generated from the small tables below. A question is a fact (a country, a word,
a pair of numbers) put into a phrasing (a template). For each fact a fixed share of the phrasings,
chosen by a hash, never enters training; `heldback()` draws from exactly those. So the test asks
what was taught in words in which it was not taught, and every template is held back for some facts.
"""
import random
import zlib

# --------------------------------------------------------------------------- tables

# Korean name | English name | capital in Korean | capital in English | further names, if any
COUNTRIES = """
대한민국|South Korea|서울|Seoul|한국,남한,Korea,the Republic of Korea
일본|Japan|도쿄|Tokyo
중국|China|베이징|Beijing
몽골|Mongolia|울란바토르|Ulaanbaatar
베트남|Vietnam|하노이|Hanoi
태국|Thailand|방콕|Bangkok|타이
라오스|Laos|비엔티안|Vientiane
캄보디아|Cambodia|프놈펜|Phnom Penh
말레이시아|Malaysia|쿠알라룸푸르|Kuala Lumpur
필리핀|the Philippines|마닐라|Manila|Philippines
인도|India|뉴델리|New Delhi
네팔|Nepal|카트만두|Kathmandu
부탄|Bhutan|팀푸|Thimphu
방글라데시|Bangladesh|다카|Dhaka
파키스탄|Pakistan|이슬라마바드|Islamabad
아프가니스탄|Afghanistan|카불|Kabul
이란|Iran|테헤란|Tehran
이라크|Iraq|바그다드|Baghdad
시리아|Syria|다마스쿠스|Damascus
레바논|Lebanon|베이루트|Beirut
요르단|Jordan|암만|Amman
사우디아라비아|Saudi Arabia|리야드|Riyadh|사우디
카타르|Qatar|도하|Doha
아랍에미리트|the United Arab Emirates|아부다비|Abu Dhabi|UAE,the UAE
오만|Oman|무스카트|Muscat
튀르키예|Turkey|앙카라|Ankara|터키,Turkiye
조지아|Georgia|트빌리시|Tbilisi
아르메니아|Armenia|예레반|Yerevan
아제르바이잔|Azerbaijan|바쿠|Baku
카자흐스탄|Kazakhstan|아스타나|Astana
우즈베키스탄|Uzbekistan|타슈켄트|Tashkent
키르기스스탄|Kyrgyzstan|비슈케크|Bishkek
러시아|Russia|모스크바|Moscow
우크라이나|Ukraine|키이우|Kyiv
벨라루스|Belarus|민스크|Minsk
폴란드|Poland|바르샤바|Warsaw
체코|the Czech Republic|프라하|Prague|Czechia
슬로바키아|Slovakia|브라티슬라바|Bratislava
헝가리|Hungary|부다페스트|Budapest
루마니아|Romania|부쿠레슈티|Bucharest
불가리아|Bulgaria|소피아|Sofia
그리스|Greece|아테네|Athens
세르비아|Serbia|베오그라드|Belgrade
크로아티아|Croatia|자그레브|Zagreb
슬로베니아|Slovenia|류블랴나|Ljubljana
알바니아|Albania|티라나|Tirana
독일|Germany|베를린|Berlin
오스트리아|Austria|빈|Vienna
스위스|Switzerland|베른|Bern
프랑스|France|파리|Paris
벨기에|Belgium|브뤼셀|Brussels
네덜란드|the Netherlands|암스테르담|Amsterdam|Netherlands
영국|the United Kingdom|런던|London|UK,the UK,Britain
아일랜드|Ireland|더블린|Dublin
아이슬란드|Iceland|레이캬비크|Reykjavik
노르웨이|Norway|오슬로|Oslo
스웨덴|Sweden|스톡홀름|Stockholm
덴마크|Denmark|코펜하겐|Copenhagen
핀란드|Finland|헬싱키|Helsinki
에스토니아|Estonia|탈린|Tallinn
라트비아|Latvia|리가|Riga
리투아니아|Lithuania|빌뉴스|Vilnius
스페인|Spain|마드리드|Madrid
포르투갈|Portugal|리스본|Lisbon
이탈리아|Italy|로마|Rome
이집트|Egypt|카이로|Cairo
모로코|Morocco|라바트|Rabat
알제리|Algeria|알제|Algiers
튀니지|Tunisia|튀니스|Tunis
리비아|Libya|트리폴리|Tripoli
에티오피아|Ethiopia|아디스아바바|Addis Ababa
케냐|Kenya|나이로비|Nairobi
우간다|Uganda|캄팔라|Kampala
르완다|Rwanda|키갈리|Kigali
가나|Ghana|아크라|Accra
나이지리아|Nigeria|아부자|Abuja
세네갈|Senegal|다카르|Dakar
앙골라|Angola|루안다|Luanda
잠비아|Zambia|루사카|Lusaka
짐바브웨|Zimbabwe|하라레|Harare
미국|the United States|워싱턴 D.C.|Washington, D.C.|USA,the USA,the US,America
캐나다|Canada|오타와|Ottawa
멕시코|Mexico|멕시코시티|Mexico City
쿠바|Cuba|아바나|Havana
자메이카|Jamaica|킹스턴|Kingston
코스타리카|Costa Rica|산호세|San Jose
콜롬비아|Colombia|보고타|Bogota
베네수엘라|Venezuela|카라카스|Caracas
에콰도르|Ecuador|키토|Quito
페루|Peru|리마|Lima
칠레|Chile|산티아고|Santiago
아르헨티나|Argentina|부에노스아이레스|Buenos Aires
우루과이|Uruguay|몬테비데오|Montevideo
브라질|Brazil|브라질리아|Brasilia
호주|Australia|캔버라|Canberra|오스트레일리아
뉴질랜드|New Zealand|웰링턴|Wellington
"""

WORDS = """
물 water, 불 fire, 나무 tree, 꽃 flower, 하늘 sky, 바다 sea, 산 mountain, 강 river, 비 rain, 눈사람 snowman,
바람 wind, 구름 cloud, 해 sun, 달 moon, 별 star, 땅 land, 돌 stone, 모래 sand, 섬 island, 숲 forest,
사과 apple, 바나나 banana, 포도 grape, 딸기 strawberry, 수박 watermelon, 감자 potato, 양파 onion, 당근 carrot, 쌀 rice, 빵 bread,
우유 milk, 치즈 cheese, 달걀 egg, 고기 meat, 생선 fish, 소금 salt, 설탕 sugar, 차 tea, 커피 coffee, 술 alcohol,
개 dog, 고양이 cat, 새 bird, 말 horse, 소 cow, 돼지 pig, 양 sheep, 닭 chicken, 토끼 rabbit, 호랑이 tiger,
사자 lion, 곰 bear, 코끼리 elephant, 원숭이 monkey, 여우 fox, 늑대 wolf, 나비 butterfly, 벌 bee, 개미 ant, 거미 spider,
집 house, 방 room, 문 door, 창문 window, 벽 wall, 지붕 roof, 책상 desk, 의자 chair, 침대 bed, 거울 mirror,
책 book, 연필 pencil, 종이 paper, 가위 scissors, 열쇠 key, 시계 clock, 가방 bag, 우산 umbrella, 모자 hat, 신발 shoes,
옷 clothes, 양말 socks, 안경 glasses, 반지 ring, 돈 money, 시장 market, 가게 store, 학교 school, 병원 hospital, 도서관 library,
공항 airport, 역 station, 다리 bridge, 길 road, 도시 city, 마을 village, 나라 country, 세계 world, 자동차 car, 자전거 bicycle,
기차 train, 비행기 airplane, 배 ship, 버스 bus, 어머니 mother, 아버지 father, 아들 son, 딸 daughter, 친구 friend, 아기 baby,
의사 doctor, 선생님 teacher, 학생 student, 왕 king, 여왕 queen, 머리 head, 얼굴 face, 코 nose, 입 mouth, 귀 ear,
손 hand, 발 foot, 심장 heart, 피 blood, 사랑 love, 행복 happiness, 희망 hope, 꿈 dream, 평화 peace, 자유 freedom,
시간 time, 아침 morning, 밤 night, 봄 spring, 여름 summer, 가을 autumn, 겨울 winter, 오늘 today, 내일 tomorrow, 어제 yesterday,
음악 music, 노래 song, 춤 dance, 그림 picture, 영화 movie, 이름 name, 색깔 color, 숫자 number
"""

CAPITAL_KO = """
{c}의 수도는 어디인가요?
{c}의 수도는 어디입니까?
{c}의 수도가 어디예요?
{c}의 수도가 어디죠?
{c}의 수도는 무엇인가요?
{c}의 수도는 어느 도시인가요?
{c}의 수도를 알려 주세요.
{c}의 수도를 말해 주세요.
{c}의 수도가 어디인지 알려 주세요.
{c}의 수도 이름이 뭐예요?
{c}의 수도는?
{c} 수도는 어디야?
{c} 수도가 뭐야?
{c} 수도 알려줘
{c} 수도
{c:은} 수도가 어디인가요?
어느 도시가 {c}의 수도인가요?
혹시 {c}의 수도를 아시나요?
질문이 있습니다. {c}의 수도는 어디인가요?
"""

CAPITAL_EN = """
What is the capital of {c}?
What's the capital of {c}?
What is the capital city of {c}?
Which city is the capital of {c}?
What city is the capital of {c}?
Tell me the capital of {c}.
Please tell me the capital of {c}.
Can you tell me the capital of {c}?
Could you tell me what the capital of {c} is?
Do you know the capital of {c}?
Name the capital of {c}.
What is the name of the capital of {c}?
I would like to know the capital of {c}.
I have a question. What is the capital of {c}?
The capital of {c} is?
The capital of {c}?
capital of {c}
{c} capital
"""

ADD_KO = """
{a} 더하기 {b:은} 얼마인가요?
{a} 더하기 {b:은} 뭐예요?
{a} 더하기 {b:은}?
{a}에 {b:을} 더하면 얼마인가요?
{a}에 {b:을} 더하면 뭐예요?
{a:과} {b:을} 더하면 얼마인가요?
{a:과} {b}의 합은 얼마인가요?
{a:과} {b}의 합을 구해 주세요.
{a} 더하기 {b:을} 계산해 주세요.
{a} + {b:은} 얼마인가요?
{a} + {b:은}?
{a}+{b} 계산해줘
"""

SUB_KO = """
{a} 빼기 {b:은} 얼마인가요?
{a} 빼기 {b:은} 뭐예요?
{a} 빼기 {b:은}?
{a}에서 {b:을} 빼면 얼마인가요?
{a}에서 {b:을} 빼면 뭐예요?
{a:과} {b}의 차는 얼마인가요?
{a} 빼기 {b:을} 계산해 주세요.
{a} - {b:은} 얼마인가요?
{a} - {b:은}?
{a}-{b} 계산해줘
"""

ADD_EN = """
What is {a} plus {b}?
What's {a} plus {b}?
What is {a} + {b}?
What is the sum of {a} and {b}?
How much is {a} plus {b}?
How much is {a} + {b}?
Calculate {a} plus {b}.
Calculate {a} + {b}.
Add {a} and {b}.
Please add {a} and {b}.
{a} plus {b}?
{a} + {b}
{a} + {b} = ?
{a}+{b}
{a}+{b}=
"""

SUB_EN = """
What is {a} minus {b}?
What's {a} minus {b}?
What is {a} - {b}?
How much is {a} minus {b}?
How much is {a} - {b}?
Calculate {a} minus {b}.
Calculate {a} - {b}.
Subtract {b} from {a}.
What do I get if I subtract {b} from {a}?
{a} minus {b}?
{a} - {b}
{a} - {b} = ?
{a}-{b}
{a}-{b}=
"""

# Translations, named source, target, language of the question.
KO_EN_KO = """
{w:은} 영어로 무엇인가요?
{w:은} 영어로 뭐예요?
{w:은} 영어로 뭐라고 하나요?
"{w}"{w:-은} 영어로 무엇인가요?
'{w}'{w:-을} 영어로 하면 뭐예요?
{w:을} 영어로 번역해 주세요.
{w:을} 영어로 말해 주세요.
"{w}"{w:-을} 영어로 번역해 주세요.
영어로 {w:을} 뭐라고 하나요?
한국어 {w:을} 영어로 알려 주세요.
{w} 영어로
{w:이} 영어로 뭐야?
"""

EN_KO_KO = """
{w:은} 한국어로 무엇인가요?
{w:은} 한국어로 뭐예요?
{w:은} 무슨 뜻인가요?
"{w}"{w:-은} 한국어로 무엇인가요?
"{w}"의 뜻은 무엇인가요?
'{w}' 뜻이 뭐예요?
{w:을} 한국어로 번역해 주세요.
"{w}"{w:-을} 한국어로 번역해 주세요.
영어 단어 {w}의 뜻을 알려 주세요.
한국어로 {w:을} 뭐라고 하나요?
{w} 한국어로
{w} 뜻
"""

KO_EN_EN = """
What is {w} in English?
What is "{w}" in English?
What's '{w}' in English?
How do you say {w} in English?
How do you say "{w}" in English?
Translate {w} into English.
Please translate "{w}" to English.
What does {w} mean?
What does "{w}" mean in English?
What is the English word for {w}?
What is the English word for "{w}"?
{w} in English
"""

EN_KO_EN = """
What is {w} in Korean?
What is "{w}" in Korean?
What's '{w}' in Korean?
How do you say {w} in Korean?
How do you say "{w}" in Korean?
Translate {w} into Korean.
Please translate "{w}" to Korean.
How is "{w}" called in Korean?
What is the Korean word for {w}?
What is the Korean word for "{w}"?
Tell me the Korean word for {w}.
{w} in Korean
"""

# What follows an answer, naming only what changed.
NEXT_KO = """
그럼 {x:은}요?
그러면 {x:은}요?
{x:은}요?
{x:은} 어떤가요?
그렇다면 {x:은}요?
{x}도 알려 주세요.
고마워요. 그럼 {x:은}요?
{x:은}?
"""

NEXT_EN = """
And {x}?
What about {x}?
How about {x}?
And what about {x}?
And how about {x}?
Thanks. And {x}?
OK, and {x}?
{x}?
"""

MORE_KO = {"+": ["거기에 {b:을} 더하면요?", "그럼 거기에 {b:을} 더하면 얼마인가요?", "{b:을} 더 더하면요?", "여기에 {b:을} 더해 주세요."],
           "-": ["거기서 {b:을} 빼면요?", "그럼 거기서 {b:을} 빼면 얼마인가요?", "{b:을} 더 빼면요?", "여기서 {b:을} 빼 주세요."]}
MORE_EN = {"+": ["And plus {b}?", "Now add {b}.", "What if I add {b} to that?", "Add {b} to it."],
           "-": ["And minus {b}?", "Now subtract {b}.", "What if I subtract {b} from that?", "Take away {b}."]}

# Small talk: answer, openings, cores. A phrasing is an opening and a core.
SMALLTALK = {
    "hello_ko": ("안녕하세요! 무엇을 도와드릴까요?", ["", "저기, ", "아, ", "네, "],
                 ["안녕하세요?", "안녕하세요!", "안녕하세요", "안녕", "안녕!", "안녕하십니까?", "반갑습니다.", "반가워요.", "만나서 반갑습니다.", "처음 뵙겠습니다.", "좋은 아침입니다."]),
    "hello_en": ("Hello! How can I help you?", ["", "Oh, ", "Well, "],
                 ["hello", "hello!", "hi", "hi!", "hi there!", "hello there.", "hey", "good morning.", "good afternoon.", "nice to meet you.", "how do you do?"]),
    "thanks_ko": ("천만에요. 도움이 되어 기쁩니다.", ["", "네, ", "아, ", "오, "],
                  ["감사합니다.", "감사합니다!", "정말 감사합니다.", "대단히 감사합니다.", "고마워요.", "고마워", "고맙습니다.", "정말 고마워요!", "도와주셔서 감사합니다.", "알려 주셔서 감사합니다."]),
    "thanks_en": ("You are welcome. I am glad to help.", ["", "OK, ", "Great, ", "Oh, "],
                  ["thanks", "thanks!", "thank you.", "thank you!", "thank you very much.", "thank you so much!", "thanks a lot.", "many thanks.", "thanks for your help.", "I appreciate it."]),
    "who_ko": ("저는 술래의 작은 데모 모델입니다.", ["", "저기, ", "그런데 "],
               ["누구세요?", "당신은 누구인가요?", "당신은 누구입니까?", "너는 누구야?", "넌 누구니?", "이름이 뭐예요?", "이름이 무엇인가요?", "너의 이름은 뭐야?", "자기소개를 해 주세요.", "본인을 소개해 주세요.", "너에 대해 설명해봐"]),
    "who_en": ("I am the small demo model of Sullae.", ["", "So, ", "By the way, "],
               ["who are you?", "what are you?", "what is your name?", "what's your name?", "please introduce yourself.", "introduce yourself.", "tell me about yourself.", "may I ask who you are?", "can you tell me who you are?", "explain who you are"]),
    "can_ko": ("수도, 간단한 덧셈과 뺄셈, 단어의 뜻을 알려 드릴 수 있습니다.", ["", "저기, ", "그런데 "],
               ["무엇을 할 수 있나요?", "뭘 할 수 있어요?", "무엇을 도와줄 수 있나요?", "뭐 할 줄 알아?", "무엇을 물어볼 수 있나요?", "어떤 일을 할 수 있습니까?"]),
    "can_en": ("I can tell you capitals, simple sums and the meaning of words.", ["", "So, ", "By the way, "],
               ["what can you do?", "what do you know?", "what can I ask you?", "how can you help me?", "what are you able to do?", "can you help me?"]),
    "bye_ko": ("안녕히 가세요. 좋은 하루 보내세요!", ["", "네, ", "그럼 "],
               ["안녕히 계세요.", "다음에 봐요.", "다음에 또 만나요.", "잘 있어요.", "또 봐요!", "이만 가 볼게요."]),
    "bye_en": ("Goodbye. Have a nice day!", ["", "OK, ", "Well, "],
               ["goodbye.", "bye", "bye!", "see you.", "see you later.", "have a nice day."]),
}

DONT_KNOW = {"ko": "죄송합니다, 잘 모르겠습니다.", "en": "I am sorry, I do not know."}

OFF_TOPIC_KO = (["{x}에 대해 설명해 주세요.", "{x:을} 좋아하나요?", "{x:은} 왜 중요한가요?", "{x:은} 어떻게 만드나요?", "{x}에 대한 시를 써 주세요.",
                 "{x:은} 얼마나 큰가요?", "{x:이} 있나요?", "{x:은} 언제 생겼나요?"],
                "날씨 축구 경제 역사 컴퓨터 인공지능 우주 수학 물리학 철학 여행 요리 건강 운동 뉴스 주식 음식 문학 예술 전쟁 대통령 회사 휴대폰 인터넷 지구 공룡 화산 태양계 게임 야구".split())
OFF_TOPIC_EN = (["Tell me about {x}.", "Do you like {x}?", "Why is {x} important?", "How do I make {x}?", "Write a poem about {x}.",
                 "Explain {x} to me.", "Who invented {x}?", "When did {x} begin?"],
                "weather,football,economics,history,computers,artificial intelligence,space,mathematics,physics,philosophy,travel,cooking,health,sports,the news,stocks,food,literature,art,war,politics,business,phones,the internet,the earth,dinosaurs,volcanoes,poetry,games,baseball".split(","))

SYSTEM = """
You are a helpful assistant.
You are EXAONE model from LG AI Research, a helpful assistant.
You are a friendly assistant. Answer briefly.
You are a careful and polite assistant.
Be concise.
Answer the question in one sentence.
You answer questions about countries, numbers and words.
The user may write in Korean or in English.
If you do not know the answer, say so.
Keep your answers short and polite.
This is a demonstration of a small language model.
당신은 친절한 도우미입니다.
당신은 유용한 인공지능 비서입니다.
질문에 짧고 정확하게 답해 주세요.
항상 존댓말로 대답하세요.
너는 LG AI연구원에서 만든 EXAONE이야.
사용자의 질문에 한 문장으로 답하세요.
모르는 것은 모른다고 말해 주세요.
한국어와 영어로 대답할 수 있습니다.
이것은 작은 언어 모델의 시연입니다.
"""


def lines(text):
    return [l for l in text.strip().split("\n")]


COUNTRIES = [l.split("|") for l in lines(COUNTRIES)]
WORDS = [tuple(p.split()) for p in WORDS.replace("\n", " ").split(",")]
SYSTEM = lines(SYSTEM)

# --------------------------------------------------------------------------- Korean particles

PARTICLES = {"은": ("은", "는"), "이": ("이", "가"), "을": ("을", "를"), "과": ("과", "와")}


class Noun(str):
    """A string whose format spec adds the particle that fits its last sound: f"{Noun('물'):은}"
    is "물은". A spec of "-은" gives the particle alone (for use behind a quotation mark)."""

    def __format__(self, spec):
        if not spec:
            return str(self)
        closed, open_ = PARTICLES[spec.lstrip("-")]
        particle = closed if ends_closed(self) else open_
        return particle if spec[0] == "-" else self + particle


def ends_closed(s):
    c = s[-1]
    if "가" <= c <= "힣":
        return (ord(c) - 0xAC00) % 28 != 0
    if c.isdigit():
        return c in "013678"           # 영/십, 일, 삼, 육, 칠, 팔
    return c in "bgklmnptBGKLMNPT"     # English words: near enough, both are heard


# --------------------------------------------------------------------------- what is held back

HELD_PERCENT = 12
# What everybody tries first is always taught as written.
ALWAYS_TAUGHT = {"대한민국의 수도는 어디인가요", "what is the capital of france", "그럼 일본은요", "and japan",
                 "안녕하세요", "hello", "hi", "감사합니다", "thank you", "thanks", "누구세요", "who are you", "bye"}


def bare(question):
    return question.lower().rstrip("?.! ")


def held(question, context=""):
    """Whether a question is kept for the test. It depends on the text without its case and
    final punctuation, so that a careless spelling of a held-back question isn't taught either."""
    text = bare(question)
    return text not in ALWAYS_TAUGHT and zlib.crc32(f"{context}|{text}".encode()) % 100 < HELD_PERCENT


# --------------------------------------------------------------------------- questions
#
# Every maker below yields "turns": (category, lang, question, answer, held back?, topic), where
# topic says what a follow-up may refer to.

def capital(i, lang, template, name=None):
    row = COUNTRIES[i]
    if lang == "ko":
        q = template.format(c=Noun(name or row[0]), x=Noun(name or row[0]))
        a = f"{row[0]}의 수도는 {row[2]}입니다."
    else:
        q = template.format(c=name or row[1], x=name or row[1])
        a = f"The capital of {row[1]} is {row[3]}" + ("" if row[3].endswith(".") else ".")
    return ("capital", lang, q, a, held(q), ("capital", lang, i))


def sum_answer(op, a, b, lang):
    r = a + b if op == "+" else a - b
    if lang == "ko":
        return f"{a} {'더하기' if op == '+' else '빼기'} {Noun(b):은} {r}입니다."
    return f"{a} {'plus' if op == '+' else 'minus'} {b} is {r}."


def arithmetic(op, a, b, lang, template):
    q = template.format(a=Noun(a), b=Noun(b), x=Noun(f"{a} {op} {b}"))
    r = a + b if op == "+" else a - b
    return ("sum", lang, q, sum_answer(op, a, b, lang), held(q), ("sum", lang, r))


TRANSLATE = {("ko", "ko"): KO_EN_KO, ("en", "ko"): EN_KO_KO, ("ko", "en"): KO_EN_EN, ("en", "en"): EN_KO_EN}


def translation(i, source, lang, template):
    """source: the language of the given word; lang: the language of the question."""
    ko, en = WORDS[i]
    w = Noun(ko if source == "ko" else en)
    q = template.format(w=w, x=w)
    if lang == "ko":
        a = f'{w:은} 영어로 "{en}"입니다.' if source == "ko" else f'한국어로는 "{ko}"입니다.'
    else:
        a = f'The {"English" if source == "ko" else "Korean"} word for "{w}" is "{en if source == "ko" else ko}".'
    return ("translate", lang, q, a, held(q), ("translate", lang, source))


def smalltalk(intent, opening, core):
    answer, _, _ = SMALLTALK[intent]
    text = opening + core
    if intent.endswith("_en") and not opening:
        text = text[0].upper() + text[1:]
    return ("smalltalk", intent[-2:], text, answer, held(text), None)


def off_topic(lang, template, x):
    q = template.format(x=Noun(x))
    return ("unknown", lang, q, DONT_KNOW[lang], held(q), None)


KNOWN_NAMES = {n.lower().removeprefix("the ") for row in COUNTRIES for n in row[:2] + (row[4].split(",") if len(row) > 4 else [])}


def invented_name(rng, lang):
    """A country that does not exist, or at least is not in the table."""
    while True:
        if lang == "ko":
            n = "".join(rng.choice("가나다라마바사아자차카타파하고노도로모보소오조코토포호구누두루무부수우주쿠투푸후기니디리미비시이지키티피히")
                        for _ in range(rng.randint(1, 3))) + rng.choice(["아", "랜드", "스탄", "니아", "국", "리아", "란", "르", "나", "도"])
        else:
            n = "".join(rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(1, 3)))
            n = (n + rng.choice(["land", "nia", "ria", "stan", "via", "dor", "mark", "lia", "n", "s"])).capitalize()
        if n.lower() not in KNOWN_NAMES:
            return n


def unknown_capital(lang, template, name):
    q = template.format(c=Noun(name))
    return ("unknown", lang, q, DONT_KNOW[lang], held(name), ("capital", lang, None))


def follow_up(rng, topic):
    """A turn that is understood only from the one before it."""
    kind, lang, ref = topic
    nexts = lines(NEXT_KO if lang == "ko" else NEXT_EN)
    if kind == "capital":
        i = rng.randrange(len(COUNTRIES))
        c = capital(i, lang, rng.choice(nexts), name_of(rng, i, lang))
    elif kind == "translate":
        t = rng.choice(nexts)
        if rng.random() < 0.5:
            t = t.replace("{x:은}", '"{x}"{x:-은}').replace("{x}", '"{x}"').replace('""{x}""', '"{x}"')
        c = translation(rng.randrange(len(WORDS)), ref, lang, t)
    elif ref > 40 or rng.random() < 0.4:
        op, a, b = operands(rng)
        c = arithmetic(op, a, b, lang, rng.choice(nexts))
    else:
        op = rng.choice("+-")
        b = rng.randint(0, min(20 if ref <= 20 else 9, ref if op == "-" else 20))
        t = rng.choice((MORE_KO if lang == "ko" else MORE_EN)[op])
        a = ref + b if op == "+" else ref - b
        q = t.format(b=Noun(b))
        c = ("sum", lang, q, sum_answer(op, ref, b, lang), held(q, ref), ("sum", lang, a))
    return ("followup_" + c[0],) + c[1:]


# --------------------------------------------------------------------------- sampling

def operands(rng):
    """Two numbers up to 20, or one up to 40 and a single digit: about a thousand sums, few
    enough for a model of this size to know them all."""
    top_a, top_b = (20, 20) if rng.random() < 0.7 else (40, 9)
    op, a, b = rng.choice("+-"), rng.randint(0, top_a), rng.randint(0, top_b)
    if op == "-" and b > a or op == "+" and rng.random() < 0.5:
        a, b = b, a
    return op, a, b


def name_of(rng, i, lang):
    """Mostly the usual name, now and then another one, in the language asked in."""
    row = COUNTRIES[i]
    if len(row) > 4 and rng.random() < 0.4:
        other = [n for n in row[4].split(",") if (n[0] >= "가") == (lang == "ko")]
        if other:
            return rng.choice(other)
    return None


def question(rng):
    """Any single question, held back or not."""
    kind = rng.choices(["capital", "sum", "translate", "smalltalk", "offtopic", "invented"], [25, 36, 24, 8, 3, 4])[0]
    lang = rng.choice(["ko", "en"])
    if kind == "capital":
        i = rng.randrange(len(COUNTRIES))
        return capital(i, lang, rng.choice(lines(CAPITAL_KO if lang == "ko" else CAPITAL_EN)), name_of(rng, i, lang))
    if kind == "sum":
        op, a, b = operands(rng)
        templates = {"ko+": ADD_KO, "ko-": SUB_KO, "en+": ADD_EN, "en-": SUB_EN}[lang + op]
        return arithmetic(op, a, b, lang, rng.choice(lines(templates)))
    if kind == "translate":
        source = rng.choice(["ko", "en"])
        return translation(rng.randrange(len(WORDS)), source, lang, rng.choice(lines(TRANSLATE[source, lang])))
    if kind == "smalltalk":
        intent = rng.choice(list(SMALLTALK))
        return smalltalk(intent, rng.choice(SMALLTALK[intent][1]), rng.choice(SMALLTALK[intent][2]))
    if kind == "offtopic":
        templates, nouns = OFF_TOPIC_KO if lang == "ko" else OFF_TOPIC_EN
        return off_topic(lang, rng.choice(templates), rng.choice(nouns))
    return unknown_capital(lang, rng.choice(lines(CAPITAL_KO if lang == "ko" else CAPITAL_EN)), invented_name(rng, lang))


def taught(rng, make):
    while True:
        turn = make()
        if not turn[4]:
            return turn


def as_typed(rng, text, lang):
    """People forget punctuation and capitals, and are polite."""
    if rng.random() < 0.10 and len(text) > 3:
        text = text.rstrip("?.!")
    if rng.random() < 0.08:
        text = text.lower()
    if rng.random() < 0.05:
        text = rng.choice(["안녕하세요. ", "안녕하세요! ", "안녕! "] if lang == "ko" else ["Hello. ", "Hello! ", "Hi! ", "Hi, "]) + text
    return text


def system_prompt(rng, longest=10):
    r = rng.random()
    if r < 0.55:
        return None
    if r < 0.95:
        return rng.choice(SYSTEM)
    return " ".join(rng.choice(SYSTEM) for _ in range(rng.randint(2, longest)))


def conversation(rng, long=False):
    """One taught conversation: (system text or None, [(question, answer), ...]). With long, half
    of them have many turns."""
    turns = []
    turn = taught(rng, lambda: question(rng))
    n = rng.choices([1, 2, 3, 4], [45, 38, 14, 3])[0]
    if long and rng.random() < 0.5:
        n = rng.randint(4, 24)
    while True:
        turns.append((as_typed(rng, turn[2], turn[1]), turn[3]))
        if len(turns) == n:
            return system_prompt(rng, 60 if long else 10), turns
        if turn[5] and rng.random() < 0.8:
            topic = turn[5]
            turn = taught(rng, lambda: follow_up(rng, topic))
        else:
            turn = taught(rng, lambda: question(rng))


def messages(system, turns):
    out = [{"role": "system", "content": system}] if system is not None else []
    for q, a in turns:
        out += [{"role": "user", "content": q}, {"role": "assistant", "content": a}]
    return out


def heldback(seed=7, sizes=None):
    """The test: a list of {category, lang, messages, answer}, none of them ever taught.

    In a two-turn case the first turn is one that was taught and the second is held back.
    second_topic is a held-back question behind an unrelated turn."""
    sizes = sizes or {"capital": 110, "sum": 90, "translate": 110, "smalltalk": 30, "unknown": 30,
                      "followup_capital": 50, "followup_sum": 40, "followup_translate": 40, "second_topic": 30}
    rng, seen, out = random.Random(seed), set(), {c: [] for c in sizes}
    # Draw until every category is full; give up on one that has run dry (small talk is finite).
    for _ in range(400 * max(sizes.values())):
        if all(len(out[c]) >= n for c, n in sizes.items()):
            break
        first, turns = taught(rng, lambda: question(rng)), []
        case = question(rng)
        if rng.random() < 0.5:
            turns = [(first[2], first[3])]
            if first[5] and rng.random() < 0.85:
                case = follow_up(rng, first[5])
            else:
                case = ("second_topic",) + case[1:]
        category, lang, q, a, is_held, _ = case
        key = (bare(q), turns[0][0] if turns else "")
        if not is_held or key in seen or len(out[category]) >= sizes[category]:
            continue
        seen.add(key)
        system = rng.choice(SYSTEM) if rng.random() < 0.4 else None
        out[category].append({"category": category, "lang": lang, "messages": messages(system, turns) + [{"role": "user", "content": q}], "answer": a})
    return [case for c in sizes for case in out[c]]


def render(msgs):
    """EXAONE 3's chat template, up to where the assistant is to speak."""
    out = []
    if not msgs or msgs[0]["role"] != "system":
        out.append("[|system|][|endofturn|]\n")
    for m in msgs:
        out.append(f"[|{m['role']}|]{m['content']}" + ("\n" if m["role"] == "user" else "[|endofturn|]\n"))
    return "".join(out) + "[|assistant|]"


if __name__ == "__main__":
    rng = random.Random(0)
    for _ in range(12):
        s, t = conversation(rng)
        print(render(messages(s, t)), "\n")

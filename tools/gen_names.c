/* gen: names of people and places, and what shops sell. */
#include "tools/gen_priv.h"

/* clang-format off */
const struct cw_gen_market cw_gen_markets[CW_GEN_MARKETS + CW_GEN_FOREIGN] = {
    {"US", "USD", "en-US", {"America/New_York", "America/Chicago", "America/Los_Angeles"},
     0.36, 1, -6, 0},
    {"UK", "GBP", "en-GB", {"Europe/London", NULL, NULL}, 0.12, 0.8, 0, 1},
    {"DE", "EUR", "de-DE", {"Europe/Berlin", NULL, NULL}, 0.12, 0.95, 1, 2},
    {"FR", "EUR", "fr-FR", {"Europe/Paris", NULL, NULL}, 0.09, 0.95, 1, 3},
    {"JP", "JPY", "ja-JP", {"Asia/Tokyo", NULL, NULL}, 0.10, 150, 9, 4},
    {"IN", "INR", "en-IN", {"Asia/Kolkata", NULL, NULL}, 0.08, 85, 5, 5},
    {"BR", "BRL", "pt-BR", {"America/Sao_Paulo", "America/Manaus", NULL}, 0.07, 5.5, -3, 6},
    {"AU", "AUD", "en-AU", {"Australia/Sydney", "Australia/Perth", "Australia/Brisbane"},
     0.06, 1.5, 10, 7},
    {"CA", "CAD", "en-CA", {"America/Toronto", "America/Vancouver", NULL}, 0.5, 1.4, -5, 0},
    {"CH", "CHF", "fr-CH", {"Europe/Zurich", NULL, NULL}, 0.3, 0.9, 1, 3},
    {"NZ", "NZD", "en-NZ", {"Pacific/Auckland", NULL, NULL}, 0.2, 1.7, 12, 7},
};

const struct cw_gen_name cw_gen_given[CW_GEN_MARKETS][CW_GEN_NAMES] = {
    {{"James", "james"}, {"Mary", "mary"}, {"Linda", "linda"}, {"Robert", "robert"},
     {"José", "jose"}, {"Zoë", "zoe"}, {"Ashley", "ashley"}, {"Marcus", "marcus"},
     {"Renée", "renee"}, {"Tyler", "tyler"}},
    {{"Oliver", "oliver"}, {"Amelia", "amelia"}, {"Harry", "harry"}, {"Isla", "isla"},
     {"Siân", "sian"}, {"Callum", "callum"}, {"Priya", "priya"}, {"Seán", "sean"},
     {"Chloë", "chloe"}, {"George", "george"}},
    {{"Jürgen", "juergen"}, {"Anna", "anna"}, {"Lukas", "lukas"}, {"Käthe", "kaethe"},
     {"Jörg", "joerg"}, {"Marie", "marie"}, {"Björn", "bjoern"}, {"Sophie", "sophie"},
     {"Günther", "guenther"}, {"Leonie", "leonie"}},
    {{"Chloé", "chloe"}, {"Hélène", "helene"}, {"François", "francois"}, {"Zoé", "zoe"},
     {"Loïc", "loic"}, {"Camille", "camille"}, {"Jérôme", "jerome"}, {"Anaïs", "anais"},
     {"Benoît", "benoit"}, {"Lucas", "lucas"}},
    {{"花子", "hanako"}, {"太郎", "taro"}, {"さくら", "sakura"}, {"健太", "kenta"},
     {"美咲", "misaki"}, {"大翔", "hiroto"}, {"陽菜", "hina"}, {"翔太", "shota"},
     {"結衣", "yui"}, {"蓮", "ren"}},
    {{"Aarav", "aarav"}, {"आरव", "aarav"}, {"Ananya", "ananya"}, {"प्रिया", "priya"},
     {"Vihaan", "vihaan"}, {"Diya", "diya"}, {"अर्जुन", "arjun"}, {"Ishaan", "ishaan"},
     {"Kavya", "kavya"}, {"Rohan", "rohan"}},
    {{"João", "joao"}, {"Maria", "maria"}, {"Antônio", "antonio"}, {"Conceição", "conceicao"},
     {"Luís", "luis"}, {"Júlia", "julia"}, {"Inês", "ines"}, {"Rafael", "rafael"},
     {"Mônica", "monica"}, {"Thiago", "thiago"}},
    {{"Jack", "jack"}, {"Charlotte", "charlotte"}, {"Noah", "noah"}, {"Ruby", "ruby"},
     {"Nguyễn An", "an"}, {"Lachlan", "lachlan"}, {"Matilda", "matilda"}, {"Cooper", "cooper"},
     {"Evie", "evie"}, {"Angus", "angus"}},
};

const struct cw_gen_name cw_gen_family[CW_GEN_MARKETS][CW_GEN_NAMES] = {
    {{"Smith", "smith"}, {"Johnson", "johnson"}, {"Núñez", "nunez"}, {"Brown", "brown"},
     {"O'Neill", "oneill"}, {"Garcia", "garcia"}, {"Davis", "davis"}, {"Peña", "pena"},
     {"Wilson", "wilson"}, {"Lee", "lee"}},
    {{"Taylor", "taylor"}, {"Evans", "evans"}, {"O'Connor", "oconnor"}, {"Patel", "patel"},
     {"Walker", "walker"}, {"Hughes", "hughes"}, {"Khan", "khan"}, {"Clarke", "clarke"},
     {"MacLeod", "macleod"}, {"Wright", "wright"}},
    {{"Müller", "mueller"}, {"Schäfer", "schaefer"}, {"Weiß", "weiss"}, {"Köhler", "koehler"},
     {"Schmidt", "schmidt"}, {"Böhm", "boehm"}, {"Fischer", "fischer"}, {"Krüger", "krueger"},
     {"Wagner", "wagner"}, {"Groß", "gross"}},
    {{"Lefèvre", "lefevre"}, {"Dupont", "dupont"}, {"Moreau", "moreau"}, {"Gérard", "gerard"},
     {"Bœuf", "boeuf"}, {"Faÿ", "fay"}, {"Martin", "martin"}, {"Petit", "petit"},
     {"Rousseau", "rousseau"}, {"Hervé", "herve"}},
    {{"佐藤", "sato"}, {"鈴木", "suzuki"}, {"高橋", "takahashi"}, {"田中", "tanaka"},
     {"渡辺", "watanabe"}, {"伊藤", "ito"}, {"山本", "yamamoto"}, {"中村", "nakamura"},
     {"小林", "kobayashi"}, {"加藤", "kato"}},
    {{"Sharma", "sharma"}, {"शर्मा", "sharma"}, {"Verma", "verma"}, {"Iyer", "iyer"},
     {"Nair", "nair"}, {"Gupta", "gupta"}, {"पटेल", "patel"}, {"Reddy", "reddy"},
     {"Singh", "singh"}, {"Das", "das"}},
    {{"Silva", "silva"}, {"Gonçalves", "goncalves"}, {"Araújo", "araujo"}, {"Souza", "souza"},
     {"Guimarães", "guimaraes"}, {"Costa", "costa"}, {"Magalhães", "magalhaes"},
     {"Oliveira", "oliveira"}, {"Simões", "simoes"}, {"Lima", "lima"}},
    {{"Williams", "williams"}, {"Nguyen", "nguyen"}, {"Kelly", "kelly"}, {"Ryan", "ryan"},
     {"O'Brien", "obrien"}, {"Campbell", "campbell"}, {"Murphy", "murphy"}, {"Chen", "chen"},
     {"Papadopoulos", "papadopoulos"}, {"Walsh", "walsh"}},
};
/* clang-format on */

const char *const cw_gen_categories[CW_GEN_CATEGORIES] = {
    "Electronics", "Clothing", "Home", "Beauty", "Books", "Toys", "Sports", "Grocery",
};

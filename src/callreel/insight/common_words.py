"""English words that are not key words of a phone call: function words, common verbs, and the formulas of calls."""

from typing import Final

LANGUAGE: Final = "en"
"""Of the lists of this package: calls in another language have no topic and no moments."""

COMMON_WORDS: Final = frozenset(
    # Function words and adverbs.
    "about above across actual actually after again against ago all almost alone along already also although always am"
    " among and another any anybody anyone anything anyway anywhere apparently are around aside away back basically be"
    " because been before behind being below beside besides between beyond both but can cannot certain certainly clear"
    " clearly completely could currently definitely despite did directly does doing done down due during each either else"
    " enough entirely especially even ever every everybody everyone everything everywhere exact exactly except far few"
    " finally first for forward four from full fully further furthermore had half has have having hence her here herself"
    " him himself his how however hundred idea immediate immediately indeed instead into its itself just last lastly"
    " lately later least less likely lot lots mainly many may maybe meanwhile might mine more moreover most mostly much"
    " must myself near nearly neither never nevertheless next nine nobody none nor normally not nothing now nowhere"
    " obviously off often once one ones only onto other others otherwise our ours ourselves out outside over own perhaps"
    " possible possibly pretty previous previously probably quickly quite rather really recent recently second seven"
    " several shall she should simply since six some somebody somehow someone something sometimes somewhat somewhere soon"
    " still such suddenly ten than that the their theirs them themselves then there therefore these they third this those"
    " thousand three through throughout thus till together too toward towards truly twenty thirty two five eight zero under"
    " unless unlike until upon usually various very was were what whatever when whenever where whereas wherever whether"
    " which while who whole whom whose why will with within without would yet you your yours yourself"
    # Numbers.
    " eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen forty fifty sixty seventy eighty ninety"
    " million billion hundreds thousands triple treble nought naught fourth fifth sixth seventh eighth ninth tenth"
    # Contractions of speech, and sounds that engines write.
    " gonna wanna gotta gimme lemme dunno kinda sorta outta ain nope nah yea mmm mhmm uhm umm erm aah ahh ooh aha"
    # Swear words.
    " fuck fucks fucked fucker fucking shit shitty bullshit bitch bastard bastards asshole crap crappy damn damned goddamn bloody"
    " piss pissed cunt dick"
    # Common verbs and their forms, which say what people do on every call.
    " add added agree allow allowed appear appears appreciate ask asked asking asks assist assistance assisted assure"
    " become begin begins began believe bring bringing brought call called calling calls came care change check checked"
    " checking come comes coming complete completed confirm confirmed connect contact contacted contacting continue could"
    " decide describe discuss dive double doubt ensure ensuring excuse expect expected experience experiencing explain feel"
    " feeling feels felt figure find finding finds fill finish follow following found gave get gets getting give given gives"
    " giving glad goes going gone got gotten guess guide handle handling happen happened happening happens happy hate"
    " hear hearing help helped helpful helping helps hold holding hope hoping imagine include inform keep keeping kept kind"
    " kinda knew know knowing known knows learn leave leaving left let lets like liked listen little locate located look"
    " looked looking looks lose love made make makes making manage managed matter mean means meant meet mention mentioned"
    " mind miss move moving need needed needs notice noticed noticing offer pass pick plan prefer prepare prevent proceed"
    " promise promised provide provided providing pull pulled push put puts putting ran reach reached read ready realize"
    " receive received receiving remember repeat reply report request require required resolve resolved respond return"
    " review run running said sat saw say saying says see seeing seem seems seen send sending sent set sets setting share"
    " show showing shown shows sit solve sort sound sounds speak speaking spoke start started starting stay step stop strive"
    " suggest suppose supposed take taken takes taking talk talked talking tell telling tend thank thanks thing things think"
    " thinking thought throw told took tried try trying turn turned turns understand understanding understood use used"
    " using verify verified verifying wait waiting want wanted wanting wants watch went wish wonder wondering work worked"
    " working works worry wrong wrote write"
    # The formulas of calls, and words that fit every call.
    " absolutely afternoon agent apologies apologize attention available bad best better big bit brief busy bye case chance"
    " close concern concerned concerns correct course customer customers cool correctly dear detail details different"
    " difficult early easy end evening everyday exciting extra fact fantastic fine fresh full good goodbye gosh grateful great"
    " guys hang hard hello hey high hmm honest honestly hour hours huh inconvenience info information interested issue"
    " issues large late long low luck lovely main mhm minute minutes moment month months morning name names new nice night"
    " number numbers oh okay old open perfect person please pleasure point problem problems priority purpose purposes question"
    " questions quick real record records relieved reason right sad same satisfaction satisfied seconds sense serious service"
    " services short sign simple sincerest situation small sorry specific stuff super sure team terrific time times today"
    " tomorrow tonight top total trouble true type update updated upset useful way ways week weekend weeks welcome well"
    " wonderful word words world wow yeah year years yep yes yesterday yup"
    " april august december february friday january july june march monday november october saturday september sunday thursday"
    " tuesday wednesday".split()
)

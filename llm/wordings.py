"""How services word what is wrong; `llm.refusals` and `llm.dialects` sort errors by it.

Taken from the documentation, the source or the reported errors of OpenAI, Azure, Gemini, Anthropic,
xAI, Bedrock, Mistral, Groq, Cerebras, Together, Fireworks, DeepSeek, GLM, Moonshot, DashScope,
MiniMax, OpenRouter, GitHub, LiteLLM, vLLM, SGLang, TGI, llama.cpp, LM Studio and Ollama; the tests
have the sentences. All of them are matched against lower case.
"""

import re


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


# What is sent is too much -----------------------------------------------------------------------
# Also said of a limit per minute, when a single request is larger than that.
TOO_LARGE = _any_of(
    r"request too large",
    r"(?:request|input|request_entity)_too_large",
    r"(?:entity|body|payload|content) (?:is )?too large",
)
CONTEXT_TOO_LONG = _any_of(
    r"context[ _-]?(?:length|size|window|limit)",
    r"maximum context|context (?:is too long|overflow)",
    r"max(?:imum)? (?:allowed )?(?:prompt|input|sequence|model)s?[ _-](?:length|size|tokens?)",
    r"max(?:imum)? (?:number of )?(?:(?:prompt|input) )?tokens\b",
    r"model_max_prompt_tokens_exceeded|string_above_max_length",
    r"\b(?:prompts?|inputs?|messages?|conversation|text|request)\b[^.]{0,40}\btoo (?:long|large)",
    r"\b(?:prompt|input)s?\b[^.]{0,60}\b(?:longer|larger|bigger|exceeds?|exceeded)\b",
    r"\b(?:request|conversation)\b[^.]{0,20} exceeds? (?:the |its )?max",
    r"at most \d+ (?:characters|(?:input |prompt )?tokens)|string_too_long",
    r"\btokens?\b\)?[^.]{0,40}\b(?:exceed|is greater|longer than)",
    r"\bexceed[^.]{0,40}\btokens?\b",
    r"exceed[^.]{0,30}token[ _]limit|token[ _]limit[^.]{0,20}(?:exceed|reached)",
    r"too many (?:input |prompt |total )*tokens|too many total text bytes",
    r"must have less than \d+ tokens|max_new_tokens` must be|\bn_keep\b.*\bn_ctx\b",
    r"(?:range of )?input length should be",
    r"conversation (?:length exceeded|has reached)|reached its conversation limit",
    r"reduce (?:the |your )?(?:length|size|input|prompt|messages?|number of tokens)",
    r"shorten (?:the |your )?(?:prompt|input|messages?)",
    r"超长|过长|上下文|长度超|超过最大长度|超出.{0,8}(?:长度|限制)|长度限制|token数量超",
)
# "max_tokens" stands also in what services say of a prompt that leaves no room for an answer.
OF_THE_PROMPT = _any_of(r"\b(?:prompt|input|inputs|messages|requested)\b")
# Of embeddings, of which a request may have so many; what llama.cpp says of one text is not meant.
BATCH_TOO_LARGE = _any_of(
    r"(?<!physical )(?<!current )batch[ _-]?size|\b(?:in|of) (?:one|a|the|each) batch\b",
    r"\bbatch(?:es)?\b[^.]{0,40}\btoo (?:large|big)|array too long",
    r"\btoo many (?:inputs|texts|documents|strings|items)",
    r"(?:at most|maximum of|up to|more than|limit of) \d+ (?:inputs|texts|documents|items)",
)

# It comes too often -----------------------------------------------------------------------------
RATE = _any_of(
    r"rate[ _-]?limit|too[ _]many[ _]requests|throttl|concurren|limit_(?:requests|burst)",
    r"(?:requests?|tokens?) per (?:second|minute|min|hour|day)|\b[tr]p[md]\b",
    r"resource_exhausted|service tier capacity exceeded",
    r"限流|频率|并发|请求过多|速率",
)

# What is asked is not wanted --------------------------------------------------------------------
FILTERED = _any_of(
    r"content[ _-]?(?:filter|policy|management|moderation|safety)|guardrail|safety system",
    r"responsibleaipolicy|data_?inspection_?failed|prompt_blocked|sensitive_words",
    r"input was flagged|flagged as potentially|block_?reason|prohibited_content",
    r"violat[^.]{0,30}(?:policy|policies|guidelines|terms)",
    r"unsafe or sensitive|inappropriate content|blocked by[^.]{0,20}safety",
    r"敏感|不安全|违规",
)

# Somebody has to change a setting, or to pay ----------------------------------------------------
OUT_OF_CREDIT = _any_of(
    r"insufficient[ _-](?:user[ _-])?(?:quota|balance|credits?|funds|usd)",
    r"credit balance|(?:out of|no|more|all|available) credits?\b",
    r"billing[ _](?:hard|not|inactive|limit)|arrear|payment[ _]required|recharge",
    r"spend(?:ing)? limit|monthly (?:spend|limit|budget)|budget (?:has been )?exceeded",
    r"exceeded_(?:current_)?quota",
    r"account (?:is |has been |was )?(?:not active|inactive|deactivated|suspended|locked)",
    r"余额不足|欠费|充值|额度",
)
BAD_KEY = _any_of(
    r"api[ _-]?key[^.]{0,60}(?:invalid|not valid|expired|incorrect|wrong|missing|not found|revoked"
    r"|required|disabled|无效)",
    r"\b(?:invalid|incorrect|wrong|missing|expired|no|bad|malformed|valid)\b[^.]{0,24}"
    r"(?:api[ _-]?key|apikey|subscription key|credential|bearer|(?:access|auth\w*) token)",
    r"invalid[ _](?:authentication|authorization|token|bearer|api_?key)|provide an api key",
    r"authenticat|login fail|bad credentials|security token|token[^.]{0,20}expired",
    r"unauthori[sz]ed|not authori[sz]ed|access[ _]denied|permission[ _]denied",
    r"\bforbidden\b",
    r"身份验证|鉴权|令牌|密钥|token ?非法|未授权",
)
UNKNOWN_MODEL = _any_of(
    r"model[ _]?(?:id )?not[ _](?:found|exist|available|supported|allowed)|model_decommissioned",
    r"models?\b.{0,120}?(?:does not exist|doesn.t exist|not found|is not available|not exist"
    r"|has been (?:decommissioned|deprecated|removed|retired)|is not supported|not loaded)",
    r"(?:unknown|no such|invalid|unsupported|nonexistent|incorrect) model\b",
    r"not a (?:chat|valid) model|could not find.{0,40}model|access to.{0,12} model|model code",
    r"deployment ?not ?found|deployment.{0,60}does not exist|no endpoints found",
    r"no models? (?:is |are )?loaded|failed to load model",
    r"模型不存在|不存在.{0,6}模型",
)
# Of a server that is in trouble, words count less: it says "not available" of a model at times.
SURELY_A_SETTING = _any_of(
    r"(?:invalid|incorrect|valid)[^.]{0,12}api[ _-]?key",
    r"model_not_found|does not exist|no available channel",
)
BAD_REQUEST = _any_of(r"invalid_?request|bad_?request|invalid_?(?:argument|param)")

# It is to be asked otherwise --------------------------------------------------------------------
PARAMETERS = _any_of(r"(?<![a-z_])(?:max_tokens|max_completion_tokens|stream_options)(?![a-z_])")
REFUSES_STREAM = _any_of(
    r"\bparam stream\b",
    r"\bstream(?:ing)?\b(?!_)[^.]{0,60}(?:not (?:\w+ )?(?:support|allow|enabl|avail)|unsupported"
    r"|disabled|must be false)",
    r"(?:not support|unsupported|cannot|must be verified to)[^.]{0,40}\bstream(?:ing)?\b(?!_)",
)
REFUSES_SYSTEM = _any_of(
    r"system (?:role|message|prompt|instruction)s?\b[^.]{0,30}(?:\bnot\b|n't|unsupported)",
    r"developer instruction|roles must alternate|only user and assistant roles",
    r"not support[^.]{0,30}['\"`]?system\b",
    r"(?:unsupported|invalid|incorrect|unknown|unexpected) role",
)
LARGEST = _any_of(
    r"(?:at most|up to|no more than|less than or equal to|<=|≤"
    r"|maximum(?: value| allowed)?(?: of| is)?|\[\s*\d+\s*,)\D{0,3}(\d+)"
)

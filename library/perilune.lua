---@meta
-- What policies and their specs are written with, for editors: it is read by lua-language-server and never run. docs/reference.md is made
-- of it by tools/reference.lua.

--- The request a policy decides about. It is the policy's own copy.
---@class perilune.Request
---@field id string
---@field seed number what random() begins with; a replay has the same
---@field now number seconds since 1970
---@field model string what the client wrote, or "auto"
---@field models string[] the client's own list
---@field endpoint string "/v1/chat/completions"
---@field dialect string "openai_chat"
---@field stream boolean
---@field headers table<string, string> by lower-case name, without credentials
---@field key perilune.Key who asks
---@field tier? string "free", "paid": a label of the key or its project, or the client's own where it may choose
---@field user? string who the client says it asks for
---@field session? string the conversation
---@field tags table<string, boolean>
---@field tokens { input: number, output: number } estimates
---@field max_tokens? integer the client's bound on the answer
---@field uses table<perilune.Ability, boolean> what it needs
---@field tool_names string[]
---@field tool_choice? string "auto", "none", "required" or a tool's name
---@field last { role?: string, tool_results?: integer } the last message
---@field turns integer user messages
---@field text? string the last user text, at most 16 KB; what reads it is not replayable
---@field system? string the first system text, at most 16 KB; what reads it is not replayable
---@field bound_to? string the provider whose signed state the history holds
---@field limits { max_cost_usd?: number, max_latency_ms?: number, deadline_ms?: number } the client's own
---@field budget perilune.Budget of the tightest cap on who asks
---@field strict boolean the client wants what it named and nothing else
---@field params table<string, any> the policy's settings
---@field clock fun(zone?: string): perilune.Clock "UTC", or an offset like "+02:00"
---@field random fun(m?: integer, n?: integer): number from 0 to 1, from 1 to m, or from m to n

--- Who asks. Without a key there is no id and no name, and the project is "default".
---@class perilune.Key
---@field id? string
---@field name? string for people
---@field project? string
---@field tags table<string, boolean> the key's own
---@field meta table<string, any> the key's metadata

--- What the tightest cap leaves.
---@class perilune.Budget
---@field left_usd number math.huge where there is no cap
---@field used number 0 to 1
---@field free_left number of the project's free requests, beside this one

--- A moment as a clock shows it.
---@class perilune.Clock
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field minute integer
---@field weekday integer 1 is Monday
---@field date string "2026-11-22"

---@alias perilune.Ability "tools"|"images"|"audio"|"json_schema"|"reasoning"|"files"|"embeddings"|"chat"

--- One model at one provider. Figures that are not known are nil.
---@class perilune.Target
---@field id string "openai/gpt-4o"
---@field provider string
---@field model string
---@field price { input?: number, output?: number, cached?: number, cache_write?: number } dollars per million tokens
---@field context? integer tokens
---@field max_output? integer tokens
---@field abilities table<perilune.Ability, boolean>
---@field quality? number 0 to 100
---@field weight number
---@field tags table<string, boolean>
---@field state "closed"|"open"|"half_open" of its breaker
---@field error_rate? number 0 to 1
---@field in_flight? integer
---@field headroom? number what is left of the provider's rate limit, 0 to 1
---@field ttft_ms? { p50: number, p95?: number, p99?: number } to the first token
---@field total_ms? { p50: number, p95?: number, p99?: number } of whole answers
---@field tokens_per_s? number
---@field cached_tokens? number of this session, expected to be read from its cache
---@field cost fun(): number|nil dollars this request is expected to cost there
---@field latency fun(): number|nil milliseconds it is expected to take there

--- The targets on offer. Each word returns a new fleet; a..b joins two.
---@class perilune.Fleet
---@operator concat(perilune.Fleet): perilune.Fleet
local Fleet = {}

--- Those that can do it: window, abilities, price within the limits. Open ones go last.
---@return perilune.Fleet
function Fleet:able() end

--- Those of these names: "gpt-4o", "openai/gpt-4o", "openai/*".
---@param names string|string[]
---@return perilune.Fleet
function Fleet:only(names) end

--- All but those of these names.
---@param names string|string[]
---@return perilune.Fleet
function Fleet:except(names) end

--- Those for which `f` is true.
---@param f fun(target: perilune.Target): any
---@param why? string for the trace
---@return perilune.Fleet
function Fleet:where(f, why) end

--- Those with at least these figures. An unknown one is too little.
---@param figures table<string, number>
---@return perilune.Fleet
function Fleet:at_least(figures) end

--- Those with at most these figures. An unknown one is too much.
---@param figures table<string, number>
---@return perilune.Fleet
function Fleet:at_most(figures) end

--- Those with a tag.
---@param name string
---@return perilune.Fleet
function Fleet:tagged(name) end

--- By a number, ascending; nil comes last.
---@param f fun(target: perilune.Target): number|nil
---@return perilune.Fleet
function Fleet:by(f) end

--- The cheapest for this request first.
---@return perilune.Fleet
function Fleet:cheapest() end

--- The fastest for this request first, at random among those within a tenth.
---@return perilune.Fleet
function Fleet:fastest() end

--- The best quality first.
---@return perilune.Fleet
function Fleet:best() end

--- Those of these names to the front.
---@param names string|string[]
---@return perilune.Fleet
function Fleet:prefer(names) end

--- Divides who asks among arms; the arm goes first, the rest follow. Who has an arm keeps it.
---@param experiment string salts the division
---@param arms { [1]: string, [2]: number }[] names and weights
---@param by? string|number what sticks: the user, unless stated
---@return perilune.Fleet
function Fleet:split(experiment, arms, by) end

--- The session's last target first.
---@return perilune.Fleet
function Fleet:sticky() end

--- What the client named first, then what its configuration puts behind.
---@return perilune.Fleet
function Fleet:requested() end

--- The first `n`.
---@param n integer
---@return perilune.Fleet
function Fleet:take(n) end

--- The same with fields on every step.
---@param fields perilune.StepFields
---@return perilune.Fleet
function Fleet:with(fields) end

--- The same with fields on the chain.
---@param fields perilune.ChainFields
---@return perilune.Fleet
function Fleet:chain(fields) end

--- How many there are.
---@return integer
function Fleet:count() end

--- The targets, in order, as a plain list.
---@return perilune.Target[]
function Fleet:list() end

--- What can be said of a step.
---@class perilune.StepFields
---@field timeout_ms? number the whole attempt
---@field first_token_ms? number until the first content; streams only
---@field idle_ms? number the longest silence after that
---@field retries? integer further tries of the same step
---@field when? perilune.FailureClass|perilune.FailureClass[] the failures that lead here
---@field params? table<string, any> parameters by their OpenAI names; `extra` goes to the wire, `drop` takes out
---@field max_cost_usd? number over it the step is skipped
---@field max_latency_ms? number predicted to be over it, the step is skipped, unless all are

--- A step of a chain that is a list: a target with what is said of it.
---@class perilune.Step: perilune.StepFields
---@field target string|perilune.Target

--- What can be said of a chain.
---@class perilune.ChainFields
---@field deadline_ms? number hard, from the request's arrival
---@field max_cost_usd? number over all attempts
---@field max_latency_ms? number as for a step
---@field max_attempts? integer over all steps
---@field hedge_after_ms? number no content by then: the next step begins beside it
---@field on_exhausted? "fail"|"queue" when nothing is left: an error, or wait for the first target that comes back
---@field retry_window_ms? number bounds retries and waiting together
---@field hold_ms? number how long a stream waits for content before it commits to an answer
---@field after_first_byte? "error" what a broken stream ends in
---@field reason? string for the trace

---@alias perilune.FailureClass
---| "connect" | "timeout" | "first_token" | "idle" | "rate_limited" | "overloaded" | "server_error" | "auth" | "quota"
---| "context_length" | "content_filter" | "not_found" | "bad_request" | "bad_response" | "cut_stream" | "cost" | "latency" | "cancelled"

--- How an attempt failed, as on_failure reads it.
---@class perilune.Failure
---@field class perilune.FailureClass
---@field target string
---@field status? integer the provider's own
---@field retry_after_ms? number
---@field message? string
---@field attempt integer
---@field elapsed_ms number
---@field spent_usd number
---@field left_ms? number until the deadline

--- A policy's no, as second value behind nil.
---@class perilune.Refusal
---@field status? integer 400 to 599; 403 unless stated
---@field code? string
---@field message? string

--- A setting a policy declares; a plain value stands for its default.
---@class perilune.Param
---@field type "number"|"string"|"boolean"|"list"|"table"
---@field default any
---@field min? number
---@field max? number
---@field choices? any[]
---@field doc? string

---@alias perilune.Chain perilune.Fleet|(string|perilune.Target|perilune.Step|perilune.Fleet)[]

--- What a policy file returns, unless it is decide() alone.
---@class perilune.Policy
---@field decide fun(req: perilune.Request, fleet: perilune.Fleet, prepared: any): perilune.Chain|nil, string|perilune.Refusal|nil
---@field on_failure? fun(req: perilune.Request, failure: perilune.Failure, rest: perilune.Fleet, fleet: perilune.Fleet): any
---@field prepare? fun(fleet: perilune.Fleet): any
---@field params? table<string, perilune.Param|any>
---@field on_error? "fallback"|"refuse" when the policy fails

--- Writes a line into the trace.
---@param key string
---@param value string|number|boolean|nil
function note(key, value) end

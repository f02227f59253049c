-- One exchange of a process with a shared circuit breaker: re-assert, report, end a probe, ask for a probe, read.
--
-- KEYS[1]  hash of the breaker; its fields are in docs/breaker.md
-- ARGV     1 now in ms ('' = server time; given by tests only)
--   rules  2 failure_threshold  3 open time ms  4 success_threshold  5 growth  6 longest open time ms
--          7 jitter 0..1  8 probes  9 lease ms  10 quorum  11 window ms  12 minimum calls
--          13 failure rate (0 = off)  14 slow rate (0 = off)  15 retention ms
--   report 16 node  17 generation  18 successes  19 slow ones of them  20 failures  21 slow ones of them
--          22 streak  23 rejected  24 lease that ended ('' none)  25 its verdict ok|fail|void
--          26 lease asked for ('' none)  27 vote 1|0  28 draw 0..1
--   known  29 generation of the newest state the caller saw  30 state  31 rest of its open time ms  32 trips
--          33 override  34 its rest ms (-1 no end)  35 its reason  36 by whom
-- Result   {generation, state, remaining ms, age ms (-1 = it has never changed), trips, failures in a row, successes of probes, probes in flight,
--           granted 1|0, override, its rest ms, its reason, by whom, reason of the state, created 1|0}
--
-- Everything is read first and written once at the end, only when something changed: a refresh of a quiet
-- breaker is a pure read. A generation is the server's time in ms at the change, or one more than the last, so
-- that it grows even over a lost key; a key made without any knowledge has generation 0.

local FIELDS = {'gen', 'state', 'since', 'until', 'length', 'trips', 'fails', 'oks', 'nodes', 'buckets', 'probes',
  'override', 'override_until', 'override_length', 'override_reason', 'override_by', 'reason', 'calls', 'failures', 'slow', 'rejected'}
local NUMERIC = {gen = true, since = true, ['until'] = true, length = true, trips = true, fails = true, oks = true,
  override_until = true, override_length = true, calls = true, failures = true, slow = true, rejected = true}
local BUCKETS = 10

local function arg(i) return tonumber(ARGV[i]) end
local now
if ARGV[1] == '' then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
else
  now = arg(1)
end

local raw = redis.call('HMGET', KEYS[1], unpack(FIELDS))
local existed = raw[1] and true or false
local b, changed = {}, false
for i, name in ipairs(FIELDS) do
  if NUMERIC[name] then b[name] = tonumber(raw[i] or 0) else b[name] = raw[i] or '' end
end
if b.state == '' then b.state = 'closed' end

local function unpack_list(text) -- 'name=number,...' of one kind of entry
  local list = {}
  for name, number in string.gmatch(text, '([^=,]+)=([^,]+)') do list[#list + 1] = {name, tonumber(number)} end
  return list
end
local function pack_list(list)
  local parts = {}
  for i, entry in ipairs(list) do parts[i] = entry[1] .. '=' .. string.format('%.0f', entry[2]) end
  return table.concat(parts, ',')
end

local function move(state, reason)
  b.gen = math.max(b.gen + 1, now)
  b.state, b.since, b.reason = state, now, reason
  b.fails, b.oks, b.nodes, b.buckets = 0, 0, '', ''
  changed = true
end
local function open(reason)
  if b.state == 'closed' and now - b.since >= b.length then b.trips = 0 end -- it was healthy in between
  b.trips = b.trips + 1
  local length = math.min(arg(3) * arg(5) ^ (b.trips - 1), arg(6))
  b.length = math.floor(length * (1 + arg(7) * arg(28)))
  move('open', reason)
  b['until'] = now + b.length
end

-- 1. The key knows less than the caller (lost, or an old copy was restored): the newer knowledge wins.
if arg(29) > b.gen then
  move(ARGV[30], 're-asserted')
  b.gen, b.trips, b.since = arg(29), arg(32), (ARGV[30] == 'closed') and 0 or now
  if ARGV[33] == 'open' then -- what was underneath is not known: when the override ends, a probe shall tell
    b.state, b['until'] = 'open', now
  elseif b.state ~= 'closed' then
    b.state, b['until'], b.length = 'open', now + arg(31), math.max(b.length, arg(31), arg(3))
  end
  b.override, b.override_reason, b.override_by = ARGV[33], ARGV[35], ARGV[36]
  b.override_until = arg(34) < 0 and 0 or now + arg(34)
  b.override_length = math.max(0, arg(34))
end

-- 2. What time alone has changed. Spans are clamped, so that a server clock set back cannot stretch them.
if b.override ~= '' and b.override_until > 0 and now >= b.override_until then
  b.override, b.override_until, b.override_length, b.override_reason, b.override_by = '', 0, 0, '', ''
  b.gen, changed = math.max(b.gen + 1, now), true
end
if b.override_until - now > b.override_length then
  b.override_until, changed = now + b.override_length, true
end
if b['until'] - now > b.length then b['until'], changed = now + b.length, true end
if b.since > now then b.since, changed = now, true end
local probes = {}
for _, probe in ipairs(unpack_list(b.probes)) do -- of any generation: a call in flight stays one
  if probe[2] > now then
    probes[#probes + 1] = {probe[1], math.min(probe[2], now + arg(9))}
  else
    changed = true
  end
end
b.probes = pack_list(probes)

-- 3. The report. Outcomes of another generation are worthless.
local ruled = b.override ~= 'open' and b.override ~= 'closed'
local function window_trips(successes, slow_successes, failures, slow_failures)
  local slot, total, failed, slow = math.floor(now * BUCKETS / arg(11)), 0, 0, 0
  local kept, found = {}, false
  for s, t, f, w in string.gmatch(b.buckets, '([^:,]+):([^:,]+):([^:,]+):([^:,]+)') do
    local bucket = {tonumber(s), tonumber(t), tonumber(f), tonumber(w)}
    if bucket[1] == slot then
      found = true
      bucket[2] = bucket[2] + successes + failures
      bucket[3] = bucket[3] + failures
      bucket[4] = bucket[4] + slow_successes + slow_failures
    end
    if bucket[1] > slot - BUCKETS and bucket[1] <= slot then kept[#kept + 1] = bucket end
  end
  if not found then kept[#kept + 1] = {slot, successes + failures, failures, slow_successes + slow_failures} end
  local parts = {}
  for i, bucket in ipairs(kept) do
    total, failed, slow = total + bucket[2], failed + bucket[3], slow + bucket[4]
    parts[i] = string.format('%.0f:%.0f:%.0f:%.0f', bucket[1], bucket[2], bucket[3], bucket[4])
  end
  b.buckets = table.concat(parts, ',')
  if total < arg(12) then return nil end
  if arg(13) > 0 and failed >= arg(13) * total then return 'failure rate' end
  if arg(14) > 0 and slow >= arg(14) * total then return 'slow call rate' end
  return nil
end
local function quorum_reached(failures) -- distinct nodes that saw a failure within the window
  local quorum = arg(10)
  if quorum <= 1 then return true end
  local nodes, seen = {}, false
  for _, node in ipairs(unpack_list(b.nodes)) do
    if node[1] == ARGV[16] then
      seen = true
      if failures > 0 then node[2] = now end
    end
    if now - node[2] < arg(11) and node[2] <= now then nodes[#nodes + 1] = node end
  end
  if not seen and failures > 0 and #nodes < quorum then nodes[#nodes + 1] = {ARGV[16], now} end
  b.nodes = pack_list(nodes)
  return #nodes >= quorum
end
local function report(successes, slow_successes, failures, slow_failures, streak)
  b.calls = b.calls + successes + failures
  b.failures = b.failures + failures
  b.slow = b.slow + slow_successes + slow_failures
  changed = true
  if not ruled then return end
  if successes > 0 then b.fails = 0 end -- within one report the successes came first
  if failures > 0 then b.fails = math.max(b.fails + failures, streak) end
  local reason = nil
  if arg(13) > 0 or arg(14) > 0 then reason = window_trips(successes, slow_successes, failures, slow_failures) end
  if b.fails >= arg(2) then reason = 'consecutive failures' end
  if quorum_reached(failures) and reason then open(reason) end
end
local function give_back(lease)
  for i, probe in ipairs(probes) do
    if probe[1] == lease then
      table.remove(probes, i)
      b.probes, changed = pack_list(probes), true
      return true
    end
  end
  return false
end
local function judge(verdict)
  if verdict == 'void' then return end
  b.calls, changed = b.calls + 1, true
  if verdict == 'fail' then
    b.failures = b.failures + 1
    return open('probe failed')
  end
  b.oks = b.oks + 1
  if b.oks >= arg(4) then move('closed', 'probes succeeded') end
end

if arg(23) > 0 then b.rejected, changed = b.rejected + arg(23), true end
local held = ARGV[24] ~= '' and give_back(ARGV[24])
if arg(17) == b.gen then
  if b.state == 'closed' then
    if arg(18) + arg(20) > 0 then report(arg(18), arg(19), arg(20), arg(21), arg(22)) end
  elseif b.state == 'half_open' and held and ruled then
    judge(ARGV[25])
  end
end
if ARGV[27] == '1' and b.state == 'closed' and ruled then report(0, 0, arg(2), 0, arg(2)) end

-- 4. A probe is wanted.
local granted = 0
if ARGV[26] ~= '' and ruled then
  if b.state == 'open' and now >= b['until'] then
    move('half_open', 'open time over')
  end
  if b.state == 'half_open' and #probes < arg(8) then
    probes[#probes + 1] = {ARGV[26], now + arg(9)}
    b.probes, changed, granted = pack_list(probes), true, 1
  end
end

-- 5. Write and answer.
local override_rest = -1
if b.override ~= '' and b.override_until > 0 then override_rest = b.override_until - now end
if changed then
  local flat = {}
  for _, name in ipairs(FIELDS) do
    flat[#flat + 1] = name
    if NUMERIC[name] then flat[#flat + 1] = string.format('%.0f', b[name]) else flat[#flat + 1] = b[name] end
  end
  redis.call('HSET', KEYS[1], unpack(flat))
  if b.override ~= '' and b.override_until == 0 then
    redis.call('PERSIST', KEYS[1])
  else
    local keep = math.max(arg(15), 2 * b.length, 2 * math.max(override_rest, 0))
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', keep))
  end
end
local state, rest = b.state, 0
if state == 'open' then rest = math.max(0, b['until'] - now) end
if b.override == 'open' then
  state, rest = 'open', arg(3)
  if override_rest >= 0 then rest = override_rest end
elseif b.override == 'closed' then
  state, rest = 'closed', 0
end
local age = b.since > 0 and now - b.since or -1
return {b.gen, state, rest, age, b.trips, b.fails, b.oks, #probes, granted, b.override, override_rest,
  b.override_reason, b.override_by, b.reason, (changed and not existed) and 1 or 0}

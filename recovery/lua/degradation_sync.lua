-- Drop what has expired, apply changes, and answer with the table if the caller's copy is old.
--
-- KEYS[1]  hash   the table of modes: one field per entry ("manual/..." and "auto/...", value
--                 "MODE EXPIRES_MS CHANGED_MS DETAIL") beside id, rev, next_expiry, restored, latest (newest CHANGED_MS)
-- KEYS[2]  stream the audit log
-- ARGV[1]  the time in ms for tests with their own clock, else "" for the server's
-- ARGV[2]  the version of the caller's copy ("" for none)
-- ARGV[3]  the id for a table that does not exist yet
-- ARGV[4]  about how many audit entries to keep
-- ARGV[5]  cause of these changes, for the audit log: "set", "clear", "rule"
-- ARGV[6+] five per change: field; the value it must have now ("*" any, "" none); the new mode ("" removes the entry);
--          its lifetime in ms (0 for ever); its detail
-- Result   { version, time in ms, number of changes applied, all fields and values unless the version is ARGV[2] }
--
-- Applying the same change twice changes nothing. Writing starts with an HDEL, which Redis allows even at its memory
-- limit, and once a script has written it may go on: modes can be changed in a full Redis. A caller that changes nothing
-- is answered even by a Redis that refuses every write; what has expired then stays in the table for now.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local changed = 0

local function number(value)
  return string.format('%.0f', value)
end

local function audit(cause, field, from, to, expires, detail)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'at', number(now), 'cause', cause, 'field', field,
    'from', from, 'to', to, 'expires', number(expires), 'detail', detail)
end

local function mode_of(value)
  return value and string.match(value, '^%S+') or 'NORMAL'
end

-- Remove a bookkeeping field as the first write; false when Redis refuses to write and the caller only reads.
local function may_write(field)
  if #ARGV >= 6 then
    redis.call('HDEL', KEYS[1], field)
    return true
  end
  local answer = redis.pcall('HDEL', KEYS[1], field)
  return not (type(answer) == 'table' and answer.err)
end

-- What was written in a time to come was written before the clock was set back: it counts as written now, and has its
-- whole lifetime before it.
local function clamp()
  local latest = tonumber(redis.call('HGET', KEYS[1], 'latest') or '')
  if not latest or latest <= now or not may_write('latest') then return end
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local mode, expires, at, detail = string.match(all[i + 1], '^(%u[%u_]*) (%d+) (%d+) (.*)$')
    if mode and tonumber(at) > now then
      local ends = tonumber(expires) > 0 and now + tonumber(expires) - tonumber(at) or 0
      redis.call('HSET', KEYS[1], all[i], mode .. ' ' .. number(ends) .. ' ' .. number(now) .. ' ' .. detail)
    end
  end
  redis.call('HSET', KEYS[1], 'latest', number(now))
  changed = changed + 1
end

local function purge()
  local next_expiry = tonumber(redis.call('HGET', KEYS[1], 'next_expiry') or '')
  if not next_expiry or next_expiry > now or not may_write('next_expiry') then return end
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local mode, expires, detail = string.match(all[i + 1], '^(%u[%u_]*) (%d+) %d+ (.*)$')
    expires = tonumber(expires or '0')
    if mode and expires > 0 and expires <= now then
      redis.call('HDEL', KEYS[1], all[i])
      audit('expired', all[i], mode, 'NORMAL', 0, detail)
      changed = changed + 1
    end
  end
end

local function apply(field, expected, mode, lifetime, detail)
  local old = redis.call('HGET', KEYS[1], field)
  if expected ~= '*' and expected ~= (old or '') then return 0 end
  if mode == '' then
    if not old then return 0 end
    redis.call('HDEL', KEYS[1], field)
    audit(ARGV[5], field, mode_of(old), 'NORMAL', 0, detail)
    return 1
  end
  if old and mode_of(old) == mode and string.match(old, '^%S+ %d+ %d+ (.*)$') == detail then return 0 end
  local expires = lifetime > 0 and now + lifetime or 0
  redis.call('HDEL', KEYS[1], field)
  redis.call('HSET', KEYS[1], field, mode .. ' ' .. number(expires) .. ' ' .. number(now) .. ' ' .. detail,
    'latest', number(now))
  if mode_of(old) ~= mode or ARGV[5] ~= 'rule' then
    audit(ARGV[5], field, mode_of(old), mode, expires, detail)
  end
  return 1
end

local function note_next_expiry()
  local soonest
  for _, value in ipairs(redis.call('HVALS', KEYS[1])) do
    local expires = tonumber(string.match(value, '^%u[%u_]* (%d+) ') or '0')
    if expires > 0 and (not soonest or expires < soonest) then soonest = expires end
  end
  redis.call('HDEL', KEYS[1], 'next_expiry')
  if soonest then redis.call('HSET', KEYS[1], 'next_expiry', number(soonest)) end
end

clamp()
purge()
local applied = 0
for i = 6, #ARGV, 5 do
  applied = applied + apply(ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4])
end
if applied > 0 then redis.call('HDEL', KEYS[1], 'restored') end
if changed + applied > 0 then
  note_next_expiry()
  redis.call('HSETNX', KEYS[1], 'id', ARGV[3])
  redis.call('HINCRBY', KEYS[1], 'rev', 1)
end

local id = redis.call('HGET', KEYS[1], 'id')
local version = id and id .. ':' .. (redis.call('HGET', KEYS[1], 'rev') or '0') or ''
if version == ARGV[2] then return { version, number(now), applied } end
return { version, number(now), applied, redis.call('HGETALL', KEYS[1]) }

-- Write a copy of the table back after Redis lost it. Of several copies the newest wins; a table that somebody has
-- changed since the loss is left alone.
--
-- KEYS[1]  hash   the table of modes (see degradation_sync.lua)
-- KEYS[2]  stream the audit log
-- ARGV[1]  the time in ms for tests with their own clock, else "" for the server's
-- ARGV[2]  the id of the new table
-- ARGV[3]  the revision of the copy
-- ARGV[4]  about how many audit entries to keep
-- ARGV[5+] two per entry: field, value
-- Result   1 when written, 0 when the table there is as good or better

local id, restored = unpack(redis.call('HMGET', KEYS[1], 'id', 'restored'))
local revision = tonumber(ARGV[3])
if id and not (restored and tonumber(restored) < revision) then return 0 end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- DEL first: a write that Redis allows at its memory limit, after which the script may go on.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'rev', string.format('%.0f', revision + 1), 'restored', ARGV[3])
local soonest, latest
for i = 5, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  local mode, expires, at = string.match(ARGV[i + 1], '^(%u[%u_]*) (%d+) (%d+) ')
  expires, at = tonumber(expires or '0'), tonumber(at or '0')
  if not latest or at > latest then latest = at end
  if expires > 0 and (not soonest or expires < soonest) then soonest = expires end
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'at', string.format('%.0f', now), 'cause', 'restored',
    'field', ARGV[i], 'from', 'NORMAL', 'to', mode or '', 'expires', string.format('%.0f', expires),
    'detail', string.match(ARGV[i + 1], '^%S+ %d+ %d+ (.*)$') or '{}')
end
if soonest then redis.call('HSET', KEYS[1], 'next_expiry', string.format('%.0f', soonest)) end
-- For `degradation_sync`, which clamps what a clock ahead of this one wrote.
if latest then redis.call('HSET', KEYS[1], 'latest', string.format('%.0f', latest)) end
return 1

-- Note that a worker consumes, and forget those that have not said so for a while.
--
-- KEYS  1 workers (hash: name to "time (ms):record")  2 meta
-- ARGV  worker name, record before the epoch, record behind it, longest age (ms)
-- RESULT the ledger's epoch, '' when there is no such ledger
--
-- The record is JSON text, completed here by the epoch, so that one round trip does it all.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local epoch = redis.call('HGET', KEYS[2], 'epoch') or ''
local shown = epoch == '' and 'null' or epoch
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now) .. ':' .. ARGV[2] .. shown .. ARGV[3])

local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '^(%d+):') or '0')
  -- One in a time to come was said before the clock was set back; whoever lives says so again within a second.
  if now - at > tonumber(ARGV[4]) or at > now then redis.call('HDEL', KEYS[1], all[i]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return epoch

-- Look at transactions that came again, before any of them runs: which have their end, and how often the others died.
--
-- KEYS  1 meta  2 state  3 status  4 intake  5 queued  6 parked  7 attempts  8 dead  9 refusals  10 batches
-- ARGV  epoch, then pairs: signature, raw transaction
-- RESULT one number a transaction: -1 = it has its end (an outcome, a letter, a refusal), else its runs that no worker survived
-- ERRORS STALE_EPOCH <current>
--
-- What intake still holds of a settled one is dropped. One that intake never held (a bare Celery message) is recorded
-- there, so that it is not lost should it kill its worker.

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))

-- A batch that one of it leaves is not whole any more (see accept.lua).
local function leave(id)
  local mark = redis.call('HGET', KEYS[10], id .. 'w')
  if mark then
    redis.call('HDEL', KEYS[10], id .. 'w')
    redis.call('HSET', KEYS[10], id .. 'o', string.match(mark, '%d+$'))
  end
end

local counts = {}
for i = 2, #ARGV, 2 do
  local signature = ARGV[i]
  local refused = redis.call('HEXISTS', KEYS[9], signature) == 1 and redis.call('HEXISTS', KEYS[4], signature) == 0
  if refused or redis.call('HEXISTS', KEYS[3], signature) == 1 or redis.call('HEXISTS', KEYS[8], signature) == 1 then
    local held = redis.call('HGET', KEYS[4], signature)
    if held and #held == 16 then leave(held) end
    redis.call('HDEL', KEYS[4], signature)
    redis.call('ZREM', KEYS[5], signature)
    redis.call('ZREM', KEYS[6], signature)
    redis.call('HDEL', KEYS[7], signature)
    counts[#counts + 1] = -1
  else
    if redis.call('HSETNX', KEYS[4], signature, ARGV[i + 1]) == 1 then
      redis.call('HINCRBY', KEYS[2], 'accepted', 1)
      redis.call('ZADD', KEYS[5], now, signature)
    end
    counts[#counts + 1] = tonumber(redis.call('HGET', KEYS[7], signature) or '0')
  end
end
return counts

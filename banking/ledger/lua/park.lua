-- Put transactions off: they stay in intake, and the sweeper releases them when their time has come.
--
-- KEYS  1 meta  2 state  3 status  4 intake  5 queued  6 parked  7 dead  8 refusals  9 batches
-- ARGV  epoch, delay (ms), then pairs: signature, raw transaction
-- RESULT how many are parked now; those with an outcome, a letter or a refusal are left as they are
-- ERRORS STALE_EPOCH <current>
--
-- A transaction that came as a bare Celery message has no intake record yet: parking it is what accepts it.

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local clock = redis.call('TIME')
local release_at = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[2]))

-- A batch that one of it leaves is not whole any more (see accept.lua).
local function leave(id)
  local mark = redis.call('HGET', KEYS[9], id .. 'w')
  if mark then
    redis.call('HDEL', KEYS[9], id .. 'w')
    redis.call('HSET', KEYS[9], id .. 'o', string.match(mark, '%d+$'))
  end
end

local parked = 0
for i = 3, #ARGV, 2 do
  local signature = ARGV[i]
  local settled = redis.call('HEXISTS', KEYS[3], signature) == 1 or redis.call('HEXISTS', KEYS[7], signature) == 1
  -- Only who accepts it may try again what was refused.
  local refused = redis.call('HEXISTS', KEYS[8], signature) == 1 and redis.call('HEXISTS', KEYS[4], signature) == 0
  if not settled and not refused then
    local held = redis.call('HGET', KEYS[4], signature)
    if held and #held == 16 then leave(held) end
    redis.call('HSET', KEYS[4], signature, ARGV[i + 1])
    redis.call('ZADD', KEYS[6], release_at, signature)
    redis.call('ZREM', KEYS[5], signature)
    if not held then redis.call('HINCRBY', KEYS[2], 'accepted', 1) end
    parked = parked + 1
  end
end
return parked

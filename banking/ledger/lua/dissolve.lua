-- Give each transaction that is still in a batch an intake record of its own: it is to be run, parked or given up alone.
--
-- KEYS  1 meta  2 intake  3 queued  4 attempts  5 batches
-- ARGV  epoch, id of the batch, '1' when its message went missing: then each counts a run without an end
-- RESULT {now (ms), pairs: message hash, raw transaction; flat}
-- ERRORS STALE_EPOCH <current>
--
-- Each is queued from now on, so that the sweeper finds it should the caller die.

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
local id, found = ARGV[2], {}
local batch = redis.call('HGET', KEYS[5], id)
if batch then
  local sub, byte = string.sub, string.byte
  local a1, a2, b1, b2, t1, t2 = byte(batch, 1, 6)
  local count, hash_at = t1 * 256 + t2, 7 + 32 * ((a1 + b1) * 256 + a2 + b2)
  local at = hash_at + 32 * count
  for i = 1, count do
    local high, low = byte(batch, at, at + 1)
    local raw = sub(batch, at + 2, at + 1 + high * 256 + low)
    local signature = sub(raw, 2, 65)
    if redis.call('HGET', KEYS[2], signature) == id then
      redis.call('HSET', KEYS[2], signature, raw)
      redis.call('ZADD', KEYS[3], now, signature)
      if ARGV[3] == '1' then redis.call('HSETNX', KEYS[4], signature, '1') end
      found[#found + 1] = sub(batch, hash_at + 32 * i - 32, hash_at + 32 * i - 1)
      found[#found + 1] = raw
    end
    at = at + 2 + #raw
  end
end
redis.call('HDEL', KEYS[5], id, id .. 'w', id .. 'o')
redis.call('ZREM', KEYS[3], id)
redis.call('HDEL', KEYS[4], id)
return {now, found}

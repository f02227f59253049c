-- Move one transaction from the dead letters back into intake, with all its attempts.
--
-- KEYS  1 meta  2 status  3 intake  4 queued  5 attempts  6 dead  7 dead-bytes
-- ARGV  epoch, signature, letter as it was read (packed), raw transaction
-- RESULT {now (ms), 1 moved | 0 the letter is gone or another one | 2 it has its outcome; the letter was dropped}
-- ERRORS STALE_EPOCH <current>
--
-- The queued mark makes the sweeper enqueue it, should the caller die before it has published the message.

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
local signature = ARGV[2]
if redis.call('HGET', KEYS[6], signature) ~= ARGV[3] then return {now, 0} end
if redis.call('HEXISTS', KEYS[2], signature) == 1 then
  redis.call('HDEL', KEYS[6], signature)
  redis.call('DECRBY', KEYS[7], #signature + #ARGV[3])
  return {now, 2}
end
-- The first write is one that Redis denies when it is out of memory: refused means unchanged.
redis.call('HSET', KEYS[3], signature, ARGV[4])
redis.call('ZADD', KEYS[4], now, signature)
redis.call('HDEL', KEYS[5], signature)
redis.call('HDEL', KEYS[6], signature)
redis.call('DECRBY', KEYS[7], #signature + #ARGV[3])
return {now, 1}

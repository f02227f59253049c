-- Deposit into and withdraw from the fleet's retry budget, a token bucket; times are Redis server time.
--
-- KEYS[1]  hash: `tokens` (decimal number), `at` (microseconds since the epoch of the last refill)
-- KEYS[2]  string: the caller's last request as `<number>:<granted>`; expires a minute after its last use
-- ARGV[1]  request number of this caller: the same number again (a resent request) changes nothing
-- ARGV[2]  tokens to deposit
-- ARGV[3]  tokens to withdraw: 0 or 1
-- ARGV[4]  tokens that drip in each second (the floor)
-- ARGV[5]  most tokens the bucket holds
-- Result   1 when the withdrawal was granted (or nothing was asked for), else 0

local seen = redis.call('GET', KEYS[2])
if seen and string.match(seen, '^(.*):') == ARGV[1] then
  return tonumber(string.match(seen, ':(.*)$'))
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local drip = tonumber(ARGV[4])
local capacity = tonumber(ARGV[5])
local wanted = tonumber(ARGV[3])

local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at')
-- A new bucket holds one second of the floor, never less than one token: somebody may try.
local tokens = tonumber(stored[1] or '') or math.max(drip, 1)
local at = tonumber(stored[2] or '') or now
if now > at then
  tokens = tokens + (now - at) / 1000000 * drip
else
  now = at -- the server's clock was set back: wait until it has caught up
end
tokens = math.min(capacity, tokens + tonumber(ARGV[2]))

local granted = 1
if wanted > 0 then
  if tokens >= wanted then
    tokens = tokens - wanted
  else
    granted = 0
  end
end

redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', now))
-- An idle bucket is forgotten only when it would be full (or, with no floor, after a day).
local full_after = 86400
if drip > 0 then
  full_after = math.min(86400, math.ceil(capacity / drip) + 1)
end
redis.call('EXPIRE', KEYS[1], full_after)
redis.call('SET', KEYS[2], ARGV[1] .. ':' .. granted, 'EX', 60)
return granted

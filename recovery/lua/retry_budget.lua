-- Deposit into and withdraw from the fleet's retry budget, a token bucket; times are Redis server time.
-- Tokens are whole millionths, as in token_bucket.py: sums of fractions would round differently there and here.
--
-- KEYS[1]  hash: `millionths` (of tokens held), `at` (microseconds since the epoch of the last refill), `drop` (what
--          has dripped in of the next millionth, in millionths of it)
-- KEYS[2]  string: the caller's last request as `<number>:<granted>`; expires a minute after its last use
-- ARGV[1]  request number of this caller: the same number again (a resent request) changes nothing
-- ARGV[2]  millionths to deposit
-- ARGV[3]  tokens to withdraw: 0 or 1
-- ARGV[4]  millionths that drip in each second (the floor)
-- ARGV[5]  most millionths the bucket holds
-- Result   1 when the withdrawal was granted (or nothing was asked for), else 0

local seen = redis.call('GET', KEYS[2])
if seen and string.match(seen, '^(.*):') == ARGV[1] then
  return tonumber(string.match(seen, ':(.*)$'))
end

local TOKEN = 1000000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local drip = tonumber(ARGV[4])
local capacity = tonumber(ARGV[5])
local wanted = tonumber(ARGV[3]) * TOKEN

local stored = redis.call('HMGET', KEYS[1], 'millionths', 'at', 'drop')
-- A new bucket holds one second of the floor, never less than one token: somebody may try.
local held = tonumber(stored[1] or '') or math.max(drip, TOKEN)
local at = tonumber(stored[2] or '') or now
local drop = tonumber(stored[3] or '') or 0
if now > at then
  -- Exact below 2^53; a sum beyond it has filled the bucket anyway.
  local dripped = (now - at) * drip + drop
  held = held + math.floor(dripped / 1000000)
  drop = dripped % 1000000
end
-- After the server's clock was set back nothing has dripped for that once, and it drips on from there.
held = math.min(capacity, held + tonumber(ARGV[2]))

local granted = 1
if held >= wanted then
  held = held - wanted
else
  granted = 0
end

local function whole(number)
  return string.format('%.0f', number)
end
redis.call('HSET', KEYS[1], 'millionths', whole(held), 'at', whole(now), 'drop', whole(drop))
-- An idle bucket is forgotten only when it would be full (or, with no floor, after a day).
local full_after = 86400
if drip > 0 then
  full_after = math.min(86400, math.ceil(capacity / drip) + 1)
end
redis.call('EXPIRE', KEYS[1], full_after)
redis.call('SET', KEYS[2], ARGV[1] .. ':' .. granted, 'EX', 60)
return granted

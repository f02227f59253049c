-- Find accepted transactions that no message speaks for any more, and parked ones whose time has come.
--
-- KEYS  1 meta  2 intake  3 queued  4 parked  5 attempts  6 state  7 batches
-- ARGV  epoch, grace (ms: how long a popped message may take), queue empty ('1' or '0'), limit, longest time (ms) for
--       which anything is parked
-- RESULT {now (ms), released, lost, suspects, batches, broken}: three flat lists of raw transactions to enqueue, then
--       batches   went missing for the first time: pairs of id and how many transactions
--       broken    batches that are not whole any more, or went missing again: take them apart (dissolve.lua); pairs of
--                 id and '1' when it went missing again
--       released  were parked          lost  went missing for the first time
--       suspects  went missing again, or were parked after more than one run without an end: run these one by one, one
--                 of them may kill its worker
-- ERRORS STALE_EPOCH <current>
--
-- Messages leave the broker in order, so what was enqueued before the newest batch seen working (the watermark)
-- has been popped; if the queue is empty, everything has. Once `grace` has passed as well, it is lost.

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_text = string.format('%.0f', now)
local limit = tonumber(ARGV[4])
-- Spans are clamped, so that a clock set back holds nothing up: what was queued in a time to come was queued now, and
-- what is parked for longer than anything can be is parked for that long.
local function clamp(key, latest)
  local text = string.format('%.0f', latest)
  for _, signature in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. text, '+inf', 'LIMIT', 0, limit)) do
    redis.call('ZADD', key, text, signature)
  end
end
clamp(KEYS[3], now)
clamp(KEYS[4], now + tonumber(ARGV[5]))
local horizon = now
if ARGV[3] ~= '1' then
  horizon = tonumber(redis.call('HGET', KEYS[6], 'watermark') or '0')
  -- A time to come was a wrong message's claim, or the clock went back; it would hide every true one after it.
  if horizon > now then
    redis.call('HSET', KEYS[6], 'watermark', '0')
    horizon = 0
  end
end

local function raw_of(signature, key)
  local raw = redis.call('HGET', KEYS[2], signature)
  -- An entry without an intake record is a leftover; drop it.
  if not raw then redis.call('ZREM', key, signature) end
  return raw
end

local released, lost, suspects, batches, broken = {}, {}, {}, {}, {}
local room = limit
local function lost_batch(id)
  local mark = redis.call('HGET', KEYS[7], id .. 'w')
  local again = redis.call('HSETNX', KEYS[5], id, '1') == 0
  redis.call('ZADD', KEYS[3], now_text, id)
  if mark and not again then
    batches[#batches + 1], batches[#batches + 2] = id, string.match(mark, '%d+$')
  else
    broken[#broken + 1], broken[#broken + 2] = id, again and '1' or '0'
  end
  room = room - tonumber(mark and string.match(mark, '%d+$') or '1')
end
for _, signature in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now_text, 'LIMIT', 0, limit)) do
  local raw = raw_of(signature, KEYS[4])
  if raw then
    redis.call('ZADD', KEYS[3], now_text, signature)
    redis.call('ZREM', KEYS[4], signature)
    if tonumber(redis.call('HGET', KEYS[5], signature) or '0') > 1 then
      suspects[#suspects + 1] = raw
    else
      released[#released + 1] = raw
    end
  end
end
local before = string.format('%.0f', horizon - tonumber(ARGV[2]))
room = limit - #released - #suspects
if room > 0 then
  for _, signature in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', before, 'LIMIT', 0, room)) do
    if room <= 0 then break end
    local raw = #signature > 16 and raw_of(signature, KEYS[3])
    if #signature == 16 then
      lost_batch(signature)
    elseif raw then
      room = room - 1
      redis.call('ZADD', KEYS[3], now_text, signature)
      if redis.call('HSETNX', KEYS[5], signature, '1') == 1 then
        lost[#lost + 1] = raw
      else
        suspects[#suspects + 1] = raw
      end
    end
  end
end
return {now_text, released, lost, suspects, batches, broken}

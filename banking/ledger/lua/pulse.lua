-- What the rules of degradation look at, measured on the server's own clock: how late sealing is, how old the backlog.
--
-- KEYS  1 meta  2 state  3 queued  4 health
-- ARGV  epoch, now (ms; '' = server time, given by tests only), '1' when the caller saw the clock jump by its own
--       monotonic clock, '1' while an operator holds transactions back, most ms that a clock may go back without a warning
-- RESULT {now (ms), since the newest block (ms), age of the backlog (ms, -1 = there is none), most that any other
--         span can be (ms, -1 = no bound), how far the clock is behind the latest time seen (ms), '1' when a block
--         was made since the last call}
-- ERRORS STALE_EPOCH <current>
--
-- The health hash: last, latest   the time at the last call, and the latest time ever seen
--                  steady         since when the clock has run without a jump: no span reaches back beyond it
--                  held           when an operator held transactions back last: what waited for that does not count
--                  finalized, sealed   the newest final slot (with its epoch), and when it was first seen
-- Spans are clamped: a start that is still to come began when the jump was seen. So after a jump, in whichever
-- direction, every span begins anew and grows again, and what is really late is noticed after its usual time.

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local now = tonumber(ARGV[2])
if not now then
  local clock = redis.call('TIME')
  now = clock[1] * 1000 + math.floor(clock[2] / 1000)
end
local function whole(number) return string.format('%.0f', number) end
local known = redis.call('HMGET', KEYS[4], 'last', 'latest', 'steady', 'held', 'finalized', 'sealed')
local last, latest = tonumber(known[1] or whole(now)), math.max(tonumber(known[2] or '0'), now)
local steady, held = tonumber(known[3] or '0'), tonumber(known[4] or '0')
local finalized, sealed = known[5], tonumber(known[6] or whole(now))

if ARGV[3] == '1' or last - now > tonumber(ARGV[5]) then steady = now end
if ARGV[4] == '1' then held = now end
steady, held = math.min(steady, now), math.min(held, now)
local function span(start)
  if start > now then start = steady end
  return now - math.max(start, steady)
end

local newest = epoch .. ':' .. (redis.call('HGET', KEYS[2], 'finalized') or '')
local progress = newest ~= finalized
if progress then finalized, sealed = newest, now end
local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
local backlog = oldest and math.min(span(tonumber(oldest)), now - held) or -1
local bound = math.max(steady, held)

if sealed > now then sealed = now end
redis.call('HSET', KEYS[4], 'last', whole(now), 'latest', whole(latest), 'steady', whole(steady), 'held', whole(held),
  'finalized', finalized, 'sealed', whole(sealed))
return {whole(now), whole(span(sealed)), whole(backlog), whole(bound > 0 and now - bound or -1),
  whole(math.max(0, latest - now)), progress and '1' or '0'}

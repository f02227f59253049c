-- An operator's word on a circuit breaker. Always makes a new generation, so results in flight no longer count.
--
-- KEYS[1]  hash of the breaker; its fields are in docs/breaker.md
-- ARGV     1 now in ms ('' = server time; given by tests only)  2 action: open|closed|disabled|clear|reset
--          3 how long it holds in ms (-1 without end)  4 reason  5 by whom  6 retention ms
--          7 newest generation the caller has seen, so that the new one is above it even when the key was lost
-- Result   {generation, created 1|0}
--
-- open, closed and disabled set an override; closed also closes the breaker underneath. clear takes the override
-- away and leaves the state. reset takes it away and closes the breaker with all its counts at 0.

local now
if ARGV[1] == '' then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
else
  now = tonumber(ARGV[1])
end
local action, for_ms = ARGV[2], tonumber(ARGV[3])
local existed = redis.call('EXISTS', KEYS[1]) == 1
local gen = tonumber(redis.call('HGET', KEYS[1], 'gen') or 0)
gen = string.format('%.0f', math.max(gen + 1, now, tonumber(ARGV[7]) + 1))
redis.call('HSET', KEYS[1], 'gen', gen)
redis.call('HSETNX', KEYS[1], 'state', 'closed')

if action == 'closed' or action == 'reset' then
  redis.call('HSET', KEYS[1], 'state', 'closed', 'since', string.format('%.0f', now), 'until', 0, 'length', 0,
    'trips', 0, 'fails', 0, 'oks', 0, 'nodes', '', 'buckets', '', 'reason', ARGV[4])
end
if action == 'reset' then
  redis.call('HSET', KEYS[1], 'calls', 0, 'failures', 0, 'slow', 0, 'rejected', 0)
end

if action == 'clear' or action == 'reset' then
  redis.call('HSET', KEYS[1], 'override', '', 'override_until', 0, 'override_length', 0,
    'override_reason', '', 'override_by', '')
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
else
  local ends = for_ms < 0 and '0' or string.format('%.0f', now + for_ms)
  redis.call('HSET', KEYS[1], 'override', action, 'override_until', ends, 'override_length', math.max(0, for_ms),
    'override_reason', ARGV[4], 'override_by', ARGV[5])
  if for_ms < 0 then
    redis.call('PERSIST', KEYS[1])
  else
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(tonumber(ARGV[6]), 2 * for_ms)))
  end
end
return {gen, existed and 0 or 1}

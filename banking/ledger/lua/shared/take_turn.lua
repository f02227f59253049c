-- The turn of whoever loads a batch (banking/ledger/turns.py); included by load.lua and load_batch.lua.
--
-- KEYS, ARGV and RESULT are those of the script that includes it.
--
-- `take_turn` gets the keys of the state and of the turns; heat, turn and turn_at of the state; what the caller asks
-- with: '?', the turn that it was handed, or '' when it goes without; and the milliseconds after which a turn is lost.
-- It answers the number of the caller's turn; '' = there are none at present; '-' = another has it.

local function take_turn(state_key, turns_key, heat, newest, given_at, asked, life)
  if asked == '' or not newest or asked ~= newest and (heat or '0') == '0' then return '' end
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local turn, age = asked, now - tonumber(given_at)
  if asked ~= newest then
    if redis.call('EXISTS', turns_key) == 0 and age >= 0 and age <= tonumber(life) then return '-' end
    turn = string.format('%.0f', tonumber(newest) + 1)
  end
  -- A Redis without memory may refuse: what is only a hint must not fail a read.
  redis.pcall('DEL', turns_key)
  redis.pcall('HSET', state_key, 'turn', turn, 'turn_at', string.format('%.0f', now))
  return turn
end

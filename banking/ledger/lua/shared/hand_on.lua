-- What a commit does about turns (banking/ledger/turns.py); included by commit.lua.
--
-- KEYS, ARGV and RESULT are those of the script that includes it.
--
-- `hand_on` gets the keys of the state and of the turns; heat and turn of the state; the turn with which the commit comes
-- ('' = none); how many transactions it has, and how many of them are in conflict. It answers nothing.
--
-- A batch with many conflicts asks for turns, each without them makes them a little less needed: now and then it is
-- tried whether they are. With conflicts, whoever has the turn needs it once more. What Redis refuses here, because it
-- is out of memory, is refused without harm.

local function hand_on(state_key, turns_key, heat, newest, mine, count, conflicts)
  local MANY, HEAT = 8, 64
  local was = tonumber(heat or '0')
  local is = was
  if count >= MANY then
    if conflicts * MANY >= count then is = HEAT elseif was > 0 then is = was - 1 end
  end
  if is ~= was then redis.pcall('HSET', state_key, 'heat', string.format('%.0f', is)) end
  local ends_here = mine ~= '' and mine == newest
  if ends_here and conflicts == 0 or not ends_here and was == 0 and is > 0 then
    local clock, turn = redis.call('TIME'), string.format('%.0f', tonumber(newest or '0') + 1)
    local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
    redis.pcall('HSET', state_key, 'turn', turn, 'turn_at', now)
    redis.pcall('DEL', turns_key)
    redis.pcall('RPUSH', turns_key, turn)
  end
end

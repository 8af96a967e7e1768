-- Adds one flush to one bucket and moves the watermarks of some partitions, or changes nothing.
--
-- The caller has read what it adds to, and has added: sums arrive as they are to be. It knows the bucket's ids, and has
-- left out what was counted before. The stamp says whether the bucket is still as it was read. Every flush leaves a new
-- one, which no other flush ever bears.
--
-- Lua in Redis has no roll-back, so the script only plans at first: it reads its arguments, compares watermarks and
-- stamp, and checks every value that a command of the plan will touch. What is planned cannot fail for its type, range
-- or number of arguments. Only then is the plan carried out.
--
-- Answers, of which all but the first left everything as it was:
--   {'applied', log of seen ids that is no longer needed or '', outputs counted under another kind}
--   {'moved', stored watermark of each stretch or '', …}
--   {'stale'}: read again, and add again
--   {'corrupt', key, what is wrong}
--
-- This is the second part; call.lua, the first, reads KEYS and ARGV.

local DAY_MS = 86400000
local OTHER = 'other'

-- Planning -------------------------------------------------------------------------------------------

local plan = {}
local fault

local function stop(kind, name, detail)
  fault = {kind, name, detail}
  error('stopped')
end

local function read(command, name, ...)
  local reply = redis.pcall(command, name, ...)
  if type(reply) == 'table' and reply.err then
    -- Any other error is the server's and no fault of the key.
    if not reply.err:find('^WRONGTYPE') then error(reply) end
    stop('corrupt', name, reply.err)
  end
  return reply
end

local function stored_number(name, field, value)
  if value and not is_integer(value) then stop('corrupt', name, field .. ' is not an integer') end
  return tonumber(value or '0')
end

-- Seen ids and sums ----------------------------------------------------------------------------------

local function plan_append(append)
  local length = read('STRLEN', append.key)
  if length ~= append.length then
    stop('corrupt', append.key, format('has %.0f bytes of ids, and not the %.0f that the state tells of', length, append.length))
  end
  if length + #append.bytes < FULL_CHUNK then
    plan[#plan + 1] = {'APPEND', append.key, append.bytes}
  else
    -- What was appended to has room for as much again. A chunk that is full is written anew, and takes just its size.
    plan[#plan + 1] = {'SET', append.key, (read('GET', append.key) or '') .. append.bytes}
  end
end

-- The logs of ids that the state tells of, with those that are appended to as they are then. Another worker may have
-- dropped one since the caller has read them.
local function with_logs(call, seen)
  local logs, places = {}, {}
  local function put(log)
    local generation = log:match('^(-?%d+):%d+:%x+$')
    if not generation then stop('corrupt', call.state, 'seen does not tell of logs') end
    if not places[generation] then places[generation] = #logs + 1 end
    logs[places[generation]] = log
  end
  for log in seen:gmatch('%S+') do put(log) end
  for _, log in ipairs(call.logs) do put(log) end
  return table.concat(logs, ' ')
end

local function plan_hash(hash)
  read('HLEN', hash.key)
  for first = 0, hash.cells - 1, 2000 do
    local from = hash.first_cell + 2 * first
    local to = hash.first_cell + 2 * math.min(first + 2000, hash.cells) - 1
    plan[#plan + 1] = {'HSET', hash.key, unpack(ARGV, from, to)}
  end
end

local function plan_member(set)
  read('SCARD', set.key)
  plan[#plan + 1] = {'SADD', set.key, set.member}
end

-- Saved outputs --------------------------------------------------------------------------------------
-- An output is saved (in the set of its user and kind, by creation time), deleted (a tombstone), or both
-- unknown. A tombstone that came before its creation is marked, so that the creation is counted once as
-- created when it comes. The earliest creation time counts. So the order of the events does not matter.

-- The month of a time in UTC, 'YYYY-MM' (days to civil date, Gregorian calendar).
local function month_of(ms)
  local z = math.floor(ms / DAY_MS) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return format('%04d-%02d', year, month)
end

-- What the sets will hold once the plan is done: [key .. member] = {key, member, was, now}.
local scores, score_order = {}, {}

local function score(name, member)
  local id = name .. '\0' .. member
  local entry = scores[id]
  if not entry then
    local was = read('ZSCORE', name, member) or nil
    if was and not is_integer(was) then stop('corrupt', name, member .. ' has no time for a score') end
    entry = {key = name, member = member, was = tonumber(was), now = tonumber(was)}
    scores[id] = entry
    score_order[#score_order + 1] = entry
  end
  return entry
end

-- What is added to the counts of tenants: [key .. field] = {key, field, amount}.
local moves, move_order = {}, {}

local function move_count(name, field, amount)
  local id = name .. '\0' .. field
  if not moves[id] then
    moves[id] = {key = name, field = field, amount = 0}
    move_order[#move_order + 1] = moves[id]
  end
  moves[id].amount = moves[id].amount + amount
end

-- Whether the tenant has room for the kind. Its first output decides, for good, so that a deletion finds what the
-- creation did: kinds are never forgotten.
local rooms, kinds = {}, {}

local function has_room(change, most)
  local id = change.counts .. '\0' .. change.kind
  if rooms[id] == nil then
    local known = read('HMGET', change.counts, change.kind .. ':created', change.kind .. ':deleted')
    rooms[id] = known[1] or known[2] or change.kind == OTHER
    if not rooms[id] then
      local size = kinds[change.counts]
        or stored_number(change.counts, 'kinds', read('HGET', change.counts, 'kinds'))
      rooms[id] = size < most
      if rooms[id] then
        kinds[change.counts] = size + 1
        move_count(change.counts, 'kinds', 1)
      end
    end
  end
  return rooms[id]
end

local function created(change)
  local saved = score(change.saved, change.id)
  if score(change.tombstones, 'deleted:' .. change.member).now then
    local early = score(change.tombstones, 'early:' .. change.member)
    if early.now then
      early.now = nil
      move_count(change.counts, change.kind .. ':created', 1)
    end
  elseif not saved.now then
    saved.now = change.time
    move_count(change.counts, change.kind .. ':created', 1)
    move_count(change.counts, change.kind .. ':' .. month_of(change.time), 1)
  elseif change.time < saved.now then
    move_count(change.counts, change.kind .. ':' .. month_of(saved.now), -1)
    move_count(change.counts, change.kind .. ':' .. month_of(change.time), 1)
    saved.now = change.time
  end
end

local function deleted(change)
  local saved = score(change.saved, change.id)
  local tombstone = score(change.tombstones, 'deleted:' .. change.member)
  if tombstone.now then
    tombstone.now = math.max(tombstone.now, change.log)
    return
  end
  tombstone.now = change.log
  move_count(change.counts, change.kind .. ':deleted', 1)
  if saved.now then
    move_count(change.counts, change.kind .. ':' .. month_of(saved.now), -1)
    saved.now = nil
  else
    score(change.tombstones, 'early:' .. change.member).now = change.log
  end
end

local function plan_outputs(changes, most_kinds)
  local others = 0
  for _, change in ipairs(changes) do
    if not has_room(change, most_kinds) then
      change.saved, change.id, change.kind = change.other_saved, change.kind .. ':' .. change.id, OTHER
      others = others + 1
    end
    if change.verb == 'created' then
      created(change)
    elseif change.verb == 'deleted' then
      deleted(change)
    else
      error('bad call: unknown verb')
    end
  end
  for _, entry in ipairs(score_order) do
    if entry.now and entry.now ~= entry.was then
      plan[#plan + 1] = {'ZADD', entry.key, format('%.0f', entry.now), entry.member}
    elseif entry.was and not entry.now then
      plan[#plan + 1] = {'ZREM', entry.key, entry.member}
    end
  end
  for _, move in ipairs(move_order) do
    -- Its type is checked even if it stays as it is.
    stored_number(move.key, move.field, read('HGET', move.key, move.field))
    if move.amount ~= 0 then plan[#plan + 1] = {'HINCRBY', move.key, move.field, format('%.0f', move.amount)} end
  end
  return others
end

-- Log time and what it expires -----------------------------------------------------------------------

-- The log time that every partition has passed; nil while one of them was never counted, for its records may be
-- older than all the others. `times` are those that this call leaves.
local function bucket_log_time(call, times)
  local fields = read('HGETALL', call.state)
  local least, known = math.huge, 0
  for _, time in pairs(times) do least, known = math.min(least, time), known + 1 end
  for i = 1, #fields, 2 do
    if fields[i]:sub(1, 4) == 'log:' and not times[fields[i]] then
      if not is_integer(fields[i + 1]) then stop('corrupt', call.state, fields[i] .. ' is not a time') end
      least, known = math.min(least, tonumber(fields[i + 1])), known + 1
    end
  end
  return known > 0 and known >= call.partitions and least or nil
end

local function is_expired(generation, log_time, window)
  return generation and log_time >= (tonumber(generation) + 1) * DAY_MS + window
end

-- Drops a part of a log of ids that no window reaches any more, and forgets the log with its last part.
local function plan_expiry(call, log_time, seen)
  local before = log_time - call.keep_tombstones
  local remove = {'ZREM', call.tombstones}
  for _, member in ipairs(read('ZRANGEBYSCORE', call.tombstones, '-inf', format('(%.0f', before), 'LIMIT', 0, 1000)) do
    if not scores[call.tombstones .. '\0' .. member] then remove[#remove + 1] = member end
  end
  -- Of those that this call writes, it is their new time that counts.
  for _, entry in ipairs(score_order) do
    local is_old = entry.key == call.tombstones and entry.now and entry.now < before
    if is_old and #remove < 2000 then remove[#remove + 1] = entry.member end
  end
  if #remove > 2 then plan[#plan + 1] = remove end
  local left, oldest = {}, ''
  local drops = is_expired(call.expire:match('^-?%d+$'), log_time, call.window)
  for log in seen:gmatch('%S+') do
    local generation = log:match('^(-?%d+):%d+:%x+$')
    if not (drops and call.expires_all and generation == call.expire) then
      left[#left + 1] = log
      if oldest == '' and is_expired(generation, log_time, call.window) then oldest = log end
    end
  end
  if drops then
    for first = 1, #call.expire_keys, 1000 do
      plan[#plan + 1] = {'UNLINK', unpack(call.expire_keys, first, math.min(first + 999, #call.expire_keys))}
    end
  end
  return table.concat(left, ' '), oldest
end

-- The call -------------------------------------------------------------------------------------------

-- The stored watermarks if one of them is not as expected; and of each stretch its log time and what is owed of it.
local function compare(call, state, first)
  local moved, same = {'moved'}, true
  for i, stretch in ipairs(call.stretches) do
    local at = first + 3 * (i - 1)
    moved[i + 1] = state[at] or ''
    same = same and moved[i + 1] == stretch.expected
    stretch.stored_log, stretch.owes = state[at + 1], state[at + 2]
  end
  return not same and moved or nil
end

local function plan_stretches(call, moved)
  local times, settled = {}, {}
  for _, stretch in ipairs(call.stretches) do
    local time = stretch.log_time
    if stretch.stored_log then
      time = math.max(time, stored_number(call.state, stretch.log, stretch.stored_log))
    end
    times[stretch.log] = time
    moved[#moved + 1], moved[#moved + 2] = stretch.watermark, stretch.target
    moved[#moved + 1], moved[#moved + 2] = stretch.log, format('%.0f', time)
    if stretch.unrated_from ~= '' then
      moved[#moved + 1], moved[#moved + 2] = stretch.unrated, stretch.unrated_from
    elseif stretch.owes then
      settled[#settled + 1] = stretch.unrated
    end
  end
  return times, settled
end

local function main()
  local call = read_call()
  local fields = {'stamp', 'seen', 'applied'}
  for _, stretch in ipairs(call.stretches) do
    fields[#fields + 1], fields[#fields + 2], fields[#fields + 3] = stretch.watermark, stretch.log, stretch.unrated
  end
  local state = read('HMGET', call.state, unpack(fields))
  local elsewhere = compare(call, state, 4)
  if elsewhere then return elsewhere end
  if call.events > 0 and (state[1] or '') ~= call.stamp then return {'stale'} end

  for _, append in ipairs(call.appends) do plan_append(append) end
  -- Tenants' and users' months, quotas, price mismatches, and notices that are to be sent.
  for _, hash in ipairs(call.hashes) do plan_hash(hash) end
  for _, set in ipairs(call.members) do plan_member(set) end
  local others = plan_outputs(call.changes, call.most_kinds)

  local applied = stored_number(call.state, 'applied', state[3]) + call.events
  local moved = {'HSET', call.state, 'applied', format('%.0f', applied)}
  local times, settled = plan_stretches(call, moved)
  plan[#plan + 1] = moved
  local function also(field, value) moved[#moved + 1], moved[#moved + 2] = field, value end
  local known, expired = state[2] or '', ''
  local seen = known
  if call.events > 0 then
    also('stamp', call.next_stamp)
    seen = with_logs(call, known)
  end
  if call.tidies then
    also('partitions', format('%d', call.partitions))
    local passed = bucket_log_time(call, times)
    -- After all that is written: a server that is full refuses the first write, and would take a removal.
    if passed then seen, expired = plan_expiry(call, passed, seen) end
  end
  if seen ~= known then also('seen', seen) end
  if #settled > 0 then plan[#plan + 1] = {'HDEL', call.state, unpack(settled)} end
  for _, command in ipairs(plan) do
    local answer = redis.pcall(unpack(command))
    -- Only the first can meet this: a server that is full or a replica refuses every one.
    if type(answer) == 'table' and answer.err then return answer end
  end
  return {'applied', expired, format('%d', others)}
end

local done, reply = pcall(main)
if done then return reply end
if fault then return fault end
-- An error of the server's goes out under its own code.
if type(reply) == 'table' then return reply end
error(reply)

-- Adds one flush to one bucket and moves the watermark of one partition, or changes nothing.
--
-- Lua in Redis has no roll-back, so the script only plans at first: it reads its arguments, compares the
-- watermark, looks the ids up and checks every value that a command of the plan will touch. What is planned
-- cannot fail for its type, range or number of arguments. Only then is the plan carried out.
--
-- Answers, of which all but the first left everything as it was:
--   {'applied', oldest generation that is no longer needed or ''}
--   {'repeated', index, 1 if the content differs else 0, …}
--   {'moved', stored watermark or ''}
--   {'overflow', key}
--   {'corrupt', key, what is wrong}
--
-- KEYS and ARGV are read in the order in which call.rs writes them; the readers are in the first part.

local DAY_MS = 86400000
local MAX_GROUPS = 2147483647
-- Doubles hold every integer up to 2^53; above that this stays a safe distance below 2^63.
local SUM_LIMIT = 9.2e18

-- Reading KEYS and ARGV ------------------------------------------------------------------------------

local next_key, next_arg = 0, 0
local key_types = {}

local function key(as)
  next_key = next_key + 1
  local name = KEYS[next_key]
  if not name then error('bad call: too few keys') end
  if key_types[name] and key_types[name] ~= as then error('bad call: two uses of key ' .. name) end
  key_types[name] = as
  return name
end

local function text()
  next_arg = next_arg + 1
  local value = ARGV[next_arg]
  if not value then error('bad call: too few arguments') end
  return value
end

-- Exactly the texts that HINCRBY takes for a number: no leading zero, no plus, no space.
local function is_integer(value)
  if not value or #value > 20 then return false end
  return value == '0' or (value:match('^-?[1-9]%d*$') and math.abs(tonumber(value)) <= SUM_LIMIT)
end

local function integer()
  local value = text()
  if not is_integer(value) then error('bad call: not a 64-bit integer') end
  return value
end

-- The hash of an id or of its content: any 64-bit integer, and nothing that is reckoned with.
local function hash()
  local value = text()
  if #value > 20 or not value:match('^-?%d+$') then error('bad call: not a hash') end
  return value
end

-- A number that Lua itself reckons with: exact below 2^53.
local function number()
  local value = tonumber(integer())
  if math.abs(value) > 9007199254740992 then error('bad call: number out of range') end
  return value
end

local function count(most)
  local value = number()
  if value < 0 or value > most then error('bad call: count out of range') end
  return value
end

-- Planning -------------------------------------------------------------------------------------------

local plan = {}
local fault

local function stop(kind, name, detail)
  fault = {kind, name, detail}
  error('stopped')
end

local function read(name, command, ...)
  local reply = redis.pcall(command, name, ...)
  if type(reply) == 'table' and reply.err then
    -- Any other error is the server's and no fault of the key.
    if not reply.err:find('^WRONGTYPE') then error(reply) end
    stop('corrupt', name, reply.err)
  end
  return reply
end

-- Sums that this call adds to a field already, so that several additions are checked together.
local added = {}

local function plan_add(name, field, current, amount)
  if current and not is_integer(current) then stop('corrupt', name, field .. ' is not an integer') end
  local id = name .. '\0' .. field
  added[id] = (added[id] or 0) + tonumber(amount)
  local sum = tonumber(current or '0') + added[id]
  if math.abs(sum) > SUM_LIMIT then stop('overflow', name) end
  plan[#plan + 1] = {'HINCRBY', name, field, amount}
end

-- fields: {field, amount, field, amount, …}
local function plan_adds(name, fields)
  if #fields == 0 then
    -- Read nothing of it, but never leave a wrong type unnoticed.
    read(name, 'HLEN')
    return
  end
  local names = {}
  for i = 1, #fields, 2 do names[#names + 1] = fields[i] end
  local current = read(name, 'HMGET', unpack(names))
  for i = 1, #names do plan_add(name, names[i], current[i], fields[2 * i]) end
end

local function read_fields(prefix)
  local fields = {}
  for _ = 1, count(3000) do
    fields[#fields + 1] = prefix .. text()
    fields[#fields + 1] = integer()
  end
  return fields
end

-- Seen ids: {own = key, keys = {[generation] = key}, ids = …} per shard -----------------------------

local function read_shard()
  local shard = {generation = integer(), lookups = {}, index = {}, id = {}, content = {}}
  for i = 1, count(64) do
    shard.lookups[i] = {generation = integer(), key = key('set')}
  end
  for i = 1, count(2000) do
    shard.index[i], shard.id[i], shard.content[i] = integer(), hash(), hash()
  end
  if #shard.lookups == 0 or #shard.id == 0 then error('bad call: empty shard') end
  return shard
end

local function look_up(shard, live, repeats)
  local found = {}
  for _, lookup in ipairs(shard.lookups) do
    local own = lookup.generation == shard.generation
    if own then shard.key = lookup.key end
    -- A generation that holds no id has no keys; its own is read all the same, for its type.
    if own or live(lookup.generation) then
      local known = read(lookup.key, 'SMISMEMBER', unpack(shard.id))
      for i = 1, #known do
        if known[i] == 1 and not found[i] then
          found[i] = true
          local same = read(lookup.key, 'SISMEMBER', shard.content[i])
          repeats[#repeats + 1] = shard.index[i]
          repeats[#repeats + 1] = same == 1 and '0' or '1'
        end
      end
    end
  end
  if not shard.key then error('bad call: shard without its own generation') end
end

local function plan_shard(shard, sizes)
  local members = {}
  for i = 1, #shard.id do
    members[#members + 1] = shard.id[i]
    members[#members + 1] = shard.content[i]
  end
  plan[#plan + 1] = {'SADD', shard.key, unpack(members)}
  sizes[shard.generation] = (sizes[shard.generation] or 0) + #shard.id
end

-- Months of a user or tenant -------------------------------------------------------------------------

local function read_month()
  local month = {kind = text(), key = key('hash'), groups = {}}
  for i = 1, count(2000) do
    month.groups[i] = {name = 'group:' .. text(), fields = read_fields('')}
  end
  month.tools = read_fields('tool:')
  month.days_key, month.days_expire, month.days = key('hash'), number(), read_fields('')
  if month.kind == 'user' then
    month.users_key, month.user, month.cost = key('zset'), text(), integer()
  elseif month.kind == 'tenant' then
    month.months_key, month.month = key('set'), text()
  else
    error('bad call: unknown kind of month')
  end
  return month
end

-- A group's counters stand under a number that the month gives it: short fields, and a name said once.
local function plan_groups(month)
  local names = {'groups'}
  for _, group in ipairs(month.groups) do names[#names + 1] = group.name end
  local numbers = read(month.key, 'HMGET', unpack(names))
  local size = numbers[1] or '0'
  if not is_integer(size) or tonumber(size) < 0 or tonumber(size) >= MAX_GROUPS then
    stop('corrupt', month.key, 'groups is not a count')
  end
  local last, given = tonumber(size), {}
  for i, group in ipairs(month.groups) do
    local group_number = numbers[i + 1] or given[group.name]
    if group_number and not is_integer(group_number) then
      stop('corrupt', month.key, group.name .. ' is not a number')
    elseif not group_number then
      last = last + 1
      group_number = string.format('%d', last)
      given[group.name] = group_number
      plan[#plan + 1] = {'HSET', month.key, group.name, group_number, 'groups', group_number}
    end
    local fields = {}
    for j = 1, #group.fields, 2 do
      fields[j], fields[j + 1] = group_number .. ':' .. group.fields[j], group.fields[j + 1]
    end
    plan_adds(month.key, fields)
  end
end

local function plan_month(month)
  plan_groups(month)
  plan_adds(month.key, month.tools)
  plan_adds(month.days_key, month.days)
  if #month.days > 0 then plan[#plan + 1] = {'EXPIREAT', month.days_key, string.format('%.0f', month.days_expire)} end
  if month.kind == 'user' then
    read(month.users_key, 'ZCARD')
    plan[#plan + 1] = {'ZINCRBY', month.users_key, month.cost, month.user}
  else
    read(month.months_key, 'SCARD')
    plan[#plan + 1] = {'SADD', month.months_key, month.month}
  end
end

-- Saved outputs --------------------------------------------------------------------------------------
-- An output is saved (in the set of its user and kind, by creation time), deleted (a tombstone), or both
-- unknown. A tombstone that came before its creation is marked, so that the creation is counted once as
-- created when it comes. The earliest creation time counts. So the order of the events does not matter.

local function read_change()
  return {
    verb = text(), kind = text(), member = text(), id = text(), time = number(), log = number(),
    saved = key('zset'), tombstones = key('zset'), counts = key('hash'),
  }
end

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
  return string.format('%04d-%02d', year, month)
end

-- What the sets will hold once the plan is done: [key .. member] = {key, member, was, now}.
local scores, score_order = {}, {}

local function score(name, member)
  local id = name .. '\0' .. member
  local entry = scores[id]
  if not entry then
    local was = read(name, 'ZSCORE', member) or nil
    if was and not is_integer(was) then stop('corrupt', name, member .. ' has no time for a score') end
    entry = {key = name, member = member, was = tonumber(was), now = tonumber(was)}
    scores[id] = entry
    score_order[#score_order + 1] = entry
  end
  return entry
end

local count_moves, count_order = {}, {}

local function move_count(name, field, amount)
  local id = name .. '\0' .. field
  if not count_moves[id] then
    count_moves[id] = {key = name, field = field, amount = 0}
    count_order[#count_order + 1] = count_moves[id]
  end
  count_moves[id].amount = count_moves[id].amount + amount
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

local function plan_outputs(changes)
  for _, change in ipairs(changes) do
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
      plan[#plan + 1] = {'ZADD', entry.key, string.format('%.0f', entry.now), entry.member}
    elseif entry.was and not entry.now then
      plan[#plan + 1] = {'ZREM', entry.key, entry.member}
    end
  end
  for _, move in ipairs(count_order) do
    local current = read(move.key, 'HGET', move.field)
    if move.amount ~= 0 then plan_add(move.key, move.field, current, string.format('%.0f', move.amount)) end
  end
end

-- Log time and what it expires -----------------------------------------------------------------------

-- The log time that every partition of the bucket has passed, or nil before the first.
local function bucket_log_time(state, own_field, own_time)
  local fields = read(state, 'HGETALL')
  local least = own_time
  for i = 1, #fields, 2 do
    if fields[i]:sub(1, 4) == 'log:' and fields[i] ~= own_field then
      if not is_integer(fields[i + 1]) then stop('corrupt', state, fields[i] .. ' is not a time') end
      least = math.min(least, tonumber(fields[i + 1]))
    end
  end
  return least, fields
end

local function is_expired(generation, log_time, window)
  return is_integer(generation) and log_time >= (tonumber(generation) + 1) * DAY_MS + window
end

-- The oldest generation that no window reaches any more, beside the one that this call drops.
local function oldest_expired(fields, log_time, call)
  local oldest = ''
  for i = 1, #fields, 2 do
    local generation = fields[i]:match('^generation:(.*)$')
    if generation ~= call.expire and is_expired(generation, log_time, call.window) then
      if oldest == '' or tonumber(generation) < tonumber(oldest) then oldest = generation end
    end
  end
  return oldest
end

-- The call -------------------------------------------------------------------------------------------

local function read_call()
  local call = {
    state = key('hash'), tombstones = key('zset'), watermark = text(), expected = text(), target = text(),
    log = text(), log_time = number(), applied = integer(), window = number(), keep_tombstones = number(),
    expire = text(), expire_keys = {}, shards = {}, months = {}, changes = {},
  }
  if call.expire ~= '' and not is_integer(call.expire) then error('bad call: not a generation') end
  if tonumber(call.applied) < 0 then error('bad call: negative count') end
  for i = 1, count(4096) do call.expire_keys[i] = key('set') end
  for i = 1, count(2000) do call.shards[i] = read_shard() end
  for i = 1, count(8000) do call.months[i] = read_month() end
  for i = 1, count(4000) do call.changes[i] = read_change() end
  if next_key ~= #KEYS or next_arg ~= #ARGV then error('bad call: more keys or arguments than it says') end
  return call
end

local function plan_seen(call)
  local repeats, live_cache = {'repeated'}, {}
  local function live(generation)
    if live_cache[generation] == nil then
      live_cache[generation] = read(call.state, 'HEXISTS', 'generation:' .. generation) == 1
    end
    return live_cache[generation]
  end
  for _, shard in ipairs(call.shards) do look_up(shard, live, repeats) end
  if #repeats > 1 then return repeats end
  local sizes = {}
  for _, shard in ipairs(call.shards) do plan_shard(shard, sizes) end
  for generation, size in pairs(sizes) do
    plan_adds(call.state, {'generation:' .. generation, string.format('%d', size)})
  end
end

-- Housekeeping rides on calls without events: every bucket gets one every few seconds.
local function plan_expiry(call, log_time)
  local before = string.format('(%.0f', log_time - call.keep_tombstones)
  local old = read(call.tombstones, 'ZRANGEBYSCORE', '-inf', before, 'LIMIT', 0, 1000)
  if #old > 0 then plan[#plan + 1] = {'ZREM', call.tombstones, unpack(old)} end
  if is_expired(call.expire, log_time, call.window) then
    plan[#plan + 1] = {'HDEL', call.state, 'generation:' .. call.expire}
    for first = 1, #call.expire_keys, 1000 do
      plan[#plan + 1] = {'UNLINK', unpack(call.expire_keys, first, math.min(first + 999, #call.expire_keys))}
    end
  end
end

local function main()
  local call = read_call()
  local stored = read(call.state, 'HGET', call.watermark) or ''
  if stored ~= call.expected then return {'moved', stored} end

  local repeats = plan_seen(call)
  if repeats then return repeats end

  for _, month in ipairs(call.months) do plan_month(month) end
  plan_outputs(call.changes)

  local known_log = read(call.state, 'HGET', call.log)
  if known_log and not is_integer(known_log) then stop('corrupt', call.state, call.log .. ' is not a time') end
  local own_log = math.max(call.log_time, tonumber(known_log or '-9007199254740992'))
  plan_adds(call.state, {'applied', call.applied})
  plan[#plan + 1] = {'HSET', call.state, call.watermark, call.target, call.log, string.format('%.0f', own_log)}

  local expired = ''
  if #call.shards == 0 then
    local log_time, fields = bucket_log_time(call.state, call.log, own_log)
    plan_expiry(call, log_time)
    expired = oldest_expired(fields, log_time, call)
  end
  for _, command in ipairs(plan) do
    local answer = redis.pcall(unpack(command))
    -- Only the first can meet this: a server that is full or a replica refuses every one.
    if type(answer) == 'table' and answer.err then return answer end
  end
  return {'applied', expired}
end

local done, reply = pcall(main)
if done then return reply end
if fault then return fault end
-- An error of the server's goes out under its own code.
if type(reply) == 'table' then return reply end
error(reply)

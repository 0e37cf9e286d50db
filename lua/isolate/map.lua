--- Lists of work for a pool: `map` in chunks, `imap` one by one.

local math, table = math, table
local errors = require "isolate.errors"
local loop = require "isolate.loop"
local options = require "isolate.options"

local map = {}

local CHUNK_TIME = 0.01         -- seconds that a chunk is to take

-- Waits until `signal()` is called.
local function waiting()
  local waiter
  local function wait()
    waiter = loop.waiter()
    loop.wait(waiter)
    waiter = nil
  end
  local function signal()
    if waiter then loop.wake(waiter) end
  end
  return wait, signal
end

-- To be closed: all jobs that are still under way then are of no use.
local Live = {}

function Live:__close()
  for job in pairs(self) do
    self[job] = nil
    job:abandon()
  end
end

-- An error tells the item where it was.
local function at_item(problem, index, item)
  if type(problem) == "table" then problem.index, problem.item = index, item end
  return problem
end

------------------------------------------------------------------------------
-- map

local function outcome(v) return v == "collect" or v == "raise" or '"collect" or "raise"' end

local map_checks = {
  chunk = options.count,
  errors = outcome,
  progress = function(v)
    return type(v) == "boolean" or type(v) == "function" or "boolean or function"
  end,
}

-- What shows how far it is by `update(done)`; to be closed.
local Meter = { __close = function() end }
Meter.__index = Meter

function Meter:update(done)
  if self.tell then self.tell(done, self.total) end
end

local function meter(progress, total)
  if progress == true then return require "isolate.progress_bar"(total) end
  return setmetatable({ tell = progress, total = total }, Meter)
end

--- `pool:map`, which ends with a call of this: the caller is one level up.
function map.map(pool, how, fn, list, opts)
  errors.check_function(fn, 1, "map")
  if type(list) ~= "table" then errors.expected("table", list, 2, "map", 2) end
  opts = options.check(opts, 3, "map", map_checks, 2)
  local total = math.tointeger(list.n) or #list
  local collect = opts.errors == "collect"
  local fixed = opts.chunk or how.timeout and 1
  local results, failures = { n = total }, collect and {} or nil
  local first, done = 1, 0      -- the next item to go; how many have come back
  local each                    -- seconds an item takes
  local problem
  local wait, signal = waiting()
  local bar <close> = meter(opts.progress, total)
  local live <close> = setmetatable({}, Live)
  local under_way = 0

  -- Long enough to be worth the way, short enough for all to end together.
  local function chunk_size()
    if fixed then return math.min(fixed, total - first + 1) end
    local fair = math.ceil((total - first + 1) / (2 * pool.size))
    if not each then return 1 end
    return math.max(1, math.min(fair, CHUNK_TIME // math.max(each, 1e-9) | 0))
  end

  local function failed(from, count, value, i)
    local index = i and from + i - 1 or count == 1 and from or nil
    if not collect then
      problem = problem or at_item(value, index, index and list[index])
      return
    end
    for at = index or from, index or from + count - 1 do
      failures[#failures + 1] = { index = at, item = list[at], error = value }
    end
  end

  local function submit(from, count)
    local sent = pool:submit(how, function(job, ok, values, more)
      live[job] = nil
      under_way, done = under_way - 1, done + count
      if ok then
        table.move(values, 1, count, from, results)
        for _, it in ipairs(more or {}) do
          failed(from, count,
            errors.RemoteError(it.message, it.traceback, it.isolate, it.value), it.i)
        end
        local seconds = job.took / count
        each = each and (each + seconds) / 2 or seconds
      else
        failed(from, count, values, more)
      end
      signal()
    end, "chunk", fn, table.move(list, from, from + count - 1, 1, { n = count }), collect)
    live[sent] = true
    under_way = under_way + 1
  end

  while done < total and not problem do
    while first <= total and under_way < 2 * pool.size + 1 and not problem do
      local count = chunk_size()
      first = first + count
      submit(first - count, count)
    end
    if done < total and not problem then wait() end
    bar:update(done)
  end
  if problem then error(problem, 0) end
  if collect then table.sort(failures, function(a, b) return a.index < b.index end) end
  return results, failures
end

------------------------------------------------------------------------------
-- imap

local imap_checks = {
  ahead = options.count, ordered = options.flag, errors = outcome,
}

--- `pool:imap`, likewise.
function map.imap(pool, how, fn, iterator, opts)
  errors.check_function(fn, 1, "imap")
  errors.check_function(iterator, 2, "imap")
  opts = options.check(opts, 3, "imap", imap_checks, 2)
  local ahead = opts.ahead or 4 * pool.size
  local ordered, collect = opts.ordered ~= false, opts.errors == "collect"
  local submitted, given = 0, 0
  local arrived = {}            -- index -> outcome
  local order, came = {}, 0     -- the indexes as they came, for one who takes them so
  local over = false            -- the iterator has no more
  local wait, signal = waiting()
  local live = setmetatable({}, Live)

  local function submit(item)
    submitted = submitted + 1
    local index = submitted
    local sent = pool:submit(how, function(job, ok, ...)
      live[job] = nil
      if ok then
        arrived[index] = table.pack(index, ...)
      else
        arrived[index] = { problem = at_item(..., index, item) }
      end
      came = came + 1
      if not ordered then order[came] = index end
      signal()
    end, nil, fn, item)
    live[sent] = true
  end

  -- The index whose turn it is, if its outcome is there.
  local function next_index()
    if ordered then return arrived[given + 1] and given + 1 end
    local index = order[given + 1]
    order[given + 1] = nil
    return index
  end

  local function give()
    while true do
      while not over and submitted - given < ahead do
        local item = iterator()
        if item == nil then over = true else submit(item) end
      end
      local index = next_index()
      if index then
        local it = arrived[index]
        arrived[index] = nil
        given = given + 1
        if not it.problem then return table.unpack(it, 1, it.n) end
        if collect then return index, nil, it.problem end
        Live.__close(live)
        over = true
        error(it.problem, 0)
      end
      if over and given == submitted then return nil end
      wait()
    end
  end

  return give, nil, nil, live
end

return map

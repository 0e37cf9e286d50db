--- The remote side of a pool: an isolate that takes jobs from the pool's queue,
-- one after the other, and what a job can do.

local debug, pcall, xpcall = debug, pcall, xpcall
local core = require "isolate.core"
local channel = require "isolate.channel"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"

local now = core.now
local _, _, _, here = core.self()

local worker = {}

local config                    -- what the pool said
local job                       -- the id of the running one
local told = 0                  -- when its progress was told last
local traceback                 -- of the error that is being handled

local TELL_EVERY = 0.02         -- seconds

------------------------------------------------------------------------------
-- For jobs

--- Does somebody want the running job to end by itself? False outside of a job.
---@return boolean
function worker.cancelled()
  return job ~= nil and core.seat_wanted(config.seat)
end

--- Tells who waits for the running job how far it is; does nothing outside of
-- one. Calls in quick succession are left out, but never the last one.
---@param done number
---@param total number?
---@param text string?
function worker.progress(done, total, text)
  future.check_number(done, 1, "progress")
  if done == nil then errors.expected("number", done, 1, "progress", 2) end
  future.check_number(total, 2, "progress")
  if text ~= nil and type(text) ~= "string" then
    errors.expected("string", text, 3, "progress", 2)
  end
  if not job then return end
  local time = now()
  if done ~= total and time - told < TELL_EVERY then return end
  told = time
  core.answer(config.notice, job, "progress", done, total, text)
end

------------------------------------------------------------------------------
-- One job

local function with_traceback(problem)
  traceback = debug.traceback(nil, 2)
  return problem
end

-- An error is the answer; `i` is the number of the item in a chunk.
local function refuse(id, value, i)
  local message, trace = errors.describe(value, traceback)
  if not pcall(core.answer, config.notice, id, false, message, trace, here, value, i) then
    core.check()
    core.answer(config.notice, id, false, message, trace, here, nil, i)
  end
  -- after this the heap is full of what the job left
  config.full = config.full or value == "not enough memory"
end

-- Its results are the answer, after the seconds it took.
local function finish(id, start, ok, ...)
  core.check()
  if not ok then return refuse(id, (...)) end
  local sent, why = pcall(core.answer, config.notice, id, now() - start, ...)
  if sent then return end
  core.check()
  traceback = ""
  refuse(id, why)
end

local function resolve(...)
  local value = ...
  if future.is_future(value) then return value:await() end
  return ...
end

local function call(fn, ...) return resolve(fn(...)) end

-- Calls `fn` for each item; the answer are the first results.
local function run_chunk(id, start, fn, items, collect)
  local results, failures = { n = items.n }, nil
  for i = 1, items.n do
    if core.seat_wanted(config.seat) then break end
    local ok, value = xpcall(call, with_traceback, fn, items[i])
    core.check()
    if ok then
      results[i] = value
    elseif collect then
      local message, trace = errors.describe(value, traceback)
      failures = failures or {}
      failures[#failures + 1] = { i = i, message = message, traceback = trace }
    else
      return refuse(id, value, i)
    end
  end
  finish(id, start, true, results, failures)
end

-- Functions that came in parcels are built once.
local functions = {}

local function function_of(value)
  if type(value) ~= "userdata" then return value end
  local id = core.parcel_id(value)
  local fn = functions[id]
  if not fn then
    local _
    _, fn = core.unpack(value)
    functions[id] = fn
  end
  return fn
end

-- What `core.channel_take` returned: true if it was a job, else whether there will
-- be none ("closed") or not now.
local function work(id, ok, kind, fn, ...)
  if id == nil then return ok and "closed" or "empty" end
  job = id
  if not ok then
    traceback = ""
    refuse(id, "the job could not be received: " .. errors.message(kind))
  else
    local built
    built, fn = xpcall(function_of, with_traceback, fn)
    core.check()
    if not built then
      refuse(id, fn)
    elseif kind == "chunk" then
      run_chunk(id, now(), fn, ...)
    else
      finish(id, now(), xpcall(call, with_traceback, fn, ...))
    end
  end
  job = nil
  return "done"
end

------------------------------------------------------------------------------
-- Life

-- Waits until the queue has something.
local function wait()
  local waiter <close> = channel.waiter()
  local registered <close> = channel.register(config.queue, waiter)
  if registered then future.wait(waiter) end
end

--- The function of a worker's isolate: takes jobs until the queue is closed and
-- empty, or it has done its share.
function worker.live(how)
  config = how
  if config.init then
    local ok, value = xpcall(function() return call(function_of(config.init)) end, with_traceback)
    core.check()
    if not ok then
      local message, trace = errors.describe(value, traceback)
      config.notice:send { failed = message, traceback = trace, isolate = here }
      core.exit()
    end
  end
  config.notice:send "ready"
  local seat, queue, left = config.seat, config.queue, config.recycle_after
  while not config.full and left ~= 0 do
    local what = work(core.channel_take(queue, seat))
    if what == "closed" then break end
    if what == "empty" then
      wait()
    else
      if left then left = left - 1 end
      if not core.seat_leave(seat) then break end  -- its isolate is to be killed
      if core.pending() or loop.timers.n > 0 then future.sleep(0) end
    end
  end
  core.exit()
end

return worker

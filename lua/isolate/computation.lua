--- Isolates of one computation: run and compute.

local pcall, setmetatable, string = pcall, setmetatable, string
local clock = require "isolate.clock"
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local options = require "isolate.options"
local spawn = require "isolate.spawn"

local make, start, name_of = spawn.make, spawn.start, spawn.name_of

local checkers = spawn.also("timeout", options.seconds)

local computation = {}

-- The port that an answer comes to.
local Reply = { close = core.port_close }
Reply.__index = Reply

local function reply_to(result, name)
  return core.port_open(setmetatable(
    { result = result, name = name, send_port = false, id = false }, Reply))
end

-- Its isolate sends true and results, or false and what a RemoteError is made of. If
-- it cannot: {message, traceback} of an uncaught error; and nil at its end.
function Reply:deliver(ok, what, ...)
  local result, name = self.result, self.name
  if not ok then
    future.fail(result, errors.unbuilt_answer(what, name))
  elseif what == true then
    future.complete(result, ...)
  elseif what == false then
    future.fail(result, errors.RemoteError(...))
  elseif type(what) == "table" then
    future.fail(result, errors.RemoteError(what[1], what[2], name))
  else
    future.fail(result, errors.RemoteError("computation ended without result", "", name))
  end
  result.on_cancel = nil
  if result.timer then result.timer:cancel() end
  self:close()
end

-- After `seconds` the computation is stopped and has failed.
local function limit(result, seconds)
  result.timer = clock.after(seconds, function()
    local stop = result.on_cancel
    if not stop then return end
    future.fail(result, errors.TimeoutError(string.format(
      "the computation was not done after %g seconds", seconds)))
    result.on_cancel = nil
    stop(result)
  end)
end

local function begin(reply, kind, opts, fn, ...)
  local made = make(kind, opts, reply.name, reply.send_port, fn, ...)
  local result = reply.result
  function result.on_cancel()
    reply:close()
    if result.timer then result.timer:cancel() end
    core.abort(made)
  end
  if opts and opts.timeout then limit(result, opts.timeout) end
  start(made)
  return made
end

-- Returns the Future, and the isolate as `make` does. Without options it makes no
-- table for them.
local function compute(kind, opts, fn, ...)
  local result = future.new()
  local reply = reply_to(result, opts and opts.name or name_of(fn))
  local ok, made = pcall(begin, reply, kind, opts, fn, ...)
  if ok then return result, made end
  reply:close()
  if result.timer then result.timer:cancel() end
  errors.rethrow(made, 4)
end

--- Dart's `Isolate.run`: starts an isolate, calls `fn(...)` there as a task, brings back
-- all that it returns, and ends the isolate. What fails there fails the Future, with a
-- RemoteError. Raises for what cannot be sent, and an IsolateSpawnError where there is no
-- thread to be had.
---@param fn function
---@param ... any
---@return isolate.Future
function computation.run(fn, ...)
  errors.check_function(fn, 1, "run")
  return (compute("call", nil, fn, ...))
end

--- The same for a scope: it also returns the isolate, for `core.rights`.
function computation.run_in_scope(fn, ...)
  local result, made = compute("call", nil, fn, ...)
  return result, made
end

-- Without threads.
local function compute_inline(opts, fn, message)
  local ok, parcel = pcall(core.pack, "spawn", nil, fn, message)
  if not ok then errors.rethrow(parcel, 4) end
  local result = future.new()
  require "isolate.inline".compute(result, parcel, opts.name or name_of(fn))
  if opts.timeout then limit(result, opts.timeout) end
  return result
end

---@class isolate.ComputeOptions : isolate.SpawnOptions
---@field timeout number?  seconds; then it is killed, and the Future fails with a TimeoutError

--- Flutter's `compute`: `run` with one message and options. On a build without threads
-- it runs in this isolate's loop, a turn later, on copies.
---@param fn function
---@param message any
---@param opts isolate.ComputeOptions?
---@return isolate.Future
function computation.compute(fn, message, opts)
  errors.check_function(fn, 1, "compute")
  opts = options.check(opts, 3, "compute", checkers, 2)
  if not core.threads then return (compute_inline(opts, fn, message)) end
  return (compute("spawn", opts, fn, message))
end

return computation

--- Futures and completers: values that come later, as Dart has them.
--
-- A Future is pending until it is completed with values or with an error.
-- Whoever asks for it (await, next, all, …) has *heard* of its failure; one
-- that failed unheard is reported when it is collected, or when the loop has
-- run out of work.

local string, table, math, io = string, table, math, io
local core = require "isolate.core"
local errors = require "isolate.errors"
local loop = require "isolate.loop"

local check_function, check_number = errors.check_function, errors.check_number
local expected = errors.expected

local unpack = table.unpack

---@class isolate.Future
---@field private done boolean?     completed, with values or an error
---@field private ok boolean?       with values
---@field private n integer?        how many values; they are at 1, 2, …
---@field private failure any
---@field private heard boolean?    somebody asked for it
---@field private listeners table?  waiters and functions
local Future = { __name = "isolate.Future", __transfer = false }
Future.__index = Future

-- The class of a Future that failed when nobody had asked for it.
local Unheard = { __name = "isolate.Future", __transfer = false, __index = Future }

-- Those of them that live. Weak: being here must not keep them.
local unheard = setmetatable({}, { __mode = "k" })
local untold = false  -- has one come since 'tell_lost' looked?

local future = { Future = Future }

local function is_future(value)
  local class = getmetatable(value)
  return class == Future or class == Unheard
end
future.is_future = is_future

-- All that completing it sets is there from the start: it needs no memory then.
local function new()
  core.check()
  return setmetatable({ done = false, ok = false, failure = false, traceback = false,
    heard = false, listeners = false, n = 0 }, Future)
end
future.new = new

local function check_self(self, name)
  if not is_future(self) then
    errors.bad_self("Future", self, name, 3)
  end
end

------------------------------------------------------------------------------
-- Completing

-- Lets all who wait go on now.
local function settle_sync(self)
  local listeners = self.listeners
  self.done, self.listeners = true, false
  for i = 1, listeners and #listeners or 0 do
    local it = listeners[i]
    if type(it) == "table" then loop.wake(it, true) else it() end
  end
end

-- Lets all who wait go on: soon, or `sync`: now. If it raises for lack of memory,
-- the Future is not done, and may be completed again: for those not told yet.
local function settle(self, sync)
  if sync then return settle_sync(self) end
  local listeners = self.listeners
  for i = 1, listeners and #listeners or 0 do
    local it = listeners[i]
    if type(it) == "table" then loop.wake(it) elseif it then loop.ready(it) end
    listeners[i] = false
  end
  self.done, self.listeners = true, false
end

local function complete(self, sync, ...)
  if self.done then return end
  self.ok, self.n = true, select("#", ...)
  for i = 1, self.n do self[i] = (select(i, ...)) end
  settle(self, sync)
end

local function fail(self, value, traceback, sync)
  if self.done then return end
  self.ok, self.failure, self.traceback = false, value, traceback
  if getmetatable(value) == errors.CancelledError then self.heard = true end
  if not self.heard and not self.listeners then
    unheard[self], untold = true, true
    setmetatable(self, Unheard)
  end
  settle(self, sync)
end

-- Calls `fn` when the Future is done: soon, never at once.
local function listen(self, fn)
  self.heard = true
  if self.done then
    loop.ready(fn)
  else
    local listeners = self.listeners
    if listeners then listeners[#listeners + 1] = fn else self.listeners = { fn } end
  end
end
future.listen = listen

-- Completes `self` as `other` is.
local function follow(self, other, sync)
  if other.ok then
    complete(self, sync, unpack(other, 1, other.n))
  else
    fail(self, other.failure, other.traceback, sync)
  end
end

--- Completes with values; a Future as the first value is awaited.
function future.complete(self, ...)
  local value = ...
  if is_future(value) then
    listen(value, function() follow(self, value) end)
  else
    complete(self, false, ...)
  end
end

future.fail = fail

--- Runs `fn(...)` as a task whose results complete `self`.
function future.run(self, fn, ...)
  loop.start(function(value, traceback) fail(self, value, traceback) end,
    function(...) future.complete(self, fn(...)) end, ...)
  return self
end

------------------------------------------------------------------------------
-- Failures that nobody heard of

local function judge(self)
  unheard[self] = nil
  if self.heard then return end
  self.heard = true
  loop.unheard(self.failure, self.traceback)
end

function Unheard:__gc() judge(self) end

--- Tells now of those that nobody can ask for any more.
function future.tell_lost()
  if not untold then return end
  untold = false
  collectgarbage()
end

--- What is done about one.
function loop.unheard(value, traceback)
  if not core.main then return loop.uncaught(value, traceback) end
  local text = errors.text(value)
  if traceback and getmetatable(value) ~= errors.RemoteError then
    text = text .. "\n" .. traceback
  end
  io.stderr:write("isolate: a Future failed and nobody asked for it: ", text, "\n")
end

function loop.out_of_work()
  local list = {}
  for self in pairs(unheard) do list[#list + 1] = self end
  for _, self in ipairs(list) do judge(self) end
end

------------------------------------------------------------------------------
-- Waiting

local function too_late(seconds)
  return errors.TimeoutError(string.format("the Future was not done after %g seconds", seconds))
end

--- Waits for the Future and returns its values, or raises its error. In a task
-- only the task waits; anywhere else the loop runs until the Future is done.
-- Any number of times.
---@param timeout number?  seconds; then it raises a TimeoutError, and the work goes on
---@return any ...
function Future:await(timeout)
  check_self(self, "await")
  check_number(timeout, 1, "await")
  self.heard = true
  if not self.done then
    local waiter = loop.waiter()
    if timeout or loop.in_task() then
      local listeners = self.listeners
      if listeners then listeners[#listeners + 1] = waiter else self.listeners = { waiter } end
    else
      waiter = self
    end
    waiter.done = self.done  -- since then, if a finalizer called the loop
    local over = loop.wait(waiter, timeout)
    if not self.done then
      if not over then error("nothing can complete this Future", 2) end
      error(too_late(timeout), 0)
    end
  end
  if self.ok then return unpack(self, 1, self.n) end
  loop.rethrown = self
  error(self.failure, 0)
end

--- Is it completed, with values or an error?
---@return boolean
function Future:is_done()
  check_self(self, "is_done")
  return self.done == true
end

------------------------------------------------------------------------------
-- Chaining

-- Cancelling `result` cancels `source`, unless somebody else depends on that.
local function depend(result, source)
  result.source = source
  source.dependents = (source.dependents or 0) + 1
end

local function release(source)
  source.dependents = source.dependents - 1
  if source.dependents > 0 then return end
  for _, it in ipairs(source.listeners or {}) do
    if type(it) == "table" then return end  -- a task waits for it
  end
  source:cancel()
end

-- A new Future for what `handler` makes of `self`, or (without) what it is.
local function chain(self, on_value, on_error)
  local result = new()
  depend(result, self)
  listen(self, function()
    loop.waiting = loop.waiting - 1
    if self.ok then
      if not on_value then return follow(result, self) end
      future.run(result, on_value, unpack(self, 1, self.n))
    else
      if not on_error then return follow(result, self) end
      future.run(result, on_error, self.failure)
    end
  end)
  loop.waiting = loop.waiting + 1
  return result
end

--- Dart's `then`: a Future of what `on_value(values…)` or `on_error(error)`
-- returns; a Future returned as first value is awaited.
---@param on_value function?
---@param on_error function?
---@return isolate.Future
function Future:next(on_value, on_error)
  check_self(self, "next")
  check_function(on_value, 1, "next", true)
  check_function(on_error, 2, "next", true)
  return chain(self, on_value, on_error)
end

--- Dart's `catchError`: `next` with an error handler only.
---@param on_error function
---@return isolate.Future
function Future:catch(on_error)
  check_self(self, "catch")
  check_function(on_error, 1, "catch")
  return chain(self, nil, on_error)
end

--- Dart's `whenComplete`: calls `fn()` in either case, then is what this is;
-- an error of `fn` comes instead.
---@param fn function
---@return isolate.Future
function Future:finally(fn)
  check_self(self, "finally")
  check_function(fn, 1, "finally")
  local function after()
    local value = fn()
    if is_future(value) then value:await() end
  end
  return chain(self,
    function(...) after() return ... end,
    function(value) after() error(value, 0) end)
end

--- A Future that is what this is, or fails with a TimeoutError after `seconds`.
---@param seconds number
---@return isolate.Future
function Future:timeout(seconds)
  check_self(self, "timeout")
  check_number(seconds, 1, "timeout", true)
  local result = new()
  depend(result, self)
  local timer = require "isolate.clock".after(seconds, function() fail(result, too_late(seconds)) end)
  result.on_cancel = function() timer:cancel() end
  listen(self, function()
    timer:cancel()
    follow(result, self)
  end)
  return result
end

--- Stops the work behind it where there is any, and fails it with a
-- CancelledError, which nobody needs to hear. A completed one stays as it is.
-- With `gentle` a job of a pool that runs is only asked to end: see
-- `Isolate.cancelled`.
---@param opts {gentle: boolean?}?
function Future:cancel(opts)
  check_self(self, "cancel")
  if opts ~= nil then
    local options = require "isolate.options"
    opts = options.check(opts, 1, "cancel", { gentle = options.flag }, 2)
  end
  core.check()
  if self.done then return end
  if opts and opts.gentle and self.on_ask and self:on_ask() then return end
  self.heard, self.cancelled = true, true
  local stop, source = self.on_cancel, self.source
  self.on_cancel, self.source = nil, nil
  fail(self, errors.CancelledError "the Future was cancelled")
  if stop then stop(self) end
  if source then release(source) end
end

------------------------------------------------------------------------------
-- Making

--- A Future that is completed with these values.
---@param ... any
---@return isolate.Future
function Future.value(...)
  local self = new()
  future.complete(self, ...)
  return self
end

--- A Future that has failed with `value`.
---@param value any
---@return isolate.Future
function Future.error(value)
  local self = new()
  fail(self, value)
  return self
end

--- Dart's `Future.delayed`: is completed after `seconds` with what `fn()`, called as a
-- task, returns.
---@param seconds number
---@param fn function?
---@return isolate.Future
function Future.delayed(seconds, fn)
  check_number(seconds, 1, "delayed", true)
  check_function(fn, 2, "delayed", true)
  local self = new()
  local function run() future.run(self, fn) end
  local timer = require "isolate.clock".after(seconds, function()
    self.on_cancel = nil
    if fn then loop.ready(run) else complete(self, false) end
  end)
  self.on_cancel = function() timer:cancel() end
  return self
end

-- A copy of the list that the function called `name` was given. The Future that
-- is no list: `all(a, b)`; the class that is none: `Future:all(list)`.
local function check_list(list, name)
  if type(list) ~= "table" or is_future(list) then
    expected("table", list, 1, name, 3)
  end
  local function bad(why)
    error("bad argument #1 to '" .. name .. "' (" .. why .. ")", 4)
  end
  if rawequal(list, Future) then bad "list of Futures expected, got the class Future" end
  local n = #list
  if math.type(n) ~= "integer" then bad "object length is not an integer" end
  local copy = {}
  for i = 1, n do
    local it = list[i]
    if not is_future(it) then
      bad("a Future expected at [" .. i .. "], got " .. errors.kind(it))
    end
    copy[i] = it
  end
  return copy
end

-- Cancelling the whole cancels its parts.
local function cancels(self, list)
  for i = 1, #list do list[i].dependents = (list[i].dependents or 0) + 1 end
  self.on_cancel = function()
    for i = 1, #list do release(list[i]) end
  end
  return self
end

--- Dart's `Future.wait`: one table `{n = #list, the first value of each}`; the
-- first failure fails it.
---@param list isolate.Future[]
---@return isolate.Future
function Future.all(list)
  list = check_list(list, "all")
  local result, left, values = new(), #list, { n = #list }
  if left == 0 then complete(result, false, values) end
  for i = 1, #list do
    local it = list[i]
    listen(it, function()
      if not it.ok then return fail(result, it.failure, it.traceback) end
      values[i] = it[1]
      left = left - 1
      if left == 0 then complete(result, false, values) end
    end)
  end
  return cancels(result, list)
end

--- Dart's `Future.any`: the first to finish, with its values or its error.
---@param list isolate.Future[]
---@return isolate.Future
function Future.any(list)
  list = check_list(list, "any")
  local result = new()
  for i = 1, #list do
    local it = list[i]
    listen(it, function() follow(result, it) end)
  end
  return cancels(result, list)
end

--- Runs `fn(...)` as a task now, up to its first wait: a Future of what it returns.
---@param fn function
---@param ... any
---@return isolate.Future
function future.async(fn, ...)
  check_function(fn, 1, "async")
  core.check()
  return future.run(new(), fn, ...)
end

------------------------------------------------------------------------------
-- Completers

---@class isolate.Completer
---@field future isolate.Future  what it completes
local Completer = { __name = "isolate.Completer", __transfer = false }
Completer.__index = Completer

local function check_completer(self, name)
  if getmetatable(self) ~= Completer then
    errors.bad_self("Completer", self, name, 3)
  end
end

-- May it be completed? Raises if it is; false if that no longer matters.
local function check_open(self)
  if self.future.cancelled then return false end
  if self.completed then error("this Completer is already completed", 3) end
  self.completed = true
  return true
end

--- Completes the Future with these values, or as the Future that comes first is. Raises
-- if it is completed already, unless it was cancelled.
---@param ... any
function Completer:complete(...)
  check_completer(self, "complete")
  local it, value = self.future, ...
  if rawequal(value, it) then
    error("bad argument #1 to 'complete' (a Future cannot be completed with itself)", 2)
  end
  if not check_open(self) then return end
  if is_future(value) then
    listen(value, function() follow(it, value, self.sync) end)
  else
    complete(it, self.sync, ...)
  end
end

--- Fails the Future; raises as `complete` does.
---@param value any
function Completer:complete_error(value)
  check_completer(self, "complete_error")
  if check_open(self) then fail(self.future, value, nil, self.sync) end
end

--- Is it completed, or its Future cancelled?
---@return boolean
function Completer:is_completed()
  check_completer(self, "is_completed")
  return self.completed == true or self.future.done == true
end

local function completer(sync)
  return setmetatable({ future = new(), sync = sync }, Completer)
end

--- Isolate.Completer() makes one; Isolate.Completer.sync() one whose Future's
-- continuations run inside `complete`, as Dart's.
---@overload fun(): isolate.Completer
future.Completer = setmetatable(Completer, { __call = function() return completer(false) end })

---@return isolate.Completer
function Completer.sync() return completer(true) end

return future

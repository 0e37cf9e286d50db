--- Streams: values that come one after the other. A ReceivePort is one, and
-- what `map`, `where`, `take` and `as_broadcast` make of it.
--
-- A kind of stream says how a value is taken out of it:
--   pull(self, timeout)  waits for the next: true, value; or false, and
--                        "closed", "timeout", or "stuck" (nothing is left that
--                        could send one)
--   reader(self)         whose `pull` one consumer is to use
--   close(self)
-- and has `listen`, `first`, `receive`, `messages` and the rest from here.

local math, xpcall, error = math, xpcall, error
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"
local subscription = require "isolate.subscription"

local expected = errors.expected

local stream = {}

---@class isolate.Stream
local Stream = {}

local kinds = {}                -- the classes of streams

--- Makes the class of a kind of stream.
function stream.kind(name)
  local class = { __name = name, __transfer = false }
  for key, value in pairs(Stream) do class[key] = value end
  class.__index = class
  kinds[class] = true
  return class
end

local function check_self(self, name, level)
  if not kinds[getmetatable(self)] then errors.bad_self("ReceivePort", self, name, level or 3) end
end

-- Raises if somebody listens to it already, or to what it is made from.
local function check_free(self, name)
  core.check()
  check_self(self, name, 4)
  local it = self
  while it and not it.taps do
    if it.claimed then
      error("bad use of '" .. name .. "': somebody listens to this port already", 3)
    end
    it = it.source
  end
end

-- One consumer has it, and what it is made from (nil: not any more). A broadcast
-- is for all.
local function claim(self, claimed)
  if self.taps then return end
  self.claimed = claimed
  if self.source then claim(self.source, claimed) end
end

local function with_traceback(problem)
  return { value = problem, traceback = debug.traceback(nil, 2) }
end

-- `pull` for a consumer that goes on after an error of a step: it is uncaught.
local function pull_next(self)
  while true do
    local ok, got, value = xpcall(self.pull, with_traceback, self)
    core.check()
    if ok then return got, value end
    loop.uncaught(got.value, got.traceback)
  end
end

--- Is it a stream?
function stream.is(value) return kinds[getmetatable(value)] ~= nil end

-- For the other rooms of streams.
stream.check_self, stream.check_free, stream.claim = check_self, check_free, claim
stream.pull_next = pull_next

------------------------------------------------------------------------------
-- What all streams have

--- Calls `on_message(value)` as a task for each value until the stream is
-- closed; the next one does not wait for it to end. Once per stream.
---@param on_message function
---@param opts {on_done: function?}?  `on_done()` follows the close
---@return isolate.Subscription
function Stream:listen(on_message, opts)
  check_free(self, "listen")
  opts = subscription.check(on_message, opts)
  local gate                    -- the pump waits for it while it is paused
  local to = subscription.new(self, on_message, opts, function()
    if gate then loop.wake(gate) end
  end)
  local function pump()
    while true do
      local got, value = pull_next(self)
      if not got then return subscription.tell_done(to) end
      while to.paused and not self.closed do
        gate = loop.waiter()
        loop.wait(gate)
      end
      if not self.closed then subscription.give(to, value) end
    end
  end
  claim(self, true)
  loop.ready(function() loop.start(loop.uncaught, pump) end)
  return to
end

--- The first value, as a Future; the stream is closed then. Fails with a
-- ClosedError if it is closed before.
---@return isolate.Future
function Stream:first()
  check_free(self, "first")
  local result = future.new()
  claim(self, true)
  local function close()
    self:close()
    claim(self, nil)
  end
  result.on_cancel = close
  local function failed(value, traceback)
    close()
    future.fail(result, value, traceback)
  end
  loop.start(failed, function()
    local got, value = self:pull()
    close()
    if got then
      future.complete(result, value)
    else
      future.fail(result, errors.ClosedError "the port was closed before a message came")
    end
  end)
  return result
end

--- Waits for the next value, as `await` does. Returns it; or nil, "timeout"; or
-- nil, "closed". Those who wait are served in the order they came.
---@param timeout number?  seconds; 0 takes what is there
---@return any value, string? why
function Stream:receive(timeout)
  check_free(self, "receive")
  future.check_number(timeout, 1, "receive")
  local got, value = self:pull(timeout)
  if got then return value end
  if value == "stuck" then error("nothing can come to this port", 2) end
  return nil, value
end

--- `for i, value in stream:messages() do`, until it is closed; `i` counts from
-- 1, so that nil values pass. Leaving the loop leaves the stream open.
function Stream:messages()
  check_free(self, "messages")
  local i = 0
  return function()
    local got, value = self:pull()
    i = i + 1
    if got then return i, value end
    if value == "stuck" then error("nothing can come to this port", 2) end
  end
end

local Derived

-- Closes what it is made from: its own share of a broadcast, if it has one.
local function finish(self)
  local source = self.source
  local from = self.from or not source.taps and source
  if from then from:close() end
  local release = self.release
  self.release = nil
  if release then release() end
end

-- A stream of what `step(value)` makes of the values of `source`: true and a
-- value, or false to leave it out.
local function derive(source, step)
  return setmetatable({ source = source, step = step }, Derived)
end

--- A stream of what `f` makes of each value. `f` may wait: the order stays.
---@param f fun(value: any): any
---@return isolate.Stream
function Stream:map(f)
  check_free(self, "map")
  future.check_function(f, 1, "map")
  return derive(self, function(value) return true, (f(value)) end)
end

--- A stream of the values for which `f` is true.
---@param f fun(value: any): boolean
---@return isolate.Stream
function Stream:where(f)
  check_free(self, "where")
  future.check_function(f, 1, "where")
  return derive(self, function(value) return f(value), value end)
end

--- A stream of the first `n` values; it closes itself after them.
---@param n integer
---@return isolate.Stream
function Stream:take(n)
  check_free(self, "take")
  local count = math.tointeger(n)
  if not count then expected("integer", n, 1, "take", 2) end
  if count < 0 then error("bad argument #1 to 'take' (a count cannot be negative)", 2) end
  local self_ = derive(self, nil)
  self_.left = count
  function self_.step(value)
    self_.left = self_.left - 1
    if self_.left == 0 then finish(self_) end
    return true, value
  end
  return self_
end

--- A stream that many may listen to, from the first listener on. Each hears
-- what comes after it began; nobody is waited for.
---@return isolate.Stream
function Stream:as_broadcast()
  check_free(self, "as_broadcast")
  claim(self, true)
  return require "isolate.stream_broadcast"(self)
end

function Stream:reader() return self end

------------------------------------------------------------------------------
-- Derived streams

Derived = stream.kind "isolate.Stream"

function Derived:pull(timeout)
  local deadline = timeout and core.now() + timeout
  if self.left == 0 then finish(self) end
  while not self.closed and self.left ~= 0 do
    local reader = self.from or self.source:reader()
    self.from = reader
    local got, value = reader:pull(deadline and math.max(0, deadline - core.now()))
    if not got then return false, value end
    local wanted, result = self.step(value)
    if wanted and not self.closed then return true, result end
  end
  return false, "closed"
end

--- No more values; closes the stream that it is made from. Twice is fine.
function Derived:close()
  check_self(self, "close")
  self.closed = true
  finish(self)
end

Derived.__close = Derived.close

--- A stream over `source`, see `derive`; `release()` is called when it is closed.
function stream.derive(source, step, release)
  local self = derive(source, step)
  self.release = release
  return self
end

return stream

--- Streams: values that come one after the other. A ReceivePort is one, and
-- what `map`, `where`, `take` and `as_broadcast` make of it.
--
-- A kind of stream says how a value is taken out of it:
--   pull(self, timeout)  waits for the next: true, value; or false, and
--                        "closed", "timeout", or "stuck" (nothing is left that
--                        could send one)
--   reader(self)         whose `pull` one consumer is to use
--   close(self)
--   listen(self, on_message, opts)
-- and has `receive` and `messages` (receiveport.c), and the rest from here.

local math, xpcall, error = math, xpcall, error
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"
local listen = require "isolate.listen"

local check_self, check_free, claim = core.check_stream, core.check_free, listen.claim

---@class isolate.Stream
---@field receive fun(self, timeout: number?): any, string?  waits for the next; or nil, "timeout" (seconds); or nil, "closed"
---@field messages fun(self): fun(): integer?, any  `for i, value in`, until it is closed
---@field listen fun(self, on_message: function, opts: {on_done: function?}?): isolate.Subscription
---@field close fun(self)
local methods = {}

--- Whose `pull` one consumer is to use.
function methods:reader() return self end

--- The first value, as a Future; the stream is closed then. Fails with a
-- ClosedError if it is closed before.
---@return isolate.Future
function methods:first()
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

--- A stream that many may listen to, from the first listener on. Each hears
-- what comes after it began; nobody is waited for.
---@return isolate.Stream
function methods:as_broadcast()
  check_free(self, "as_broadcast")
  claim(self, true)
  return require "isolate.stream_broadcast"(self)
end

------------------------------------------------------------------------------
-- Derived streams

local Derived = core.stream "isolate.Stream"

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
  return setmetatable({ source = source, step = step, from = false, left = false, gate = false }, Derived)
end

--- A stream of what `f` makes of each value. `f` may wait: the order stays.
---@param f fun(value: any): any
---@return isolate.Stream
function methods:map(f)
  check_free(self, "map")
  errors.check_function(f, 1, "map")
  return derive(self, function(value) return true, (f(value)) end)
end

--- A stream of the values for which `f` is true.
---@param f fun(value: any): boolean
---@return isolate.Stream
function methods:where(f)
  check_free(self, "where")
  errors.check_function(f, 1, "where")
  return derive(self, function(value) return f(value), value end)
end

--- A stream of the first `n` values; it closes itself after them.
---@param n integer
---@return isolate.Stream
function methods:take(n)
  check_free(self, "take")
  local count = math.tointeger(n)
  if not count then errors.expected("integer", n, 1, "take", 2) end
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

local function with_traceback(problem)
  return { value = problem, traceback = debug.traceback(nil, 2) }
end

--- `pull` for a consumer that goes on after an error of a step: it is uncaught.
local function pull_next(self)
  while true do
    local ok, got, value = xpcall(self.pull, with_traceback, self)
    core.check()
    if ok then return got, value end
    loop.uncaught(got.value, got.traceback)
  end
end

--- Calls `on_message(value)` as a task for each value until the stream is
-- closed; the next one does not wait for it to end. Once per stream.
---@param on_message function
---@param opts {on_done: function?}?  `on_done()` follows the close
---@return isolate.Subscription
function Derived:listen(on_message, opts)
  check_free(self, "listen")
  opts = listen.check(on_message, opts)
  local to = listen.new(self, on_message, opts)
  local function pump()
    while true do
      local got, value = pull_next(self)
      if not got then return to:tell_done() end
      while to.paused and not self.closed do
        self.gate = loop.waiter()
        loop.wait(self.gate)
      end
      if not self.closed then to:give(value) end
    end
  end
  claim(self, true)
  loop.ready(function() loop.start(loop.uncaught, pump) end)
  return to
end

--- A subscription is paused, resumed or cancelled: who waits looks again.
function Derived:changed()
  if self.gate then loop.wake(self.gate) end
end

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
function methods.derive(source, step, release)
  local self = derive(source, step)
  self.release = release
  return self
end

methods.pull_next = pull_next

return methods

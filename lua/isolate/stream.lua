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

local math, table, xpcall, error = math, table, xpcall, error
local core = require "isolate.core"
local errors = require "isolate.errors"
local future = require "isolate.future"
local loop = require "isolate.loop"
local options = require "isolate.options"

local expected = errors.expected

local stream = {}

local function uncaught(value, traceback) loop.uncaught(value, traceback) end

---@class isolate.Stream
local Stream = {}

local kinds = {}                -- the classes of streams

-- Makes a kind of stream.
local function kind(name)
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
    uncaught(got.value, got.traceback)
  end
end

------------------------------------------------------------------------------
-- Subscriptions

---@class isolate.Subscription
local Subscription = { __name = "isolate.Subscription", __transfer = false }
Subscription.__index = Subscription

local function check_subscription(self, name)
  if getmetatable(self) ~= Subscription then errors.bad_self("Subscription", self, name, 3) end
end

--- Values wait in the stream until each pause was followed by a `resume`.
function Subscription:pause()
  check_subscription(self, "pause")
  self.pauses = self.pauses + 1
  self.paused = true
end

function Subscription:resume()
  check_subscription(self, "resume")
  self.pauses = math.max(0, self.pauses - 1)
  self.paused = self.pauses > 0
  if not self.paused then self.go_on() end
end

--- Closes the stream; `on_done` does not follow.
function Subscription:cancel()
  check_subscription(self, "cancel")
  self.on_done = nil
  self.stream:close()
  self.go_on()
end

-- `go_on()` is called when it is no longer paused.
local function subscription(of, on_message, opts, go_on)
  return setmetatable({
    stream = of, on_message = on_message, on_done = opts.on_done,
    pauses = 0, go_on = go_on,
  }, Subscription)
end

local listen_options = { on_done = options.callback }

local function check_listen(on_message, opts)
  future.check_function(on_message, 1, "listen", false, 4)
  opts = options.check(opts, 2, "listen", listen_options, 3)
  return opts
end

-- The stream is closed: `on_done` follows, unless it is cancelled before.
local function tell_done(to)
  loop.ready(function()
    local on_done = to.on_done
    if on_done then loop.start(uncaught, on_done) end
  end)
end

------------------------------------------------------------------------------
-- What all streams have

--- Calls `on_message(value)` as a task for each value until the stream is
-- closed; the next one does not wait for it to end. Once per stream.
---@param on_message function
---@param opts {on_done: function?}?  `on_done()` follows the close
---@return isolate.Subscription
function Stream:listen(on_message, opts)
  check_free(self, "listen")
  opts = check_listen(on_message, opts)
  local gate                    -- the pump waits for it while it is paused
  local to = subscription(self, on_message, opts, function()
    if gate then loop.wake(gate) end
  end)
  local function pump()
    while true do
      local got, value = pull_next(self)
      if not got then return tell_done(to) end
      while to.paused and not self.closed do
        gate = loop.waiter()
        loop.wait(gate)
      end
      if not self.closed then loop.start(uncaught, on_message, value) end
    end
  end
  claim(self, true)
  loop.ready(function() loop.start(uncaught, pump) end)
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

local Derived, Broadcast

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
  return setmetatable({ source = self, taps = {} }, Broadcast)
end

function Stream:reader() return self end

------------------------------------------------------------------------------
-- Buffers: what is added waits until somebody asks

-- One who waits for a value. When an error ends the wait (that of a timer, in
-- the main isolate), nothing is given to it afterwards, and what it was given
-- goes back.
local Waiter = {}

function Waiter:__close(problem)
  self.done = true
  if problem ~= nil and self.got then
    local from = self.buffer
    from.queue[from.first_value - 1] = self.value
    from.first_value = from.first_value - 1
  end
end

--- Makes the class of a buffer; an object of it begins as `stream.fill {}`.
function stream.buffer(name)
  local Buffer = kind(name)

  local function push(self, value)
    self.queue[self.last_value + 1] = value
    self.last_value = self.last_value + 1
  end

  local function pop(self)
    local i = self.first_value
    local value = self.queue[i]
    self.queue[i] = nil
    self.first_value = i + 1
    return value
  end

  local function has_values(self) return self.first_value <= self.last_value end

  -- The waiter that came first and still waits; it is forgotten when it is done.
  local function next_waiter(self)
    local waiters = self.waiters
    while waiters[1] do
      if not waiters[1].done then return waiters[1] end
      table.remove(waiters, 1)
    end
  end

  -- Lets it go on; what it gets is given to it after that, for it may raise.
  local function wake(waiter)
    if waiter.watches then
      loop.wake(waiter.watches)
      waiter.done = true
    else
      loop.wake(waiter)
    end
  end

  -- Gives the values that wait to the subscription, one task each.
  local function pump(self)
    local to = self.subscription
    while has_values(self) and not to.paused do
      loop.start(uncaught, to.on_message, pop(self))
    end
  end

  -- Gives what waits to those who wait, when one who only watched has gone.
  local function hand_over(self)
    local waiter = next_waiter(self)
    while waiter and has_values(self) do
      wake(waiter)
      if not waiter.watches then waiter.got, waiter.value = true, pop(self) end
      waiter = next_waiter(self)
    end
    if self.subscription then pump(self) end
  end

  --- Takes what is there: true and it; or false, and whether it is closed.
  function Buffer:try()
    if has_values(self) then return true, pop(self) end
    return false, self.closed == true
  end

  --- Wakes the waiter when there is something, which stays: a to-be-closed value.
  function Buffer:register(waiter)
    local watcher = setmetatable({ watches = waiter, done = false }, { __close = function(it)
      it.done = true
      hand_over(self)
    end })
    local waiters = self.waiters
    waiters[#waiters + 1] = watcher
    return watcher
  end

  --- A value has come: for who waited longest, else for the subscription.
  function Buffer:add(value)
    local waiter, to = next_waiter(self), self.subscription
    if waiter and not waiter.watches then
      wake(waiter)
      waiter.got, waiter.value = true, value
    elseif waiter or not to or to.paused or has_values(self) then
      push(self, value)
      if waiter then wake(waiter) end
    else
      loop.start(uncaught, to.on_message, value)
    end
  end

  function Buffer:pull(timeout)
    if has_values(self) then return true, pop(self) end
    local waiter <close> = setmetatable(loop.waiter(), Waiter)
    waiter.buffer, waiter.got, waiter.value = self, false, false
    -- that may have called a finalizer, and it the loop: look again
    if has_values(self) then return true, pop(self) end
    if self.closed then return false, "closed" end
    local waiters = self.waiters
    waiters[#waiters + 1] = waiter
    local over = future.wait(waiter, timeout, 4)
    if waiter.got then return true, waiter.value end
    if waiter.timed_out then return false, "timeout" end
    return false, over and "closed" or "stuck"
  end

  -- As that of Stream, without a task in between.
  function Buffer:listen(on_message, opts)
    check_free(self, "listen")
    opts = check_listen(on_message, opts)
    local to = subscription(self, on_message, opts, function() pump(self) end)
    self.subscription = to
    claim(self, true)
    if self.closed then
      tell_done(to)
    elseif has_values(self) then
      loop.ready(function() pump(self) end)
    end
    return to
  end

  --- No more values: those that wait are dropped, whoever waits is told, and
  -- `on_done` follows. Closing twice is fine.
  function Buffer:close()
    check_self(self, "close")
    if self.closed then return end
    self.closed = true
    self.first_value, self.last_value = 1, 0
    local waiter = next_waiter(self)
    while waiter do
      wake(waiter)
      waiter = next_waiter(self)
    end
    if self.subscription then tell_done(self.subscription) end
    self.queue = {}
  end

  return Buffer
end

--- Is it a stream that can be tried and watched?
function stream.is_buffer(value)
  return kinds[getmetatable(value)] ~= nil and value.try ~= nil
end

--- What an object of a buffer's class begins with.
function stream.fill(self)
  self.queue, self.first_value, self.last_value = {}, 1, 0
  self.waiters, self.closed = {}, false
  return self
end

------------------------------------------------------------------------------
-- Derived streams

Derived = kind "isolate.Stream"

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

------------------------------------------------------------------------------
-- Broadcasts

Broadcast = kind "isolate.Stream"

-- One listener's share of a broadcast.
local Tap = stream.buffer "isolate.Stream"
local close_tap = Tap.close

function Tap:close()
  close_tap(self)
  local taps = self.broadcast.taps
  for i = 1, #taps do
    if taps[i] == self then
      table.remove(taps, i)
      return
    end
  end
end

Tap.__close = Tap.close

-- Gives all values to all taps, until the source is closed.
local function spread(self)
  local got, value = pull_next(self.source)
  while got do
    for _, tap in ipairs { table.unpack(self.taps) } do tap:add(value) end
    got, value = pull_next(self.source)
  end
  self.closed = true
  while self.taps[1] do self.taps[1]:close() end
end

function Broadcast:reader()
  local tap = setmetatable(stream.fill { broadcast = self }, Tap)
  self.taps[#self.taps + 1] = tap
  if self.closed then
    tap:close()
  elseif not self.started then
    self.started = true
    loop.ready(function() loop.start(uncaught, spread, self) end)
  end
  return tap
end

function Broadcast:pull(timeout)
  local tap <close> = self:reader()
  return tap:pull(timeout)
end

function Broadcast:listen(on_message, opts)
  check_free(self, "listen")
  check_listen(on_message, opts)
  return self:reader():listen(on_message, opts)
end

--- The next value; the others go on.
function Broadcast:first()
  check_free(self, "first")
  return self:reader():first()
end

function Broadcast:messages()
  check_free(self, "messages")
  local tap = self:reader()
  return tap:messages(), nil, nil, tap
end

function Broadcast:as_broadcast()
  check_free(self, "as_broadcast")
  return self
end

--- Closes the stream that it is made from, for all.
function Broadcast:close()
  check_self(self, "close")
  self.source:close()
end

Broadcast.__close = Broadcast.close

return stream

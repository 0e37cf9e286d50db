--- Buffers: streams of what is added to them, which waits until somebody asks.

local setmetatable, table = setmetatable, table
local loop = require "isolate.loop"
local stream = require "isolate.stream"

local buffer = {}

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

--- Makes the class of a buffer; an object of it begins as `buffer.fill {}`.
function buffer.class(name)
  local Buffer = stream.kind(name)

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

  --- From now on, values may go to this function (nil: to `add`), one task
  -- each, without us. For those that have a way.
  function Buffer:pass_to() end

  -- Gives the values that wait to the subscription, one task each.
  local function pump(self)
    local to = self.subscription
    self:pass_to(nil)
    while has_values(self) and not to.paused do
      to:give(pop(self))
    end
    if not to.paused then self:pass_to(to.on_message) end
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
      to:give(value)
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
    local over = loop.wait(waiter, timeout, 4)
    if waiter.got then return true, waiter.value end
    if waiter.timed_out then return false, "timeout" end
    return false, over and "closed" or "stuck"
  end

  -- As that of Stream, without a task in between.
  function Buffer:listen(on_message, opts)
    stream.check_free(self, "listen")
    local subscription = require "isolate.subscription"
    opts = subscription.check(on_message, opts)
    local to = subscription.new(self, on_message, opts, function() pump(self) end)
    self.subscription = to
    stream.claim(self, true)
    if self.closed then
      to:tell_done()
    elseif has_values(self) then
      loop.ready(function() pump(self) end)
    else
      self:pass_to(on_message)
    end
    return to
  end

  --- No more values: those that wait are dropped, whoever waits is told, and
  -- `on_done` follows. Closing twice is fine.
  function Buffer:close()
    stream.check_self(self, "close")
    if self.closed then return end
    self.closed = true
    self.first_value, self.last_value = 1, 0
    local waiter = next_waiter(self)
    while waiter do
      wake(waiter)
      waiter = next_waiter(self)
    end
    if self.subscription then self.subscription:tell_done() end
    self.queue = {}
  end

  return Buffer
end

--- Is it a stream that can be tried and watched?
function buffer.is(value)
  return stream.is(value) and value.try ~= nil
end

--- What an object of a buffer's class begins with.
function buffer.fill(self)
  self.queue, self.first_value, self.last_value = {}, 1, 0
  self.waiters, self.closed = {}, false
  return self
end

return buffer

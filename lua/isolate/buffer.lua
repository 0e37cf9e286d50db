--- Buffers: streams of what is added to them, which waits until somebody asks.

local setmetatable, table = setmetatable, table
local loop = require "isolate.loop"

local buffer = {}               -- its methods, and for the other room of buffers

-- One who waits for a value. When an error ends the wait (that of a timer, in
-- the main isolate), nothing is given to it afterwards, and what it was given
-- goes back.
local Waiter = {}

-- What waits in it; the list is made when it is first used.
local function queue_of(self)
  local queue = self.queue
  if not queue then
    queue = {}
    self.queue = queue
  end
  return queue
end

function Waiter:__close(problem)
  self.done = true
  if problem ~= nil and self.got then
    local from = self.buffer
    queue_of(from)[from.first_value - 1] = self.value
    from.first_value = from.first_value - 1
  end
end

local function push(self, value)
  queue_of(self)[self.last_value + 1] = value
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
  while waiters and waiters[1] do
    if not waiters[1].done then return waiters[1] end
    table.remove(waiters, 1)
  end
end

-- Puts it behind all others.
local function stand_in_line(self, waiter)
  local waiters = self.waiters
  if not waiters then
    waiters = {}
    self.waiters = waiters
  end
  waiters[#waiters + 1] = waiter
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
function buffer:pass_to() end

--- A value has come: for who waited longest, else for the subscription.
function buffer:add(value)
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

--- What came, but was not added yet: true and it. Without a timeout it is waited for,
-- if nothing else is to be done meanwhile. For those that can look.
function buffer:look() end

function buffer:pull(timeout)
  if has_values(self) then return true, pop(self) end
  if not next_waiter(self) then
    local ok, value = self:look(timeout)
    if ok then return true, value end
  end
  local waiter <close> = setmetatable(loop.waiter(), Waiter)
  waiter.buffer, waiter.got, waiter.value = self, false, false
  -- that may have called a finalizer, and it the loop: look again
  if has_values(self) then return true, pop(self) end
  if self.closed then return false, "closed" end
  stand_in_line(self, waiter)
  local over = loop.wait(waiter, timeout, 4)
  if waiter.got then return true, waiter.value end
  if waiter.timed_out then return false, "timeout" end
  return false, over and "closed" or "stuck"
end

--- No more values: those that wait are dropped, whoever waits is told, and
-- `on_done` follows. Closing twice is fine.
function buffer:close()
  if self.closed then return end
  self.closed = true
  self.first_value, self.last_value = 1, 0
  local waiter = next_waiter(self)
  while waiter do
    wake(waiter)
    waiter = next_waiter(self)
  end
  if self.subscription then self.subscription:tell_done() end
  self.queue = false
end

--- What an object of a buffer's class begins with, see `new_port` in receiveport.c.
function buffer.fill(self)
  self.queue, self.first_value, self.last_value = false, 1, 0
  self.waiters, self.closed = false, false
  return self
end

buffer.pop, buffer.has_values = pop, has_values
buffer.next_waiter, buffer.stand_in_line, buffer.wake = next_waiter, stand_in_line, wake

return buffer

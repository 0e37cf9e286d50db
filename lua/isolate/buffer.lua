--- Buffers: streams of what is added to them, which waits until somebody asks.

local ipairs, pairs, require, setmetatable, table = ipairs, pairs, require, setmetatable, table
local core = require "isolate.core"
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

-- What all buffers have; they are streams besides.
local Buffer = {}

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
    core.loop.wake(waiter.watches)
    waiter.done = true
  else
    core.loop.wake(waiter)
  end
end

--- From now on, values may go to this function (nil: to `add`), one task
-- each, without us. For those that have a way.
function Buffer:pass_to() end

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

--- What came, but was not added yet: true and it. Without a timeout it is waited for,
-- if nothing else is to be done meanwhile. For those that can look.
function Buffer:look() end

function Buffer:pull(timeout)
  if has_values(self) then return true, pop(self) end
  if not next_waiter(self) then
    local ok, value = self:look(timeout)
    if ok then return true, value end
  end
  local loop = core.loop or require "isolate.loop"
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

-- What few use is loaded when it is first used.
for _, name in ipairs { "listen", "register", "try" } do
  Buffer[name] = function(...) return require "isolate.buffer_methods"[name](...) end
end

--- Makes the class of a buffer; an object of it begins as `buffer.fill {}`.
function buffer.class(name)
  local class = stream.kind(name)
  for key, value in pairs(Buffer) do class[key] = value end
  return class
end

--- What an object of a buffer's class begins with.
function buffer.fill(self)
  self.queue, self.first_value, self.last_value = {}, 1, 0
  self.waiters, self.closed = {}, false
  return self
end

-- For the other room of buffers.
buffer.pop, buffer.has_values, buffer.next_waiter, buffer.wake = pop, has_values, next_waiter, wake

return buffer

--- What buffers have that few of them need: what `select` goes by, and those who
-- listen and pause.

local setmetatable = setmetatable
local buffer = require "isolate.buffer"

local pop, has_values = buffer.pop, buffer.has_values
local next_waiter, stand_in_line, wake = buffer.next_waiter, buffer.stand_in_line, buffer.wake

local methods = {}              -- of all buffers

--- Gives the values that wait to the subscription, one task each; later ones go there
-- by themselves, unless it is paused.
function methods:changed()
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
  if self.subscription then self:changed() end
end

--- Takes what is there: true and it; or false, and whether it is closed.
function methods:try()
  if has_values(self) then return true, pop(self) end
  return false, self.closed == true
end

--- Wakes the waiter when there is something, which stays: a to-be-closed value.
function methods:register(waiter)
  local watcher = setmetatable({ watches = waiter, done = false }, { __close = function(it)
    it.done = true
    hand_over(self)
  end })
  stand_in_line(self, watcher)
  return watcher
end

return methods
